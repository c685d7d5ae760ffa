"""rfile: each way of reading gives the same body, however it arrives, and not one octet more."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import PeerGone
from forkhttp.server.request import RequestStream
from forkhttp.wire import LengthBody

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b"first line\n\nthird\nlast without an end"
LINES = [b"first line\n", b"\n", b"third\n", b"last without an end"]

#: How much of the body is there before it is read, and in what pieces the rest comes.
ARRIVALS = [(len(BODY), 1), (0, 1), (0, 3), (0, 1000), (5, 7), (20, 1), (len(BODY) - 1, 1)]


class Source:
    """The rest of a body, in pieces."""

    def __init__(self, body: LengthBody, rest: bytes, step: int) -> None:
        self._body = body
        self._rest = rest
        self._step = step
        self.ended = False

    def receive(self) -> bytes:
        """Give the next piece."""
        piece, self._rest = self._rest[: self._step], self._rest[self._step :]
        if not piece and not self._body.complete:
            raise PeerGone("the peer left")
        return self._body.decode(piece)[0]

    def end_after_answer(self) -> None:
        """Note it."""
        self.ended = True


def stream_of(there: int, step: int, body: bytes = BODY, length: int = len(BODY)) -> RequestStream:
    decoder = LengthBody(length)
    stream = RequestStream(Source(decoder, body[there:], step))
    stream.begin(decoder, decoder.decode(body[:there])[0])
    return stream


def in_pieces(read: Callable[[RequestStream], bytes]) -> Callable[[RequestStream], bytes]:
    """Read until there is nothing, by one call at a time."""
    return lambda stream: b"".join(iter(lambda: read(stream), b""))


def into(name: str, size: int) -> Callable[[RequestStream], bytes]:
    """Read into a buffer."""

    def read(stream: RequestStream) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: getattr(stream, name)(buffer)])

    return in_pieces(read)


@pytest.mark.parametrize(("there", "step"), ARRIVALS)
@pytest.mark.parametrize(
    "read",
    [
        RequestStream.read,
        lambda stream: stream.read(None),
        lambda stream: stream.read(1000),
        lambda stream: stream.read(len(BODY)),
        in_pieces(lambda stream: stream.read(1)),
        in_pieces(lambda stream: stream.read(7)),
        in_pieces(RequestStream.read1),
        in_pieces(lambda stream: stream.read1(7)),
        into("readinto", 7),
        into("readinto", 1000),
        into("readinto1", 7),
        in_pieces(RequestStream.readline),
        in_pieces(lambda stream: stream.readline(4)),
        in_pieces(lambda stream: stream.readline(None)),
        b"".join,
        lambda stream: b"".join(stream.readlines()),
        lambda stream: b"".join([stream.readline(), stream.read(3), stream.readline(), stream.read()]),
        in_pieces(lambda stream: stream.read(len(stream.peek()))),
    ],
)
def test_each_way_of_reading_gives_the_body(
    there: int, step: int, read: Callable[[RequestStream], bytes]
) -> None:
    stream = stream_of(there, step)
    assert read(stream) == BODY
    assert stream.read() == stream.read(1) == stream.read1() == stream.readline() == stream.peek() == b""
    assert stream.complete


@pytest.mark.parametrize(("there", "step"), ARRIVALS)
def test_lines_are_lines(there: int, step: int) -> None:
    assert list(stream_of(there, step)) == LINES
    assert stream_of(there, step).readlines() == LINES
    stream = stream_of(there, step)
    assert [stream.readline() for _ in range(5)] == [*LINES, b""]
    assert next(stream_of(there, step)) == LINES[0]


@pytest.mark.parametrize(("there", "step"), ARRIVALS)
def test_a_line_is_no_longer_than_asked_for(there: int, step: int) -> None:
    stream = stream_of(there, step)
    read = [stream.readline(size) for size in (0, 4, 6, 1, 1, 100)]
    assert read == [b"", b"firs", b"t line", b"\n", b"\n", b"third\n"]


def test_a_wrapper_may_read_it() -> None:
    stream = stream_of(5, 3)
    wrapper = io.TextIOWrapper(stream, encoding="ascii")  # type: ignore[type-var]
    assert wrapper.read() == BODY.decode()
    wrapper.detach()


def test_peek_takes_nothing() -> None:
    stream = stream_of(5, 3)
    assert stream.peek(1) == BODY[:5]
    assert stream.read(5) == BODY[:5]
    assert stream.peek() == BODY[5:8]
    assert stream.read() == BODY[5:]


def test_read1_waits_only_if_nothing_is_there() -> None:
    stream = stream_of(5, 3)
    assert [stream.read1(), stream.read1(), stream.read1(1), stream.read1()] == [
        BODY[:5],
        BODY[5:8],
        BODY[8:9],
        BODY[9:11],
    ]


@pytest.mark.parametrize("read", [RequestStream.read, RequestStream.readline, lambda each: each.read(99)])
def test_a_body_that_ends_early_is_an_error_and_no_short_read(
    read: Callable[[RequestStream], bytes],
) -> None:
    with pytest.raises(PeerGone):
        read(stream_of(0, 3, b"abc", 9))


def test_without_a_body_there_is_nothing() -> None:
    stream = RequestStream(Source(LengthBody(0), b"never", 1))
    assert stream.read() == stream.readline() == stream.read1(5) == stream.read(5) == b""
    assert stream.complete
    assert stream.readable()
    assert not stream.writable()
    assert not stream.seekable()


def test_what_is_appended_is_read_and_counted() -> None:
    stream = RequestStream(Source(LengthBody(0), b"", 1))
    stream.append(b"ab")
    stream.append(b"cd")
    assert stream.buffered == 4
    stream.settle()
    assert stream.read(3) == b"abc"
    assert stream.buffered == 1


def test_small_pieces_are_appended_at_a_price_of_their_own() -> None:
    """However much is there already: a body that drips must not cost the square of its length."""

    def seconds(count: int) -> float:
        stream = RequestStream(Source(LengthBody(0), b"", 1))
        begun = time.thread_time()
        for _ in range(count):
            stream.append(b"sixteen octets..")
        stream.settle()
        took = time.thread_time() - begun
        assert len(stream.read()) == 16 * count
        return took

    short, long = (min(seconds(count) for _ in range(5)) for count in (4_000, 64_000))
    assert long < 64 * short, "16 times as long: 16 times as much, and 256 times if it were the square"


class Zeros:
    """A body without a line feed that takes nothing to make: one piece, again and again."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.piece = bytes(1 << 16)

    def receive(self) -> bytes:
        """Give the piece, so many times."""
        self._left -= 1
        return self.piece if self._left >= 0 else b""

    def end_after_answer(self) -> None:
        """Nothing ends."""


