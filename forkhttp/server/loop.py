"""The request loop: wait, accept, read, parse, run the handler inline, answer.

One thread at a time runs it (it holds the *baton*), and everything here belongs to that
thread, except what ``Lookout`` and the streams say of themselves. A request that arrives
whole on a parked connection takes the short way through ``turn``; everything else
(heads and bodies in pieces, slow readers, closes) goes through the phases of
``connection.NEXT``.

Who serves it: ``HTTPServer`` alone in its process, or a worker with listeners that other
processes share. The loop knows no master: a worker asks it to ``open``, ``leave`` and
``dismiss``.
"""

from __future__ import annotations

import contextlib
import socket
import time
import traceback
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from forkhttp.errors import HandlerError, PeerGone, PeerStalled, ProtocolError
from forkhttp.handlers.port import PORTS
from forkhttp.scoreboard import BEAT, BEGAN, CONNECTIONS, ERRORS, PARKED, PROGRESS, REQUESTS
from forkhttp.server.acceptor import Acceptor
from forkhttp.server.conditions import Conditions, application_frames
from forkhttp.server.connection import BODY_AT_ONCE, NEXT, Connection, ConnectionState, Event, Phase
from forkhttp.server.forked import HOLDERS, leave_child
from forkhttp.server.lookout import Lookout
from forkhttp.server.overdue import Overdue
from forkhttp.server.poller import READ, WRITE, new_poller
from forkhttp.server.proxies import Proxies
from forkhttp.server.record import ExchangeRecord
from forkhttp.server.served_socket import ServedSocket
from forkhttp.server.timers import TimerWheel
from forkhttp.wire import HeadLimits, LengthBody, RequestHead, TunnelBody, body_decoder, parse_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forkhttp.logs import Logs
    from forkhttp.scoreboard import Row
    from forkhttp.server.http_server import HTTPServer
    from forkhttp.server.response import ResponseStream
    from forkhttp.settings import Settings

#: What each phase waits for.
_INTEREST = {phase: WRITE if phase is Phase.SENDING else READ for phase in Phase}

#: Seconds that an idle connection gets at a stop, for a request that may be on its way.
_RACE = 1.0

#: Octets that a peer may send unasked after its last answer before its connection is closed over it.
_LINGER_OCTETS = 64 << 20


