"""What other parsers make of the octets that forkhttp reads: h11 and httptools (llhttp, Node's).

Each reads one message, and each reading has the same form as forkhttp's own, so that they can
be compared. Where forkhttp accepts what a referee does not, or reads it in another way, the reason
stands in ``REASONS``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import h11
import httptools
from h11._state import MIGHT_SWITCH_PROTOCOL

from forkhttp.wire import HeadLimits, body_decoder, parse_head

if TYPE_CHECKING:
    from collections.abc import Callable

#: So wide that no generated message meets them: the referees have limits of their own.
WIDE = HeadLimits(request_line=1 << 20, field=1 << 20, fields=1 << 10)
LONGEST_BODY = 1 << 20


class Reading(NamedTuple):
    """One request as a parser understands it.

    Attributes:
        method: as it was sent.
        target: as it was sent.
        minor: 0 or 1, a higher one counts as 1.
        fields: names in lower case, values without white space around them, without trailers.
        body: the payload.
        persistent: whether the peer wishes to keep the connection.
        size: octets up to the end of the message.
    """

    method: str
    target: str
    minor: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    persistent: bool
    size: int


def forkhttp_reads(data: bytes) -> Reading | None:
    """Read the first request in ``data``; None if it needs more.

    Raises:
        ProtocolError: it is refused.
    """
    head = parse_head(data, WIDE)
    if head is None:
        return None
    body = body_decoder(head, LONGEST_BODY)
    payload, used = body.decode(data[head.size :])
    if not body.complete:
        return None
    lines = head.octets.decode("latin-1").split("\r\n")[1:-2]
    fields = tuple(_field(*line.split(":", 1)) for line in lines)
    target = head.request_line.split(" ")[1]
    return Reading(head.method, target, head.minor, fields, payload, head.persistent, head.size + used)


def h11_reads(data: bytes) -> Reading | None:
    """Read the first request as h11 does; None if it refuses it or needs more."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    request: h11.Request | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return None
    except h11.RemoteProtocolError:
        return None
    assert request is not None
    if connection.their_state is MIGHT_SWITCH_PROTOCOL:
        # What the client wished besides shows when it is told that nothing is switched.
        connection.send(h11.Response(status_code=400, headers=[("Content-Length", "0")]))
    return Reading(
        request.method.decode(),
        request.target.decode(),
        min(int(request.http_version[2:]), 1),
        tuple(_field(name.decode(), value.decode("latin-1")) for name, value in request.headers),
        body,
        connection.their_state is not h11.MUST_CLOSE,
        len(data) - len(connection.trailing_data[0]),
    )


class _Callbacks:
    """What llhttp tells of the first message."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[str, str]] = []
        self.body = b""
        self.in_head = True
        self.complete = False
        self.persistent = False
        self.version = ""
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:
            self.fields.append(_field(name.decode(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.version = self.parser.get_http_version()
        self.persistent = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def httptools_reads(data: bytes) -> Reading | None:
    """Read the first request as httptools does; None if it refuses it or needs more.

    It gets octet by octet, because it does not tell where in its octets a message ended.
    """
    told = _Callbacks()
    size = 0
    try:
        while not told.complete and size < len(data):
            size += 1
            told.parser.feed_data(data[size - 1 : size])
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not told.complete:
        return None
    return Reading(
        told.parser.get_method().decode(),
        told.target.decode("latin-1"),
        min(int(told.version[2:]), 1),
        tuple(told.fields),
        told.body,
        told.persistent,
        size,
    )


REFEREES: dict[str, Callable[[bytes], Reading | None]] = {"h11": h11_reads, "httptools": httptools_reads}


class Reason(NamedTuple):
    """Why forkhttp accepts what a referee refuses or reads in another way.

    Attributes:
        referees: who does.
        differs: the parts that they read in another way; None if they refuse.
        applies: whether this is such a case, from forkhttp's reading and the octets of the message.
        why: what forkhttp does instead.
        section: which says so.
        example: messages that show it.
    """

    referees: str
    differs: set[str] | None
    applies: Callable[[Reading, bytes], object]
    why: str
    section: str
    example: bytes


def _has(pattern: bytes) -> Callable[[Reading, bytes], object]:
    """Tell whether the octets of a message have a pattern, in any case of letters."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda _, data: compiled.search(data)


def _lists(reading: Reading, name: str, option: str) -> bool:
    return any(key == name and option in value.lower() for key, value in reading.fields)


#: Of the methods that llhttp knows, those that are generated.
_METHODS_OF_LLHTTP = {"GET", "POST", "OPTIONS", "HEAD", "CONNECT", "PUT", "M-SEARCH"}
_HOST = b" HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = b"POST /" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n"

