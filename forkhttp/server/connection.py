"""A connection: an accepted socket, what it is doing, and what it would take along if it moved.

Everything here belongs to the thread that holds the baton, or to the exchange that is
running on the connection; nothing is touched by two of them at once. What another
process would need to go on with a parked connection is one value,
``ConnectionState``; the rest is made anew where it arrives.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from enum import IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from forkhttp.errors import HandlerError, PeerGone, PeerStalled
from forkhttp.scoreboard import ORDER, Order
from forkhttp.server.output import Output
from forkhttp.server.request import RequestStream
from forkhttp.server.response import AWAITED_AT_ONCE, ResponseStream
from forkhttp.server.timers import NOWHERE
from forkhttp.wire import TunnelBody

if TYPE_CHECKING:
    from forkhttp.handlers.port import Resident
    from forkhttp.server.conditions import Conditions
    from forkhttp.wire import RequestHead

#: Octets that one receive asks for where a request begins: a head fits. What is received is cut down to
#: what came, but what follows the cut is lost to the next receive; so more would cost memory (measured for
#: 1000 slow readers of 64 KiB: 118 KiB each with 64 KiB here, 71 with 16).
RECEIVED_AT_ONCE = 16 << 10

#: The same where a request goes on, so that a body takes few turns.
BODY_AT_ONCE = 64 << 10

#: Seconds without an octet in a tunnel, where the handler class sets no timeout: as good as for ever.
_TUNNEL_TIMEOUT = 7 * 86400.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

#: SO_LINGER on with no time: the close is a reset, which no peer takes for the end of an answer (socket(7)).
_RESET = struct.pack("ii", 1, 0)


class Phase(IntEnum):
    """What a connection is doing."""

    PARKED = 0
    HEAD = 1
    BODY = 2
    BUSY = 3
    SENDING = 4
    LINGERING = 5
    CLOSED = 6
    PREAMBLE = 7


class Event(IntEnum):
    """What happens to a connection."""

    SOME_HEAD = 0  # octets that do not end a head
    SOME_BODY = 1  # a head, and less of its body than is awaited
    REQUEST = 2  # all that is awaited before the handler
    REFUSED = 3  # octets that are no request; the answer says so
    ANSWERED = 4  # the answer has left, the connection goes on
    UNSENT = 5  # the answer is complete, but the peer has not taken all of it
    LAST = 6  # the last answer has left
    OVER = 7  # the peer left, or its time is up
    INTRODUCED = 8  # the proxy has said whom it speaks for


_LIVING = (
    Phase.PREAMBLE,
    Phase.PARKED,
    Phase.HEAD,
    Phase.BODY,
    Phase.BUSY,
    Phase.SENDING,
    Phase.LINGERING,
)

#: Where each event leads. What is not here cannot happen; a test holds the list of those.
NEXT: dict[tuple[Phase, Event], Phase] = {
    **{
        (phase, event): after
        for phase in (Phase.PARKED, Phase.HEAD)
        for event, after in (
            (Event.SOME_HEAD, Phase.HEAD),
            (Event.SOME_BODY, Phase.BODY),
            (Event.REQUEST, Phase.BUSY),
            (Event.REFUSED, Phase.BUSY),
        )
    },
    (Phase.PREAMBLE, Event.INTRODUCED): Phase.PARKED,
    (Phase.PREAMBLE, Event.REFUSED): Phase.BUSY,
    (Phase.BODY, Event.SOME_BODY): Phase.BODY,
    (Phase.BODY, Event.REQUEST): Phase.BUSY,
    (Phase.BODY, Event.REFUSED): Phase.BUSY,
    (Phase.BUSY, Event.ANSWERED): Phase.PARKED,
    (Phase.BUSY, Event.UNSENT): Phase.SENDING,
    (Phase.BUSY, Event.LAST): Phase.LINGERING,
    (Phase.SENDING, Event.UNSENT): Phase.SENDING,
    (Phase.SENDING, Event.ANSWERED): Phase.PARKED,
    (Phase.SENDING, Event.LAST): Phase.LINGERING,
    **{(phase, Event.OVER): Phase.CLOSED for phase in _LIVING},
}


class ConnectionState:
    """What a connection is, apart from its socket: all that another process would need to go on with it.

    Attributes:
        listener: number of the listener that it came by.
        client_address: of the peer, as the handler sees it.
        unread: octets that were received and belong to no exchange yet.
        exchanges: how many requests it has made.
        scheme: ``http`` or ``https``, as the peer came.
        trusted: what the peer says of its own clients is believed.
        last: the current exchange is the last one, whatever else is said.
    """

    __slots__ = ("client_address", "exchanges", "last", "listener", "scheme", "trusted", "unread")

    def __init__(self, listener: int, client_address: Any) -> None:  # noqa: ANN401 - the address is what the family makes it
        """Begin with nothing received."""
        self.listener = listener
        self.client_address = client_address
        self.unread = b""
        self.exchanges = 0
        self.scheme = "http"
        self.trusted = False
        self.last = False


class Connection:
    """One accepted socket and the exchange on it; the port through which its handler is served.

    Attributes:
        request: the socket, as it is handed to the handler class.
        fd: its descriptor; the loop stops watching it before it is closed.
        head: of the current exchange, or of the last one.
        client_address, scheme: of who asks in the current exchange, as far as a proxy is believed.
        began: instant at which the current exchange's request began, in nanoseconds.
        announced: while it lingers, octets of the last request's body that may still come.
        owed: while it sends, octets that the peer had not acknowledged when that was last looked at.
        deadline: when the current phase must be over.
        slot: where the timers keep it.
        scanned: octets of ``state.unread`` in which no head ends.
        resident: the handler instance that lives here; None before the first request.
        unverified: the server's hook has not been asked about ``client_address``.
        replays: ``rfile`` begins with the head's octets, for a class that parses them itself.
    """

    __slots__ = (
        "__weakref__",
        "_asked_for_more",
        "_conditions",
        "_continue_is_awaited",
        "_head_waits",
        "announced",
        "began",
        "body_began",
        "body_left_at",
        "body_octets",
        "client_address",
        "deadline",
        "fd",
        "head",
        "output",
        "owed",
        "phase",
        "replays",
        "request",
        "resident",
        "rfile",
        "scanned",
        "scheme",
        "slot",
        "state",
        "timeout",
        "unverified",
        "wfile",
    )

    rfile: RequestStream
    wfile: ResponseStream
    head: RequestHead

    def __init__(self, request: socket.socket, state: ConnectionState, conditions: Conditions) -> None:
        """Park a socket that was just accepted."""
        self.request = request
        self.fd = request.fileno()
        self.state = state
        self.phase = Phase.PARKED
        self.client_address = state.client_address
        self.scheme = state.scheme
        self.output = Output(self.fd)
        self.resident: Resident | None = None
        self.timeout: float | None = None
        self.began = 0
        self.body_began = 0.0
        self.body_left_at = 0.0
        self.announced = 0
        self.owed = 0
        self.body_octets = 0
        self.deadline = 0.0
        self.slot = NOWHERE
        self.scanned = 0
        self._conditions = conditions
        self._continue_is_awaited = False
        self._head_waits = False
        self._asked_for_more = False
        self.replays = False
        self.unverified = False

    def open_streams(self) -> None:
        """Make what a handler reads and writes; a connection that never asks needs none."""
        self.rfile = RequestStream(self)
        self.wfile = ResponseStream(self, self.output)

    # -- the port of the handler ------------------------------------------------------------

    @property
    def records(self) -> bool:
        """Whether the server writes the access log."""
        return self._conditions.records

    @property
    def always_persistent(self) -> bool:
        """Whether connections persist whatever the class declares."""
        return self._conditions.always_persistent

    def take_head(self) -> RequestHead | None:
        """Give the head of the request that is to be served, once; then None."""
        if not self._head_waits:
            # A handle() that loops comes round as long as its connection is to go on.
            resident = self.resident
            self._asked_for_more = resident is not None and not resident.close_connection
            return None
        self._head_waits = False
        if self.replays:
            self.rfile.skip(len(self.head.shown_octets))
        return self.head

    def replay_heads(self) -> None:
        """Let ``rfile`` begin with the head's octets, for a class that parses them itself."""
        self.replays = True
        if self._head_waits:
            self.rfile.prepend(self.head.shown_octets)

    def take_early(self, size: int, *, peek: bool) -> bytes | None:
        """Give up to ``size`` octets of the body, or those of a tunnel that came early; None: ask the socket.

        ``peek``: without taking them.
        """
        rfile = self.rfile
        if not rfile.buffered and (peek or self.wfile.is_tunnel):
            return None
        return rfile.peek()[:size] if peek else rfile.read1(size)

    def end_soon(self) -> bool:
        """End the connection when the current answer has left; False in a tunnel, or if there is none."""
        if self.phase is not Phase.BUSY or self.wfile.is_tunnel:
            return False
        self.end_after_answer()
        return True

    def set_timeout(self, seconds: float) -> None:
        """Use this, instead of the settings, for idle time and stalls of the connection."""
        self.timeout = seconds

    def end_after_answer(self) -> None:
        """Let the connection end with the current exchange."""
        self.state.last = True
        self.wfile.persistent = False

    def log(self, line: str) -> None:
        """Write a line of the handler's to the error log."""
        self._conditions.log(line)

    def log_failure(self, error: BaseException) -> None:
        """Write the exception that ended the exchange to the error log."""
        self._conditions.log_failure(self.head, error)

    # -- the exchange, as its streams see it ----------------------------------------------------

    def begin_exchange(self, head: RequestHead) -> None:
        """Put a request before the handler."""
        self.head = head
        self.state.exchanges += 1
        self._head_waits = True
        self._asked_for_more = False
        self._continue_is_awaited = head.expects_continue
        if self.replays:
            self.rfile.prepend(head.shown_octets)

    @property
    def send_timeout(self) -> float:
        """Seconds that the peer may take no octet of its answer."""
        return self._conditions.settings.timeouts.send if self.timeout is None else self.timeout

    @property
    def body_timeout(self) -> float:
        """Seconds that the peer may send no octet of its body."""
        return self._conditions.settings.timeouts.body if self.timeout is None else self.timeout

    def will_persist(self) -> bool:
        """Whether, as things stand, the connection goes on after this answer."""
        resident = self.resident
        most = self._conditions.settings.limits.keep_alive_requests
        return not (
            resident is None
            or not self.head.persistent
            or (resident.close_connection and not self._asked_for_more)
            or self.state.last
            or self._conditions.leaving
            or self._conditions.cells[ORDER] > Order.SERVE
            or not self.rfile.complete
            or 0 < most <= self.state.exchanges
            or (not resident.movable and self._conditions.crowded)
        )

    def date(self) -> bytes:
        """Give the value of the Date field."""
        return self._conditions.date()

    def complain(self, fault: str) -> None:
        """Log what the handler did wrong."""
        self._conditions.complain(self.head, fault)

    def moved(self, octets: int) -> None:
        """Note progress of the exchange, from whichever thread runs it."""
        self.body_octets += octets
        self._conditions.moved()

    @property
    def min_rate(self) -> int:
        """Octets a second that the peer must take of its answer, on average; 0: any."""
        return self._conditions.settings.limits.min_rate

    @property
    def early_hints(self) -> bool:
        """Whether 103 answers are sent."""
        return self._conditions.settings.http.early_hints

    def interim_sent(self, status: int) -> None:
        """Note an interim answer of the handler's own: a 100 need not be sent again."""
        if status == HTTPStatus.CONTINUE:
            self._continue_is_awaited = False

    def open_tunnel(self) -> None:
        """Cease to speak HTTP: what comes behind the request's body is the handler's, raw.

        Raises:
            HandlerError: a part of the body has not come; it would be taken for the other protocol.
        """
        if not self.rfile.complete:
            raise HandlerError("protocols cannot be switched before the request's body has come")
        if self._continue_is_awaited:
            self.wfile.put_interim(_CONTINUE)  # RFC 9110 section 7.8: the 100 comes before the 101
            self._continue_is_awaited = False
        self.rfile.begin(TunnelBody(), self.state.unread)
        self.state.unread = b""
        if self.request.gettimeout() == self._conditions.settings.timeouts.send:  # the handler set none
            self.request.settimeout(self.timeout)

    def receive(self) -> bytes:
        """Wait, in the handler's thread, for more of the body and give what was decoded.

        Raises:
            PeerGone: the peer left before its body was complete.
            PeerStalled: it sent nothing, or too little, for longer than it may.
            ProtocolError: its framing is broken.
        """
        body = self.rfile.body
        if body is None:
            return b""
        if self._continue_is_awaited:
            # RFC 9110 section 10.1.1: only when the body is wanted, and not once the answer is out.
            self._continue_is_awaited = False
            self.body_began = self.body_left_at = time.monotonic()
            if not self.state.unread:
                self.wfile.put_interim(_CONTINUE)
        # The peer has no part in the time that the handler spent elsewhere.
        self.body_began += time.monotonic() - (self.body_left_at or self.began / 1e9)
        while True:
            if self.state.unread:
                payload, consumed = body.decode(self.state.unread)
                self.state.unread = self.state.unread[consumed:]
                if payload or body.complete:
                    self.body_left_at = time.monotonic()
                    return payload
            data = self._wait_and_receive()
            if not data:
                if isinstance(body, TunnelBody):
                    body.complete = True
                    return b""
                raise PeerGone("the peer left before its body was complete")
            self.state.unread += data
            self.moved(len(data))

    def _wait_and_receive(self) -> bytes:
        while (data := self.take(BODY_AT_ONCE)) is None:
            output = self.output
            poll = select.poll()
            poll.register(self.fd, select.POLLIN | (select.POLLOUT if output.pending else 0))
            deadline = self._receive_deadline()
            while not poll.poll(min(max(deadline - time.monotonic(), 0), AWAITED_AT_ONCE) * 1000):
                if time.monotonic() >= deadline:
                    raise PeerStalled("the peer stopped sending")
                self.moved(0)  # who waits for the peer does not hang
            if output.pending:
                self.wfile.let_go()  # not drain(): the lookout may be at it as well
        return data

    def _receive_deadline(self) -> float:
        """When a handler that reads gives up: on a body by its rules, in a tunnel by its socket's timeout."""
        if self.wfile.is_tunnel:
            return time.monotonic() + (self.request.gettimeout() or _TUNNEL_TIMEOUT)
        return self.body_deadline()

    def body_deadline(self) -> float:
        """When the next octet of a body must be here: a stall, or an average below ``limits.min_rate``."""
        return self.moving_deadline(self.body_timeout)

    def moving_deadline(self, stall: float) -> float:
        """The same for octets either way: those that moved since ``body_began`` are in ``body_octets``."""
        deadline = time.monotonic() + stall
        rate = self._conditions.settings.limits.min_rate
        return min(deadline, self.body_began + stall + self.body_octets / rate) if rate else deadline

    # -- the socket ------------------------------------------------------------------------------

    def take(self, octets: int = RECEIVED_AT_ONCE) -> bytes | None:
        """Receive what is there, ``octets`` at the most: None if there is nothing, empty at the peer's end.

        ``os.read`` rather than ``socket.recv``: a socket that application code may use
        directly has a timeout, and with one Python polls before each receive.
        """
        try:
            return os.read(self.fd, octets)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def half_close(self) -> None:
        """Tell the peer that no more will come (RFC 9112 section 9.6)."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.request, socket.SHUT_WR)

    def prepare_reset(self) -> None:
        """Make the coming close a reset: for an answer that ended early where only a close would end it."""
        with contextlib.suppress(OSError):
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
