"""How answers are framed: the decision as a table, and h11 as the judge of what comes out."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import h11
import pytest

from forkhttp.wire import (
    CHUNKED,
    LAST_CHUNK,
    UNTIL_CLOSE,
    ResponseFraming,
    encode_chunk,
    frame_interim,
    frame_response,
    has_body,
    opens_tunnel,
    parse_response_head,
    plain_answer,
)

DATE = b"Sat, 21 Nov 2026 01:47:00 GMT"


class Asked(NamedTuple):
    """The request that is answered, and what is known of the body."""

    method: str = "GET"
    minor: int = 1
    persistent: bool = True
    body: int | None = None


def frame(lines: list[bytes], asked: Asked) -> tuple[list[bytes], ResponseFraming]:
    """Frame a handler's answer; give the lines of the head that goes out, and the framing."""
    head = parse_response_head(b"\r\n".join([*lines, b"", b""]))
    assert head is not None
    framing = frame_response(
        head,
        method=asked.method,
        minor=asked.minor,
        persistent=asked.persistent,
        body=asked.body,
        date=DATE,
    )
    assert framing.octets.endswith(b"\r\n\r\n")
    return framing.octets[:-4].split(b"\r\n"), framing


OK = b"HTTP/1.0 200 OK"
OURS = b"HTTP/1.1 200 OK"
DATED = b"Date: d"
FIVE = b"Content-Length: 5"
ZERO = b"Content-Length: 0"
TE = b"Transfer-Encoding: chunked"
CLOSE = b"Connection: close"
KEEP = b"Connection: keep-alive"

#: asked · fields of the handler · fields that go out · length · persistent
DECISIONS = [
    # a declared length is kept
    (Asked(), [DATED, FIVE], [DATED, FIVE], 5, True),
    (Asked(body=5), [DATED, FIVE], [DATED, FIVE], 5, True),
    (Asked(body=6), [DATED, FIVE], [DATED, FIVE], 5, True),
    (Asked(body=4), [DATED, FIVE], [DATED, FIVE, CLOSE], 5, False),
    (Asked(persistent=False), [DATED, FIVE], [DATED, FIVE, CLOSE], 5, False),
    (Asked(minor=0), [DATED, FIVE], [DATED, FIVE, KEEP], 5, True),
    (Asked(minor=0, persistent=False), [DATED, FIVE], [DATED, FIVE, CLOSE], 5, False),
    (Asked(), [FIVE], [FIVE, b"Date: " + DATE], 5, True),
    (Asked("POST"), [DATED, ZERO], [DATED, ZERO], 0, True),
    # no length, but the whole body
    (Asked(body=5), [DATED], [DATED, FIVE], 5, True),
    (Asked(body=0), [DATED], [DATED, ZERO], 0, True),
    (Asked(body=5, minor=0), [DATED], [DATED, FIVE, KEEP], 5, True),
    # neither
    (Asked(), [DATED], [DATED, TE], CHUNKED, True),
    (Asked(persistent=False), [DATED], [DATED, TE, CLOSE], CHUNKED, False),
    (Asked(minor=0), [DATED], [DATED, CLOSE], UNTIL_CLOSE, False),
    (Asked(), [DATED, CLOSE], [DATED, CLOSE, TE], CHUNKED, False),
    # the handler chunks by itself: its octets are decoded, so that is no length either
    (Asked(), [TE, DATED], [DATED, TE], CHUNKED, True),
    (Asked(body=5), [TE, DATED], [DATED, FIVE], 5, True),
    (Asked(minor=0), [TE, DATED], [DATED, CLOSE], UNTIL_CLOSE, False),
    # the handler's Connection
    (Asked(), [CLOSE, DATED, FIVE], [CLOSE, DATED, FIVE], 5, False),
    (Asked(), [DATED, FIVE, KEEP], [DATED, FIVE, KEEP], 5, True),
    (Asked(minor=0), [DATED, FIVE, KEEP], [DATED, FIVE, KEEP], 5, True),
    (Asked(minor=0), [DATED, FIVE, CLOSE], [DATED, FIVE, CLOSE], 5, False),
    (Asked(persistent=False), [KEEP, DATED, FIVE], [DATED, FIVE, CLOSE], 5, False),
    (Asked(minor=0), [KEEP, DATED], [DATED, CLOSE], UNTIL_CLOSE, False),
    (
        Asked(),
        [b"Connection: X, Keep-Alive", DATED, FIVE],
        [b"Connection: X, Keep-Alive", DATED, FIVE],
        5,
        True,
    ),
    (
        Asked(persistent=False),
        [b"Connection: X", DATED, b"connection: keep-alive", FIVE],
        [DATED, FIVE, b"Connection: x, close"],
        5,
        False,
    ),
    # HEAD: what GET would say, as far as the handler knows it, and no body
    (Asked("HEAD"), [DATED, FIVE], [DATED, FIVE], 0, True),
    (Asked("HEAD", body=0), [DATED, FIVE], [DATED, FIVE], 0, True),
    (Asked("HEAD", body=0), [DATED], [DATED], 0, True),
    (Asked("HEAD"), [DATED, TE], [DATED], 0, True),
    (Asked("HEAD", minor=0), [DATED], [DATED, KEEP], 0, True),
    (Asked("HEAD", persistent=False), [DATED], [DATED, CLOSE], 0, False),
    # a tunnel
    (Asked("CONNECT"), [DATED, FIVE], [DATED, CLOSE], UNTIL_CLOSE, False),
    (Asked("CONNECT"), [DATED, TE], [DATED, CLOSE], UNTIL_CLOSE, False),
]


