"""Beside other parsers: they accept what forkhttp accepts (or there is a reason), and read what it sends."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkhttp.errors import HandlerError, ProtocolError
from forkhttp.wire import frame_response, parse_response_head
from tests.wire import messages
from tests.wire.delivery import few
from tests.wire.invariants import DATE, SERVER_FIELDS, on_the_wire, own_fields
from tests.wire.referees import REASONS, Reading, Reason, disagreements, forkhttp_reads, unexplained


def readings(data: bytes) -> Reading | None:
    try:
        return forkhttp_reads(data)
    except ProtocolError:
        return None


@few
@given(messages.requests)
def test_what_is_accepted_is_read_by_others_in_the_same_way(data: bytes) -> None:
    ours = readings(data)
    if ours is not None:
        assert unexplained(ours, data) == {}


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.why)
def test_a_reason_is_still_one(reason: Reason) -> None:
    """The example shows what it is about, and nothing else does."""
    ours = forkhttp_reads(reason.example)
    assert ours is not None
    found = disagreements(ours, reason.example)
    assert sorted(found) == sorted(reason.referees.split())
    assert all(differs == reason.differs for differs in found.values())
    assert [other.why for other in REASONS if other.applies(ours, reason.example)] == [reason.why]


def test_a_plain_request_needs_no_reason() -> None:
    data = b"POST /a HTTP/1.1\r\nHost: b\r\nX: \xe4 1 \r\nContent-Length: 2\r\n\r\nhi"
    ours = forkhttp_reads(data)
    assert ours == Reading(
        "POST",
        "/a",
        1,
        (("host", "b"), ("x", "\xe4 1"), ("content-length", "2")),
        b"hi",
        persistent=True,
        size=len(data),
    )
    assert disagreements(ours, data) == {}
    assert not any(reason.applies(ours, data) for reason in REASONS)


@pytest.mark.parametrize(
    ("lax", "parsers"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", {"h11", "httptools"}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+0\r\n\r\n", {"h11", "httptools"}),
        (b"GET / HTTP/1.1\nHost: a\n\n", {"httptools"}),
    ],
)
def test_a_laxity_would_be_seen(lax: bytes, parsers: set[str]) -> None:
    accepted = Reading("POST", "/", 1, (), b"", persistent=True, size=len(lax))
    found = unexplained(accepted, lax)
    assert {name for name, differs in found.items() if differs is None} == parsers


#: The version of the request, whether the connection may stay, whether the body is known when it is framed.
asked = st.tuples(st.integers(0, 1), st.booleans(), st.booleans())


class _Answer:
    """What llhttp tells of an answer."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = self.persistent = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.persistent = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


@few
@given(messages.response_heads, messages.bodies, asked)
def test_what_is_framed_is_read_by_httptools(data: bytes, body: bytes, asked: tuple[int, bool, bool]) -> None:
    """By h11, too: that is among the invariants."""
    minor, persistent, whole = asked
    try:
        head = parse_response_head(data)
    except HandlerError:
        return
    if head is None or head.status < 200 or (head.length or 0) > 1 << 16:
        return
    body = body if head.length is None else bytes(head.length)
    known = len(body) if whole else None
    framing = frame_response(head, method="GET", minor=minor, persistent=persistent, body=known, date=DATE)
    sent, expected = on_the_wire(framing, body)
    answer = _Answer()
    answer.parser.feed_data(sent)
    assert answer.parser.get_status_code() == head.status
    own = [field for field in answer.fields if field[0] not in SERVER_FIELDS]
    assert own == own_fields(head.octets)
    assert answer.body == expected
    assert answer.complete or not framing.persistent
    assert answer.persistent is framing.persistent
