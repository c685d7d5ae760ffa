"""wfile beside other threads, and by sendfile: what goes out is one well formed answer."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import HandlerError, PeerGone
from forkhttp.server.output import HELD_AT_MOST, Output
from forkhttp.server.response import ResponseStream
from forkhttp.wire import ChunkedBody, HeadLimits, parse_head, plain_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEAD = b"HTTP/1.0 200 OK\r\n\r\n"
DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


class Answering:
    """An exchange with a peer that reads all the time, on a thread of its own."""

    def __init__(self, octets: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") -> None:
        head = parse_head(octets, HeadLimits(8190, 8190, 100))
        assert head is not None
        self.head = head
        self.send_timeout = 10.0
        self.persists = True
        self.complaints: list[str] = []
        self.moves = 0
        self.min_rate = 0
        self.early_hints = True
        self.interim: list[int] = []
        self.tunnels = 0
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)  # noqa: FBT003
        self.output = Output(self._ours.fileno())
        self.wfile = ResponseStream(self, self.output)
        self._received = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while data := self._theirs.recv(1 << 16):
            self._received += data

    def will_persist(self) -> bool:
        """As long as nobody said otherwise."""
        return self.persists

    def date(self) -> bytes:
        """Give the beginning of time."""
        return DATE

    def moved(self, octets: int) -> None:
        """Count."""
        self.moves += octets == 0

    def interim_sent(self, status: int) -> None:
        """Keep it."""
        self.interim.append(status)

    def open_tunnel(self) -> None:
        """Count."""
        self.tunnels += 1

    def complain(self, fault: str) -> None:
        """Keep it."""
        self.complaints.append(fault)

    def end_after_answer(self) -> None:
        """Note it."""
        self.persists = False

    def received(self) -> tuple[bytes, bytes]:
        """End the connection, and give the head and the rest of what arrived."""
        while self.output.pending:
            assert self.output.wait(10)
            self.output.drain()
        self._ours.shutdown(socket.SHUT_WR)
        self._reader.join()
        head, _, body = bytes(self._received).partition(b"\r\n\r\n")
        return head, body

    def close(self) -> None:
        """Leave nothing behind, as the loop does: a stream that is collected later has no socket."""
        self.output.drop()
        self._ours.close()
        self._reader.join()
        self._theirs.close()


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Answer a GET."""
    made = Answering()
    yield made
    made.close()


def decoded(chunks: bytes) -> bytes:
    """Give the payload of chunks that are whole and well formed."""
    decoder = ChunkedBody(1 << 40)
    payload = b""
    while not decoder.complete:
        data, consumed = decoder.decode(chunks)
        assert consumed
        payload += data
        chunks = chunks[consumed:]
    assert chunks == b""
    return payload


class Releasing:
    """Another thread that lets go all the time, as the lookout does now and then."""

    def __init__(self, wfile: ResponseStream) -> None:
        self._wfile = wfile
        self._ended = False
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._release)

    def _release(self) -> None:
        while not self._ended:
            self._wfile.let_go()
            self._begun.set()

    def __enter__(self) -> None:
        self._thread.start()
        self._begun.wait()

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()


WRITES = 4000


def line(number: int) -> bytes:
    return b"%d,%s\n" % (number, b"x" * (number % 97))


def test_small_writes_beside_another_thread_that_lets_go_are_all_there_in_order(answering: Answering) -> None:
    wfile = answering.wfile
    with Releasing(wfile):
        wfile.write(HEAD)
        for number in range(WRITES):
            wfile.write(line(number))
    wfile.end()
    head, body = answering.received()
    assert head.endswith(b"\r\nTransfer-Encoding: chunked\r\nDate: " + DATE)
    assert decoded(body) == b"".join(map(line, range(WRITES)))
    assert wfile.octets == len(decoded(body))
    assert answering.moves


def test_chunks_of_the_handlers_own_beside_another_thread_that_lets_go_are_all_there(
    answering: Answering,
) -> None:
    wfile = answering.wfile
    with Releasing(wfile):
        wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(WRITES):
            data = line(number)
            wfile.write(b"%x\r\n" % len(data))
            wfile.write(data)
            wfile.write(b"\r\n")
        wfile.write(b"0\r\n\r\n")
    wfile.end()
    assert decoded(answering.received()[1]) == b"".join(map(line, range(WRITES)))


def test_an_announced_length_holds_beside_another_thread_that_lets_go(answering: Answering) -> None:
    whole = b"".join(map(line, range(WRITES)))
    wfile = answering.wfile
    with Releasing(wfile):
        wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole))
        for number in range(WRITES):
            wfile.write(line(number))
        wfile.write(b"too much")
    wfile.end()
    assert answering.received()[1] == whole
    assert answering.complaints == ["the answer is 8 octets longer than it announced"]


def test_an_answer_that_is_substituted_while_it_is_written_is_one_or_the_other(answering: Answering) -> None:
    wfile = answering.wfile
    writing = threading.Thread(target=lambda: [wfile.write(line(number)) for number in range(WRITES)])
    wfile.write(HEAD)
    writing.start()
    substituted = wfile.substitute(504, "too late", "GET")
    writing.join()
    wfile.end()
    head, body = answering.received()
    if substituted:
        assert head + b"\r\n\r\n" + body == plain_answer(504, "too late", DATE)
        assert not wfile.persistent
    else:
        assert decoded(body) == b"".join(map(line, range(WRITES)))


