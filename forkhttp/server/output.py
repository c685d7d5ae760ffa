"""What is on its way to the peer: sent as the socket takes it, kept in order.

The bound is that of a write: a handler that wrote one large answer returns at once and
the loop sends it as the peer reads; a handler that writes on and on waits while more
than ``HELD_AT_MOST`` octets of what it wrote before have not left.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
from collections import deque

from forkhttp.errors import PeerGone

#: Octets that may wait for a slow peer before its handler does. A socket's own buffer is of this size.
HELD_AT_MOST = 256 << 10


#: Octets that one sendfile is asked for, so that one fast reader does not keep the loop.
_FILE_AT_ONCE = 1 << 20


class FileSegment:
    """A stretch of an open file that is to be sent by ``sendfile``.

    The descriptor is its own duplicate: the handler closes its file when it is through.
    """

    __slots__ = ("fd", "left", "offset")

    def __init__(self, fd: int, offset: int, count: int) -> None:
        """Take ``count`` octets from ``offset`` of the file behind ``fd``."""
        self.fd = os.dup(fd)
        self.offset = offset
        self.left = count

    def __len__(self) -> int:
        """Octets that are still to be sent."""
        return self.left

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.fd)


class Output:
    """The octets that a connection still owes its peer.

    Attributes:
        pending: octets that have not left.
        sent: octets that have left, since the connection began.
    """

    __slots__ = ("_fd", "_queue", "pending", "sent")

    def __init__(self, fd: int) -> None:
        """Send on the non-blocking socket ``fd``."""
        self._fd = fd
        self._queue: deque[memoryview | FileSegment] = deque()
        self.pending = 0
        self.sent = 0

    def put(self, data: bytes) -> None:
        """Send what the socket takes now, keep the rest.

        Raises:
            PeerGone: the peer closed or reset the connection.
        """
        if not self._queue:
            sent = self._write(data)
            if sent == len(data):
                return
            rest = memoryview(data)[sent:]
        else:
            rest = memoryview(data)
        self._queue.append(rest)
        self.pending += len(rest)

    def put_file(self, segment: FileSegment) -> None:
        """Keep a stretch of a file; ``drain`` sends it."""
        self._queue.append(segment)
        self.pending += len(segment)

    def drain(self) -> int:
        """Send what the socket takes now of what was kept; give the number of octets that left.

        Raises:
            PeerGone: the peer closed or reset the connection, or the file became shorter.
        """
        total = 0
        queue = self._queue
        while queue:
            first = queue[0]
            if isinstance(first, FileSegment):
                moved = self._send_file(first)
                done = not first.left
            else:
                moved = self._write(first)
                done = moved == len(first)
                queue[0] = first[moved:]
            self.pending -= moved
            total += moved
            if not done:
                break
            queue.popleft()
            if isinstance(first, FileSegment):
                first.close()
        return total

    @property
    def outstanding(self) -> int:
        """Octets that the peer has not acknowledged: those kept here, and those in the kernel (tcp(7))."""
        if self.is_dropped:
            return 0
        try:
            unsent = fcntl.ioctl(self._fd, termios.TIOCOUTQ, b"\0" * 4)
        except OSError:
            return self.pending
        return self.pending + int.from_bytes(unsent, sys.byteorder)

    @property
    def is_dropped(self) -> bool:
        """Whether there is no connection any more."""
        return self._fd < 0

    def drop(self) -> None:
        """Forget what has not left, and the socket: its number may be another connection's next."""
        self._fd = -1
        while self._queue:
            segment = self._queue.popleft()
            if isinstance(segment, FileSegment):
                segment.close()
        self.pending = 0

    def wait(self, timeout: float) -> bool:
        """Wait until the socket takes octets again; False if it did not within ``timeout`` seconds."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(timeout * 1000))

    def _write(self, data: bytes | memoryview) -> int:
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PeerGone("the peer left before its answer did") from error
        self.sent += sent
        return sent

    def _send_file(self, segment: FileSegment) -> int:
        try:
            sent = os.sendfile(self._fd, segment.fd, segment.offset, min(segment.left, _FILE_AT_ONCE))
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PeerGone("the peer left before its file did") from error
        if not sent:
            raise PeerGone("the file became shorter while it was sent")
        segment.offset += sent
        segment.left -= sent
        self.sent += sent
        return sent
