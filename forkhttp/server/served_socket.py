"""The socket that a handler is given: a socket like any other, but that the server stands behind it.

To the standard library ``connection.sendall`` and ``wfile.write`` are one thing, and so they are here: what a
handler sends is its answer, checked and framed like any, until it has opened a tunnel; then it is raw. What
it receives is the rest of its request's body, and not one octet more, or the tunnel. That it
closes is done when its answer has left. The loop itself goes by the descriptor and pays nothing for
this; the descriptor never blocks, whatever timeout is set.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from forkhttp.handlers.port import Port, port_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from socket import _SendableFile

    from _typeshed import ReadableBuffer, WriteableBuffer

#: Stands for no timeout. None would make the descriptor blocking: one peer could stop the loop.
_FOR_EVER = 7 * 86400.0

#: Octets of a file that are read at once.
_PIECE = 64 << 10


class ServedSocket(socket.socket):
    """An accepted socket; ``serve`` makes one of what ``accept`` gave."""

    __slots__ = ()

    @staticmethod
    def serve(accepted: socket.socket) -> None:
        """Turn a socket into one of these, in place: it may be known by others already."""
        accepted.__class__ = _served(type(accepted))

    # -- receiving ----------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive of the body, nothing at its end; or of the tunnel."""
        octets = self._receive(bufsize, flags)
        return super().recv(bufsize, flags) if octets is None else octets

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer."""
        with memoryview(buffer).cast("B") as view:
            octets = self._receive(nbytes or len(view), flags)
            if octets is None:
                return super().recv_into(buffer, nbytes, flags)
            view[: len(octets)] = octets
            return len(octets)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, None]:
        """Receive; a stream says nothing of where from."""
        return self.recv(bufsize, flags), None

    # -- sending ------------------------------------------------------------------------------

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Write to ``wfile``, and let it go; all of it, always."""
        port = port_of(self)
        if port is None:
            return super().send(data, flags)
        self._write(port, data)
        with memoryview(data) as view:
            return view.nbytes

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Write to ``wfile``, and let it go."""
        port = port_of(self)
        if port is None:
            super().sendall(data, flags)
        else:
            self._write(port, data)

    def sendmsg(self, buffers: Iterable[ReadableBuffer], *args: Any) -> int:  # noqa: ANN401 - passed on
        """Write the buffers to ``wfile``; what else there is has no meaning on such a connection."""
        port = port_of(self)
        if port is None:
            return super().sendmsg(buffers, *args)
        data = b"".join(buffers)
        self._write(port, data)
        return len(data)

    def sendto(self, data: ReadableBuffer, *args: Any) -> int:  # noqa: ANN401 - passed on
        """Write to ``wfile``; the connection knows where to."""
        return super().sendto(data, *args) if port_of(self) is None else self.send(data)

    def sendfile(self, file: _SendableFile, offset: int = 0, count: int | None = None) -> int:
        """Write a file to ``wfile``, from ``offset`` and up to ``count`` octets; give how many there were."""
        port = port_of(self)
        if port is None:
            return super().sendfile(file, offset, count)
        file.seek(offset)
        total = 0
        while count is None or total < count:
            piece = file.read(_PIECE if count is None else min(_PIECE, count - total))
            if not piece:
                break
            port.wfile.write(piece)
            total += len(piece)
        port.wfile.flush()
        return total

    # -- ends and timeouts --------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """End one direction or both; an answer that is being given leaves before."""
        port = port_of(self)
        if port is None or not port.end_soon() or how == socket.SHUT_RD:
            super().shutdown(how)

    def close(self) -> None:
        """Close; done by the server when the answer that is being given has left."""
        port = port_of(self)
        if port is None:
            super().close()
        elif not port.end_soon():
            # Its number must not be another connection's while the loop watches it.
            super().shutdown(socket.SHUT_RDWR)

    def detach(self) -> int:
        """Give the descriptor away, when what was written has left."""
        port = port_of(self)
        if port is not None:
            port.wfile.flush()
        return super().detach()

    def settimeout(self, value: float | None, /) -> None:
        """Set the timeout of receiving; None is for ever."""
        super().settimeout(_FOR_EVER if value is None else value)

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - as documented
        """Set no timeout, or none to wait for."""
        self.settimeout(None if flag else 0.0)

    def gettimeout(self) -> float | None:
        """Give the timeout."""
        value = super().gettimeout()
        return None if value == _FOR_EVER else value

    # -- how it is done ---------------------------------------------------------------------------

    def _receive(self, size: int, flags: int) -> bytes | None:
        port = port_of(self)
        return None if port is None else port.take_early(size, peek=bool(flags & socket.MSG_PEEK))

    def _write(self, port: Port, data: ReadableBuffer) -> None:
        if port.wfile.closed:
            raise BrokenPipeError("wfile was closed: the answer has ended")
        port.wfile.write(data)
        port.wfile.flush()


#: What each kind of socket becomes.
_SERVED: dict[type[socket.socket], type[socket.socket]] = {socket.socket: ServedSocket}


def _served(kind: type[socket.socket]) -> type[socket.socket]:
    """Give the class for sockets of a kind; the application's own methods come first."""
    if kind not in _SERVED:
        names = {"__slots__": (), "__module__": kind.__module__}
        _SERVED[kind] = type(kind.__name__, (kind, ServedSocket), names)
    return _SERVED[kind]
