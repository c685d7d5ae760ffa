"""A request loop in the test's own thread, and clients on others: real sockets, no process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

from forkhttp.handlers.adoption import adopt_handler, adopt_server
from forkhttp.logs import open_logs
from forkhttp.scoreboard import Row
from forkhttp.server import HTTPServer, RequestLoop
from forkhttp.settings import Http, Limits, Log, Proxy, Settings, Timeouts
from tests.referee import connect, read_all, read_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forkhttp.handlers.adoption import HandlerFactory
    from tests.referee import Verdict

T = TypeVar("T")


class Tables(TypedDict, total=False):
    """The settings that matter to a loop."""

    timeouts: Timeouts
    limits: Limits
    http: Http
    proxy: Proxy


#: Longer than any of this takes on a busy machine.
DEADLINE = 20.0

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Client:
    """A connection that is driven octet by octet."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Connect."""
        self.socket = connect(address, DEADLINE)
        self._unread = bytearray()

    def send(self, data: bytes) -> None:
        """Send octets as they are."""
        self.socket.sendall(data)

    def expect(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Read the one answer to a request of this method, as h11 understands it: status, fields, body."""
        while True:
            verdict = self._verdict()
            if verdict.status >= 200:
                break
        assert (method == "HEAD") == (verdict.method == "HEAD"), f"an answer to {verdict.method}"
        return verdict.status, verdict.fields, verdict.body

    def _verdict(self) -> Verdict:
        referee = self.socket.referee
        while not referee.verdicts:
            data = self.socket.recv(65536)
            assert data or referee.verdicts, "the connection ended without an answer"
            self._unread += data
        verdict = referee.verdicts.popleft()
        del self._unread[: max(len(self._unread) - (referee.received - verdict.end), 0)]
        return verdict

    def ask(self, data: bytes = GET, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Send a request and read its answer."""
        self.send(data)
        return self.expect(method)

    def rest(self) -> bytes:
        """Read up to the connection's end; nothing may be cut off."""
        return bytes(self._unread) + read_all(self.socket)

    def broken(self) -> bytes:
        """Read up to the end of an answer that is broken off by design."""
        return bytes(self._unread) + read_broken(self.socket)

    def close(self) -> None:
        """Leave."""
        self.socket.close()


class Served:
    """A loop that serves one handler class as a worker would."""

    def __init__(
        self, handler: HandlerFactory, errors: Path, server: type = HTTPServer, **tables: Unpack[Tables]
    ) -> None:
        """Bind to a free port; ``tables`` are settings."""
        self.errors = errors
        self.server: HTTPServer = adopt_server(server, HTTPServer)(("127.0.0.1", 0), adopt_handler(handler))
        settings = Settings(log=Log(error=str(errors), access="off", level="debug"), **tables)
        self.logs = open_logs(settings.log)
        self.row = Row.private()
        self.loop = RequestLoop(self.server, settings, self.logs, self.row, alone=False)
        self.loop.open([self.server.socket])
        self._clients: list[Client] = []

    def client(self) -> Client:
        """Connect; the connection ends with the test, if not before."""
        client = Client(self.server.server_address)
        self._clients.append(client)
        return client

    def run(self, client: Callable[[Client], T]) -> T:
        """Run a client on a thread of its own, and the loop here until it is done."""
        return self.run_all([client])[0]

    def run_all(self, clients: list[Callable[[Client], T]]) -> list[T]:
        """Run several clients at once."""

        def live(client: Callable[[Client], T]) -> T:
            connection = self.client()
            try:
                return client(connection)
            finally:
                connection.close()

        return self._turn_until_done([partial(live, client) for client in clients])

    def let(self, action: Callable[[], T]) -> T:
        """Run an action of a client that is connected already."""
        return self._turn_until_done([action])[0]

    def _turn_until_done(self, actions: list[Callable[[], T]]) -> list[T]:
        with ThreadPoolExecutor(len(actions)) as pool:
            futures = [pool.submit(action) for action in actions]
            deadline = time.monotonic() + DEADLINE
            while not all(future.done() for future in futures):
                assert time.monotonic() < deadline, "the clients are not done"
                self.loop.turn(0.01)
        return [future.result() for future in futures]

    def until(self, condition: Callable[[], bool]) -> None:
        """Run the loop until something holds."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "it never came to hold"
            self.loop.turn(0.01)

    @property
    def log(self) -> str:
        """What the error log holds."""
        self.logs.flush()
        return self.errors.read_text() if self.errors.exists() else ""

    def close(self) -> None:
        """End it."""
        for client in self._clients:
            client.close()
        self.loop.close()
        self.server.server_close()
        self.logs.close()


@contextmanager
def serving(
    handler: HandlerFactory, directory: Path, server: type = HTTPServer, **tables: Unpack[Tables]
) -> Iterator[Served]:
    """Serve ``handler``, by a server class of the user's or ours, for the time of a block."""
    served = Served(handler, directory / "error.log", server, **tables)
    try:
        yield served
    finally:
        served.close()
