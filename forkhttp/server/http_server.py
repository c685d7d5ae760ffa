"""HTTPServer: the documented server class, alone in one process or in each worker of a master.

The interface is that of ``socketserver.BaseServer``; the work is done by ``RequestLoop``.
Alone, ``serve_forever`` runs the loop on the server's own socket; under a master the
worker runs it on listeners that all workers share.

Source: https://docs.python.org/3/library/socketserver.html and http.server.html
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, ClassVar, Self

from forkhttp.handlers.port import port_of
from forkhttp.logs import open_logs
from forkhttp.scoreboard import Row
from forkhttp.server.loop import RequestLoop
from forkhttp.settings import Http, Log, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from forkhttp.logs import Logs

#: What a server that runs alone does unasked: the letter of the documents.
_ALONE = Settings(http=Http(persistent="declared"), log=Log(access="off", error="stderr"))


class HTTPServer:
    """A TCP server whose connections are served by handlers of ``RequestHandlerClass``.

    Attributes:
        server_address: ``(host, port)`` that the socket is bound to.
        server_name, server_port: the same, one by one; no name is looked up.
        socket: the listening socket.
        timeout: seconds that ``handle_request`` waits; None for ever.
    """

    address_family: int = socket.AF_INET
    socket_type: int = socket.SOCK_STREAM
    request_queue_size: int = 1024
    allow_reuse_address: bool = True
    allow_reuse_port: bool = False
    timeout: float | None = None

    #: A socket that listens already; a worker gives its class the master's.
    inherited: ClassVar[socket.socket | None] = None

    server_name: str
    server_port: int

    _loop: RequestLoop | None = None
    _stopped: threading.Event | None = None
    _stop_asked: bool = False
    _poll_interval: ClassVar[float] = 0.5

    def __init__(
        self,
        server_address: Any,  # noqa: ANN401 - what the address family makes it
        RequestHandlerClass: Callable[[Any, Any, Any], Any],  # noqa: N803 - the documented name
        bind_and_activate: bool = True,  # noqa: FBT001, FBT002 - the documented signature
    ) -> None:
        """Bind and listen, unless ``bind_and_activate`` is false.

        Raises:
            OSError: the address cannot be bound.
        """
        self.server_address = server_address
        self.RequestHandlerClass = RequestHandlerClass
        if self.inherited is not None:
            self.socket = self.inherited
            self.note_address(self.socket.getsockname())
            return
        self.socket = socket.socket(self.address_family, self.socket_type)
        if bind_and_activate:
            try:
                self.server_bind()
                self.server_activate()
            except BaseException:
                self.server_close()
                raise

    # -- the socket -------------------------------------------------------------------------

    def server_bind(self) -> None:
        """Bind the socket, and note the name and the port that it has."""
        if self.inherited is not None:
            # The standard library's __init__ was called by its own name; the one above does not bind.
            self.socket.close()
            self.socket = self.inherited
            self.note_address(self.socket.getsockname())
            return
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.allow_reuse_port and hasattr(socket, "SO_REUSEPORT"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
        self.note_address(self.socket.getsockname())

    def note_address(self, address: Any) -> None:  # noqa: ANN401 - what the address family makes it
        """Set ``server_address``, ``server_name`` and ``server_port``. No name is looked up."""
        self.server_address = address
        if isinstance(address, tuple):
            self.server_name, self.server_port = str(address[0]), int(address[1])
        else:
            self.server_name, self.server_port = socket.gethostname(), 0

    def server_activate(self) -> None:
        """Listen."""
        if self.socket is self.inherited:
            return
        self.socket.listen(self.request_queue_size)

    def server_close(self) -> None:
        """Close the listening socket and the connections that are left."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        self.socket.close()

    def fileno(self) -> int:
        """Give the descriptor of the listening socket."""
        return self.socket.fileno()

    def __enter__(self) -> Self:
        """Use the server as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.server_close()

    # -- serving ------------------------------------------------------------------------------

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until ``shutdown()``; look for it every ``poll_interval`` seconds."""
        self._stopped = stopped = threading.Event()
        loop = self._own_loop()
        try:
            while not self._stop_asked or loop.sending:
                loop.turn(poll_interval)
                self.service_actions()
        finally:
            self._stop_asked = False
            stopped.set()

    def shutdown(self) -> None:
        """Stop ``serve_forever`` and wait until it has; to be called from another thread."""
        self._stop_asked = True
        if (stopped := self._stopped) is not None:
            stopped.wait()

    def handle_request(self) -> None:
        """Serve one request; ``handle_timeout`` if none came within ``timeout`` seconds."""
        waits = [seconds for seconds in (self.timeout, self.socket.gettimeout()) if seconds]
        deadline = time.monotonic() + min(waits) if waits else None
        loop = self._own_loop()
        served = loop.exchanges
        while loop.exchanges == served:
            left = self._poll_interval if deadline is None else deadline - time.monotonic()
            if left <= 0:
                self.handle_timeout()
                return
            loop.turn(min(left, self._poll_interval))
        while loop.sending:
            loop.turn(self._poll_interval)

    def _own_loop(self) -> RequestLoop:
        if self._loop is None:
            row = Row.private()
            self._loop = RequestLoop(self, _ALONE, _logs_alone(), row, alone=True)
            self._loop.open([self.socket])
        return self._loop

    # -- hooks ----------------------------------------------------------------------------------

    def service_actions(self) -> None:
        """Called once a turn of the loop."""

    def handle_timeout(self) -> None:
        """Called when ``handle_request`` waited in vain."""

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection: the socket and the peer's address."""
        return self.socket.accept()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401, ARG002 - as documented
        """Say whether a connection is to be served; asked with its first request."""
        return True

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Serve a connection's first request, with ``finish_request``."""
        self.finish_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Make the handler that lives with the connection from now on."""
        self.RequestHandlerClass(request, client_address, self)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as documented
        """End a connection; one that is being served ends with its answer."""
        if (port := port_of(request)) is not None:
            port.end_after_answer()
            return
        # Another process may hold the same connection; without this the peer would wait for its end, too.
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        self.close_request(request)

    def close_request(self, request: Any) -> None:  # noqa: ANN401 - as documented
        """Close a connection's socket."""
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Log the exception of a handler, to standard error or to the error log."""
        error = sys.exc_info()[1]
        port = port_of(request)
        if port is not None and error is not None:
            port.log_failure(error)
        else:
            sys.stderr.write(f"Exception while serving {client_address}\n{traceback.format_exc()}")


def _logs_alone() -> Logs:
    return open_logs(_ALONE.log, role="alone")
