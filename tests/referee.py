"""The referee: h11, in the client role, reads along on every connection on which a test asks forkhttp.

A test's own reading of an answer may be as lenient as the answer is wrong. So the sockets of the
tests' clients are ``RefereedSocket``: each octet that is sent or received passes a ``Referee``,
however the test goes about it. h11 must find a well-formed answer to each request, in turn,
and nothing beside; clients compare what they read with its verdicts.

An answer that is broken off by design is read by ``read_broken``.
"""

from __future__ import annotations

import re
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import h11

from tests.deadline import PATIENCE

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Octets that a parser is given at once, for what it has left over is looked at after each message.
_PIECE = 1 << 16

#: Longer than any head of an answer.
_HEAD_AT_MOST = 1 << 20

#: Octets of an answer that a complaint shows.
_SHOWN = 2000

#: The method of a request that h11 refuses to read, or that is not whole.
_METHOD = re.compile(rb"(?:\r?\n)*([!#$%&'*+.^_`|~0-9A-Za-z-]+) ")

#: What the binary version of the PROXY protocol begins with; its length is in the octets 14 and 15.
_BINARY_PREAMBLE = b"\r\n\r\n\0\r\nQUIT\n"

#: The fields of a request that bear on what its answer may be.
_OPTIONS = (b"connection", b"upgrade")


class BrokenOff(ConnectionError):  # noqa: N818 - an event, as ConnectionError's other children tell one
    """The connection ended within an answer, for h11 too; it must not pass for a whole one."""


class Question(NamedTuple):
    """A request, as far as its answer depends on it: its method, and its Connection and Upgrade fields."""

    method: str
    options: tuple[tuple[bytes, bytes], ...] = ()


class Verdict(NamedTuple):
    """One answer as h11 reads it, an interim one too.

    Attributes:
        method: of the request that it answers.
        fields: names in lower case.
        body: its payload, without any framing.
        end: octets of the connection up to the answer's end.
        last: whether the connection must end after it.
    """

    method: str
    status: int
    fields: dict[str, str]
    body: bytes
    end: int
    last: bool


class _Questions:
    """The requests among the octets that a client sends, as h11 in the server role reads them."""

    def __init__(self) -> None:
        self._parser = h11.Connection(h11.SERVER)
        self._waiting: deque[Question] = deque()
        self._refused = False
        self._start: bytes | None = b""  # as long as it may be the PROXY protocol's

    def add(self, octets: memoryview) -> None:
        """Read on; behind what h11 refuses nothing is a request."""
        if self._start is not None:
            start = self._start + octets
            following = _behind_preamble(start)
            if following is None:
                self._start = start
                return
            self._start, octets = None, memoryview(following)
        for at in range(0, len(octets), _PIECE):
            if self._refused:
                return
            self._parser.receive_data(bytes(octets[at : at + _PIECE]))
            while self._step():
                pass

    def expect(self, method: str) -> None:
        """Note a request that passes by another way."""
        self._waiting.append(Question(method))

    def take(self) -> Question | None:
        """Give the request whose answer is next, complete or not; None if nothing was asked."""
        if self._waiting:
            return self._waiting.popleft()
        begun = self._start or self._parser.trailing_data[0]
        return _guess(begun) if begun and not self._refused else None

    def _step(self) -> bool:
        parser = self._parser
        in_head = parser.their_state is h11.IDLE
        begun = parser.trailing_data[0] if in_head else b""
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:
            self._refused = True
            if in_head:
                self._waiting.append(_guess(begun))
            return False
        if isinstance(event, h11.Request):
            options = tuple((name, value) for name, value in event.headers if name in _OPTIONS)
            self._waiting.append(Question(event.method.decode(), options))
        elif isinstance(event, h11.EndOfMessage):
            self._go_on()
        return event not in (h11.NEED_DATA, h11.PAUSED)

    def _go_on(self) -> None:
        """Stand before the next request; that it should be the last is not this side's business."""
        parser = self._parser
        parser.send(h11.Response(status_code=400, headers=[("Content-Length", "0")]))
        parser.send(h11.EndOfMessage())
        if parser.our_state is parser.their_state is h11.DONE:
            parser.start_next_cycle()
        else:
            self._parser = h11.Connection(h11.SERVER)
            if following := parser.trailing_data[0]:  # nothing would be the end
                self._parser.receive_data(following)


def _behind_preamble(octets: bytes) -> bytes | None:
    """Give what follows a PROXY protocol's words, or all if there are none; None if that is not clear yet."""
    if octets.startswith(_BINARY_PREAMBLE):
        end = 16 + int.from_bytes(octets[14:16], "big")
        return octets[end:] if len(octets) >= end else None
    if octets.startswith(b"PROXY "):
        _, ended, following = octets.partition(b"\n")
        return following if ended else None
    if _BINARY_PREAMBLE.startswith(octets) or b"PROXY ".startswith(octets):
        return None
    return octets


def _guess(begun: bytes) -> Question:
    matched = _METHOD.match(begun)
    return Question(matched[1].decode() if matched else "GET")