@pytest.mark.parametrize("read", [RequestStream.readline, lambda stream: next(iter(stream))])
def test_a_long_line_costs_what_it_is_long(read: Callable[[RequestStream], bytes]) -> None:
    """However many pieces it comes in."""

    def seconds(count: int) -> float:
        source = Zeros(count)
        stream = RequestStream(source)
        stream.begin(LengthBody(1), b"")
        begun = time.thread_time()
        line = read(stream)
        took = time.thread_time() - begun
        assert len(line) == count * len(source.piece)
        return took

    short, long = (min(seconds(count) for _ in range(3)) for count in (32, 256))
    assert long < 24 * short, "8 times as long: 8 times as much, and 64 times if it were the square"


@pytest.mark.parametrize("read", [0, 1, 4, 6])
def test_a_head_may_be_put_before_the_body_and_skipped_however_much_was_read(read: int) -> None:
    stream = stream_of(5, 3)
    stream.prepend(b"head")
    began = stream.read(min(read, 4))
    stream.skip(4)
    assert began == b"head"[:read]
    assert stream.read() == BODY


def test_closing_ends_the_connection_and_reading() -> None:
    source = Source(LengthBody(3), b"abc", 1)
    stream = RequestStream(source)
    stream.begin(LengthBody(3), b"")
    stream.close()
    assert source.ended
    with pytest.raises(ValueError, match="closed file"):
        stream.read()
