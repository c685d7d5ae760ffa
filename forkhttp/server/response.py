"""wfile: the answer to the current request, checked and framed on its way out.

The handler writes a head and a body, as octets. The head is read back (``forkhttp.wire``):
what the grammar does not allow never reaches the wire, and framing, ``Connection`` and
``Date`` are the server's. Output is gathered, then let go: head and body leave in one
segment when the handler returns, flushes or has written ``GATHERED_AT_MOST``; if the
handler takes long, the lookout lets go what is there, and from then on each write goes
straight through.

Threads: the handler's thread writes; the lookout's may call ``let_go``. The usual case takes
no lock: the handler only appends to the list of pieces, which is atomic. From the first
``let_go`` on everything that leaves does so under the lock.
"""

from __future__ import annotations

import io
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from forkhttp.errors import HandlerError, PeerStalled, ProtocolError
from forkhttp.server.output import HELD_AT_MOST, FileSegment, Output
from forkhttp.wire import (
    CHUNKED,
    LAST_CHUNK,
    UNTIL_CLOSE,
    ChunkedBody,
    RequestHead,
    ResponseHead,
    encode_chunk,
    frame_interim,
    frame_response,
    has_body,
    opens_tunnel,
    parse_response_head,
    plain_answer,
)

if TYPE_CHECKING:
    from typing import BinaryIO

#: Octets of an answer that are gathered before they leave; two to three TCP segments on a LAN's jumbo
#: frames, well below a socket's send buffer.
GATHERED_AT_MOST = 64 << 10

#: Seconds that a handler waits for its peer before it gives a sign of life; below any ``timeouts.stall``.
AWAITED_AT_ONCE = 0.25


class Exchange(Protocol):
    """What the answer must know of its exchange."""

    @property
    def head(self) -> RequestHead:
        """The request that is being answered."""

    @property
    def send_timeout(self) -> float:
        """Seconds that the peer may take no octet of its answer."""

    def will_persist(self) -> bool:
        """Whether, as things stand, the connection goes on after this answer."""

    def date(self) -> bytes:
        """Give the value of the Date field."""

    def moved(self, octets: int) -> None:
        """Note that octets were received, or, with 0, that some were sent."""

    def end_after_answer(self) -> None:
        """Let the connection end with the current exchange."""

    def complain(self, fault: str) -> None:
        """Log what the handler did wrong, where it can be set right without stopping it."""

    @property
    def min_rate(self) -> int:
        """Octets a second that the peer must take of its answer, on average; 0: any."""

    @property
    def early_hints(self) -> bool:
        """Whether 103 answers are sent."""

    def interim_sent(self, status: int) -> None:
        """Note that an interim answer was sent."""

    def open_tunnel(self) -> None:
        """Cease to speak HTTP on the connection.

        Raises:
            HandlerError: that cannot be done yet.
        """