@pytest.mark.parametrize(("asked", "fields", "sent", "length", "persistent"), DECISIONS)
def test_answers_with_a_body_or_a_method_without(
    asked: Asked, fields: list[bytes], sent: list[bytes], length: int, *, persistent: bool
) -> None:
    lines, framing = frame([OK, *fields], asked)
    assert lines == [OURS, *sent]
    assert (framing.length, framing.persistent) == (length, persistent)


#: status · fields of the handler · fields that go out
BODILESS = [
    (b"204 No Content", [DATED, FIVE], [DATED]),
    (b"204 No Content", [DATED, TE], [DATED]),
    (b"204 No Content", [DATED], [DATED]),
    (b"205 Reset Content", [DATED, FIVE], [DATED, ZERO]),
    (b"205 Reset Content", [DATED], [DATED, ZERO]),
    (b"205 Reset Content", [DATED, TE], [DATED, ZERO]),
    (b"304 Not Modified", [DATED, FIVE], [DATED, FIVE]),
    (b"304 Not Modified", [DATED, TE], [DATED]),
    (b"304 Not Modified", [], [b"Date: " + DATE]),
    (b"103 Early Hints", [DATED, FIVE], [DATED]),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(("status", "fields", "sent"), BODILESS)
def test_statuses_that_have_no_body(
    method: str, status: bytes, fields: list[bytes], sent: list[bytes]
) -> None:
    for body in (None, 0, 5):
        lines, framing = frame([b"HTTP/1.0 " + status, *fields], Asked(method, body=body))
        assert lines == [b"HTTP/1.1 " + status, *sent]
        assert (framing.length, framing.persistent) == (0, True)


def test_a_switch_of_protocols_is_the_last_http_on_its_connection() -> None:
    """RFC 9110 section 7.8: who sends Upgrade names it in Connection."""
    switch = [b"Connection: upgrade", b"Upgrade: echo", DATED]
    lines, framing = frame([b"HTTP/1.0 101 Switching", *switch], Asked())
    assert lines == [b"HTTP/1.1 101 Switching", *switch]
    forgotten = [b"Upgrade: echo", DATED]
    lines, framing = frame([b"HTTP/1.0 101 Switching", *forgotten], Asked())
    assert lines == [b"HTTP/1.1 101 Switching", *forgotten, b"Connection: upgrade"]
    assert (framing.length, framing.persistent) == (UNTIL_CLOSE, False)


def test_a_refused_connect_is_the_last_answer() -> None:
    """Octets of the tunnel that its client was sure of are no request."""
    lines, framing = frame([b"HTTP/1.0 501 No", DATED, FIVE], Asked("CONNECT"))
    assert lines == [b"HTTP/1.1 501 No", DATED, FIVE, CLOSE]
    assert (framing.length, framing.persistent) == (5, False)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [b"200 OK", b"204 ", b"205 ", b"304 ", b"404 ", b"500 "])
