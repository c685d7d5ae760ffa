"""The PID file: which process is the master, for service managers and for our own commands.

It appears whole or not at all (a temporary file, then a rename), replaces only
what is provably a dead master's, follows no link, and is removed at the end if
it is still ours. Whether a process is a master is seen by its scoreboard, which
says its own pid; titles can be set by anybody, and pids are used again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from forkhttp.errors import ForkhttpError
from forkhttp.scoreboard import NotAScoreboardError, Scoreboard

#: More octets than any PID file has.
_BOUND = 64


class PidFileError(ForkhttpError):
    """The PID file cannot be written, or belongs to somebody else."""


class PidFile:
    """One PID file; ``pid`` is who writes it."""

    def __init__(self, path: Path, pid: int) -> None:
        """Stand for a path; nothing is written yet."""
        self.path = path.absolute()
        self.pid = pid

    def write(self) -> None:
        """Write it.

        Raises:
            PidFileError: it belongs to a living master, is something else, or the system refuses.
        """
        self._refuse_what_is_not_ours()
        try:
            fd, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                os.write(fd, f"{self.pid}\n".encode())
                os.fchmod(fd, 0o644)
                os.rename(temporary, self.path)  # noqa: PTH104 - mkstemp gives a text
            except BaseException:
                os.unlink(temporary)  # noqa: PTH108 - the same
                raise
            finally:
                os.close(fd)
        except OSError as error:
            raise PidFileError(f"cannot write the PID file {self.path}: {error.strerror}") from error

    def remove(self) -> None:
        """Remove it if it still says our pid; nothing is raised."""
        with contextlib.suppress(OSError, PidFileError):
            if read_pid(self.path) == self.pid:
                self.path.unlink()

    def _refuse_what_is_not_ours(self) -> None:
        owner = read_pid(self.path)
        if owner is None or owner == self.pid:
            return
        if _may_be_its_master(owner, self.path):
            raise PidFileError(f"the PID file {self.path} belongs to a running master, pid {owner}")


def read_pid(path: Path) -> int | None:
    """The pid in a PID file; None if there is no file, or nothing in it.

    Raises:
        PidFileError: it cannot be read, or is no PID file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise PidFileError(f"cannot use the PID file {path}: {reason}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise PidFileError(f"cannot use the PID file {path}: it is no regular file")
        text = os.read(fd, _BOUND).strip()
    finally:
        os.close(fd)
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 1 << 31:
        raise PidFileError(f"cannot use the PID file {path}: it holds something else than a pid")
    return int(text)


def is_master(pid: int) -> bool:
    """Whether this process is a running master.

    Raises:
        PermissionError: it is somebody else's; only its user and root may know.
    """
    try:
        board = Scoreboard.of_process(pid)
    except NotAScoreboardError:
        return True  # one of another version
    if board is None:
        return False
    with contextlib.closing(board):
        return board.header.pid == pid


def _may_be_its_master(pid: int, path: Path) -> bool:
    """Whether the process could be the master that wrote the file: if in doubt, yes."""
    try:
        return is_master(pid)
    except PermissionError:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}").stat().st_uid == path.stat().st_uid
        return False
