"""Request bodies: each case whole, octet by octet, and with the next request behind it."""

from __future__ import annotations

import pytest

from forkhttp.errors import ProtocolError
from forkhttp.wire import (
    LAST_CHUNK,
    ChunkedBody,
    LengthBody,
    TunnelBody,
    body_decoder,
    encode_chunk,
    parse_head,
)
from tests.wire.delivery import FOLLOWER, LIMITS, body_of, octet_by_octet

LIMIT = 1 << 20


def chunked_each_way(data: bytes, limit: int = LIMIT) -> bytes | int | None:
    """Decode a chunked body in each way of delivery; the results must agree.

    Returns:
        The payload, or the status of the refusal, or None if more is needed.
    """
    whole = body_of([data], ChunkedBody(limit))
    assert body_of(octet_by_octet(data), ChunkedBody(limit)) == whole
    if isinstance(whole, tuple):
        assert whole[1] == b""
        assert body_of([data + FOLLOWER], ChunkedBody(limit)) == (whole[0], FOLLOWER)
        assert body_of(octet_by_octet(data + FOLLOWER), ChunkedBody(limit)) == (whole[0], FOLLOWER)
        return whole[0]
    return whole


def test_a_body_of_known_length_ends_there() -> None:
    assert body_of([b"hello" + FOLLOWER], LengthBody(5)) == (b"hello", FOLLOWER)
    assert body_of(octet_by_octet(b"hello"), LengthBody(5)) == (b"hello", b"")
    assert body_of([b"hell"], LengthBody(5)) is None
    assert LengthBody(0).complete


def test_a_complete_body_uses_nothing_more() -> None:
    length, chunked = LengthBody(0), ChunkedBody(LIMIT)
    assert length.decode(FOLLOWER) == (b"", 0)
    assert chunked.decode(LAST_CHUNK) == (b"", 5)
    assert chunked.decode(FOLLOWER) == (b"", 0)


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        (b"", b"0\r\n\r\n"),
        (b"", b"000\r\n\r\n"),
        (b"hello", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"hello world", b"5\r\nhello\r\n06\r\n world\r\n0\r\n\r\n"),
        (b"0123456789", b"A\r\n0123456789\r\n0\r\n\r\n"),
        (b"0123456789", b"a\r\n0123456789\r\n0\r\n\r\n"),
        (b"\r\n0\r\n\r\n", b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        (b"x", b'1;a\r\nx\r\n0;b=c;d="e\\"\t f"\r\n\r\n'),
        (b"x", b"1 ; a = b\t;c\r\nx\r\n0\r\n\r\n"),
        (b"x", b"1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\n\r\n"),
        (b"x", b"0000000000000001\r\nx\r\n0\r\n\r\n"),
    ],
)
def test_chunks_that_are_read(payload: bytes, data: bytes) -> None:
    assert chunked_each_way(data) == payload


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"5\n",
        b"5\r5\r\n",
        b"5\r\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"5_0\r\n",
        b"\xd9\xa5\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5\t\r\n",
        b"5h\r\n",
        b";a\r\n",
        b"5;\r\n",
        b"5;;a\r\n",
        b"5;a=\r\n",
        b"5;a b\r\n",
        b'5;a="b\r\n',
        b"5;a\x00\r\n",
        b"5;a\nb\r\n",
        b"5;a\rb\r\n",
        b'5;a="\n"\r\n',
        b"0" * 16 + b"5\r\n",
        b"f" * 17 + b"\r\n",
        b"f" * 5000,
        b"5;a=" + b"b" * 1100,
        b"5\r\nhelloXX",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\rX",
        b"5\r\nhello0\r\n\r\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"0\r\n\n",
        b"0\r\nno colon\r\n\r\n",
    ],
)
def test_chunks_that_are_refused(data: bytes) -> None:
    assert chunked_each_way(data) == 400


@pytest.mark.parametrize(
    "data", [b"", b"5", b"5\r", b"5\r\n", b"5\r\nhello\r", b"0\r\n", b"0\r\n\r", b"0\r\nX: 1\r\n"]
)
def test_a_body_that_has_not_ended_is_awaited(data: bytes) -> None:
    assert chunked_each_way(data) is None


def test_payload_is_given_as_it_comes() -> None:
    body = ChunkedBody(LIMIT)
    assert body.decode(b"5\r\nhel") == (b"hel", 6)
    assert body.decode(b"lo\r") == (b"lo", 3)
    assert body.decode(b"\n2\r\n, \r\n") == (b", ", 8)
    assert not body.complete


def test_a_chunk_beyond_the_limit_is_refused_when_it_is_announced() -> None:
    assert chunked_each_way(b"5\r\nhello\r\n0\r\n\r\n", limit=5) == b"hello"
    assert chunked_each_way(b"6\r\n", limit=5) == 413
    assert chunked_each_way(b"6\r\nhello!\r\n0\r\n\r\n", limit=5) == 413
    assert chunked_each_way(b"3\r\nabc\r\n3\r\n", limit=5) == 413
    assert chunked_each_way(b"f" * 16 + b"\r\n") == 413


def test_extensions_are_bounded_beside_the_payload() -> None:
    flood = b"1;a=" + b"b" * 900 + b"\r\nx\r\n"
    assert body_of([flood * 18], ChunkedBody(LIMIT)) is None
    assert body_of([flood * 19], ChunkedBody(LIMIT)) == 400
    signed = b"400;chunk-signature=" + b"f" * 64 + b"\r\n" + b"x" * 1024 + b"\r\n"
    assert body_of([signed * 1000 + LAST_CHUNK], ChunkedBody(LIMIT)) == (b"x" * 1024 * 1000, b"")


def test_trailers_are_bounded() -> None:
    trailer = b"X: " + b"x" * 95 + b"\r\n"
    assert chunked_each_way(b"0\r\n" + trailer * 81 + b"\r\n") == b""
    assert chunked_each_way(b"0\r\n" + trailer * 82) == 431
    assert chunked_each_way(b"0\r\n" + b"x" * 9000) == 431


def test_the_head_chooses_the_decoder() -> None:
    def decoder(field: bytes) -> LengthBody | ChunkedBody:
        head = parse_head(b"POST / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n", LIMITS)
        assert head is not None
        return body_decoder(head, 9)

    assert isinstance(decoder(b"Transfer-Encoding: chunked"), ChunkedBody)
    assert decoder(b"X: 1").complete
    assert not decoder(b"Content-Length: 9").complete
    with pytest.raises(ProtocolError, match="body too long"):
        decoder(b"Content-Length: 10")


def test_an_empty_piece_is_no_chunk() -> None:
    assert encode_chunk(b"") == b""
    assert encode_chunk(b"0123456789") == b"a\r\n0123456789\r\n"


def test_a_tunnel_gives_everything_and_ends_when_it_is_told() -> None:
    tunnel = TunnelBody()
    assert tunnel.decode(b"\x00\r\n0\r\n\r\n") == (b"\x00\r\n0\r\n\r\n", 8)
    assert not tunnel.complete
