"""A real master with a toy worker: ``python -m tests.master.toy FILE``.

The worker speaks no HTTP. To whoever connects it says its pid and generation,
and closes. ``[env] TOY`` is what is odd about it; see ``worker``.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from forkhttp.config import Configuration
from forkhttp.context import BOOT_FAILED, LOOK, READY_OCTET
from forkhttp.errors import ConfigError, Fault
from forkhttp.master import Master
from forkhttp.scoreboard import Order, State
from forkhttp.settings import Settings

if TYPE_CHECKING:
    from forkhttp.context import WorkerContext


def load() -> Configuration:
    """Read the file that is named on the command line."""
    try:
        settings = msgspec.convert(tomllib.loads(Path(sys.argv[1]).read_text()), Settings)
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigError([Fault("toy", str(error), sys.argv[1])]) from error
    return Configuration(settings, {}, [])


def worker(context: WorkerContext) -> int:
    """Boot, wait for the order to serve, serve, and leave when it is told to."""
    toy = context.settings.env.get("TOY", "")
    wake, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(LOOK, lambda *_: None)
    signal.set_wakeup_fd(alarm)
    if toy == "fails to boot":
        context.last_words.write("Traceback\nModuleNotFoundError: No module named 'toy'\n")
        return BOOT_FAILED
    if toy == "hangs in boot":
        select.select([context.lifeline], [], [])
        return 1
    if toy == "raises":
        raise RuntimeError("the toy is broken")
    context.row.state = State.READY
    os.write(context.ready, READY_OCTET)
    os.close(context.ready)
    return _loop(context, toy, wake)


_STATES = {Order.BOOT: State.READY, Order.SERVE: State.SERVING, Order.RETIRE: State.RETIRING}


def _loop(context: WorkerContext, toy: str, wake: int) -> int:
    row = context.row
    while True:
        row.beat = time.monotonic_ns()
        order = row.order
        row.state = _STATES.get(order, State.DRAINING)
        if toy == "breaks down" and order is Order.SERVE:
            return 7
        if order >= Order.RETIRE and toy != "never leaves":
            _accept_all(context)
            return 0
        listeners = [listener.socket.fileno() for listener in context.listeners]
        heard = [context.lifeline, wake, *(listeners if order is Order.SERVE else [])]
        ready, _, _ = select.select(heard, [], [], 1.0)
        with suppress(BlockingIOError):
            os.read(wake, 4096)
        if context.lifeline in ready:
            return 0
        if order is Order.SERVE:
            _accept_all(context)
        if toy == "stalls" and row.requests:
            row.request = b"GET /stalls"
            row.began = row.progress = time.monotonic_ns()
            select.select([context.lifeline], [], [])
            return 0


def _accept_all(context: WorkerContext) -> None:
    for listener in context.listeners:
        with suppress(BlockingIOError):
            while True:
                connection, _ = listener.socket.accept()
                with connection:
                    connection.settimeout(5)
                    context.row.requests += 1
                    with suppress(OSError):
                        connection.sendall(f"{os.getpid()} {context.generation}".encode())


if __name__ == "__main__":
    sys.exit(Master(load, worker).run())
