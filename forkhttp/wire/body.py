"""Bodies: a decoder for each framing, and the encoder of chunks.

A decoder is given octets and says what of them is body and how many it has
used. It uses everything up to the end of its body, so a drip costs what a
flood costs: no octet is looked at twice. What follows the body is not touched.

Source: RFC 9112 sections 6 and 7.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from forkhttp.errors import ProtocolError
from forkhttp.wire.fields import CHUNKED
from forkhttp.wire.grammar import FIELD_LINE, TOKEN

if TYPE_CHECKING:
    from forkhttp.wire.head import RequestHead

#: The chunk that ends a body, without trailers.
LAST_CHUNK = b"0\r\n\r\n"

#: Chunk extensions may take so many octets in all, and one more for each octet of
#: payload, which signed chunks stay below. Node once read any number (CVE-2024-22019).
_EXTENSIONS = 16 << 10
_EXTENSION = (
    rb"[ \t]*+;[ \t]*+" + TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb'|"(?:[\t !#-\[\]-~\x80-\xff]'
    rb'|\\[\t\x20-\x7e\x80-\xff])*"))?'
)
#: A chunk's size and extensions. Sixteen digits stay below 2**64; no leading sign, prefix or space.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:" + _EXTENSION + rb")*)\r\n")
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_TRAILER_LINE = re.compile(FIELD_LINE.pattern + rb"\r\n")


class LengthBody:
    """A body of known length.

    Attributes:
        left: octets that are still to come.
        complete: whether its last octet has been seen.
    """

    __slots__ = ("complete", "left")

    def __init__(self, length: int) -> None:
        """Await ``length`` octets."""
        self.left = length
        self.complete = length == 0

    def decode(self, data: bytes) -> tuple[bytes, int]:
        """Give the body's octets at the start of ``data``, and how many octets that used."""
        payload = data[: self.left]
        self.left -= len(payload)
        self.complete = self.left == 0
        return payload, len(payload)


class TunnelBody:
    """What comes on a connection that has ceased to speak HTTP: every octet, up to the peer's end.

    Attributes:
        complete: set by whoever has seen the end.

    Source: RFC 9110 sections 7.8 and 9.3.6.
    """

    __slots__ = ("complete",)

    def __init__(self) -> None:
        """Await anything."""
        self.complete = False

    def decode(self, data: bytes) -> tuple[bytes, int]:
        """Give all of it, and how many octets that used."""
        return data, len(data)


class _Awaits(Enum):
    """What a chunked body goes on with."""

    SIZE = auto()
    PAYLOAD = auto()
    PAYLOAD_END = auto()
    TRAILER = auto()
    NOTHING = auto()


class ChunkedBody:
    """A chunked body. Extensions are ignored; trailers are checked and dropped."""

    __slots__ = ("_awaits", "_extensions", "_left", "_limit", "_line", "_payload", "_trailers")

    def __init__(self, limit: int) -> None:
        """Await chunks of ``limit`` octets of payload in all."""
        self._limit = limit
        self._awaits = _Awaits.SIZE
        self._line = b""  # the octets of a line that has not ended
        self._left = 0  # octets of the chunk that are still to come
        self._payload = 0  # octets of all chunks, as far as announced
        self._extensions = 0  # octets
        self._trailers = 0  # octets

    @property
    def complete(self) -> bool:
        """Whether its last octet has been seen."""
        return self._awaits is _Awaits.NOTHING

    def decode(self, data: bytes) -> tuple[bytes, int]:
        """Give the payload that ``data`` adds, and how many octets of ``data`` that used.

        All are used unless the body ends within them.

        Raises:
            ProtocolError: 400 for octets that break the grammar, 413 for a chunk beyond
                the limit (when it is announced), 431 for trailers that are too long.

        Source: RFC 9112 section 7.1.
        """
        parts: list[bytes] = []
        at = 0
        while at < len(data) and self._awaits is not _Awaits.NOTHING:
            if self._awaits is _Awaits.SIZE and not self._line:
                at = self._take_whole_chunks(data, at, parts)
            if self._awaits is _Awaits.PAYLOAD:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    self._awaits = _Awaits.PAYLOAD_END
            else:
                at = self._take_line(data, at)
        return b"".join(parts), at

    def _take_whole_chunks(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Take the chunks that are there from size to end: a flood of small ones costs a third so."""
        while match := _PLAIN_SIZE.match(data, at):
            start = match.end()
            stop = start + int(match[1], 16)
            if (
                stop == start
                or data[stop : stop + 2] != b"\r\n"
                or self._payload + stop - start > self._limit
            ):
                break
            parts.append(data[start:stop])
            self._payload += stop - start
            at = stop + 2
        return at

    def _take_line(self, data: bytes, at: int) -> int:
        """Take the line that begins or goes on at ``at``; give where its octets in ``data`` end."""
        longest, status = _LINES[self._awaits]
        room = longest - len(self._line) - self._trailers
        stop = data.find(b"\n", at, at + room) + 1
        if not stop:
            self._line += data[at : at + room]
            if len(data) - at >= room:
                raise ProtocolError(status, "too long a line in a chunked body")
            return len(data)
        line = self._line + data[at:stop]
        self._line = b""
        if self._awaits is _Awaits.SIZE:
            self._begin_chunk(line)
        elif self._awaits is _Awaits.TRAILER:
            self._end_trailer(line)
        elif line == b"\r\n":
            self._awaits = _Awaits.SIZE
        else:
            raise ProtocolError(400, "chunk without its end")
        return stop

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(400, "malformed chunk size")
        self._left = int(match[1], 16)
        self._extensions += len(match[2])
        if self._extensions > _EXTENSIONS + self._payload:
            raise ProtocolError(400, "too many chunk extensions")
        self._payload += self._left
        if self._payload > self._limit:
            raise ProtocolError(413, "body too long")
        self._awaits = _Awaits.PAYLOAD if self._left else _Awaits.TRAILER

    def _end_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if line == b"\r\n":
            self._awaits = _Awaits.NOTHING
        elif _TRAILER_LINE.fullmatch(line) is None:
            raise ProtocolError(400, "malformed trailer")


#: How many octets the lines of a chunked body may take, with their end (of the
#: trailers: all together), and the status that answers more.
_LINES = {
    _Awaits.SIZE: (1 << 10, 400),
    _Awaits.PAYLOAD_END: (2, 400),
    _Awaits.TRAILER: (8 << 10, 431),
}


def body_decoder(head: RequestHead, limit: int) -> LengthBody | ChunkedBody:
    """Give the decoder of the body that follows a head, of ``limit`` octets at most.

    Raises:
        ProtocolError: 413 for a Content-Length beyond the limit.
    """
    if head.length == CHUNKED:
        return ChunkedBody(limit)
    if head.length > limit:
        raise ProtocolError(413, "body too long")
    return LengthBody(head.length)


def encode_chunk(data: bytes) -> bytes:
    """Frame octets as one chunk; none give none, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
