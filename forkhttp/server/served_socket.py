"""The socket that a handler is given: a socket like any other, of which the server has read a part.

A handler that uses ``self.connection`` itself, for a tunnel or another protocol, meets what
the server has received beyond the head, and what it has written comes before what it sends. The loop
itself goes by the descriptor and pays nothing for this.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from forkhttp.handlers.port import port_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class ServedSocket(socket.socket):
    """An accepted socket; ``serve`` makes one of what ``accept`` gave."""

    __slots__ = ()

    @classmethod
    def serve(cls, accepted: socket.socket) -> None:
        """Turn a plain socket into one of these, in place: it may be known by others already."""
        if type(accepted) is socket.socket:
            accepted.__class__ = cls

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive; octets that the server has received come first."""
        early = self._take_early(bufsize, flags)
        return early or super().recv(bufsize, flags)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer; octets that the server has received come first."""
        with memoryview(buffer).cast("B") as view:
            early = self._take_early(nbytes or len(view), flags)
            view[: len(early)] = early
        return len(early) or super().recv_into(buffer, nbytes, flags)

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send, after what was written to ``wfile``."""
        self._let_go()
        return super().send(data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Send all, after what was written to ``wfile``."""
        self._let_go()
        super().sendall(data, flags)

    def _take_early(self, size: int, flags: int) -> bytes:
        port = port_of(self)
        return b"" if port is None else port.take_early(size, keep=bool(flags & socket.MSG_PEEK))

    def _let_go(self) -> None:
        port = port_of(self)
        if port is not None:
            port.wfile.flush()
