"""What a worker could still say before it died: tracebacks and stacks, kept in memory.

Each worker is born with a small file in memory. ``faulthandler`` and the worker
write into it by descriptor, which works where nothing else does any more; the
master reads it after the death and logs it. The file is sealed at its size, so
whatever an application does with the descriptor costs at most that much.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re

#: Octets that are kept: some hundred stack frames, as faulthandler writes them.
SIZE = 64 << 10

#: C0 without the newline, DEL, and C1: what a terminal would obey.
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class LastWords:
    """One worker's last words.

    Both sides share one offset, because both came by the descriptor through a
    fork: the worker's writes move it, and the master learns from it how much was said.

    Attributes:
        fd: where the worker and its ``faulthandler`` write; not inheritable.
    """

    def __init__(self, fd: int) -> None:
        """Use a descriptor that ``create`` made."""
        self.fd = fd

    @classmethod
    def create(cls) -> LastWords:
        """Make the file, before the fork.

        Raises:
            OSError: there is no memory or no descriptor left.
        """
        fd = os.memfd_create("forkhttp-last-words", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, SIZE)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    def write(self, text: str) -> None:
        """Say something, in the worker; what does not fit any more is lost, and nothing is raised."""
        with contextlib.suppress(OSError):
            room = SIZE - os.lseek(self.fd, 0, os.SEEK_CUR)
            os.write(self.fd, text.encode("utf-8", "backslashreplace")[: max(room, 0)])

    def read(self) -> str:
        """What was said so far, in lines, control characters escaped; for the master."""
        said = min(os.lseek(self.fd, 0, os.SEEK_CUR), SIZE)
        text = os.pread(self.fd, said, 0).decode("utf-8", "backslashreplace")
        return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text).strip("\n")

    def take(self) -> str:
        """The same, and make room again: for stacks that were asked for from a worker that goes on.

        What it writes between the two steps is lost.
        """
        text = self.read()
        os.lseek(self.fd, 0, os.SEEK_SET)
        return text

    def close(self) -> None:
        """Close the descriptor of this side."""
        os.close(self.fd)