REASONS = (
    Reason(
        "h11",
        None,
        _has(rb"\A\r\n"),
        "an empty line before the request line is skipped",
        "RFC 9112 section 2.2",
        b"\r\nGET /" + _HOST + b"\r\n",
    ),
    Reason(
        "h11 httptools",
        None,
        _has(rb"\ntransfer-encoding:(?:[ \t]*,[^\r]*chunked|[^\r]*chunked(?:[ \t]*,| *\t))"),
        "empty elements of a list are ignored, and white space is a space or a tab",
        "RFC 9110 sections 5.6.1.2 and 5.6.3",
        b"POST /" + _HOST + b"Transfer-Encoding: chunked\t,\r\n\r\n0\r\n\r\n",
    ),
    Reason(
        "h11 httptools",
        None,
        _has(rb"\n[0-9a-f]+(?:[ \t]+;|;[ \t]|;[^\n]*(?:[ \t][;=]|[;=][ \t]))"),
        "white space may stand around the parts of a chunk extension",
        "RFC 9112 section 7.1.1",
        _CHUNKED + b"1 ; a = b\r\nx\r\n0\r\n\r\n",
    ),
    Reason(
        "h11 httptools",
        None,
        _has(rb"\n0+(?:[ \t]*;[^\n]*)?\r\n(?:[^\r]+\r\n)*(?:content-length|transfer-encoding):"),
        "trailers are dropped, whatever their names",
        "RFC 9112 section 7.1.2",
        _CHUNKED + b"0\r\nContent-Length: 7, 8\r\n\r\n",
    ),
    Reason(
        "httptools",
        None,
        lambda ours, _: ours.method not in _METHODS_OF_LLHTTP,
        "a method is any token",
        "RFC 9110 section 9.1",
        b"SPAM /" + _HOST + b"\r\n",
    ),
    Reason(
        "httptools",
        None,
        _has(rb"\A[^\n]* HTTP/1\.[2-9]\r\n|\A[\r\n]+[^\n]* HTTP/1\.[2-9]\r\n"),
        "a higher minor version is read as the highest that is known",
        "RFC 9110 section 2.5",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    ),
    Reason(
        "h11",
        {"persistent"},
        lambda ours, _: not ours.minor and ours.persistent,
        "an HTTP/1.0 client that asks to keep its connection is believed",
        "RFC 9112 section 9.3",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ),
    Reason(
        "httptools",
        {"persistent"},
        lambda ours, _: _lists(ours, "connection", "close") and _lists(ours, "connection", "keep-alive"),
        "close counts before keep-alive",
        "RFC 9112 section 9.3",
        b"GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n",
    ),
    Reason(
        "httptools",
        {"persistent"},
        lambda ours, _: any(name == "proxy-connection" for name, _ in ours.fields),
        "Proxy-Connection is no field of HTTP",
        "RFC 9112 appendix C.2.2",
        b"GET /" + _HOST + b"Proxy-Connection: close\r\n\r\n",
    ),
    Reason(
        "httptools",
        {"body", "size"},
        lambda ours, _: (
            ours.method == "CONNECT"
            or _lists(ours, "connection", "upgrade")
            or _lists(ours, "proxy-connection", "upgrade")
        ),
        "a request that would leave HTTP has its body first",
        "RFC 9112 section 6.3",
        b"POST /" + _HOST + b"Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx",
    ),
)


def disagreements(ours: Reading, data: bytes) -> dict[str, set[str] | None]:
    """Tell who reads ``data``, of which forkhttp made ``ours``, in another way.

    Returns:
        By the name of a referee the parts that it reads in another way; None if it refuses.
    """
    found: dict[str, set[str] | None] = {}
    for name, read in REFEREES.items():
        theirs = read(data)
        if theirs is None:
            found[name] = None
        elif theirs != ours:
            found[name] = {part for part in Reading._fields if getattr(theirs, part) != getattr(ours, part)}
    return found


def unexplained(ours: Reading, data: bytes) -> dict[str, set[str] | None]:
    """Tell the disagreements for which there is no reason."""
    reasons = [reason for reason in REASONS if reason.applies(ours, data[: ours.size])]
    found: dict[str, set[str] | None] = {}
    for name, differs in disagreements(ours, data).items():
        known = [reason.differs for reason in reasons if name in reason.referees.split()]
        if differs is None:
            explained = None in known
        else:
            explained = differs <= {part for parts in known if parts for part in parts}
        if not explained:
            found[name] = differs
    return found


def _field(name: str, value: str) -> tuple[str, str]:
    # h11 gives the value of Transfer-Encoding in lower case.
    value = value.strip(" \t")
    return name.lower(), value.lower() if name.lower() == "transfer-encoding" else value
