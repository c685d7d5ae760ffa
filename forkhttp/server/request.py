"""rfile: the body of the current request, and not one octet more.

What fits ``limits.buffered_body`` is here before the handler is entered; the rest is
received while the handler reads, in its own thread, within ``timeouts.body``. Reading
without a size ends where the body ends.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forkhttp.wire import ChunkedBody, LengthBody, TunnelBody


class BodySource(Protocol):
    """Where a body that is not here yet comes from."""

    def receive(self) -> bytes:
        """Wait for octets and give what the body's decoder made of them.

        Empty once the body is complete.

        Raises:
            PeerGone: the peer left, or kept the handler waiting for too long.
            ProtocolError: the peer's framing is broken.
        """

    def end_after_answer(self) -> None:
        """Let the connection end with the current exchange."""


class _Nobody:
    """Where nothing comes from."""

    def receive(self) -> bytes:
        return b""

    def end_after_answer(self) -> None:
        """There is no connection."""


class RequestStream(io.BufferedIOBase):
    """A readable stream over one request's body at a time."""

    def __init__(self, source: BodySource) -> None:
        """Read on from ``source`` when what was put here is used up."""
        self._source = source
        self._data = b""
        self._at = 0
        self._more = bytearray()  # what was appended to ``_data``; grows in place, however small the pieces
        self.body: LengthBody | ChunkedBody | TunnelBody | None = None

    def begin(self, body: LengthBody | ChunkedBody | TunnelBody | None, data: bytes) -> None:
        """Stand at the start of a new body of which ``data`` is already here."""
        self.body = body
        self._data = data
        self._at = 0
        if self._more:
            self._more = bytearray()

    def retire(self) -> None:
        """Belong to no connection any more: whoever still reads here reads nothing."""
        self.begin(None, b"")
        self._source = _Nobody()

    def append(self, data: bytes) -> None:
        """Put more of the body here, before the handler is entered; ``settle`` makes it readable."""
        if self._data:
            self._more += data
        else:
            self._data = data

    def settle(self) -> None:
        """Let the handler read what was appended."""
        if self._more:
            self._data += self._more
            self._more = bytearray()

    @property
    def buffered(self) -> int:
        """Octets that are here and not read."""
        return len(self._data) + len(self._more) - self._at

    def prepend(self, head: bytes) -> None:
        """Put a head before the body, for a handler class that parses it itself."""
        self._data = head + self._rest()

    def skip(self, size: int) -> None:
        """Stand behind a head of ``size`` octets, however much of it has been read."""
        self._at = max(self._at, size)

    @property
    def complete(self) -> bool:
        """Whether all of the body has been received (the handler need not have read it)."""
        return self.body is None or self.body.complete

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` octets, or all up to the end of the body.

        Raises:
            PeerGone: the body ended before it was complete.
        """
        if size is None or size < 0:
            parts = [self._rest()]
            while data := self._receive():
                parts.append(data)
            return b"".join(parts)
        if len(self._data) - self._at < size:
            self._gather(size)
        return self._take(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Read what is here, waiting only if that is nothing."""
        if self._at == len(self._data):
            self._refill()
        return self._take(len(self._data) if size < 0 else size)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read into ``buffer``; give the number of octets."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readinto1(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read what is here into ``buffer``; give the number of octets."""
        view = memoryview(buffer).cast("B")
        data = self.read1(len(view))
        view[: len(data)] = data
        return len(data)

    def peek(self, size: int = 0, /) -> bytes:
        """Show what is here without taking it, waiting only if that is nothing."""
        del size
        if self._at == len(self._data):
            self._refill()
        return self._data[self._at :]

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to and including the next line feed, ``size`` octets at the most."""
        at = self._at
        limit = sys.maxsize if size is None or size < 0 else size
        end = self._data.find(b"\n", at, at + limit) + 1
        if end:
            return self._take(end - at)
        return self._take(limit if len(self._data) - at >= limit else self._gather_line(limit))

    def close(self) -> None:
        """End the stream; the connection ends with it."""
        self._source.end_after_answer()
        super().close()

    def __iter__(self) -> Iterator[bytes]:
        """Read line by line."""
        return iter(self.readline, b"")

    def _take(self, size: int) -> bytes:
        at = self._at
        data = self._data[at : at + size]
        self._at = at + len(data)
        return data

    def _rest(self) -> bytes:
        rest = self._data[self._at :] if self._at else self._data
        self._data = b""
        self._at = 0
        return rest

    def _gather(self, size: int) -> None:
        parts = [self._rest()]
        gathered = len(parts[0])
        while gathered < size and (data := self._receive()):
            parts.append(data)
            gathered += len(data)
        self._data = b"".join(parts)

    def _gather_line(self, limit: int) -> int:
        """Gather up to a line feed that is still to come, or ``limit`` octets; give how many to take."""
        parts = [self._rest()]
        gathered = len(parts[0])
        wanted = limit
        while gathered < wanted and (data := self._receive()):
            parts.append(data)
            if end := data.find(b"\n") + 1:
                wanted = min(gathered + end, limit)
            gathered += len(data)
        self._data = b"".join(parts)
        return wanted

    def _refill(self) -> None:
        self._data = self._receive()
        self._at = 0

    def _receive(self) -> bytes:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self.complete:
            return b""
        return self._source.receive()
