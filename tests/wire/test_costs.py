"""What hostile octets cost: as much as there are of them, and never their square.

Each case takes CPU time with n octets and with twice as many. That may be less than three times as much
in one of a few tries; what costs the square takes four times as much in all of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import ProtocolError
from forkhttp.wire import HeadLimits, parse_head
from forkhttp.wire.body import ChunkedBody

if TYPE_CHECKING:
    from collections.abc import Callable

#: More than any case has, so that nothing is refused for its size.
WIDE = HeadLimits(1 << 20, 1 << 20, 1 << 20)

#: As configured by default.
USUAL = HeadLimits(8190, 8190, 100)

LINE = b"GET / HTTP/1.1\r\n"
HOST = LINE + b"Host: a\r\n"

#: Octets of a case; twice as many still fit what a field section may take.
SIZE = 25_000

TRIES = 5

#: What never ends: how it begins, and what it repeats.
ENDLESS_HEADS = {
    "request line": (b"GET /", b"a"),
    "method": (b"", b"G"),
    "field": (HOST + b"X: ", b"a"),
    "small fields": (HOST, b"a:b\r\n"),
    "empty lines": (b"", b"\r\n"),
}

ENDLESS_BODIES = {
    "chunk size": (b"", b"0"),
    "one extension": (b"1", b";a"),
    "small chunks": (b"", b"1\r\na\r\n"),
    "extensions": (b"", b"9;a=b\r\n123456789\r\n"),
    "trailer": (b"0\r\nX: ", b"a"),
    "trailers": (b"0\r\n", b"a:b\r\n"),
}

#: Names of fields that the server reads as lists, and what their values repeat.
LISTS = [
    (name, element)
    for name in (b"Connection", b"Transfer-Encoding", b"Expect", b"Accept")
    for element in (b",", b"x,", b" ", b"chunked,", b'"', b"\\")
]


def endless(case: tuple[bytes, bytes], size: int) -> bytes:
    begins, repeats = case
    return begins + repeats * ((size - len(begins)) // len(repeats))


def verdict(parse: Callable[[], object]) -> object:
    """What comes of it; a refusal as its status."""
    try:
        return parse()
    except ProtocolError as error:
        return error.status


def drip_head(octets: bytes, limits: HeadLimits) -> None:
    """Give a head octet by octet."""
    buffer = b""
    for at in range(len(octets)):
        scanned = len(buffer)
        buffer += octets[at : at + 1]
        parse_head(buffer, limits, scanned)


def drip_body(octets: bytes, step: int) -> None:
    """Give a chunked body in pieces."""
    body = ChunkedBody(1 << 30)
    for at in range(0, len(octets), step):
        body.decode(octets[at : at + step])


def seconds(parse: Callable[[bytes], object], octets: bytes) -> float:
    """Of CPU time."""
    begun = time.thread_time()
    verdict(lambda: parse(octets))
    return time.thread_time() - begun


def check_linear(parse: Callable[[bytes], object], short: bytes, long: bytes) -> None:
    """See that twice as many octets take about twice as long, or next to nothing."""
    tries = [(seconds(parse, short), seconds(parse, long))]
    while tries[-1][1] >= 2.8 * tries[-1][0] + 0.001:
        assert len(tries) < TRIES, tries
        tries.append((seconds(parse, short), seconds(parse, long)))


@pytest.mark.parametrize("case", ENDLESS_HEADS.values(), ids=ENDLESS_HEADS.keys())
def test_a_head_that_drips_is_looked_at_once(case: tuple[bytes, bytes]) -> None:
    check_linear(lambda octets: drip_head(octets, WIDE), endless(case, SIZE), endless(case, 2 * SIZE))


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize("case", ENDLESS_BODIES.values(), ids=ENDLESS_BODIES.keys())
def test_a_body_that_drips_is_looked_at_once(case: tuple[bytes, bytes], step: int) -> None:
    check_linear(lambda octets: drip_body(octets, step), endless(case, SIZE), endless(case, 2 * SIZE))


@pytest.mark.parametrize(("name", "element"), LISTS)
def test_a_long_list_is_read_once(name: bytes, element: bytes) -> None:
    def head(size: int) -> bytes:
        return HOST + name + b": " + element * (size // len(element)) + b"\r\n\r\n"

    check_linear(lambda octets: parse_head(octets, WIDE), head(SIZE), head(2 * SIZE))


def test_equal_names_are_joined_once() -> None:
    def head(size: int) -> bytes:
        return HOST + b"a: b\r\n" * (size // 6) + b"\r\n"

    def read(octets: bytes) -> int:
        parsed = parse_head(octets, WIDE)
        assert parsed is not None
        return len(parsed.field("a") or "") + len(parsed.fields())

    check_linear(read, head(SIZE), head(2 * SIZE))


DIGITS = b"1" * (1 << 20)


@pytest.mark.parametrize(
    "octets",
    [
        HOST + b"Content-Length: " + DIGITS + b"\r\n\r\n",
        LINE + b"Host: a:" + DIGITS + b"\r\n\r\n",
        b"CONNECT a:" + DIGITS + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a:" + DIGITS + b"/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1." + DIGITS + b"\r\nHost: a\r\n\r\n",
        b"GET / HTTP/" + DIGITS + b".1\r\nHost: a\r\n\r\n",
    ],
)
@pytest.mark.parametrize(("limits", "statuses"), [(WIDE, {400, 414, 431}), (USUAL, {414, 431})])
def test_a_million_digits_are_refused_at_once(octets: bytes, limits: HeadLimits, statuses: set[int]) -> None:
    """``int()`` of them takes seconds, or raises what nobody awaits (CVE-2020-10735)."""
    begun = time.thread_time()
    assert verdict(lambda: parse_head(octets, limits)) in statuses
    assert time.thread_time() - begun < 0.2


def test_a_million_digits_are_no_chunk_size() -> None:
    begun = time.thread_time()
    assert verdict(lambda: ChunkedBody(1 << 62).decode(DIGITS + b"\r\n")) == 400
    assert time.thread_time() - begun < 0.2


def test_ten_thousand_fields_are_refused() -> None:
    assert verdict(lambda: parse_head(HOST + b"a: b\r\n" * 10_000 + b"\r\n", USUAL)) == 431
