"""The socket that a handler is given: a socket like any other, but that the server stands behind it.

To the standard library ``connection.sendall`` and ``wfile.write`` are one thing, and so they are here: what a
handler sends is its answer, checked and framed like any, until it has opened a tunnel; then it is raw. What
the server has received of the tunnel is the first that the handler receives. The loop itself
goes by the descriptor and pays nothing for this.
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
        """Write to ``wfile``, and let it go; all of it, always."""
        if self._write(data, flags):
            with memoryview(data) as view:
                return view.nbytes
        return super().send(data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Write to ``wfile``, and let it go."""
        if not self._write(data, flags):
            super().sendall(data, flags)

    def _take_early(self, size: int, flags: int) -> bytes:
        port = port_of(self)
        return b"" if port is None else port.take_early(size, keep=bool(flags & socket.MSG_PEEK))

    def _write(self, data: ReadableBuffer, flags: int) -> bool:
        port = port_of(self)
        if port is None or flags or port.wfile.closed:
            return False
        port.wfile.write(data)
        port.wfile.flush()
        return True
