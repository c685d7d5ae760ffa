"""What a handler answers: its head, read and judged before it may reach the wire.

A handler writes a response head of its own making, as ``http.server`` taught it.
Nothing of it goes out that a peer could read in another way than it was meant.

Source: RFC 9112 sections 4 to 6.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from forkhttp.errors import HandlerError
from forkhttp.wire.grammar import (
    DIGITS,
    FIELD_LINE,
    MEMO_ENTRIES,
    MEMO_OCTETS,
    SECTION,
    SECTION_LIMIT,
    TEXT,
    TOKEN,
    lines_of,
    list_elements,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: (" + TEXT + rb"*+))?\r\n")
_BARE_LINE = re.compile(rb"HTTP/1\.[^\r\n]*+\n")
_NAME = re.compile(rb"(" + TOKEN + rb")([ \t]*+):")

#: The fields that the framing of a response depends on, in a section in lower case.
_OBEYED = re.compile(rb"\n(content-length|transfer-encoding|connection|date):[ \t]*+([^\r]*+)")

_UPGRADE = re.compile(rb"\nupgrade:([^\r]*+)")

#: Of these one line is enough; handlers send them beside those that send_response() sent.
_ONCE = {name: lines_of(name) for name in (b"content-length", b"date")}


class ResponseHead:
    """A handler's response head, valid and brought into our version; never changed.

    Attributes:
        octets: the head as it may go on the wire when nothing is to be added or
            removed: HTTP/1.1, Content-Length and Date once at most.
        size: octets that the handler wrote.
        status: 100 to 999.
        length: what Content-Length says, None without one.
        chunked: whether the handler writes chunks.
        options: what Connection lists, in lower case.
        close: whether close is among the options.
        has_date: whether there is a Date.
    """

    __slots__ = ("chunked", "close", "has_date", "length", "octets", "options", "size", "status")

    def __init__(self, octets: bytes) -> None:
        """Judge a complete head.

        Raises:
            HandlerError: it cannot go on the wire.
        """
        line = _STATUS_LINE.match(octets)
        if line is None:
            raise HandlerError("malformed status line")
        section = octets[line.end() - 1 : -2]
        if SECTION.fullmatch(section) is None:
            raise HandlerError(_fault(section))
        found = _OBEYED.findall(section.lower())
        fields = dict(found)
        if len(fields) < len(found):
            fields = _joined(found)
            for lines in _ONCE.values():
                section = _first_only(section, lines)
        self.size = len(octets)
        status, reason = line.groups(b"")
        self.octets = b"HTTP/1.1 %b %b\r%b\r\n" % (status, reason, section)
        self.status = int(status)
        self.length = _length(fields[b"content-length"]) if b"content-length" in fields else None
        self.chunked = b"transfer-encoding" in fields
        if self.chunked:
            _judge_codings(fields[b"transfer-encoding"])
            if self.length is not None:
                raise HandlerError("both Content-Length and Transfer-Encoding")
        self.options = tuple(list_elements(fields[b"connection"])) if b"connection" in fields else ()
        self.close = b"close" in self.options
        self.has_date = b"date" in fields

    def switches_to(self, offered: Iterable[bytes]) -> bool:
        """Whether a 101 names protocols, and none but those (RFC 9110 section 7.8)."""
        named = list_elements(b",".join(_UPGRADE.findall(self.octets.lower())))
        return bool(named) and set(named) <= set(offered)


_remembered_head = lru_cache(MEMO_ENTRIES)(ResponseHead)


def parse_response_head(data: bytes) -> ResponseHead | None:
    """Read the response head that ``data``, what a handler has written, begins with.

    Returns:
        The head, or None if the handler has to write more.

    Raises:
        HandlerError: the head cannot go on the wire. The message names the field, not
            its value.

    Source: RFC 9112 sections 4 to 6; RFC 9110 section 5.5.
    """
    end = data.find(b"\r\n\r\n")
    if not 0 <= end <= SECTION_LIMIT:
        return _parse_unusual_head(data)
    octets = data[: end + 4]
    try:
        return (_remembered_head if end < MEMO_OCTETS else ResponseHead)(octets)
    except HandlerError:
        if _BARE_LINE.match(data) is None:
            raise
        return _parse_unusual_head(data)


def _parse_unusual_head(data: bytes) -> ResponseHead | None:
    """Read a head that has no end yet, or whose author knows no CR.

    Who writes a head by hand may end its lines with a bare LF. If the status line ends so, all of them must;
    if not, a bare LF is no line's end but somebody's attempt at a line of his own.
    """
    if data[:7] != b"HTTP/1."[: len(data)]:
        raise HandlerError("the answer does not begin with a status line")
    if _BARE_LINE.match(data):
        end = data.find(b"\n\n", 0, SECTION_LIMIT)
        if data.find(b"\r", 0, end if end >= 0 else len(data)) >= 0:
            raise HandlerError("a CR in a head whose status line ends without one")
        if end >= 0:
            head = ResponseHead(data[: end + 2].replace(b"\n", b"\r\n"))
            head.size = end + 2
            return head
    if len(data) > SECTION_LIMIT:
        raise HandlerError("the head has no end")
    return None


def _fault(section: bytes) -> str:
    """Say what is wrong with the first bad line of a section."""
    lines = section[1:-2].split(b"\r\n")
    bad = next(line for line in lines if FIELD_LINE.fullmatch(line) is None)
    match = _NAME.match(bad)
    if match is None:
        return "a field line does not begin with a name and a colon"
    name, space = match.groups()
    if space:
        return f"white space after the name of field {name.decode()}"
    return f"a control character in the value of field {name.decode()}"


def _joined(found: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Join the values of equal names, but for one that is only repeated."""
    gathered: dict[bytes, list[bytes]] = {}
    for name, value in found:
        gathered.setdefault(name, []).append(value.rstrip(b" \t"))
    if len(set(gathered.get(b"content-length", ()))) > 1:
        raise HandlerError("different values of field Content-Length")
    return {name: values[0] if name in _ONCE else b",".join(values) for name, values in gathered.items()}


def _first_only(section: bytes, lines: re.Pattern[bytes]) -> bytes:
    """Remove all but the first of some lines."""
    first = lines.search(section)
    if first is None:
        return section
    last = first.end() - 1
    return section[:last] + lines.sub(b"", section[last:])


def _length(value: bytes) -> int:
    value = value.rstrip(b" \t")
    if DIGITS.fullmatch(value) is None:
        raise HandlerError("the value of field Content-Length is no number")
    return int(value)


def _judge_codings(value: bytes) -> None:
    if list_elements(value) != [b"chunked"]:
        raise HandlerError("the value of field Transfer-Encoding is not chunked")
