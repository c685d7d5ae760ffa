"""What must hold of the parsers for any octets, as functions that properties and fuzzing share.

Each takes octets as a peer or a handler might send them, and raises AssertionError where something
does not hold. Where an octet stream is cut is derived from the octets themselves: the same
input gives the same verdict.
"""

from __future__ import annotations

import random
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import h11

from forkhttp.errors import HandlerError, ProtocolError
from forkhttp.wire import (
    CHUNKED,
    LAST_CHUNK,
    UNTIL_CLOSE,
    ChunkedBody,
    HeadLimits,
    body_decoder,
    encode_chunk,
    frame_response,
    parse_head,
    parse_response_head,
)
from tests.wire.delivery import LIMITS, Seen, see
from tests.wire.referees import WIDE, forkhttp_reads, unexplained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forkhttp.wire import LengthBody, RequestHead, ResponseFraming, ResponseHead

#: So narrow that generated heads and bodies meet them.
NARROW = HeadLimits(request_line=40, field=30, fields=6)
BODY_LIMIT = 1 << 16

#: What answers a head, and what a body.
STATUSES = {400, 413, 414, 431, 501, 505}

DATE = b"Sat, 01 Jan 2000 00:00:00 GMT"


class Request(NamedTuple):
    """One request of a stream."""

    head: Seen
    body: bytes
    size: int


class Stream(NamedTuple):
    """What a stream of octets was read as.

    Attributes:
        requests: the complete ones.
        status: of the refusal that ended it, or 0.
        left: octets that belong to no complete request; 0 after a refusal.
    """

    requests: list[Request]
    status: int
    left: int


def read_stream(pieces: Iterable[bytes], limits: HeadLimits) -> Stream:
    """Read requests one behind the other, as a connection does, from octets as they arrive."""
    requests: list[Request] = []
    head: RequestHead | None = None
    body: LengthBody | ChunkedBody | None = None
    unread = payload = b""
    scanned = consumed = 0
    try:
        for piece in pieces:
            unread += piece
            while True:
                if head is None:
                    head = parse_head(unread, limits, scanned)
                    if head is None:
                        scanned = len(unread)
                        break
                    unread, consumed, payload, scanned = unread[head.size :], head.size, b"", 0
                    body = body_decoder(head, BODY_LIMIT)
                assert body is not None
                part, used = body.decode(unread)
                unread, consumed, payload = unread[used:], consumed + used, payload + part
                if not body.complete:
                    assert not unread, "a decoder left octets of its own body"
                    break
                requests.append(Request(see(head), payload, consumed))
                head = None
    except ProtocolError as error:
        judge(error)
        return Stream(requests, error.status, 0)
    return Stream(requests, 0, len(unread) if head is None else consumed)


def judge(error: ProtocolError) -> None:
    """A refusal is answered by a status that is meant for it."""
    assert error.status in STATUSES


def octets(data: bytes) -> Iterator[bytes]:
    """Cut after each octet."""
    return (data[at : at + 1] for at in range(len(data)))


def cut(data: bytes) -> list[bytes]:
    """Cut anywhere; the same octets at the same places."""
    chance = random.Random(zlib.crc32(data))  # noqa: S311 - of a test
    ends = sorted(chance.randrange(len(data) + 1) for _ in range(min(len(data), chance.randrange(1, 9))))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def check_requests(data: bytes) -> None:
    """Hold the parser of requests to its promises, on a stream of them."""
    patience = zlib.crc32(data) % 4
    for number, limits in enumerate((LIMITS, NARROW)):
        whole = read_stream([data], limits)
        assert read_stream(cut(data), limits) == whole
        # This costs more than all the rest, so it is for one in four.
        assert patience != number or read_stream(octets(data), limits) == whole
        check_left_over(data, whole, limits)
    at = 0
    for request in read_stream([data], WIDE).requests:
        check_again(request.head)
        check_referees(data[at : at + request.size])
        at += request.size


