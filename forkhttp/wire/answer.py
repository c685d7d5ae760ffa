"""How an answer is framed: the last word about a head before it goes on the wire.

The handler says what it likes; the server decides how its octets are
delimited and whether the connection stays, and says both in the head. The decision is
a function of the head, of the request it answers and of what is known of the body.

Source: RFC 9112 sections 6.1 to 6.3, 7.1 and 9; RFC 9110 sections 6.6.1, 8.6, 9.3 and 15.
"""

from __future__ import annotations

from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from forkhttp.wire.fields import CHUNKED
from forkhttp.wire.grammar import lines_of

if TYPE_CHECKING:
    from forkhttp.wire.response import ResponseHead

#: In place of a length: the body ends with the connection.
UNTIL_CLOSE = -2


class ResponseFraming(NamedTuple):
    """A head as it goes on the wire, and what may follow it.

    Attributes:
        octets: the head.
        length: exact number of octets of body, CHUNKED, or UNTIL_CLOSE.
        persistent: whether the connection stays after the body; the head says so.
    """

    octets: bytes
    length: int
    persistent: bool


class _Content(Enum):
    """What a method and a status leave of an answer's body and of its length."""

    WHOLE = auto()  # as the handler says
    DESCRIBED = auto()  # no body; Content-Length speaks of what a GET would get
    NONE = auto()  # no body, and no field that speaks of one
    EMPTY = auto()  # no body, but for framing it could have one: Content-Length is 0
    TUNNEL = auto()  # what follows is no HTTP any more, up to the close


#: RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5; every 1xx is NONE, too.
_BY_STATUS = {204: _Content.NONE, 205: _Content.EMPTY, 304: _Content.DESCRIBED}
_WITHOUT_LENGTH = {_Content.NONE, _Content.EMPTY, _Content.TUNNEL}

_LENGTH_LINES = lines_of(b"content-length")
_CODING_LINES = lines_of(b"transfer-encoding")
_CONNECTION_LINES = lines_of(b"connection")


def frame_response(  # noqa: PLR0913 - the facts that the decision rests on, each of them
    head: ResponseHead, *, method: str, minor: int, persistent: bool, body: int | None, date: bytes
) -> ResponseFraming:
    """Decide how an answer is delimited and whether its connection stays.

    A length that the handler declared is kept. Without one the body, when it is complete,
    gets its own; else it is chunked, or to an HTTP/1.0 peer ended by the close.

    Args:
        head: what the handler wrote.
        method: of the request that is answered.
        minor: the peer speaks HTTP/1.minor.
        persistent: whether peer and server wish to keep the connection.
        body: octets of the complete body, or None while the handler goes on writing.
        date: the time in the form of RFC 9110 section 5.6.7, for a head without Date.
    """
    content = _content(method, head.status)
    if method == "CONNECT":
        # A client may have sent octets of its tunnel already; where it is refused they are no request.
        persistent = False
    if content is _Content.TUNNEL:
        # RFC 9110 sections 7.8 and 9.3.6. Nothing on this connection is read as a request again.
        length, added, stays = UNTIL_CLOSE, b"", False
    elif content is not _Content.WHOLE:
        length = 0
        stays = persistent and not head.close
        added = b"Content-Length: 0\r\n" if content is _Content.EMPTY else b""
    elif head.length is None:
        length, added = _delimit(minor, body)
        stays = persistent and not head.close and length != UNTIL_CLOSE
    else:
        length, added = head.length, b""
        # A body that falls short of its announced length can only end with the connection.
        stays = persistent and not head.close and (body is None or body >= length)
        if stays and minor and head.has_date:
            return ResponseFraming(head.octets, length, persistent=True)
    octets = head.octets
    if head.chunked:
        octets = _CODING_LINES.sub(b"", octets)
    if head.length is not None and content in _WITHOUT_LENGTH:
        octets = _LENGTH_LINES.sub(b"", octets)
    connection = _connection(head, minor, persistent=stays)
    if connection and head.options:
        octets = _CONNECTION_LINES.sub(b"", octets)
    if not head.has_date:
        added += b"Date: %b\r\n" % date
    return ResponseFraming(b"%b%b%b\r\n" % (octets[:-2], added, connection), length, stays)


def frame_interim(head: ResponseHead) -> bytes:
    """Give a 1xx head as it goes on the wire: it frames nothing and closes nothing.

    Source: RFC 9110 section 15.2; 8.6 and RFC 9112 section 6.1 for what it may not hold.
    """
    octets = head.octets
    for lines in (_LENGTH_LINES, _CODING_LINES, _CONNECTION_LINES):
        octets = lines.sub(b"", octets)
    return octets


def has_body(method: str, status: int) -> bool:
    """Tell whether there is a body behind such an answer (RFC 9110 section 6.4.1)."""
    return _content(method, status) is _Content.WHOLE


def opens_tunnel(method: str, status: int) -> bool:
    """Tell whether the connection ceases to speak HTTP behind an answer (RFC 9110 sections 7.8, 9.3.6)."""
    return _content(method, status) is _Content.TUNNEL


def plain_answer(status: int, detail: str, date: bytes, *, method: str = "") -> bytes:
    """Give the server's own answer to a request that no handler may see: a whole message.

    Args:
        status: 400 to 599.
        method: of the request, as far as it is known: a HEAD is answered without a body.
        detail: a constant phrase of the server's; never what the peer sent.
        date: the time in the form of RFC 9110 section 5.6.7.
    """
    title = f"{status} {HTTPStatus(status).phrase}"
    body = f"{title}: {detail}\n"
    return (
        f"HTTP/1.1 {title}\r\n"
        f"Date: {date.decode()}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n"
        "\r\n"
        f"{'' if method == 'HEAD' else body}"
    ).encode()


def _content(method: str, status: int) -> _Content:
    if status == 101:
        return _Content.TUNNEL
    if status < 200:
        return _Content.NONE
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if method == "HEAD":
        return _Content.DESCRIBED
    if method == "CONNECT" and status < 300:
        return _Content.TUNNEL
    return _Content.WHOLE


def _delimit(minor: int, body: int | None) -> tuple[int, bytes]:
    """Choose how a body without a declared length ends, and the line that says so.

    Source: RFC 9112 section 6.3.
    """
    if body is not None:
        return body, b"Content-Length: %d\r\n" % body
    if minor:
        return CHUNKED, b"Transfer-Encoding: chunked\r\n"
    return UNTIL_CLOSE, b""


def _connection(head: ResponseHead, minor: int, *, persistent: bool) -> bytes:
    """Give the line that says whether the connection stays, if the head does not say it yet.

    Options of the handler's own that are neither close nor keep-alive are kept.

    Source: RFC 9112 sections 9.3 and 9.6; appendix C.2.2 for keep-alive.
    """
    word = (b"" if minor else b"keep-alive") if persistent else b"close"
    if head.status == 101:
        word = b"upgrade"  # RFC 9110 section 7.8: the field Upgrade is of this hop; what ends is HTTP
    if not word or word in head.options:
        return b""
    others = [option for option in head.options if option not in (b"close", b"keep-alive")]
    return b"Connection: %b\r\n" % b", ".join([*others, word])