class RequestLoop:
    """Serves the connections of one process.

    Attributes:
        conditions: what holds for all connections.
        exchanges: requests that were served.
    """

    def __init__(self, server: HTTPServer, settings: Settings, logs: Logs, row: Row, *, alone: bool) -> None:
        """Serve with ``server``'s hooks and handler class.

        Args:
            server: whose documented hooks are called.
            settings: timeouts and limits.
            logs: where errors and answered requests go.
            row: this process's row of the scoreboard.
            alone: no master: the documents' defaults hold to the letter.
        """
        self.server = server
        self.conditions = Conditions(settings, logs, row, alone=alone)
        self._settings = settings
        self._logs = logs
        self._row = row
        self._cells = row.cells
        self._limits = HeadLimits(settings.limits.request_line, settings.limits.field, settings.limits.fields)
        self._poller = new_poller()
        self._poll = self._poller.poll
        most = settings.limits.connections
        self._acceptor = Acceptor(server, self._poller, logs.error, self._welcome, most)
        self._connections: dict[int, Connection] = {}
        self._others: dict[int, Callable[[], None]] = {}
        self._ready: deque[Connection] = deque()
        self._timers: TimerWheel[Connection] = TimerWheel()
        self._overdue = Overdue(self.conditions, row, self._acceptor)
        self._lookout = Lookout(self._overdue.look)
        self._lookout_runs = False
        self._proxies = Proxies(settings.proxy, alone=alone)
        self._now = time.monotonic()
        self._forked = False
        self.exchanges = 0
        HOLDERS.add(self)

    # -- coming and going ---------------------------------------------------------------------

    def open(self, listeners: Sequence[socket.socket]) -> None:
        """Accept from these from now on."""
        self._acceptor.begin(listeners, shared=not self.conditions.alone)

    def watch(self, fd: int, action: Callable[[], None]) -> None:
        """Call ``action`` whenever ``fd`` is readable."""
        self._others[fd] = action
        self._poller.add(fd, READ)

    def watch_lifeline(self, fd: int, action: Callable[[], None]) -> None:
        """Call ``action`` once ``fd`` reads end-of-file; a late handler keeps no listener until then."""
        self._overdue.watch_lifeline(fd)
        self.watch(fd, action)

    def unwatch(self, fd: int) -> None:
        """Watch ``fd`` no longer."""
        self._poller.remove(fd)
        del self._others[fd]

    def leave(self) -> None:
        """Accept no more; every connection ends with its next answer."""
        if not self.leaving:
            self.conditions.leaving = True
            self._acceptor.leave(time.monotonic())

    def dismiss(self) -> None:
        """Give idle connections a moment for a request that may be on its way, then half-close them."""
        self.leave()
        now = time.monotonic()
        for connection in self._connections.values():
            if connection.phase in (Phase.PREAMBLE, Phase.PARKED):
                connection.deadline = min(connection.deadline, now + _RACE)
                self._timers.add(connection)

    @property
    def leaving(self) -> bool:
        """Whether no connection goes on after its current exchange."""
        return self.conditions.leaving

    @property
    def orphaned(self) -> bool:
        """Whether it was noticed, while a handler ran, that the master has died."""
        return self._overdue.orphaned

    @property
    def unfit(self) -> str:
        """Why this process should be replaced; empty if there is no reason."""
        if self._overdue.stalled:
            return "a handler made no progress"
        return "the application closed a listener" if self._acceptor.lost else ""

    @property
    def sending(self) -> bool:
        """Whether some answer has not left: its peer reads more slowly than it was written."""
        return any(connection.phase is Phase.SENDING for connection in self._connections.values())

    @property
    def empty(self) -> bool:
        """Whether no connection is left."""
        return not self._connections

    # -- one turn -----------------------------------------------------------------------------

    def turn(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds, and do what there is to do."""
        if self._ready:
            timeout = 0.0
        elif (due := self._timers.next_due()) is not None:
            timeout = min(timeout, max(due - self._now, 0.0))
        events = self._poll(timeout)
        self._now = now = time.monotonic()
        self._cells[BEAT] = int(now * 1e9)
        connections = self._connections
        # A wake-up for a listener was given to this process alone, so it comes before any handler.
        for fd, _ in events:
            if fd not in connections:
                self._look(fd)
        for fd, _ in events:
            connection = connections.get(fd)
            if connection is not None:
                self._step(connection)
        self._end_turn(now)

    def _end_turn(self, now: float) -> None:
        """Do what no descriptor says: requests that wait in memory, deadlines, log lines."""
        if self._ready:
            self._serve_pipelined()
        self._acceptor.tick(now)
        for late in self._timers.expired(now):
            self._expire(late)
        if self._logs.access is not None:
            self._logs.flush()

    def _look(self, fd: int) -> None:
        action = self._others.get(fd)
        if action is not None:
            action()
        elif self._acceptor.is_open:
            self._acceptor.accept(fd, self._now)

    def _step(self, connection: Connection) -> None:
        """Do what a connection waits for."""
        phase = connection.phase
        if phase is Phase.SENDING:
            self._send_on(connection)
            return
        state = connection.state
        if phase is Phase.PARKED and state.unread:
            # Requests wait in memory: until they are served nothing is received, not even the peer's end.
            return
        data = connection.take() if phase is Phase.PARKED else connection.take(BODY_AT_ONCE)
        if data is None:
            return
        if not data:
            self._close(connection)
            return
        if phase is Phase.PARKED:
            self._arrive(connection, data)
        elif phase is Phase.LINGERING:
            self._linger(connection, data)
        else:
            state.unread += data
            if phase is Phase.BODY:
                connection.body_octets += len(data)
                self._gather_body(connection)
            elif phase is Phase.PREAMBLE:
                self._read_preamble(connection)
            else:
                self._read_head(connection)

    def _arrive(self, connection: Connection, data: bytes) -> None:
        """Serve what arrived on a parked connection; a whole request without a body goes the short way."""
        try:
            head = parse_head(data, self._limits)
        except ProtocolError as error:
            self._refuse(connection, error)
            return
        if head is not None and not head.length:
            if head.size != len(data):
                connection.state.unread = data[head.size :]
            self._serve(connection, head)
        else:
            connection.state.unread = data
            self._advance(connection, head)

    def _serve_pipelined(self) -> None:
        """Serve one waiting request of each connection that has sent several at once."""
        for _ in range(len(self._ready)):
            connection = self._ready.popleft()
            if connection.phase is Phase.PARKED and connection.state.unread:
                self._read_head(connection)

    # -- heads and bodies ---------------------------------------------------------------------

    def _read_preamble(self, connection: Connection) -> None:
        """Hear whom a proxy speaks for; what comes behind that is its client's."""
        state = connection.state
        try:
            complete = self._proxies.read_preamble(state)
        except ProtocolError as error:
            self._proxies.complain(self._logs.error, state, error, self._now)
            self._refuse(connection, error)
            return
        if not complete:
            return
        self._enter(connection, Event.INTRODUCED)
        connection.client_address, connection.scheme = state.client_address, state.scheme
        self._timers.discard(connection)
        self._set_deadline(connection, self._settings.timeouts.keep_alive)
        if state.unread:
            self._read_head(connection)

    def _read_head(self, connection: Connection) -> None:
        try:
            head = parse_head(connection.state.unread, self._limits, connection.scanned)
        except ProtocolError as error:
            self._refuse(connection, error)
        else:
            self._advance(connection, head)

    def _advance(self, connection: Connection, head: RequestHead | None) -> None:
        """Go on with what has been received: not yet a head, or a head with or without its body."""
        state = connection.state
        if head is None:
            connection.scanned = len(state.unread)
            if connection.phase is Phase.PARKED:
                self._set_deadline(connection, self._settings.timeouts.head)
            self._enter(connection, Event.SOME_HEAD)
            return
        connection.scanned = 0
        state.unread = state.unread[head.size :]
        if not head.length:
            self._serve(connection, head)
            return
        if head.length > self._settings.limits.body:
            connection.head = head
            self._open_streams(connection)
            connection.rfile.begin(LengthBody(self._settings.limits.body), b"")
            self._refuse(connection, ProtocolError(413, "the body is longer than limits.body"), head)
            return
        self._open_streams(connection)
        connection.head = head
        connection.body_began = self._now
        connection.body_octets = 0
        connection.body_left_at = 0.0
        connection.rfile.begin(body_decoder(head, self._settings.limits.body), b"")
        if head.expects_continue:
            self._serve(connection, head)
        else:
            self._gather_body(connection)

    def _gather_body(self, connection: Connection) -> None:
        """Enter the handler once the body is here, or as much of it as is awaited."""
        state, rfile = connection.state, connection.rfile
        body = rfile.body
        if body is None:
            return
        try:
            while state.unread and not body.complete:
                payload, consumed = body.decode(state.unread)
                if not consumed:
                    break
                rfile.append(payload)
                state.unread = state.unread[consumed:]
        except ProtocolError as error:
            self._refuse(connection, error, connection.head)
            return
        if body.complete or rfile.buffered >= self._settings.limits.buffered_body:
            rfile.settle()
            self._serve(connection, connection.head)
            return
        connection.deadline = connection.body_deadline()
        self._timers.add(connection)
        self._enter(connection, Event.SOME_BODY)

    # -- the exchange -------------------------------------------------------------------------

    def _serve(self, connection: Connection, head: RequestHead) -> None:
        """Run the handler for one request, and send its answer on its way."""
        if connection.phase is Phase.PARKED:
            connection.phase = Phase.BUSY
        else:
            self._timers.discard(connection)  # an idle connection's deadline may be an earlier one
            self._enter(connection, Event.REQUEST)
        if connection.resident is None:
            self._open_streams(connection)
        cells = self._cells
        connection.began = began = time.monotonic_ns()
        self._row.request = f"{head.method} {head.target.partition('?')[0]}".encode("latin-1")
        cells[PROGRESS] = began
        cells[BEGAN] = began
        if connection.state.trusted:
            self._believe(connection, head)
        connection.begin_exchange(head)
        wfile = connection.wfile
        wfile.begin()
        failure = self._run(connection, wfile)
        if failure is not None:
            self._fail(connection, failure)
        self.exchanges += 1
        ended = time.monotonic_ns()
        self._now = ended / 1e9
        cells[BEGAN] = 0
        cells[REQUESTS] += 1
        self._row.observe(ended - began)
        if self.conditions.records and (access := self._logs.access) is not None and wfile.status:
            access.record(ExchangeRecord(connection, head, wfile.status, wfile.octets, (ended - began) / 1e9))
        self._settle(connection)
        if self.conditions.alone and isinstance(failure, KeyboardInterrupt | SystemExit):
            raise failure

    def _believe(self, connection: Connection, head: RequestHead) -> None:
        """Serve the request as that of whoever the proxy names."""
        address, connection.scheme = self._proxies.client_of(connection.state, head)
        if address != connection.client_address:
            connection.client_address = address
            if connection.resident is not None:
                connection.resident.client_address = address
                connection.unverified = True

    def _run(self, connection: Connection, wfile: ResponseStream) -> BaseException | None:
        """Run the handler inline, under the eyes of the lookout, and frame its answer; give what was raised.

        Whatever application code raises ends its exchange, and not the worker; so does what its answer
        makes ours raise (no memory, say).
        """
        if not self._lookout_runs:
            self._lookout_runs = True
            self._lookout.start()
            self.conditions.count_threads()
        self._overdue.busy = connection
        failure = None
        self._lookout.enter(wfile)
        try:
            if connection.resident is None:
                self._admit(connection)
            else:
                if connection.unverified:
                    self._verify(connection)
                connection.resident.handle()
        except BaseException as error:  # noqa: BLE001 - see above
            failure = error
        if self._forked:
            leave_child(failure)
        self._lookout.leave()
        self._overdue.busy = None
        if failure is None:
            try:
                if connection.request.fileno() != connection.fd:
                    raise PeerGone("the handler closed or took its socket")  # noqa: TRY301 - one way out
                wfile.end()
            except BaseException as error:  # noqa: BLE001 - see above
                failure = error
        return failure

    def _open_streams(self, connection: Connection) -> None:
        if connection.resident is None and not hasattr(connection, "rfile"):
            connection.open_streams()

    def _admit(self, connection: Connection) -> None:
        """Hand a new connection's first request to the documented hooks, which make the handler."""
        PORTS[connection.request] = connection
        self._verify(connection)
        self.server.process_request(connection.request, connection.client_address)

    def _verify(self, connection: Connection) -> None:
        """Ask the server's hook about a client: a connection's first, or another that a proxy names.

        Raises:
            ProtocolError: 403; a proxy's other clients have done nothing wrong.
            PeerGone: the connection is not to be served, as the documents say.
        """
        connection.unverified = False
        if self.server.verify_request(connection.request, connection.client_address):
            return
        if connection.state.trusted and not self.conditions.alone:
            raise ProtocolError(403, "the server does not serve this client")
        raise PeerGone("verify_request refused the connection")

    def _settle(self, connection: Connection) -> None:
        """Go on after an exchange: the rest of the answer, the next request, or the end."""
        if connection.phase is Phase.CLOSED:
            return
        if connection.output.pending:
            connection.body_began = self._now
            connection.body_octets = 0
            connection.owed = connection.output.outstanding
            self._set_deadline(connection, connection.send_timeout)
            self._enter(connection, Event.UNSENT)
            return
        wfile = connection.wfile
        if not wfile.persistent or connection.resident is None:
            self._end(connection)
            return
        if connection.head.length or connection.replays:
            connection.rfile.begin(None, b"")
        if self.conditions.crowded and not self._renew(connection):
            self._end(connection)
            return
        if connection.phase is Phase.BUSY:
            connection.phase = Phase.PARKED
        else:
            self._timers.discard(connection)
            self._enter(connection, Event.ANSWERED)
        idle = self._settings.timeouts.keep_alive if connection.timeout is None else connection.timeout
        connection.deadline = self._now + idle
        if connection.slot < 0 or connection.timeout is not None:
            self._timers.add(connection)
        if connection.state.unread:
            self._ready.append(connection)

    def _renew(self, connection: Connection) -> bool:
        """Give the connection another handler: a thread that outlives its exchange may hold this one.

        Its streams and its socket lead nowhere from now on, so nothing that is written late can be
        the answer to somebody else. False if the handler is not movable: the connection has to end.
        """
        resident, request = connection.resident, connection.request
        if type(request) is not ServedSocket or resident is None or not resident.movable:
            return False
        PORTS.pop(request, None)
        connection.wfile.retire()
        connection.rfile.retire()
        connection.request = ServedSocket(request.family, request.type, request.proto, request.detach())
        connection.request.settimeout(self._settings.timeouts.send)
        connection.resident = None
        connection.replays = False
        connection.open_streams()
        return True

    def _send_on(self, connection: Connection) -> None:
        try:
            moved = connection.output.drain()
        except PeerGone:
            self._close(connection)
            return
        if connection.output.pending:
            if moved:
                connection.body_octets += moved
                connection.deadline = connection.moving_deadline(connection.send_timeout)
                self._timers.add(connection)
            return
        self._settle(connection)

    # -- what goes wrong ------------------------------------------------------------------------

    def _refuse(self, connection: Connection, error: ProtocolError, head: RequestHead | None = None) -> None:
        """Answer octets that are no request that may be served; nothing after them is read as one."""
        self._logs.error.debug(
            "request refused", problem=error.detail, peer=connection.state.client_address[0]
        )
        self._enter(connection, Event.REFUSED)
        self._open_streams(connection)
        self._cells[ERRORS] += 1
        wfile = connection.wfile
        wfile.begin()
        state = connection.state
        state.unread = b""
        if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            connection.rfile.begin(None, b"")
        if head is None or not state.trusted:
            connection.client_address = state.client_address
        else:
            self._believe(connection, head)
        try:
            wfile.substitute(error.status, error.detail, head.method if head else "")
        except PeerGone:
            self._close(connection)
            return
        access = self._logs.access
        if access is not None and self.conditions.records:
            access.record(ExchangeRecord(connection, head, error.status, wfile.octets, 0.0))
        self._settle(connection)

    def _fail(self, connection: Connection, failure: BaseException) -> None:
        """End an exchange that its handler, or its peer, left unfinished."""
        wfile = connection.wfile
        if connection.request.fileno() != connection.fd:
            # Its number may be another file's by now: nothing may be sent there any more.
            self._close(connection)
        elif isinstance(failure, PeerStalled) and not wfile.committed:
            self._answer_instead(connection, HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time")
        elif isinstance(failure, PeerGone):
            self._close(connection, reset=wfile.ends_with_close)
        elif isinstance(failure, ProtocolError):
            self._answer_instead(connection, failure.status, failure.detail)
        else:
            self._cells[ERRORS] += 1
            self._report(connection, failure)
            self._answer_instead(connection, HTTPStatus.INTERNAL_SERVER_ERROR, "the handler failed")

    def _answer_instead(self, connection: Connection, status: int, detail: str) -> None:
        """Give the server's own answer if no head has left, else an end that is no answer's end."""
        wfile = connection.wfile
        try:
            if wfile.substitute(status, detail, connection.head.method):
                return
        except PeerGone:
            self._close(connection)
            return
        wfile.persistent = False
        if wfile.ends_with_close:
            self._close(connection, reset=True)

    def _report(self, connection: Connection, failure: BaseException) -> None:
        """Log what the application did: a fault of its answer, or an exception by the documented hook."""
        if isinstance(failure, HandlerError):
            stack = application_frames(traceback.extract_tb(failure.__traceback__))
            self.conditions.complain(connection.head, str(failure), "".join(stack.format()))
            return
        try:
            raise failure  # noqa: TRY301 - the documented hook finds the exception in sys.exc_info()
        except BaseException:  # noqa: BLE001 - the same
            try:
                self.server.handle_error(connection.request, connection.client_address)
            except BaseException as error:  # noqa: BLE001 - a hook that fails, or raises on purpose, ends no worker
                self.conditions.log_failure(connection.head, error)

    # -- ends ---------------------------------------------------------------------------------

    def _end(self, connection: Connection) -> None:
        """Close after the last answer, and see to it that the peer can read it (RFC 9112 section 9.6)."""
        self._timers.discard(connection)
        asked_for = (
            connection.resident is not None
            and not connection.head.persistent
            and not connection.state.unread
            and connection.rfile.complete
        )
        # A close with octets unread would be a reset, which takes the answer with it.
        if asked_for and not connection.take():
            self._close(connection)
            return
        connection.half_close()
        connection.state.unread = b""
        connection.body_began = self._now
        connection.body_octets = 0
        connection.announced = self._announced(connection)
        self._set_deadline(connection, self._settings.timeouts.linger)
        self._enter(connection, Event.LAST)

    def _announced(self, connection: Connection) -> int:
        """Tell how many octets of a body the peer is still sending, as far as it may."""
        body = connection.rfile.body
        if body is None or body.complete or isinstance(body, TunnelBody):
            return 0
        return body.left if isinstance(body, LengthBody) else self._settings.limits.body

    def _linger(self, connection: Connection, data: bytes) -> None:
        """Throw away what comes behind the last answer.

        An announced body may take its time, for a reset would meet a peer that cannot read yet; all else
        has ``timeouts.linger`` in all.
        """
        connection.body_octets += len(data)
        if connection.body_octets > connection.announced + _LINGER_OCTETS:
            self._close(connection)
        elif connection.body_octets < connection.announced:
            connection.deadline = connection.moving_deadline(self._settings.timeouts.linger)
            self._timers.add(connection)

    def _expire(self, connection: Connection) -> None:
        """The phase took too long."""
        phase = connection.phase
        if phase is Phase.BUSY:
            return
        if phase in (Phase.HEAD, Phase.BODY):
            head = connection.head if phase is Phase.BODY else None
            self._refuse(connection, ProtocolError(408, "the request did not come in time"), head)
        elif phase is Phase.LINGERING:
            self._expire_lingering(connection)
        elif phase is not Phase.SENDING or not self._goes_on_reading(connection):
            self._close(connection)

    def _expire_lingering(self, connection: Connection) -> None:
        """Close, unless what the loop had no time for puts the end off; left unread, it would be a reset."""
        while data := connection.take(BODY_AT_ONCE):
            self._linger(connection, data)
            if connection.phase is Phase.CLOSED:
                return
            if connection.deadline > self._now:
                self._timers.add(connection)
                return
        self._close(connection)

    def _goes_on_reading(self, connection: Connection) -> bool:
        """Whether a peer that our socket took nothing more for has taken enough of what the kernel holds."""
        timeout = connection.send_timeout
        taken = connection.owed - connection.output.outstanding
        if taken <= 0 or taken < self._settings.limits.min_rate * timeout:
            return False
        connection.owed -= taken
        connection.body_began = self._now
        connection.body_octets = 0
        self._set_deadline(connection, timeout)
        return True

    def _close(self, connection: Connection, *, reset: bool = False) -> None:
        """Leave the epoll, take leave of the handler, close the socket: in this order.

        ``reset``: so that the peer cannot take it for the end of its answer. What has not left is dropped,
        so that is one, too; and the kernel need not keep what it has taken for a peer that does not.
        """
        if connection.phase is Phase.CLOSED:
            return
        reset = reset or connection.output.pending > 0
        self._timers.discard(connection)
        with contextlib.suppress(OSError, ValueError, KeyError):  # the application may have closed it
            self._poller.remove(connection.fd)
        del self._connections[connection.fd]
        connection.fd = -1
        connection.phase = NEXT[connection.phase, Event.OVER]
        connection.output.drop()
        resident, connection.resident = connection.resident, None
        if resident is not None:
            self._guard(connection, resident.finish)
        PORTS.pop(connection.request, None)
        if reset:
            connection.prepare_reset()
            connection.request.close()
        self._guard(connection, partial(self.server.shutdown_request, connection.request))
        with contextlib.suppress(OSError):
            connection.request.close()
        self._cells[CONNECTIONS] = self._cells[PARKED] = len(self._connections)
        self._acceptor.held(len(self._connections))

    def _guard(self, connection: Connection, hook: Callable[[], object]) -> None:
        """Call a hook at a connection's end; what it raises ends nothing but itself."""
        try:
            hook()
        except OSError:
            return  # the peer has left already
        except BaseException as error:
            self._report(connection, error)
            if self.conditions.alone and isinstance(error, KeyboardInterrupt):
                raise

    def forget(self) -> None:
        """In a child that the application forked: let go of what is its parent's."""
        self._forked = True
        self._acceptor.forget()
        self._poller.close()
        for connection in self._connections.values():
            if connection is not self._overdue.busy:
                socket.socket.close(connection.request)

    def close(self) -> None:
        """Close everything: connections, poller and lookout. The listeners are their owner's."""
        if self._lookout_runs:
            self._lookout.stop()
        for connection in list(self._connections.values()):
            self._close(connection)
        self._acceptor.close()
        self._acceptor.forget()
        self._poller.close()

    # -- accepting and moving on ------------------------------------------------------------------

    def _welcome(self, request: socket.socket, client_address: Any, listener: int) -> int:  # noqa: ANN401 - what the family makes it
        """Park a connection that was just accepted; give the number of connections."""
        if type(request).recv is not socket.socket.recv:
            # What comes by the descriptor is not what the application's socket would give.
            self._logs.error.error(
                "connection refused", problem="a wrapped socket (TLS) cannot be served yet"
            )
            request.close()
            return len(self._connections)
        try:
            request.settimeout(self._settings.timeouts.send)
            if not (unix := request.family == getattr(socket, "AF_UNIX", None)):
                # One answer is one segment; a stream's pieces must not wait for acknowledgements.
                request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            request.close()  # the peer has left already
            return len(self._connections)
        # A unix peer has a path or nothing for an address; a handler is to find a host and a port.
        known = isinstance(client_address, tuple) and len(client_address) > 1
        state = ConnectionState(listener, client_address if known else ("", 0))
        expects_preamble = self._proxies.meet(state, unix=unix)
        connection = Connection(request, state, self.conditions)
        ServedSocket.serve(request)
        stale = self._connections.get(connection.fd)
        if stale is not None:
            self._close(stale)  # the application closed its socket while it was parked
        self._connections[connection.fd] = connection
        timeouts = self._settings.timeouts
        if expects_preamble:
            connection.phase = Phase.PREAMBLE
        self._set_deadline(connection, timeouts.head if expects_preamble else timeouts.keep_alive)
        self._poller.add(connection.fd, READ)
        self._cells[CONNECTIONS] = self._cells[PARKED] = len(self._connections)
        return len(self._connections)

    def _enter(self, connection: Connection, event: Event) -> None:
        """Go to the next phase, and watch for what it waits for."""
        before = connection.phase
        connection.phase = after = NEXT[before, event]
        if _INTEREST[before] != _INTEREST[after]:
            try:
                self._poller.change(connection.fd, _INTEREST[after])
            except OSError:  # the application closed it
                self._close(connection)

    def _set_deadline(self, connection: Connection, seconds: float) -> None:
        connection.deadline = self._now + seconds
        self._timers.add(connection)
