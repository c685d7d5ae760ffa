"""Ways in which octets reach a parser: at once, one by one, cut anywhere, with more behind.

Each way gives the same kind of result, so that tests can demand that they agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import settings

from forkhttp.errors import ProtocolError
from forkhttp.wire import HeadLimits, parse_head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forkhttp.wire import ChunkedBody, LengthBody, RequestHead

LIMITS = HeadLimits(request_line=8190, field=8190, fields=100)

#: Of what is drawn: enough for each day, the same each day. scripts/fuzz goes on from here.
few = settings(max_examples=150, deadline=None, derandomize=True)

#: What tests put behind a message: it belongs to the next one.
FOLLOWER = b"GET /follower HTTP/1.1\r\nHost: f\r\n\r\n"


class Seen(NamedTuple):
    """A request head by its visible parts, to be compared."""

    method: str
    target: str
    minor: int
    request_line: str
    octets: bytes
    size: int
    length: int
    persistent: bool
    expects_continue: bool
    authority: str
    fields: list[tuple[str, str]]


def see(head: RequestHead) -> Seen:
    return Seen(
        head.method,
        head.target,
        head.minor,
        head.request_line,
        head.octets,
        head.size,
        head.length,
        head.persistent,
        head.expects_continue,
        head.authority,
        head.fields(),
    )


def head_of(sizes: Iterable[int], data: bytes, limits: HeadLimits = LIMITS) -> Seen | int | None:
    """Give ``data`` to parse_head as it grows to each of ``sizes``, as a connection does.

    Returns:
        What was seen, or the status of the refusal, or None if more is needed at the end.
    """
    scanned = 0
    for size in sizes:
        try:
            head = parse_head(data[:size], limits, scanned)
        except ProtocolError as error:
            return error.status
        if head is not None:
            return see(head)
        scanned = size
    return None


def head_each_way(data: bytes, limits: HeadLimits = LIMITS) -> Seen | int | None:
    """Deliver a head whole, octet by octet, and with a follower; the results must agree."""
    whole = head_of([len(data)], data, limits)
    assert head_of(range(1, len(data) + 1), data, limits) == whole
    if whole is not None:
        behind = data + FOLLOWER
        assert head_of([len(behind)], behind, limits) == whole
    return whole


def body_of(pieces: Iterable[bytes], body: LengthBody | ChunkedBody) -> tuple[bytes, bytes] | int | None:
    """Give pieces to a decoder as a connection does: what it did not use comes again.

    Returns:
        Payload and left-over, or the status of the refusal, or None if more is needed.
    """
    payload = unread = b""
    for piece in pieces:
        unread += piece
        if body.complete:
            continue
        try:
            part, used = body.decode(unread)
        except ProtocolError as error:
            return error.status
        payload += part
        unread = unread[used:]
    return (payload, unread) if body.complete else None


def octet_by_octet(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
