"""Who accepts: the listeners of one process, and whether they are in its epoll.

Other processes wait on the same listeners, and the kernel wakes one of them for a new
connection. So whoever will not accept is not registered: a wake-up that goes to it is lost
to those who would. A process leaves its listeners when it is full, when it fails to accept,
and for good when it retires.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import traceback
from typing import TYPE_CHECKING, Any

from forkhttp.server.poller import READ

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from forkhttp.logs import ErrorLog
    from forkhttp.server.http_server import HTTPServer
    from forkhttp.server.poller import Poller

#: Errors of accept(2) that are about this process: it has no descriptors or no memory left.
#: All others but the next are about the connection, which is gone then.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

#: The listener is none any more: the application closed it.
_LOST = {errno.EBADF, errno.ENOTSOCK, errno.EINVAL}

#: Seconds without accepting after this process ran out of something.
_PAUSE = 1.0

#: Seconds in which the same trouble is said once.
_SAY_EVERY = 60.0

#: Descriptors that are left to the application, when the number of connections follows from their limit.
_RESERVED_DESCRIPTORS = 64


class Acceptor:
    """Accepts for one loop.

    Attributes:
        lost: a listener is gone for this process; it can only be replaced.
        is_open: the listeners are in the epoll.
    """

    def __init__(
        self,
        server: HTTPServer,
        poller: Poller,
        errors: ErrorLog,
        welcome: Callable[[socket.socket, Any, int], int],
        most: int,
    ) -> None:
        """Accept with ``server.get_request``.

        Args:
            server: whose documented hook is called.
            poller: where the listeners are registered.
            errors: told when accepting fails.
            welcome: takes the socket, the peer's address and the listener's number; gives the number of
                connections that there are now.
            most: connections at most; 0: what the descriptors allow.
        """
        self._server = server
        self._poller = poller
        self._errors = errors
        self._welcome = welcome
        self._most = most or _descriptor_limit()
        self._shared = False
        self._listeners: dict[int, tuple[int, socket.socket]] = {}
        self._held = 0
        self._resume_at = 0.0
        self._say_at = 0.0
        self.is_open = False
        self.lost = False

    def begin(self, listeners: Sequence[socket.socket], *, shared: bool) -> None:
        """Accept from these from now on; ``shared``: other processes wait on them too."""
        self._shared = shared
        for number, listener in enumerate(listeners):
            listener.settimeout(0)
            # A number of our own: the application may close its server's socket, and what is registered
            # under a number that is closed cannot be taken out again while the master holds the listener.
            own = os.dup(listener.fileno())
            self._listeners[own] = (number, listener)
        self._open()

    def accept(self, fd: int, now: float) -> bool:
        """Accept one connection from the listener ``fd``.

        Returns:
            False if there was none, none could be had, or ``fd`` is no listener that is open.
        """
        number, listener = self._listeners.get(fd, (0, None))
        if listener is None:
            return False
        if self._server.socket is not listener:
            self._server.socket = listener
        try:
            request, client_address = self._server.get_request()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._pause(error, now)
            elif error.errno in _LOST:
                self.lost = True
                self.close()
            return False
        except Exception:  # noqa: BLE001 - an application's get_request() costs its connection, not the worker
            self._errors.error("get_request failed", detail=traceback.format_exc())
            return True
        self._held = self._welcome(request, client_address, number)
        if self._held >= self._most:
            self.close()
        return True

    def held(self, connections: int) -> None:
        """Note that a connection has ended: there may be room again."""
        self._held = connections
        if not self.is_open and not self._resume_at:
            self._open()

    def tick(self, now: float) -> None:
        """Accept again after a pause."""
        if now >= self._resume_at > 0:
            self._resume_at = 0.0
            self._open()

    def leave(self, now: float) -> None:
        """Accept no more, and let go of the listeners.

        First they leave the epoll, then what may have been meant for this process is taken: a wake-up
        that was spent on it is not given to another (epoll_ctl(2), EPOLLEXCLUSIVE).
        """
        self.close()
        for fd in self._listeners:
            while self._held < self._most and self.accept(fd, now):
                pass
        self.forget()

    def forget(self) -> None:
        """Close our descriptors of the listeners; ``close`` comes first, but in a forked child."""
        listeners, self._listeners = self._listeners, {}
        self.is_open = False
        for fd, (_, listener) in listeners.items():
            os.close(fd)
            with contextlib.suppress(OSError):  # the application may have closed it
                listener.close()

    def close(self) -> None:
        """Leave the epoll; ``held`` or ``tick`` may come back to it."""
        if self.is_open:
            self.is_open = False
            for fd in self._listeners:
                self._poller.remove(fd)

    def _open(self) -> None:
        if not self.is_open and not self.lost and self._listeners and self._held < self._most:
            self.is_open = True
            for fd in self._listeners:
                self._poller.add(fd, READ, shared=self._shared)

    def _pause(self, error: OSError, now: float) -> None:
        self.close()
        self._resume_at = now + _PAUSE
        if now >= self._say_at:
            self._say_at = now + _SAY_EVERY
            self._errors.error("accept failed", problem=os.strerror(error.errno or 0), pause=_PAUSE)


def _descriptor_limit() -> int:
    """Connections that this process's descriptors allow."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - _RESERVED_DESCRIPTORS, 1)
