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
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Self

import h11

from tests.deadline import PATIENCE

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Octets that are read at once.
_PIECE = 1 << 16

#: Longer than any head of an answer.
_HEAD_AT_MOST = 1 << 20

#: Octets of an answer that a complaint shows.
_SHOWN = 2000

#: No server takes a head, or a line of a chunked body, that is longer.
_LONGEST = 1 << 17

#: What matters of a request's head.
_METHOD = re.compile(rb"(?:\r?\n)*([!#$%&'*+.^_`|~0-9A-Za-z-]+) ")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:.*chunked")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,18})[ \t]*\r$")
_OPTION = re.compile(rb"(?im)^(connection|upgrade):([^\r\n]*)\r$")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")

#: What the binary version of the PROXY protocol begins with; its length is in the octets 14 and 15.
_BINARY_PREAMBLE = b"\r\n\r\n\0\r\nQUIT\n"


class BrokenOff(ConnectionError):  # noqa: N818 - an event, as ConnectionError's other children tell one
    """The connection ended within an answer, for h11 too; it must not pass for a whole one."""


class Question(NamedTuple):
    """A request, as far as its answer depends on it: its method, and its Connection and Upgrade fields."""

    method: str
    options: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def of(cls, head: bytes) -> Self:
        """Read a head, whole or not, well-formed or not."""
        method = _METHOD.match(head)
        options = tuple((match[1], match[2].strip()) for match in _OPTION.finditer(head))
        return cls(method[1].decode() if method else "GET", options)


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


class _Awaits(Enum):
    """What the octets that are sent go on with."""

    PREAMBLE = auto()
    HEAD = auto()
    CHUNK = auto()
    TRAILER = auto()
    NOTHING = auto()


class _Questions:
    """The requests among the octets that a client sends, by a lenient eye: each that could be one counts.

    Too many do no harm, for the server's last answer ends them all.
    """

    def __init__(self) -> None:
        self._waiting: deque[Question] = deque()
        self._awaits = _Awaits.PREAMBLE
        self._rest = b""  # of a line, or of a head, that is not whole
        self._skipped = 0  # octets of a body that are still to come

    def add(self, octets: memoryview) -> None:
        """Read on."""
        skipped = min(self._skipped, len(octets))
        self._skipped -= skipped
        data = self._rest + octets[skipped:]
        at = 0
        while self._awaits is not _Awaits.NOTHING and not self._skipped:
            after = self._step(data, at)
            if after < 0:
                break
            self._skipped = max(after - len(data), 0)
            at = min(after, len(data))
        if self._awaits is _Awaits.NOTHING:
            return
        self._rest = data[at:]
        if len(self._rest) > _LONGEST:
            self._give_up()

    def expect(self, method: str) -> None:
        """Note a request that passes by another way."""
        self._waiting.append(Question(method))

    def take(self) -> Question | None:
        """Give the request whose answer is next, complete or not; None if nothing was asked."""
        if self._waiting:
            return self._waiting.popleft()
        begun = self._awaits in (_Awaits.HEAD, _Awaits.PREAMBLE) and self._rest
        return Question.of(begun) if begun else None

    def _step(self, data: bytes, at: int) -> int:
        """Read what is awaited, and give where it ends; -1 if it is not whole."""
        if self._awaits is _Awaits.PREAMBLE:
            following = _behind_preamble(data)
            if following is None:
                return -1
            self._awaits = _Awaits.HEAD
            return len(data) - len(following)
        if self._awaits is _Awaits.HEAD:
            return self._head(data, at)
        end = data.find(b"\n", at) + 1
        if not end:
            return -1
        if self._awaits is _Awaits.CHUNK:
            return self._chunk(data, at, end)
        if data[at:end] == b"\r\n":
            self._awaits = _Awaits.HEAD
        return end

    def _chunk(self, data: bytes, at: int, end: int) -> int:
        matched = _CHUNK_SIZE.match(data, at, end)
        size = int(matched[0], 16) if matched else 0
        if matched is None:
            self._give_up()
        elif not size:
            self._awaits = _Awaits.TRAILER
        return end + size + 2 if size else end

    def _give_up(self) -> None:
        """See no request in what follows; one that has begun gets its answer."""
        if self._awaits is _Awaits.HEAD:
            self._waiting.append(Question.of(self._rest))
        self._awaits, self._rest = _Awaits.NOTHING, b""

    def _head(self, data: bytes, at: int) -> int:
        while data.startswith(b"\r\n", at):
            at += 2
        end = data.find(b"\r\n\r\n", at) + 4
        if end < 4:
            return -1
        head = data[at:end]
        self._waiting.append(Question.of(head))
        if _CHUNKED.search(head):
            self._awaits = _Awaits.CHUNK
        elif length := _LENGTH.search(head):
            return end + int(length[1])
        return end


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