def check_left_over(data: bytes, whole: Stream, limits: HeadLimits) -> None:
    """A request ends where the next begins, whatever comes there; what comes there is bounded."""
    rest = data[len(data) - whole.left :]
    if not whole.status and parse_head(rest, limits) is None:
        assert len(rest) <= 16 + limits.request_line + limits.fields * (limits.field + 2) + 4
    if whole.requests:
        size = whole.requests[0].size
        assert read_stream([data[:size]], limits) == Stream(whole.requests[:1], 0, 0)
        assert not read_stream([data[: size - 1]], limits).requests
        assert read_stream([data[size:]], limits) == Stream(whole.requests[1:], whole.status, whole.left)


def check_again(seen: Seen) -> None:
    """What was read of a head, written down, is read as the same."""
    lines = [f"{seen.method} {seen.target} HTTP/1.{seen.minor}", *map(": ".join, seen.fields), "", ""]
    head = parse_head("\r\n".join(lines).encode("latin-1"), WIDE)
    assert head is not None
    again = see(head)
    assert again == seen._replace(octets=again.octets, size=again.size, request_line=again.request_line)


def check_referees(data: bytes) -> None:
    """Other parsers read one complete request in the same way, or the reason is known."""
    ours = forkhttp_reads(data)
    assert ours is not None
    assert ours.size == len(data)
    assert unexplained(ours, data) == {}


def read_chunks(pieces: Iterable[bytes], limit: int) -> tuple[bytes, int] | int | None:
    """Decode a chunked body from octets as they arrive.

    Returns:
        Payload and octets used, or the status of the refusal, or None if more is needed.
    """
    body = ChunkedBody(limit)
    payload = b""
    consumed = 0
    try:
        for piece in pieces:
            part, used = body.decode(piece)
            payload += part
            consumed += used
            assert len(payload) <= limit
            if body.complete:
                return payload, consumed
            assert used == len(piece)
    except ProtocolError as error:
        judge(error)
        return error.status
    return None


def check_chunks(data: bytes) -> None:
    """Hold the decoder of chunked bodies to its promises."""
    for limit in (BODY_LIMIT, 7):
        whole = read_chunks([data], limit)
        assert read_chunks(octets(data), limit) == whole
        assert read_chunks(cut(data), limit) == whole
    whole = read_chunks([data], BODY_LIMIT)
    if isinstance(whole, tuple):
        payload, used = whole
        assert read_chunks([data[:used]], BODY_LIMIT) == whole
        assert read_chunks([data[: used - 1]], BODY_LIMIT) is None
        encoded = encode_chunk(payload) + LAST_CHUNK
        assert read_chunks(cut(encoded), BODY_LIMIT) == (payload, len(encoded))
        check_referees(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data[:used])


