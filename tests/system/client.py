"""A client that forgives nothing: one connection, no retry, each octet of an answer accounted for.

It reads strictly by itself, and h11 (``tests.referee``) must read the same.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, NamedTuple, Self

from tests.deadline import PATIENCE
from tests.referee import RefereedSocket, read_broken

if TYPE_CHECKING:
    from types import TracebackType

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_SIZE_LINE = re.compile(rb"[0-9A-Fa-f]+\r\n")


class Lost(Exception):  # noqa: N818 - an event, told as what was lost
    """There is no answer, or it is none: end-of-file, a reset, a timeout, octets that are no message."""


class Answer(NamedTuple):
    """One whole answer.

    Attributes:
        head: as it came, without the empty line.
        closes: whether the server announces that it closes the connection.
    """

    status: int
    head: bytes
    body: bytes
    closes: bool


def get(path: str, *fields: str) -> bytes:
    """A request without a body."""
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: test", *fields, "", "")).encode()


def post(path: str, body: bytes, *fields: str, method: str = "POST") -> bytes:
    """A request with a body of known length."""
    length = f"Content-Length: {len(body)}"
    head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: test", length, *fields, "", ""))
    return head.encode() + body


class Client:
    """One connection.

    Attributes:
        socket: for tests that do with it what no client library does.
        unread: octets that arrived after the last answer.
    """

    def __init__(self, port: int | str, seconds: float = PATIENCE) -> None:
        """Connect to a port of 127.0.0.1, or to the path of a unix socket.

        Raises:
            OSError: nobody listens there.
        """
        family, address = (
            (socket.AF_UNIX, port) if isinstance(port, str) else (socket.AF_INET, ("127.0.0.1", port))
        )
        self.socket = RefereedSocket(family)
        self.unread = b""
        try:
            self.socket.settimeout(seconds)
            self.socket.connect(address)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def ask(self, request: bytes) -> Answer:
        """Send a request and read its answer.

        Raises:
            Lost: there is none.
        """
        self.send(request)
        return self.answer()

    def fetch(self, path: str) -> str:
        """The text at a path.

        Raises:
            Lost: there is no such answer.
        """
        answer = self.ask(get(path))
        if answer.status != 200:
            raise Lost(f"{path}: status {answer.status}")
        return answer.body.decode()

    def send(self, octets: bytes | memoryview) -> None:
        """Send octets.

        Raises:
            Lost: the peer does not take them.
        """
        try:
            self.socket.sendall(octets)
        except OSError as error:
            raise Lost(f"sending: {error!r}") from error

    def closed_meanwhile(self) -> str:
        """How the server ended a connection that nothing was asked on; empty: it did not."""
        patience = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            octets = self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return ""
        except OSError as error:
            return repr(error)
        finally:
            self.socket.settimeout(patience)
        return f"unasked octets: {octets!r}" if octets else "end-of-file"

    def answer(self) -> Answer:
        """Read one answer, its head and its body.

        Raises:
            Lost: there is none.
            AssertionError: h11 reads another one.
        """
        head = self._until(b"\r\n\r\n")
        matched = _STATUS_LINE.match(head)
        if matched is None:
            raise Lost(f"no status line: {head[:100]!r}")
        status = int(matched[1])
        fields = head.lower().split(b"\r\n")
        lengths = [field[15:].strip() for field in fields if field.startswith(b"content-length:")]
        chunked = b"transfer-encoding: chunked" in fields
        closes = b"connection: close" in fields
        if status == 304 or status < 200:
            body = b""
        elif chunked and not lengths:
            body = self._chunks()
        elif len(lengths) == 1 and lengths[0].isdigit() and not chunked:
            body = self._exactly(int(lengths[0]))
        else:
            raise Lost(f"an answer without one framing: {head!r}")
        return self._agreed(Answer(status, head, body, closes))

    def rest(self) -> bytes:
        """Everything until the server closes; then the connection is closed here too.

        Raises:
            Lost: it is reset, or stays open.
        """
        octets = [self.unread, self._receive()]
        self.unread = b""
        while octets[-1]:
            octets.append(self._receive())
        self.close()
        return b"".join(octets)

    def broken(self) -> bytes:
        """Everything up to the end of an answer that is broken off by design.

        Raises:
            AssertionError: h11 takes it for whole.
        """
        return self.unread + read_broken(self.socket)

    def read(self, size: int) -> bytes:
        """Exactly so many octets.

        Raises:
            Lost: they do not come.
        """
        return self._exactly(size)

    def _agreed(self, answer: Answer) -> Answer:
        referee = self.socket.referee
        verdict = referee.verdicts.popleft() if referee.verdicts else None
        assert verdict is not None, f"h11 sees no whole answer in {answer.head!r}"
        ours = (answer.status, answer.closes, referee.received - len(self.unread))
        assert ours == (verdict.status, verdict.last, verdict.end), f"h11 reads {verdict}"
        assert answer.body == verdict.body, f"h11 reads another body after {answer.head!r}"
        return answer

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(1 << 18)
        except OSError as error:
            raise Lost(f"receiving: {error!r}") from error

    def _more(self) -> None:
        octets = self._receive()
        if not octets:
            raise Lost(f"end-of-file after {self.unread[:100]!r}")
        self.unread += octets

    def _until(self, end: bytes) -> bytes:
        while end not in self.unread:
            self._more()
        found, _, self.unread = self.unread.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size > len(self.unread):
            pieces.append(self.unread)
            size -= len(self.unread)
            self.unread = b""
            self._more()
        pieces.append(self.unread[:size])
        self.unread = self.unread[size:]
        return b"".join(pieces)

    def _chunks(self) -> bytes:
        pieces = []
        while True:
            line = self._until(b"\r\n") + b"\r\n"
            if not _SIZE_LINE.fullmatch(line):
                raise Lost(f"no chunk size: {line[:100]!r}")
            size = int(line, 16)
            pieces.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise Lost("a chunk does not end where it should")
            if not size:
                return b"".join(pieces)
