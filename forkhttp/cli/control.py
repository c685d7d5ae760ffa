"""``forkhttp reload|stop|reopen``: find the running master, signal it, wait for the outcome.

A master is known by its scoreboard, which says its own pid, never by its title or
by a pid alone. It is held by a pidfd from before it is looked at, so the signal
cannot reach another process that got its pid since.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

import psutil

from forkhttp.config import named_pid_file
from forkhttp.config.keys import FILE_VARIABLE
from forkhttp.errors import ForkhttpError
from forkhttp.scoreboard import NotAScoreboardError, Outcome, Scoreboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forkhttp.cli.arguments import Arguments

#: Exit statuses.
DONE, FAILED, MISUSED, NOT_FOUND = 0, 1, 2, 4

#: Seconds between two looks at the scoreboard.
_LOOK_EVERY = 0.05


class ControlError(ForkhttpError):
    """The master cannot be told anything; ``status`` is the exit status."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the exit status beside the reason."""
        super().__init__(reason)
        self.status = status


def reload(arguments: Arguments) -> int:
    """Let the master reload; wait until it did, or refused.

    Raises:
        ControlError: there is none, or it ended meanwhile.
    """
    with _held_master(arguments) as (pid, pidfd), contextlib.closing(_board(pid)) as board:
        header = board.header
        before = header.reloads
        signal.pidfd_send_signal(pidfd, signal.SIGHUP)
        while not _ended(pidfd, _LOOK_EVERY):
            if header.reloads != before and header.outcome is not Outcome.RUNNING:
                done = header.outcome is Outcome.DONE
                text = header.reason if done else f"reload refused: {header.reason}"
                (sys.stdout if done else sys.stderr).write(f"forkhttp: {text}\n")
                return DONE if done else FAILED
    raise ControlError(FAILED, f"the master, pid {pid}, ended before the reload did")


def stop(arguments: Arguments) -> int:
    """Let the master stop; wait until it is gone.

    Raises:
        ControlError: there is none.
    """
    with _held_master(arguments) as (pid, pidfd):
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        _ended(pidfd, None)
        sys.stdout.write(f"forkhttp: pid {pid} has stopped\n")
    return DONE


def reopen(arguments: Arguments) -> int:
    """Let the master and its workers open their log files anew; what cannot be opened is in the old log.

    Raises:
        ControlError: there is none.
    """
    with _held_master(arguments) as (_, pidfd):
        signal.pidfd_send_signal(pidfd, signal.SIGUSR1)
    return DONE


@contextlib.contextmanager
def _held_master(arguments: Arguments) -> Iterator[tuple[int, int]]:
    """Give pid and pidfd of the master that is meant.

    Raises:
        ControlError: there is none, several, or it is somebody else's.
    """
    # Not above: `forkhttp check` needs no master.
    from forkhttp.master.pid_file import is_master  # noqa: PLC0415

    pid = _meant(arguments)
    pidfd = -1
    try:
        pidfd = os.pidfd_open(pid)
        if not is_master(pid):
            raise ControlError(NOT_FOUND, f"pid {pid} is no running master")
        yield pid, pidfd
    except ProcessLookupError:
        raise ControlError(NOT_FOUND, f"pid {pid} does not run") from None
    except PermissionError:
        raise ControlError(FAILED, f"pid {pid} belongs to another user") from None
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _meant(arguments: Arguments) -> int:
    """Find the pid of the master that is meant: by number, by PID file, or the only one of this user.

    Raises:
        ControlError: there is none, or several.
    """
    if arguments.pid is not None:
        return arguments.pid
    pid_file = named_pid_file(arguments.sources())
    if pid_file is not None:
        return _in_file(pid_file)
    if arguments.file is not None or os.environ.get(FILE_VARIABLE):
        raise ControlError(MISUSED, "the configuration names no pid_file; say which master with --pid")
    masters = [process.pid for process in psutil.process_iter() if _is_own_master(process)]
    if len(masters) > 1:
        raise ControlError(MISUSED, f"several masters run, say which with --pid: {masters}"[:400])
    if not masters:
        raise ControlError(NOT_FOUND, "no master of this user runs")
    return masters[0]


def _in_file(path: Path) -> int:
    """Read a PID file.

    Raises:
        ControlError: it holds no pid.
    """
    from forkhttp.master.pid_file import PidFileError, read_pid  # noqa: PLC0415 - as above

    try:
        pid = read_pid(path)
    except PidFileError as error:
        raise ControlError(NOT_FOUND, str(error)) from error
    if pid is None:
        raise ControlError(NOT_FOUND, f"no master runs: there is no pid in {path}")
    return pid


def _is_own_master(process: psutil.Process) -> bool:
    """Whether a process is a master and of this user."""
    from forkhttp.master.pid_file import is_master  # noqa: PLC0415 - as above

    try:
        return process.uids().effective == os.geteuid() and is_master(process.pid)
    except (psutil.Error, OSError):  # it ended meanwhile, or may not be looked at
        return False


def _board(pid: int) -> Scoreboard:
    """Attach the scoreboard of a master.

    Raises:
        ControlError: it ended meanwhile, or is of another version.
    """
    try:
        board = Scoreboard.of_process(pid)
    except NotAScoreboardError:
        raise ControlError(FAILED, f"the master, pid {pid}, is of another version; send it SIGHUP") from None
    if board is None:
        raise ControlError(NOT_FOUND, f"pid {pid} does not run")
    return board


def _ended(pidfd: int, timeout: float | None) -> bool:
    """Wait for a process to end, at most ``timeout`` seconds."""
    readable, _, _ = select.select([pidfd], [], [], timeout)
    return bool(readable)