@pytest.mark.parametrize(
    "fields", [[], [FIVE], [TE], [FIVE, KEEP], [FIVE, CLOSE], [DATED], [b"Connection: x"]]
)
def test_a_strict_client_reads_what_goes_out(method: str, status: bytes, fields: list[bytes]) -> None:
    for minor, persistent, body in product((0, 1), (False, True), (None, 5)):
        _, framing = frame([b"HTTP/1.0 " + status, *fields], Asked(method, minor, persistent, body))
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(framing.octets + payload(framing))
        if framing.length == UNTIL_CLOSE:
            client.receive_data(b"")
        response = client.next_event()
        assert isinstance(response, h11.Response)
        names = [name for name, _ in response.headers]
        assert names.count(b"date") == 1
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
        if minor == 0:
            assert b"transfer-encoding" not in names
        received = b""
        while isinstance(event := client.next_event(), h11.Data):
            received += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        assert received == (b"" if framing.length == 0 else b"hello")
        assert (client.our_state is h11.DONE) is framing.persistent


def payload(framing: ResponseFraming) -> bytes:
    """What the server sends behind a head, of a body that is five octets long."""
    if framing.length == CHUNKED:
        return encode_chunk(b"hello") + LAST_CHUNK
    return b"" if framing.length == 0 else b"hello"


def test_an_interim_answer_frames_nothing() -> None:
    head = parse_response_head(
        b"HTTP/1.0 103 Early Hints\r\nLink: </s>\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    )
    assert head is not None
    assert frame_interim(head) == b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n"
    head = parse_response_head(b"HTTP/1.0 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert head is not None
    assert frame_interim(head) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("status", [400, 413, 414, 431, 501, 505])
def test_the_servers_own_answer_is_a_whole_message(status: int) -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(plain_answer(status, "a reason", DATE))
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == status
    assert (b"date", DATE) in list(response.headers)
    assert (b"connection", b"close") in list(response.headers)
    data = client.next_event()
    assert isinstance(data, h11.Data)
    assert b"a reason" in data.data
    assert isinstance(client.next_event(), h11.EndOfMessage)
    assert b"a reason" in plain_answer(status, "a reason", DATE, method="GET")


def test_the_servers_own_answer_to_a_head_is_a_head() -> None:
    """RFC 9110 section 9.3.2."""
    whole = plain_answer(408, "a reason", DATE)
    assert plain_answer(408, "a reason", DATE, method="HEAD") == whole[: whole.index(b"\r\n\r\n") + 4]


@pytest.mark.parametrize(
    ("method", "status", "opens"),
    [
        ("GET", 101, True),
        ("CONNECT", 200, True),
        ("CONNECT", 299, True),
        ("CONNECT", 300, False),
        ("CONNECT", 407, False),
        ("GET", 200, False),
        ("GET", 103, False),
    ],
)
def test_a_switch_and_a_connect_open_a_tunnel(method: str, status: int, *, opens: bool) -> None:
    assert opens_tunnel(method, status) is opens


@pytest.mark.parametrize(
    ("method", "status", "has"),
    [("GET", 200, True), ("HEAD", 200, False), ("GET", 204, False), ("GET", 304, False), ("POST", 500, True)],
)
def test_what_has_a_body(method: str, status: int, *, has: bool) -> None:
    assert has_body(method, status) is has
