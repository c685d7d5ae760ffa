"""The worker: loads the application, becomes ready, and serves until its order says otherwise.

What it is told stands in its row of the scoreboard; a signal only says "look", and at
the latest it looks once a second by itself, so an application that takes a signal handler
away delays an order and cannot lose it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import time
import traceback
from typing import TYPE_CHECKING

from forkhttp.context import BOOT_FAILED, LOOK, MISCONFIGURED, READY_OCTET
from forkhttp.errors import ForkhttpError, TargetError
from forkhttp.handlers.adoption import adopt_server, with_server_field
from forkhttp.handlers.target import prepare, resolve, resolve_class
from forkhttp.process import drop_privileges, memory, resolve_identity
from forkhttp.scoreboard import ORDER, Order, State
from forkhttp.server import HTTPServer, RequestLoop

if TYPE_CHECKING:
    from forkhttp.context import WorkerContext
    from forkhttp.handlers.adoption import HandlerFactory

#: The longest wait of a turn: how late an order may be read when no signal says so.
_LOOK_EVERY = 1.0

#: Seconds between two measurements of this process's memory; one takes about a millisecond.
_MEASURE_EVERY = 10.0

#: Descriptors that the table is made to hold before there is a second thread: growing it later
#: waits for every CPU, in the middle of a request.
_TABLE = 4096


def main(context: WorkerContext) -> int:
    """Be a worker.

    Returns:
        The exit status: 0 after an orderly end, ``MISCONFIGURED`` if there is no such target,
        ``BOOT_FAILED`` if it cannot be loaded; the last words say why.
    """
    context.row.state = State.BOOTING
    try:
        server = _boot(context)
    except TargetError as error:
        context.last_words.write(str(error))
        return MISCONFIGURED
    except ForkhttpError as error:
        context.last_words.write(str(error))
        return BOOT_FAILED
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an application's import raises is a failed boot
        context.last_words.write("".join(traceback.format_exception(error)))
        return BOOT_FAILED
    return _Worker(context, server).run()


def _boot(context: WorkerContext) -> HTTPServer:
    settings = context.settings
    identity = resolve_identity(settings.user, settings.group)
    if identity is not None:
        drop_privileges(identity)
    _grow_descriptor_table()
    prepare(settings)
    handler = resolve(settings.target, settings.directory)
    field = settings.http.server_header
    if field is not True:
        handler = with_server_field(handler, field or "")
    return _server(context, handler)


def _grow_descriptor_table() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError):
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, min(_TABLE, soft) - 1))


def _server(context: WorkerContext, handler: HandlerFactory) -> HTTPServer:
    """Make the documented server object, on the first listener, with the arguments that are documented."""
    dotted = context.settings.server_class
    server_class = adopt_server(resolve_class(dotted), HTTPServer) if dotted else HTTPServer
    first = context.listeners[0]
    here = type(server_class.__name__, (server_class,), {"inherited": first.socket})
    server = here(first.address, handler)
    if not isinstance(server, HTTPServer):
        raise TargetError(f"{dotted} did not make a server")
    return server


class _Worker:
    """One process between ready and gone."""

    def __init__(self, context: WorkerContext, server: HTTPServer) -> None:
        self._context = context
        self._row = context.row
        self._loop = RequestLoop(server, context.settings, context.logs, context.row, alone=False)
        self._order = Order.BOOT
        self._retire_asked = False
        self._reopened = context.row.reopen
        self._measure_at = 0.0
        self._give_up_at = float("inf")
        self._wake, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> int:
        """Serve, as ordered."""
        row, loop = self._row, self._loop
        self._listen_to_signals()
        loop.watch(self._wake, self._drain_wake)
        loop.watch_lifeline(self._context.lifeline, self._master_died)
        row.state = State.READY
        with contextlib.suppress(BrokenPipeError):  # the master is gone; the lifeline says so next
            os.write(self._context.ready, READY_OCTET)
        os.close(self._context.ready)
        while True:
            if row.cells[ORDER] != self._order:
                self._obey(row.order)
            if self._order is Order.QUIT or (loop.leaving and loop.empty):
                break
            now = time.monotonic()
            if now >= self._give_up_at:
                break
            self._look_after_files(now)
            loop.turn(_LOOK_EVERY)
        self._context.logs.flush()
        row.state = State.GONE
        return 0

    def _listen_to_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(LOOK, _only_wake)
        signal.signal(signal.SIGTERM, self._retire_myself)

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass

    def _retire_myself(self, _number: int, _frame: object) -> None:
        """SIGTERM to one worker: it finishes and leaves, and the master replaces it."""
        self._retire_asked = True

    def _obey(self, order: Order) -> None:
        """Do what the master wants."""
        self._order = order
        row, loop = self._row, self._loop
        if order is Order.SERVE:
            loop.open([listener.socket for listener in self._context.listeners])
            row.state = State.SERVING
        elif order is Order.RETIRE:
            row.state = State.RETIRING
            loop.leave()
        elif order is Order.DRAIN:
            row.state = State.DRAINING
            loop.dismiss()

    def _master_died(self) -> None:
        """End-of-file on the lifeline: stop accepting at once, finish, and leave."""
        loop = self._loop
        loop.unwatch(self._context.lifeline)
        if not loop.orphaned:
            self._context.logs.error.error("the master died")
        self._row.state = State.DRAINING
        loop.dismiss()
        self._give_up_at = time.monotonic() + self._context.settings.timeouts.stop_drain

    def _look_after_files(self, now: float) -> None:
        """What is due now and then: retiring by itself, log files, the memory figure."""
        row, loop = self._row, self._loop
        if (self._retire_asked or loop.unfit) and not loop.leaving:
            self._context.logs.error.info("worker retires itself", reason=loop.unfit or "SIGTERM")
            row.state = State.DRAINING
            loop.dismiss()
        if row.reopen != self._reopened:
            self._reopened = row.reopen
            self._context.logs.reopen()
        if now >= self._measure_at:
            self._measure_at = now + _MEASURE_EVERY
            row.memory = memory()


def _only_wake(_number: int, _frame: object) -> None:
    """The wake-up descriptor has been written by the time this runs."""