def check_flood(data: bytes) -> None:
    """However long a peer repeats itself, it is refused, or what it sends is payload for a good part."""
    lines = data.splitlines(keepends=True)
    # All of it is repeated, or all but its first line, or its last line.
    for unit in dict.fromkeys([data, b"".join(lines[1:]), b"".join(lines[-1:])]):
        if unit:
            check_endless(data.removesuffix(unit) + unit * (1 + (128 << 10) // len(unit)))


def check_endless(flood: bytes) -> None:
    """Neither head nor framing take 128 KiB."""
    with suppress(ProtocolError):
        assert parse_head(flood, LIMITS) is not None
    body = ChunkedBody(1 << 30)
    with suppress(ProtocolError):
        payload, _ = body.decode(flood)
        # For an octet of payload: sixteen digits, two line ends, one octet of extensions.
        assert body.complete or len(payload) > len(flood) // 32


class Asked(NamedTuple):
    """What an answer answers."""

    method: str
    minor: int
    persistent: bool


def response_head(pieces: Iterable[bytes]) -> ResponseHead | str | None:
    """Read what a handler writes, as it writes it; a fault is given by its family."""
    written = b""
    for piece in pieces:
        written += piece
        try:
            head = parse_response_head(written)
        except HandlerError:
            return "refused"
        if head is not None:
            return head
    return None


def check_response(data: bytes) -> None:
    """Hold the parser and the framing of responses to their promises."""
    whole = response_head([data])
    for pieces in (octets(data), cut(data)):
        again = response_head(pieces)
        assert type(again) is type(whole)
        assert _visible(again) == _visible(whole)
    if whole is None or isinstance(whole, str):
        return
    chance = random.Random(zlib.crc32(data))  # noqa: S311 - of a test
    asked = Asked(chance.choice(["GET", "HEAD", "CONNECT"]), chance.randrange(2), chance.random() < 0.7)
    body = data[whole.size :] if whole.length is None else bytes(whole.length % BODY_LIMIT)
    for known in (len(body), None):
        framing = frame_response(
            whole, method=asked.method, minor=asked.minor, persistent=asked.persistent, body=known, date=DATE
        )
        check_framing(framing, asked, known)
        if whole.status >= 200 and (whole.length is None or whole.length < BODY_LIMIT):
            check_client(whole, framing, asked, body)


def _visible(head: ResponseHead | str | None) -> object:
    if head is None or isinstance(head, str):
        return head
    return {name: getattr(head, name) for name in type(head).__slots__}


def check_framing(framing: ResponseFraming, asked: Asked, known: int | None) -> None:
    """What was framed is a valid head, and framing it again adds nothing."""
    head = parse_response_head(framing.octets)
    assert head is not None
    assert head.size == len(framing.octets)
    assert head.has_date
    assert head.status == 101 or head.close is not framing.persistent
    again = frame_response(
        head, method=asked.method, minor=asked.minor, persistent=asked.persistent, body=known, date=b"d"
    )
    assert (again.length, again.persistent) == (framing.length, framing.persistent)
    assert sorted(again.octets.split(b"\r\n")) == sorted(framing.octets.split(b"\r\n"))


#: The fields that are the server's to write.
SERVER_FIELDS = {b"connection", b"content-length", b"transfer-encoding", b"date"}


def on_the_wire(framing: ResponseFraming, body: bytes) -> tuple[bytes, bytes]:
    """Give an answer as it leaves, and what of ``body`` a client must get of it."""
    if framing.length == CHUNKED:
        return framing.octets + encode_chunk(body[:5]) + encode_chunk(body[5:]) + LAST_CHUNK, body
    if framing.length != UNTIL_CLOSE:
        body = body[: framing.length]
    return framing.octets + body, body


def own_fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """Give the fields of a response head that are the handler's alone."""
    lines = [line.split(b":", 1) for line in head.split(b"\r\n")[1:-2]]
    return [(name.lower(), value.strip(b" \t")) for name, value in lines if name.lower() not in SERVER_FIELDS]


def check_client(head: ResponseHead, framing: ResponseFraming, asked: Asked, body: bytes) -> None:
    """A client gets the handler's status, fields and body, and where they end."""
    sent, body = on_the_wire(framing, body)
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=asked.method, target="b:80", headers=[("Host", "b")]))
    client.send(h11.EndOfMessage())
    client.receive_data(sent)
    tunnel = asked.method == "CONNECT" and head.status < 300
    if framing.length == UNTIL_CLOSE and not tunnel:
        client.receive_data(b"")
    answer = client.next_event()
    assert isinstance(answer, h11.Response)
    assert answer.status_code == head.status
    fields = [(name.lower(), value) for name, value in answer.headers if name.lower() not in SERVER_FIELDS]
    assert fields == own_fields(head.octets)
    got = b""
    while isinstance(event := client.next_event(), h11.Data):
        got += bytes(event.data)
    if tunnel:
        assert event is h11.PAUSED
        return
    assert isinstance(event, h11.EndOfMessage)
    assert got == body
    assert client.trailing_data[0] == b""
    assert (client.their_state is h11.DONE) is framing.persistent
