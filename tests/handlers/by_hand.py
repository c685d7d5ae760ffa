"""A handler driven by hand: what its users' own tests pass for a socket and a server."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, TypeVar

from forkhttp import BaseHTTPRequestHandler

if TYPE_CHECKING:
    from collections.abc import Callable

H = TypeVar("H", bound=BaseHTTPRequestHandler)

GET = b"GET /path?a=1 HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n"

PEER = ("192.0.2.7", 4711)

_DATE = re.compile(rb"Date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT\r\n")


class Request:
    """What passes for a socket: a request to read, and what was sent."""

    def __init__(self, octets: bytes) -> None:
        """Let ``octets`` be what the peer sent."""
        self._octets = octets
        self.sent = b""
        self.made: list[tuple[str, int]] = []
        self.timeout: float | None = None
        self.options: list[tuple[int, int, int]] = []

    def makefile(self, mode: str, bufsize: int = -1) -> io.BytesIO:
        """Give a stream, as ``socket.makefile`` does."""
        self.made.append((mode, bufsize))
        return io.BytesIO(self._octets) if mode == "rb" else Buffered(self)

    def sendall(self, data: bytes) -> None:
        """Keep what is sent."""
        self.sent += bytes(data)

    def settimeout(self, seconds: float) -> None:
        """Note it."""
        self.timeout = seconds

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Note it."""
        self.options.append((level, option, value))

    def fileno(self) -> int:
        """It has none that matters."""
        return 4711


class Buffered(io.BytesIO):
    """A buffered writer on a ``Request``."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request

    def flush(self) -> None:
        """Send what was written."""
        self._request.sendall(self.getvalue())
        self.seek(0)
        self.truncate()


def drive(handler: Callable[[Request, tuple[str, int], None], H], octets: bytes = GET) -> tuple[H, bytes]:
    """Give the handler after it has served ``octets``, and what it sent, without its dates."""
    request = Request(octets)
    made = handler(request, PEER, None)
    return made, _DATE.sub(b"", request.sent)


def answer(handler: Callable[[Request, tuple[str, int], None], H], octets: bytes = GET) -> bytes:
    """Give what a handler sends for ``octets``."""
    return drive(handler, octets)[1]