def test_a_write_waits_while_much_is_owed(answering: Answering) -> None:
    wfile = answering.wfile
    wfile.write(HEAD)
    for _ in range(20):
        wfile.write(b"x" * HELD_AT_MOST)
        assert answering.output.pending <= 2 * HELD_AT_MOST + 20
    wfile.end()
    assert len(decoded(answering.received()[1])) == 20 * HELD_AT_MOST


@pytest.mark.parametrize("data", [bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"abcd").cast("H")])
def test_any_kind_of_octets_may_be_written(answering: Answering, data: bytearray | memoryview) -> None:
    answering.wfile.write(HEAD)
    assert answering.wfile.write(data) == 4  # type: ignore[arg-type]
    answering.wfile.end()
    assert answering.received()[1] == b"abcd"


def test_text_may_not_be_written(answering: Answering) -> None:
    with pytest.raises(TypeError, match="bytes-like object is required, not 'str'"):
        answering.wfile.write("text")  # type: ignore[arg-type]


# -- sendfile -------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a file of 3 MB."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(250)) * 12000)
    return path


def announce(length: int) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % length


def test_a_file_is_sent_behind_what_was_written(answering: Answering, file: Path) -> None:
    whole = file.read_bytes()
    wfile = answering.wfile
    wfile.write(announce(len(whole) + 2) + b"<")
    with file.open("rb") as source:
        assert wfile.send_file(source, 0, len(whole))
    wfile.write(b">")
    wfile.end()
    assert answering.received()[1] == b"<" + whole + b">"
    assert wfile.octets == len(whole) + 2


def test_a_stretch_of_a_file_is_sent_even_if_it_is_empty(answering: Answering, file: Path) -> None:
    wfile = answering.wfile
    wfile.write(announce(5))
    with file.open("rb") as source:
        assert wfile.send_file(source, 100, 5)
        assert wfile.send_file(source, 100, 0)
        assert not wfile.send_file(source, 100, 1)
    wfile.end()
    assert answering.received()[1] == file.read_bytes()[100:105]


@pytest.mark.parametrize("head", [HEAD, announce(4), b""])
def test_a_file_is_not_sent_where_its_length_was_not_announced(
    answering: Answering, file: Path, head: bytes
) -> None:
    wfile = answering.wfile
    if head:
        wfile.write(head)
    with file.open("rb") as source:
        assert not wfile.send_file(source, 0, 5)


# -- ends -----------------------------------------------------------------------------------------------


def written_then_ended(*pieces: bytes) -> Callable[[ResponseStream], None]:
    def act(wfile: ResponseStream) -> None:
        for piece in pieces:
            wfile.write(piece)
        wfile.end()

    return act


def streamed_then_ended(*pieces: bytes) -> Callable[[ResponseStream], None]:
    def act(wfile: ResponseStream) -> None:
        for piece in pieces:
            wfile.write(piece)
            wfile.flush()
        wfile.end()

    return act


OWN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (written_then_ended(), "without an answer"),
        (written_then_ended(b"HTTP/1.0 200 OK\r\n"), "without an answer"),
        (written_then_ended(announce(5), b"abc"), "2 octets shorter"),
        (streamed_then_ended(announce(5), b"abc"), "2 octets shorter"),
        (written_then_ended(OWN, b"3\r\nabc\r\n"), "own chunks do not end"),
        (streamed_then_ended(OWN, b"3\r\nabc\r\n"), "own chunks do not end"),
        (written_then_ended(OWN, b"xyz\r\n"), "own chunks are not well formed"),
        (streamed_then_ended(OWN, b"xyz\r\n"), "own chunks are not well formed"),
        (written_then_ended(b"HTTP/1.0 200 OK\r\n" + b"X: 1\r\n" * 20000), "no end|does not end"),
        (written_then_ended(b"no head"), "does not begin with a status line"),
    ],
)
def test_what_is_no_answer_is_the_handlers_fault(
    answering: Answering, act: Callable[[ResponseStream], None], said: str
) -> None:
    with pytest.raises(HandlerError, match=said):
        act(answering.wfile)


def test_interim_answers_leave_before_the_final_one(answering: Answering) -> None:
    answering.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD)
    answering.wfile.write(b"x")
    answering.wfile.end()
    head, rest = answering.received()
    assert head == b"HTTP/1.1 103 Early Hints\r\nLink: </a>"
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


def test_interim_answers_do_not_reach_http_1_0() -> None:
    answering = Answering(b"GET / HTTP/1.0\r\n\r\n")
    answering.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD)
    answering.wfile.end()
    assert answering.received()[0].startswith(b"HTTP/1.1 200 OK\r\n")
    answering.close()


def test_closing_ends_the_connection_with_the_answer(answering: Answering) -> None:
    answering.wfile.write(HEAD + b"x")
    answering.wfile.close()
    with pytest.raises(ValueError, match="closed"):
        answering.wfile.write(b"y")
    assert not answering.wfile.persistent
    answering.wfile.end()
    assert b"Connection: close" in answering.received()[0]


def test_one_answer_after_the_other_begins_anew(answering: Answering) -> None:
    wfile = answering.wfile
    for pieces in ([HEAD, b"a"], [OWN, b"1\r\nb\r\n0\r\n\r\n"], [HEAD, b"c" * 100_000], [HEAD, b"d"]):
        wfile.begin()
        assert not wfile.committed
        for piece in pieces:
            wfile.write(piece)
        wfile.end()
        assert wfile.status == 200
    answers = b"\r\n\r\n".join(answering.received())
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    assert answers.endswith(b"\r\n\r\nd")


def test_a_peer_that_left_is_gone(answering: Answering) -> None:
    answering.wfile.write(HEAD)
    answering.output.drop()
    with pytest.raises(PeerGone):
        answering.wfile.flush()