class Referee:
    """One connection, seen from the client's side; calls may come from a sender's and a reader's thread.

    Attributes:
        verdicts: answers that no client has taken yet.
        received: octets so far.
    """

    def __init__(self) -> None:
        self.verdicts: deque[Verdict] = deque()
        self.received = 0
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_AT_MOST)
        self._questions = _Questions()
        self._asked = Question("")
        self._response: h11.Response | h11.InformationalResponse | None = None
        self._pieces: list[bytes] = []
        self._shown = b""
        self._lock = threading.Lock()

    @property
    def answered(self) -> bool:
        """Whether the last answer of the connection is complete."""
        return self._parser.their_state in (h11.MUST_CLOSE, h11.CLOSED)

    @property
    def within_answer(self) -> bool:
        """Whether an answer has begun and is not complete."""
        return self._parser.their_state is h11.SEND_BODY or self._parser.trailing_data[0] != b""

    def sent(self, octets: Buffer) -> None:
        """Note what is about to be sent."""
        with self._lock:
            self._questions.add(memoryview(octets).cast("B"))

    def expect(self, method: str) -> None:
        """Await one more answer, to a request of this method, without a look at what is sent."""
        with self._lock:
            self._questions.expect(method)

    def heard(self, octets: bytes) -> None:
        """Judge what was received; nothing is the connection's end.

        Raises:
            AssertionError: it is no answer to what was asked.
            BrokenOff: the end came within an answer.
        """
        with self._lock:
            if len(self._shown) < _SHOWN:
                self._shown += octets[:_SHOWN]
            self.received += len(octets)
            self._parser.receive_data(octets)
            while self._step(octets):
                pass

    def reset(self) -> None:
        """Judge a reset: it may take an answer from a client that has not read it (RFC 9112 section 9.6).

        Raises:
            AssertionError: it came after the last answer, to a client that sent nothing more.
        """
        with self._lock:
            if self.answered and self._questions.take() is None:
                raise AssertionError(self._complaint("a reset in place of an end", b""))

    def _step(self, octets: bytes) -> bool:
        parser = self._parser
        if parser.our_state is h11.IDLE and not self._ask():
            return False
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            if not octets:
                raise BrokenOff(f"the end came within an answer: {self._shown!r}") from None
            raise AssertionError(self._complaint(str(error), octets)) from error
        if isinstance(event, (h11.Response, h11.InformationalResponse)):
            self._response = event
            if event.status_code < 200:
                self._deliver()
        elif isinstance(event, h11.Data):
            self._pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._deliver()
        return event not in (h11.NEED_DATA, h11.PAUSED) and not isinstance(event, h11.ConnectionClosed)

    def _ask(self) -> bool:
        """Tell h11 what the answer that begins is to; False if none begins."""
        begun = self._parser.trailing_data[0]
        if not begun:
            return False
        question = self._questions.take()
        if question is None:
            raise AssertionError(self._complaint("octets that nobody asked for", begun))
        self._asked = question
        headers = [(b"host", b"referee"), *question.options]
        self._parser.send(h11.Request(method=question.method, target="/", headers=headers))
        self._parser.send(h11.EndOfMessage())
        return True

    def _deliver(self) -> None:
        response, parser = self._response, self._parser
        assert response is not None
        verdict = Verdict(
            self._asked.method,
            response.status_code,
            {name.decode(): value.decode("latin-1") for name, value in response.headers},
            b"".join(self._pieces),
            self.received - len(parser.trailing_data[0]),
            self.answered,
        )
        self.verdicts.append(verdict)
        self._pieces.clear()
        self._shown = parser.trailing_data[0][:_SHOWN]
        if parser.our_state is parser.their_state is h11.DONE:
            parser.start_next_cycle()

    def _complaint(self, what: str, octets: bytes) -> str:
        return (
            f"h11 as the client of {self._asked.method} says: {what}; "
            f"since the last answer {self._shown!r}, at last {octets[-_SHOWN:]!r}"
        )


class RefereedSocket(socket.socket):
    """A client's socket, with a referee who sees all that passes.

    Attributes:
        referee: of this connection.
    """

    def __init__(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> None:
        """Not connected yet."""
        super().__init__(family, kind)
        self.referee = Referee()

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        """Send, under the referee's eyes."""
        self.referee.sent(data)  # before: the answer may be read on another thread
        super().sendall(data, flags)

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """Send what there is room for, under the referee's eyes."""
        sent = super().send(data, flags)
        self.referee.sent(memoryview(data).cast("B")[:sent])
        return sent

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive, under the referee's eyes.

        Raises:
            AssertionError: what came is no answer to what was asked.
            BrokenOff: the end came within an answer.
        """
        try:
            octets = super().recv(size, flags)
        except ConnectionResetError:
            self.referee.reset()
            raise
        if not flags & socket.MSG_PEEK:
            self.referee.heard(octets)
        return octets

    def recv_into(self, buffer: Buffer, size: int = 0, flags: int = 0, /) -> int:
        """Receive into a buffer: the same, for the files that libraries make of a socket."""
        view = memoryview(buffer).cast("B")
        octets = self.recv(size or len(view), flags)
        view[: len(octets)] = octets
        return len(octets)


def connect(address: tuple[str, int], seconds: float = PATIENCE) -> RefereedSocket:
    """Connect, as ``socket.create_connection`` does, under a referee's eyes."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    client = RefereedSocket(family)
    try:
        client.settimeout(seconds)
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def read_all(client: RefereedSocket) -> bytes:
    """Read up to the end of the connection; nothing may be cut off.

    Raises:
        BrokenOff: the end came within an answer.
        OSError: it is reset, or stays open.
    """
    return b"".join(iter(lambda: client.recv(_PIECE), b""))


def read_broken(client: RefereedSocket) -> bytes:
    """Read up to the end of an answer that is broken off by design.

    Raises:
        AssertionError: h11 takes it for whole.
    """
    octets = []
    try:
        while received := client.recv(_PIECE):
            octets.append(received)
    except ConnectionError as error:
        if isinstance(error, BrokenOff) or client.referee.within_answer:
            return b"".join(octets)
        raise
    raise AssertionError(f"broken off by design, and h11 takes it for whole: {b''.join(octets)[-_SHOWN:]!r}")
