"""The head of a request: from the octets of a connection to a value.

``parse_head`` has two ways. A head that is complete and usual is read by two
regular expressions. Whatever is not goes the slow way, which walks line by line and
finds the fault that comes first on the wire; so the verdict does not depend on
how the octets were split on their way here. An unfinished head is walked too,
each line once: a request line that cannot become one is refused without
waiting for the rest.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from forkhttp.errors import ProtocolError
from forkhttp.wire.fields import CHUNKED, FieldSection, read_section
from forkhttp.wire.forwarded import Family, family_of
from forkhttp.wire.grammar import CONTROL, FIELD_LINE, SECTION_LIMIT, TCHAR, TOKEN, list_elements
from forkhttp.wire.target import read_target

#: The usual request line: origin-form in HTTP/1.x. A fragment is never sent.
_USUAL_LINE = re.compile(rb"(?!CONNECT )(" + TOKEN + rb') (/[!"$-~]*+) HTTP/1\.([0-9])\r\n')

#: Any request line, without its CRLF.
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb') ([!"$-~]++) HTTP/([0-9])\.([0-9])')

#: How a request line begins, as far as it is there. Sixty-four octets tell.
_METHOD_START = re.compile(TCHAR + rb"{64}|" + TOKEN + rb"(?: |\Z)|\Z")

#: Old clients send an empty line after a body; so many are skipped before a request line.
_EMPTY_LINES = 4


class HeadLimits(NamedTuple):
    """How much head is read: octets of the request line, octets of a field line, number of fields."""

    request_line: int
    field: int
    fields: int


class RequestHead:
    """The head of one request, valid in itself and as HTTP/1.1 demands.

    It is never changed, but that whoever knows the peer may set ``believed``.

    Attributes:
        method: any token, as it was sent.
        target: what a handler takes as its path: origin-form (absolute-form is
            reduced to it), ``*``, or host and port for CONNECT.
        minor: 0 or 1; the peer speaks HTTP/1.minor. A higher one counts as 1.
        octets: the head as it was sent, request line to empty line.
        size: octets consumed; more than ``octets`` if empty lines came first.
        length: octets of the body, 0 for none, or CHUNKED.
        persistent: whether the peer wishes to keep the connection (RFC 9112 section 9.3).
        expects_continue: whether the peer awaits a 100 (RFC 9110 section 10.1.1).
        authority: host and port that are meant, in lower case: of the target if it
            names them, else of Host; empty if neither does.
        believed: the family of forwarded fields that is shown; the other's are as if they
            had not been sent.
    """

    __slots__ = (
        "_section",
        "_target_rules",
        "authority",
        "believed",
        "expects_continue",
        "length",
        "method",
        "minor",
        "octets",
        "persistent",
        "size",
        "target",
    )

    def __init__(
        self, octets: bytes, size: int, line: tuple[str, str, int, str], section: FieldSection
    ) -> None:
        """Join the request line and the fields.

        Raises:
            ProtocolError: 400, for what the fields may not say in this version.
        """
        self.method, self.target, self.minor, authority = line
        self.octets = octets
        self.size = size
        self.length = section.length
        self.persistent = section.persistent[self.minor]
        self.expects_continue = section.expects_continue
        self.authority = authority or section.host or ""
        self.believed = Family.NONE
        self._section = section
        self._target_rules = authority != "" and self.method != "CONNECT"
        if self.minor:
            if section.host is None:
                raise ProtocolError(400, "no Host")
            return
        self.expects_continue = False
        if section.length == CHUNKED:
            raise ProtocolError(400, "Transfer-Encoding in HTTP/1.0")

    @property
    def request_line(self) -> str:
        """The request line as it was sent, without its CRLF."""
        return self.octets[: self.octets.index(b"\r\n")].decode()

    @property
    def upgrades(self) -> tuple[bytes, ...]:
        """The protocols that the request offers, in lower case (RFC 9110 section 7.8); HTTP/1.0 cannot."""
        options, protocols = (
            list_elements(self._section.values.get(name, "").lower().encode("latin-1"))
            for name in ("connection", "upgrade")
        )
        return tuple(protocols) if self.minor and b"upgrade" in options else ()

    def field(self, name: str) -> str | None:
        """Give the values of a field, joined by ``", "``; None if there is none."""
        name = name.lower()
        if name == "host" and self._target_rules:
            return self.authority
        return self._section.values.get(name) if self._shows(name) else None

    def fields(self) -> list[tuple[str, str]]:
        """Give all fields in the order of the wire.

        The authority of an absolute-form replaces Host (RFC 9112 section 3.2.2).
        """
        shown = list(self._section.items)
        if self._hides:
            shown = [item for item in shown if self._shows(item[0].lower())]
        if not self._target_rules:
            return shown
        return [("Host", self.authority), *(item for item in shown if item[0].lower() != "host")]

    @property
    def shown_octets(self) -> bytes:
        """The head as it was sent, without the forwarded fields that are not believed."""
        if not self._hides:
            return self.octets
        request_line, *lines = self.octets.split(b"\r\n")
        kept = [line for line in lines if self._shows(line.partition(b":")[0].decode().lower())]
        return b"\r\n".join((request_line, *kept))

    @property
    def _hides(self) -> bool:
        """Whether there are fields that are not shown."""
        return not self._section.families <= {None, self.believed} and self.believed is not Family.ANY

    def _shows(self, name: str) -> bool:
        """Whether a field of this name, in lower case, is shown if it is there."""
        family = family_of(name)
        return family is None or self.believed in (family, Family.ANY)


class RequestLine(NamedTuple):
    """A request line; ``authority`` is empty unless the target names one."""

    method: str
    target: str
    minor: int
    authority: str


def parse_head(data: bytes, limits: HeadLimits, scanned: int = 0) -> RequestHead | None:
    """Read the request head that ``data`` begins with.

    Args:
        data: what has arrived and is not consumed; octets after the head are not looked at.
        limits: how long lines may be and how many.
        scanned: how many octets ``data`` had when it was last given here and was
            not enough; they are not searched again.

    Returns:
        The head, or None if more octets are needed.

    Raises:
        ProtocolError: 400, 414, 431, 501 or 505. Nothing after it may be parsed.

    Source: RFC 9112 sections 2 to 7; RFC 9110 section 7.2.
    """
    end = data.find(b"\r\n\r\n", scanned - 3 if scanned > 3 else 0)
    if end > 0:
        head = _usual_head(data, end, limits)
        if head is not None:
            return head
    begin = 0
    while begin < 2 * _EMPTY_LINES and data.startswith(b"\r\n", begin):
        begin += 2
    end = data.find(b"\r\n\r\n", max(begin, scanned - 3))
    if end < 0:
        _walk(data, begin, len(data), limits, scanned)
        return None
    _walk(data, begin, end + 2, limits)
    eol = data.index(b"\r\n", begin)
    line = _read_request_line(data[begin:eol])
    head = RequestHead(data[begin : end + 4], end + 4, line, read_section(data[eol + 1 : end + 2]))
    if head.length and head.method == "CONNECT":
        # RFC 9110 section 9.3.6: it has none. Two hops could disagree about where the tunnel begins.
        raise ProtocolError(400, "CONNECT with a body")
    return head


def _usual_head(data: bytes, end: int, limits: HeadLimits) -> RequestHead | None:
    """Read a head without empty lines before it, with a path for a target; None if not usual or at fault."""
    match = _USUAL_LINE.match(data)
    if match is None:
        return None
    fields = match.end()
    # A section that is shorter than one line may be holds no line that is too long.
    if fields - 2 > limits.request_line or end - fields > limits.field:
        return None
    try:
        section = read_section(data[fields - 1 : end + 2])
    except ProtocolError:
        return None
    if section.lines > limits.fields:
        return None
    method, target, minor = match.groups()
    line = (method.decode(), target.decode(), 0 if minor == b"0" else 1, "")
    return RequestHead(data[: end + 4], end + 4, line, section)


class _Room(NamedTuple):
    """How long a line may be, and what answers a longer one."""

    octets: int
    status: int


def _walk(data: bytes, begin: int, stop: int, limits: HeadLimits, scanned: int = 0) -> None:
    """Raise the first fault on the wire of the lines of a head, finished or not.

    A line is judged by its octets as they come and by its grammar when it is
    complete. What an earlier call has judged, up to ``scanned``, is passed over.
    """
    room = _Room(limits.request_line, 414)
    end, complete = _line_end(data, begin, stop)
    if end >= scanned - 1:
        if _METHOD_START.match(data, begin, min(end, begin + room.octets)) is None:
            raise ProtocolError(400, "no request line")
        _judge_octets(data, begin, end, room, scanned)
        if not complete:
            return
        _read_request_line(data[begin:end])
    fields = end + 2
    at = max(fields, data.rfind(b"\n", fields, scanned) + 1)
    # Counting looks at each octet, so only when a line has ended.
    lines = data.count(b"\n", fields, at) if b"\n" in data[at:stop] else 0
    while at < stop:
        room = _Room(min(limits.field, max(0, fields + SECTION_LIMIT - at)), 431)
        end, complete = _line_end(data, at, stop)
        _judge_octets(data, at, end, room, scanned)
        if not complete:
            return
        lines += 1
        if lines > limits.fields:
            raise ProtocolError(431, "too many fields")
        _judge_field_line(data[at:end])
        at = end + 2


def _line_end(data: bytes, at: int, stop: int) -> tuple[int, bool]:
    """Give where the text of a line ends, and whether its CRLF is there.

    A bare LF ends no line. A last CR may be half of the end; the next octet shows.
    """
    lf = data.find(b"\n", at, stop)
    if lf > at and data[lf - 1] == ord("\r"):
        return lf - 1, True
    return stop - data.endswith(b"\r", at, stop), False


def _judge_octets(data: bytes, at: int, end: int, room: _Room, scanned: int) -> None:
    """Judge the text of a line, complete or not, by its octets and its length."""
    if CONTROL.search(data, max(at, scanned - 1), min(end, at + room.octets)) is not None:
        raise ProtocolError(400, "control character in a head")
    if end - at > room.octets:
        raise ProtocolError(room.status, "line too long in a head")


def _judge_field_line(line: bytes) -> None:
    """Judge a complete field line by its grammar."""
    if FIELD_LINE.fullmatch(line) is None:
        if line.startswith((b" ", b"\t")):
            raise ProtocolError(400, "folded field line")
        raise ProtocolError(400, "malformed field line")


def _read_request_line(line: bytes) -> RequestLine:
    """Read a request line without its CRLF.

    Raises:
        ProtocolError: 400, or 505 for another major version.

    Source: RFC 9112 section 3; RFC 9110 section 2.5.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise ProtocolError(400, "malformed request line")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise ProtocolError(505, "HTTP version not spoken here")
    path, authority = read_target(method, target)
    return RequestLine(method.decode(), path, min(int(minor), 1), authority)
