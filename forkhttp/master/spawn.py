"""Where processes come from: the one place that forks.

Signals are blocked across the fork, so none that was meant for the master is
obeyed by a child, and none for the child is lost. A child never returns into its
parent's code: whatever its main function does ends in ``os._exit``.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forkhttp.context import WorkerContext, WorkerMain
from forkhttp.last_words import LastWords
from forkhttp.master.signals import TABLE
from forkhttp.process import set_title

if TYPE_CHECKING:
    from collections.abc import Callable

    from forkhttp.context import Listener
    from forkhttp.logs import Logs
    from forkhttp.scoreboard import Row, Scoreboard
    from forkhttp.settings import Settings


@dataclass(frozen=True, slots=True)
class Birth:
    """What a child gets from the master; the rest of its context is its own.

    Attributes:
        lifeline: the reading end.
        let_go: closes, in the child, every descriptor that is the master's alone.
        born: nanoseconds of the monotonic clock.
    """

    main: WorkerMain
    settings: Settings
    generation: int
    slot: int
    board: Scoreboard
    listeners: tuple[Listener, ...]
    lifeline: int
    logs: Logs
    let_go: Callable[[], None]
    born: int


@dataclass(frozen=True, slots=True)
class Worker:
    """A child as its parent holds it.

    Attributes:
        ready: reading end of the pipe on which it says that it is ready; non-blocking.
    """

    pid: int
    row: Row
    ready: int
    last_words: LastWords

    def release(self) -> None:
        """Close the parent's descriptors."""
        os.close(self.ready)
        self.last_words.close()


def spawn(birth: Birth) -> Worker:
    """Fork a worker.

    Raises:
        OSError: there is no process, descriptor, memory or row left.
    """
    row = birth.board.claim(birth.slot, birth.generation, birth.born)
    if row is None:
        raise OSError(errno.EAGAIN, "the scoreboard has no free row")
    with contextlib.ExitStack() as undo:
        undo.callback(birth.board.release, row)
        last_words = LastWords.create()
        undo.callback(last_words.close)
        ready, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        undo.callback(os.close, ready)
        try:
            pid = _fork(lambda: _live(birth, row, tell, ready, last_words), last_words)
        finally:
            os.close(tell)
        undo.pop_all()
    row.pid = pid
    return Worker(pid, row, ready, last_words)


def _fork(main: Callable[[], int], last_words: LastWords) -> int:
    """Fork; the child runs ``main`` and ends with its status."""
    _flush_standard_streams()  # or the child writes what is buffered a second time
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            os._exit(_run_child(main, mask, last_words))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _run_child(main: Callable[[], int], mask: set[signal.Signals | int], last_words: LastWords) -> int:
    """Run the main function; its exit status, whatever it raises."""
    status = 1
    try:
        _set_signals(last_words)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = int(main())
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:  # noqa: BLE001 - nothing may pass into the parent's code
        last_words.write(traceback.format_exc())
    with contextlib.suppress(BaseException):
        _flush_standard_streams()
    return status & 0xFF


def _set_signals(last_words: LastWords) -> None:
    """Give up the master's handlers before anything can be delivered.

    What must not kill a worker gets a handler that does nothing, instead of being
    ignored: an ignored signal stays ignored in programs that the application starts.
    """
    signal.set_wakeup_fd(-1)
    for meaning in TABLE:
        default = meaning.signal in (signal.SIGCHLD, signal.SIGTERM)
        signal.signal(meaning.signal, signal.SIG_DFL if default else _do_nothing)
    faulthandler.enable(file=last_words.fd)
    faulthandler.register(signal.SIGQUIT, file=last_words.fd)


def _do_nothing(_number: int, _frame: object) -> None:
    """Survive a signal that is the master's business."""


def _live(birth: Birth, row: Row, tell: int, ready: int, last_words: LastWords) -> int:
    """Become a worker, in the child."""
    os.close(ready)
    birth.let_go()
    settings = birth.settings
    if settings.umask:
        os.umask(int(settings.umask, 8))
    set_title(settings.title, f"worker {birth.slot} gen={birth.generation}")
    return birth.main(
        WorkerContext(
            settings=settings,
            generation=birth.generation,
            slot=birth.slot,
            row=row,
            board=birth.board,
            listeners=birth.listeners,
            lifeline=birth.lifeline,
            ready=tell,
            last_words=last_words,
            logs=birth.logs.with_role(f"worker={birth.slot} gen={birth.generation} pid={os.getpid()}"),
        )
    )


def _flush_standard_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full or None
            stream.flush()
