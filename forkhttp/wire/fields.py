"""The fields of a request, and what they say about its framing and its connection.

A field section is judged once: what follows from it is a pure function of its
octets, and is remembered for the sections that clients repeat.
"""

from __future__ import annotations

import re
from functools import lru_cache

from forkhttp.errors import ProtocolError
from forkhttp.wire.forwarded import Family, family_of
from forkhttp.wire.grammar import DIGITS, MEMO_ENTRIES, MEMO_OCTETS, SECTION, list_elements
from forkhttp.wire.target import authority

#: In place of a length: the body is chunked, its end shows when it is there.
CHUNKED = -1

#: The fields that the server itself obeys, in a section in lower case.
_OBEYED = re.compile(rb"\n(host|connection|content-length|transfer-encoding|expect):[ \t]*+([^\r]*+)")


class FieldSection:
    """A valid field section and what the server must know of it; never changed.

    Attributes:
        octets: the section as it was sent, the LF before it in front.
        lines: number of field lines.
        host: the Host field's value in lower case, None without one.
        length: octets of the body, 0 for none, or CHUNKED.
        persistent: whether the peer wishes to keep the connection: in
            HTTP/1.0, in HTTP/1.1.
        expects_continue: whether Expect lists 100-continue.
    """

    __slots__ = (
        "_families",
        "_items",
        "_values",
        "expects_continue",
        "host",
        "length",
        "lines",
        "octets",
        "persistent",
    )

    def __init__(self, octets: bytes) -> None:
        """Judge a section.

        Raises:
            ProtocolError: 400, or 501 for a transfer coding that is not spoken.
        """
        if SECTION.fullmatch(octets) is None:
            raise ProtocolError(400, "malformed field line")
        self.octets = octets
        self.lines = octets.count(b"\n") - 1
        found = _OBEYED.findall(octets.lower())
        obeyed = dict(found)
        if len(obeyed) < len(found):
            obeyed = _joined(found)
        host = obeyed.get(b"host")
        self.host = None if host is None else authority(host.rstrip(b" \t"))
        self.length = _length(obeyed.get(b"content-length"), obeyed.get(b"transfer-encoding"))
        options = obeyed.get(b"connection", b"")
        self.persistent = _USUAL_WISHES.get(options) or _wishes(options)
        self.expects_continue = b"expect" in obeyed and b"100-continue" in list_elements(obeyed[b"expect"])
        self._items: tuple[tuple[str, str], ...] | None = None
        self._values: dict[str, str] | None = None
        self._families: frozenset[Family | None] | None = None

    @property
    def families(self) -> frozenset[Family | None]:
        """The families of forwarded fields that are here, and None if there are other fields."""
        if self._families is None:
            self._families = frozenset(family_of(name) for name in self.values)
        return self._families

    @property
    def items(self) -> tuple[tuple[str, str], ...]:
        """Names as sent and values without white space around them, in the order of the wire."""
        if self._items is None:
            lines = self.octets[1:-2].decode("latin-1").split("\r\n") if self.lines else ()
            pairs = (line.split(":", 1) for line in lines)
            self._items = tuple((name, value.strip(" \t")) for name, value in pairs)
        return self._items

    @property
    def values(self) -> dict[str, str]:
        """Values by name in lower case; those of equal names joined by a comma."""
        if self._values is None:
            gathered: dict[str, list[str]] = {}
            for name, value in self.items:
                gathered.setdefault(name.lower(), []).append(value)
            self._values = {name: ", ".join(values) for name, values in gathered.items()}
        return self._values


_remembered_section = lru_cache(MEMO_ENTRIES)(FieldSection)


def read_section(octets: bytes) -> FieldSection:
    """Judge a request's field section, LF in front; a section of usual size is remembered.

    Raises:
        ProtocolError: 400, or 501 for a transfer coding that is not spoken.
    """
    return (_remembered_section if len(octets) <= MEMO_OCTETS else FieldSection)(octets)


def _joined(found: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Join the values of equal names as those of a list; a Content-Length is none, which shows later."""
    gathered: dict[bytes, list[bytes]] = {}
    for name, value in found:
        gathered.setdefault(name, []).append(value)
    if len(gathered.get(b"host", ())) > 1:
        raise ProtocolError(400, "more than one Host")
    if not all(value.strip(b" \t") for value in gathered.get(b"transfer-encoding", ())):
        # Who takes the last of several lines sees no coding here.
        raise ProtocolError(400, "an empty Transfer-Encoding beside another")
    return {name: b",".join(values) for name, values in gathered.items()}


def _length(length: bytes | None, codings: bytes | None) -> int:
    """Tell how many octets of body follow, or CHUNKED.

    A message with both fields is refused: two hops may disagree about where it
    ends. So is a Content-Length that is repeated or a list, of equal numbers too.

    Source: RFC 9112 section 6.3, rules 3 to 6.
    """
    if codings is None:
        if length is None:
            return 0
        length = length.rstrip(b" \t")
        if DIGITS.fullmatch(length) is None:
            raise ProtocolError(400, "invalid Content-Length")
        return int(length)
    if length is not None:
        raise ProtocolError(400, "both Content-Length and Transfer-Encoding")
    elements = list_elements(codings)
    if elements[-1:] != [b"chunked"] or elements.count(b"chunked") > 1:
        raise ProtocolError(400, "Transfer-Encoding does not end in one chunked")
    if len(elements) > 1:
        raise ProtocolError(501, "unknown transfer coding")
    return CHUNKED


def _wishes(options: bytes) -> tuple[bool, bool]:
    """Tell from Connection whether the peer wishes to persist: in HTTP/1.0, in HTTP/1.1."""
    elements = list_elements(options)
    stays = b"close" not in elements
    return stays and b"keep-alive" in elements, stays


#: What nearly every client says.
_USUAL_WISHES = {b"": (False, True), b"keep-alive": (True, True), b"close": (False, False)}