class ResponseStream(io.BufferedIOBase):
    """A writable stream that takes one answer at a time.

    Attributes:
        status: of the answer that was committed; 0 before.
        persistent: whether the connection may go on; decided when the head is committed.
        octets: of the body, as they went on the wire, without chunk framing.
        is_tunnel: the connection has ceased to speak HTTP; all that is written goes out as it is.
    """

    def __init__(self, exchange: Exchange, output: Output) -> None:
        """Answer the requests of ``exchange`` into ``output``."""
        self._exchange = exchange
        self._output = output
        self._lock = threading.Lock()
        self._pieces: list[bytes] = []
        self._unread_head = b""
        self._own_chunks: ChunkedBody | None = None
        self._left = 0
        self._unread_chunk = b""
        self._streaming = False
        self._void = False
        self._held = 0.0
        self._taken = 0
        self.is_tunnel = False
        self.begin()

    def begin(self) -> None:
        """Stand before a new answer."""
        self._head: ResponseHead | None = None
        self._own_chunks = None
        self._gathered = 0
        self.status = 0
        self.octets = 0
        self.persistent = True
        self._void = False
        if self._streaming or self._pieces or self._unread_head:
            self._streaming = False
            self._held = 0.0
            self._taken = 0
            self._pieces.clear()
            self._unread_head = self._unread_chunk = b""

    @property
    def committed(self) -> bool:
        """Whether a head has left: there can be no other."""
        return self.status != 0

    @property
    def ends_with_close(self) -> bool:
        """Whether nothing but the connection's end ends the answer."""
        return self._left == UNTIL_CLOSE

    def writable(self) -> bool:
        """It is."""
        return True

    # -- what the handler calls ----------------------------------------------------------------

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Take octets of the answer; all of them, always.

        Raises:
            HandlerError: what was written is no head that may be sent.
            PeerGone: the peer left.
        """
        if self.closed:
            raise ValueError("write to closed file")
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        if self._void:
            return len(data)
        if self._output.pending > HELD_AT_MOST:
            self._await_room()
        if self._head is None:
            self._write_head(data)
        else:
            self._pieces.append(data)
            self._gathered += len(data)
        if self._streaming or self._gathered > GATHERED_AT_MOST:
            self.let_go()
        return len(data)

    def flush(self) -> None:
        """Send what has been written."""
        if self._head is not None and not self.closed and not self._void:
            self.let_go()

    def close(self) -> None:
        """End the stream; the connection ends with it."""
        if self._output.is_dropped:
            # The collector closes streams, too, when the connection is long gone: there is nothing to flush.
            self._void = True
        else:
            self._exchange.end_after_answer()
        super().close()

    def send_file(self, source: BinaryIO, offset: int, count: int) -> bool:
        """Send a stretch of a regular file as the next octets of the body, by ``sendfile``.

        Nothing of it passes through this process's memory, and a slow reader costs no handler.

        Returns:
            False if nothing was sent, because the head announced no length or a smaller one.

        Raises:
            PeerGone: the peer left.
            OSError: ``source`` is no file, or there is no descriptor left for it.
        """
        if self.closed or count < 0:
            raise ValueError("a stretch of a file needs an open stream and a length")
        with self._lock:
            self._streaming = True
            self._push()
            if self._void or self._left < count:
                return False
            if count:
                segment = FileSegment(source.fileno(), offset, count)
                self._left -= count
                self.octets += count
                self._output.put_file(segment)
                self._output.drain()
            return True

    # -- what the server calls -----------------------------------------------------------------

    def let_go(self) -> None:
        """Send what is there; from now on each write goes straight through.

        Raises:
            PeerGone: the peer left.
        """
        output = self._output
        with self._lock:
            before = output.sent
            self._streaming = True
            self._push()
            if output.pending:
                output.drain()
            if output.sent != before:
                self._exchange.moved(0)

    def end(self) -> None:
        """The handler has returned: frame what it wrote, and send it.

        What is written from now on, by a thread that the handler left behind, goes nowhere.

        Raises:
            HandlerError: it wrote no answer, or less than it announced.
            PeerGone: the peer left.
        """
        if self._void:
            return
        if self._head is None:
            raise HandlerError("the handler returned without an answer")
        if self._streaming:
            with self._lock:
                self._push()
                self._end_body()
                self._void = True
        else:
            self._end_gathered(self._head)
            self._void = True

    def put_interim(self, octets: bytes) -> None:
        """Send an interim answer, unless the final one has begun.

        Raises:
            PeerGone: the peer left.
        """
        with self._lock:
            if not self.committed and not self._void:
                self._output.put(octets)

    def retire(self) -> None:
        """Belong to no connection any more: whoever still writes here writes nowhere."""
        self._void = True
        self._output = Output(-1)

    def substitute(self, status: int, detail: str, method: str) -> bool:
        """Send the server's own complete answer in place of the handler's; the connection ends with it.

        What the handler writes from now on goes nowhere.

        Args:
            status: of the answer.
            detail: a constant phrase for its body.
            method: of the request that it answers; empty if none was understood.

        Returns:
            False if a head has left already: there can be no other.

        Raises:
            PeerGone: the peer left.
        """
        with self._lock:
            if self.committed:
                return False
            answer = plain_answer(status, detail, self._exchange.date(), method=method)
            self._streaming = self._void = True
            self._pieces.clear()
            self.status = status
            self.octets = len(answer) - answer.index(b"\r\n\r\n") - 4
            self.persistent = False
            self._output.put(answer)
            return True

    # -- how it is done ------------------------------------------------------------------------

    def _write_head(self, data: bytes) -> None:
        data = self._unread_head + data if self._unread_head else data
        while True:
            head = parse_response_head(data)
            if head is None:
                self._unread_head = data
                return
            rest = data[head.size :]
            if head.status >= 200 or head.status == 101:
                break
            self._send_interim(head)
            data = rest
        self._unread_head = b""
        request = self._exchange.head
        # The first two are asked here because the answer is nearly always no.
        if (head.status == 101 or request.method == "CONNECT") and opens_tunnel(request.method, head.status):
            if head.status == HTTPStatus.SWITCHING_PROTOCOLS and not head.switches_to(request.upgrades):
                raise HandlerError("protocols cannot be switched unasked")
            self._exchange.open_tunnel()
            self.is_tunnel = self._streaming = True
        elif head.chunked and has_body(request.method, head.status):
            self._own_chunks = ChunkedBody(1 << 62)
        if rest:
            self._pieces.append(rest)
            self._gathered = len(rest)
        self._head = head

    def _send_interim(self, head: ResponseHead) -> None:
        exchange = self._exchange
        if not exchange.head.minor:
            return  # RFC 9110 section 15.2
        if head.status == HTTPStatus.EARLY_HINTS and not exchange.early_hints:
            return
        self.put_interim(frame_interim(head))
        exchange.interim_sent(head.status)

    def _await_room(self) -> None:
        """Hold the handler while much of what it wrote before has not left.

        Raises:
            PeerStalled: the peer took nothing, or too little while the handler was held, for too long.
        """
        output, exchange = self._output, self._exchange
        while output.pending > HELD_AT_MOST:
            patience = stall = exchange.send_timeout
            if exchange.min_rate:
                patience = min(stall, stall + self._taken / exchange.min_rate - self._held)
            began = time.monotonic()
            self._await_peer(max(patience, 0.0))
            self._held += time.monotonic() - began
            with self._lock:
                self._taken += output.drain()
                exchange.moved(0)

    def _await_peer(self, patience: float) -> None:
        """Wait until the socket takes octets again.

        That can last though the peer reads all the time: the kernel holds megabytes, and says so only when
        a third of its room is free. So it counts what the peer has acknowledged.

        Raises:
            PeerStalled: in ``patience`` seconds that was nothing, or too little.
        """
        output, exchange = self._output, self._exchange
        owed = output.outstanding
        deadline = time.monotonic() + patience
        while not output.wait(min(max(deadline - time.monotonic(), 0.0), AWAITED_AT_ONCE)):
            exchange.moved(0)  # who waits for the peer does not hang
            if time.monotonic() < deadline:
                continue
            taken = owed - output.outstanding
            if taken <= 0 or taken < exchange.min_rate * patience:
                raise PeerStalled("the peer takes no octets of its answer, or too few")
            owed -= taken
            deadline += exchange.send_timeout

    def _commit(self, head: ResponseHead, body: int | None) -> bytes:
        exchange = self._exchange
        request = exchange.head
        framing = frame_response(
            head,
            method=request.method,
            minor=request.minor,
            persistent=exchange.will_persist(),
            body=body,
            date=exchange.date(),
        )
        self.status = head.status
        self.persistent = framing.persistent
        self._left = framing.length
        return framing.octets

    def _end_gathered(self, head: ResponseHead) -> None:
        if self._own_chunks is not None:
            pieces = self._take_pieces()
            if not self._own_chunks.complete:
                raise HandlerError("the handler's own chunks do not end")
            self._own_chunks = None
            self._pieces = pieces
            self._gathered = sum(map(len, pieces))
        gathered = self._gathered
        octets = self._commit(head, gathered)
        if self._left > gathered:
            self.status = 0
            raise HandlerError(f"the answer is {self._left - gathered} octets shorter than it announced")
        if self._left == gathered:
            self.octets = gathered
            self._output.put(b"".join((octets, *self._pieces)) if gathered else octets)
            self._pieces.clear()
        else:
            self._output.put(octets + b"".join(self._body()))
            self._end_body()

    def _end_body(self) -> None:
        if self._own_chunks is not None and not self._own_chunks.complete:
            self.persistent = False
            raise HandlerError("the handler's own chunks do not end")
        if self._left == CHUNKED:
            self._output.put(LAST_CHUNK)
        elif self._left > 0:
            self.persistent = False
            raise HandlerError(f"the answer is {self._left} octets shorter than it announced")

    def _push(self) -> None:
        """Put all pieces on their way; under the lock."""
        head = self._head
        if head is None or self._void:
            return
        octets = b"" if self.committed else self._commit(head, None)
        body = self._body()
        # A large piece leaves by itself: joining would copy it.
        if octets and sum(map(len, body)) <= GATHERED_AT_MOST:
            body = [b"".join((octets, *body))]
        elif octets:
            body.insert(0, octets)
        for piece in body:
            self._output.put(piece)

    def _body(self) -> list[bytes]:
        """Take the pieces and give them as they go on the wire."""
        taken = self._take_pieces()
        if not taken:
            return taken
        size = sum(map(len, taken))
        if self._left == CHUNKED:
            self.octets += size
            data = taken[0] if len(taken) == 1 else b"".join(taken)
            return [encode_chunk(data)] if data else []
        if self._left < 0:
            self.octets += size
            return taken
        if size > self._left:
            taken = self._cut(taken, size)
            size = self._left
        self._left -= size
        self.octets += size
        return taken

    def _take_pieces(self) -> list[bytes]:
        """Take what is there; what the handler's thread appends in the meantime stays for the next time."""
        pieces = self._pieces
        count = len(pieces)
        taken = pieces[:count]
        del pieces[:count]
        return taken if self._own_chunks is None else self._unchunk(self._own_chunks, taken)

    def _cut(self, taken: list[bytes], size: int) -> list[bytes]:
        """Keep what was announced; the rest must not become the next answer."""
        request, head = self._exchange.head, self._head
        bodyless = request.method == "HEAD" or (head is not None and head.status in (204, 304))
        if not bodyless:
            self._exchange.complain(f"the answer is {size - self._left} octets longer than it announced")
        return [b"".join(taken)[: self._left]]

    def _unchunk(self, decoder: ChunkedBody, taken: list[bytes]) -> list[bytes]:
        """Read the chunks that the handler framed by itself: what goes on is framed by the server."""
        data = self._unread_chunk + b"".join(taken)
        payloads = []
        try:
            while data and not decoder.complete:
                payload, consumed = decoder.decode(data)
                if not consumed:
                    break
                data = data[consumed:]
                if payload:
                    payloads.append(payload)
        except ProtocolError as error:
            self._unread_chunk = data  # whoever comes next, the handler after the lookout, meets it again
            raise HandlerError(f"the handler's own chunks are not well formed: {error.detail}") from error
        self._unread_chunk = b"" if decoder.complete else data
        return payloads
