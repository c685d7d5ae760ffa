"""HTTPServer alone in its process: the documented interface, with clients on other threads."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from forkhttp import BaseHTTPRequestHandler, HTTPServer
from tests.deadline import PATIENCE
from tests.referee import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

LOCAL = ("127.0.0.1", 0)


class Hello(BaseHTTPRequestHandler):
    """Answers, and says little."""

    def do_GET(self) -> None:
        """Answer by path."""
        if self.path == "/fault":
            raise RuntimeError("a fault of the application")
        if self.path == "/exit":
            raise SystemExit(3)
        size = 8_000_000 if self.path == "/big" else 5
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Client:
    """Asks from another thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def ask(self, server: HTTPServer, path: str = "/") -> Future[tuple[int, int]]:
        """Ask on a connection of its own; gives status and length of the answer."""

        def asking() -> tuple[int, int]:
            with contextlib.closing(connected(server)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, len(answer.read())

        return self._pool.submit(asking)

    def run(self, action: Callable[[], object]) -> Future[object]:
        """Run something else."""
        return self._pool.submit(action)


def connected(server: HTTPServer) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.sock = connect(("127.0.0.1", server.server_port))
    return connection


@pytest.fixture
def client() -> Iterator[Client]:
    """Give a few threads."""
    with ThreadPoolExecutor(4) as pool:
        yield Client(pool)


@contextlib.contextmanager
def serving_forever(server: HTTPServer) -> Iterator[HTTPServer]:
    """Run a server on another thread for the time of a block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    with server:
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(PATIENCE)
            assert not thread.is_alive()


# -- the socket -----------------------------------------------------------------------------------------


def test_a_new_server_listens_and_knows_its_address() -> None:
    with HTTPServer(LOCAL, Hello) as server:
        host, port = server.server_address
        assert (host, port) == ("127.0.0.1", server.server_port) == server.socket.getsockname()
        assert server.server_name == "127.0.0.1"
        assert server.fileno() == server.socket.fileno()
        assert server.RequestHandlerClass is Hello
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert server.fileno() == -1


def test_the_class_has_the_documented_attributes() -> None:
    assert HTTPServer.address_family == socket.AF_INET
    assert HTTPServer.socket_type == socket.SOCK_STREAM
    assert HTTPServer.timeout is None
    assert HTTPServer.allow_reuse_address
    assert HTTPServer.request_queue_size > 0


def test_no_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("a look-up")

    monkeypatch.setattr(socket, "getfqdn", refuse)
    monkeypatch.setattr(socket, "gethostbyaddr", refuse)
    HTTPServer(LOCAL, Hello).server_close()


def test_binding_and_listening_may_wait(client: Client) -> None:
    server = HTTPServer(LOCAL, Hello, bind_and_activate=False)
    assert server.server_address == LOCAL
    server.allow_reuse_port = True
    server.server_bind()
    server.server_activate()
    assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    with server:
        answer = client.ask(server)
        server.handle_request()
        assert answer.result(PATIENCE) == (200, 5)


def test_an_address_that_cannot_be_bound_leaves_no_socket() -> None:
    closed: list[HTTPServer] = []

    class Closing(HTTPServer):
        def server_close(self) -> None:
            closed.append(self)
            super().server_close()

    with HTTPServer(LOCAL, Hello) as server:
        with pytest.raises(OSError, match="in use"):
            Closing(server.server_address, Hello)
        assert closed[0].fileno() == -1


def test_a_unix_socket_is_served_and_its_peers_have_no_address(tmp_path: Path, client: Client) -> None:
    seen: list[object] = []

    class Local(HTTPServer):
        address_family = socket.AF_UNIX

    class Looking(Hello):
        def do_GET(self) -> None:
            seen.append(self.client_address)
            super().do_GET()

    def asking(name: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            if name:
                peer.bind(name)
            peer.connect(server.server_address)
            peer.send(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: peer.recv(4096), b""))

    with Local(str(tmp_path / "socket"), Hello) as server:
        server.RequestHandlerClass = Looking
        assert server.server_port == 0
        for name in ("", str(tmp_path / "peer"), "\0forkhttp-test-peer"):
            answer = client.run(lambda name=name: asking(name))  # type: ignore[misc]
            server.handle_request()
            assert str(answer.result(PATIENCE)).endswith("xxxxx'")
    assert seen == [("", 0)] * 3


# -- serving --------------------------------------------------------------------------------------------


def test_serve_forever_serves_until_shutdown(client: Client) -> None:
    with serving_forever(HTTPServer(LOCAL, Hello)) as server:
        assert [client.ask(server).result(PATIENCE) for _ in range(3)] == [(200, 5)] * 3


def test_a_server_may_serve_again_after_a_shutdown(client: Client) -> None:
    server = HTTPServer(LOCAL, Hello)
    with server:
        for _ in range(2):
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            assert client.ask(server).result(PATIENCE) == (200, 5)
            server.shutdown()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_shutdown_of_a_server_that_never_served_returns() -> None:
    with HTTPServer(LOCAL, Hello) as server:
        server.shutdown()


def test_shutdown_lets_an_answer_leave_that_its_peer_reads_slowly(client: Client) -> None:
    server = HTTPServer(LOCAL, Hello)
    with serving_forever(server), contextlib.closing(connected(server)) as slow:
        slow.request("GET", "/big")
        answer = slow.getresponse()
        stopped = client.run(server.shutdown)
        assert len(answer.read()) == 8_000_000
        stopped.result(PATIENCE)


def test_service_actions_are_called_once_a_turn(client: Client) -> None:
    turns: list[int] = []

    class Acting(HTTPServer):
        def service_actions(self) -> None:
            turns.append(1)

    with serving_forever(Acting(LOCAL, Hello)) as server:
        client.ask(server).result(PATIENCE)
    assert turns


def test_a_documented_subclass_of_run_while_true_serves(client: Client) -> None:
    with HTTPServer(LOCAL, Hello) as server:
        answers = [client.ask(server) for _ in range(5)]
        while not all(answer.done() for answer in answers):
            server.timeout = 0.05
            server.handle_request()
        assert [answer.result() for answer in answers] == [(200, 5)] * 5


def test_handle_request_serves_one_request_and_all_of_its_answer(client: Client) -> None:
    with HTTPServer(LOCAL, Hello) as server:
        answer = client.ask(server, "/big")
        server.handle_request()
    assert answer.result(PATIENCE) == (200, 8_000_000)


def test_handle_request_calls_handle_timeout_when_nobody_came() -> None:
    timeouts: list[int] = []

    class Waiting(HTTPServer):
        timeout: float | None = 0.02

        def handle_timeout(self) -> None:
            timeouts.append(1)

    with Waiting(LOCAL, Hello) as server:
        server.handle_request()
        server.timeout = None
        server.socket.settimeout(0.02)
        server.handle_request()
    assert timeouts == [1, 1]


def test_handle_timeout_does_nothing_by_itself() -> None:
    with HTTPServer(LOCAL, Hello) as server:
        server.timeout = 0.01
        server.handle_request()


def test_an_http_1_0_class_alone_closes_as_the_documents_say(client: Client) -> None:
    class Persistent(Hello):
        protocol_version = "HTTP/1.1"

    def option(server: HTTPServer) -> str | None:
        with contextlib.closing(connected(server)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().getheader("Connection")

    for handler, expected in ((Hello, "close"), (Persistent, None)):
        with HTTPServer(LOCAL, handler) as server:
            answer = client.run(lambda server=server: option(server))  # type: ignore[misc]
            server.handle_request()
            assert answer.result(PATIENCE) == expected


def test_a_log_line_goes_to_standard_error(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(
        LOCAL, type("Logging", (Hello,), {"log_message": BaseHTTPRequestHandler.log_message})
    ) as server:
        answer = client.ask(server)
        server.handle_request()
        answer.result(PATIENCE)
    assert '"GET / HTTP/1.1" 200 -\n' in capsys.readouterr().err


# -- hooks ----------------------------------------------------------------------------------------------


class Hooked(HTTPServer):
    """Notes what is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        self.calls: list[str] = []
        super().__init__(*args, **kwargs)

    def get_request(self) -> tuple[Any, Any]:
        """Note it."""
        self.calls.append("get")
        request, _ = super().get_request()
        return request, ("192.0.2.1", 1)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401 - as documented
        """Note it, and what ``get_request`` made of the address."""
        assert client_address == ("192.0.2.1", 1)
        self.calls.append("verify")
        return super().verify_request(request, client_address)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.calls.append("process")
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.calls.append("finish")
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.calls.append("shutdown")
        super().shutdown_request(request)

    def close_request(self, request: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.calls.append("close")
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.calls.append("error")
        super().handle_error(request, client_address)


def test_the_hooks_are_called_in_the_documented_order(client: Client) -> None:
    with Hooked(LOCAL, Hello) as server:
        answer = client.ask(server)
        server.handle_request()
        assert answer.result(PATIENCE) == (200, 5)
    assert server.calls == ["get", "verify", "process", "finish", "shutdown", "close"]


def test_handle_error_sees_the_exception_and_the_client_gets_a_500(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    with Hooked(LOCAL, Hello) as server:
        answer = client.ask(server, "/fault")
        server.handle_request()
        assert answer.result(PATIENCE)[0] == 500
    assert server.calls[:5] == ["get", "verify", "process", "finish", "error"]
    assert "RuntimeError: a fault of the application" in capfd.readouterr().err


def test_a_handle_error_of_the_users_own_finds_the_exception(client: Client) -> None:
    found: list[object] = []

    class Finding(HTTPServer):
        def handle_error(self, *_: object) -> None:
            found.append(sys.exc_info()[0])

    with Finding(LOCAL, Hello) as server:
        answer = client.ask(server, "/fault")
        server.handle_request()
        assert answer.result(PATIENCE)[0] == 500
    assert found == [RuntimeError]


def test_an_exit_ends_a_server_that_is_alone_after_its_answer(client: Client) -> None:
    with HTTPServer(LOCAL, Hello) as server:
        answer = client.ask(server, "/exit")
        with pytest.raises(SystemExit):
            server.serve_forever()
        assert answer.result(PATIENCE)[0] == 500


def test_verify_request_may_refuse_a_connection(client: Client) -> None:
    class Refusing(Hooked):
        def verify_request(self, *_: object) -> bool:
            return False

    with Refusing(LOCAL, Hello) as server:
        answer = client.ask(server)
        server.handle_request()
        with pytest.raises(http.client.RemoteDisconnected):
            answer.result(PATIENCE)
    assert server.calls == ["get", "shutdown", "close"]


def test_shutdown_request_from_a_handler_ends_the_connection_with_its_answer(client: Client) -> None:
    class Ending(Hello):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.server.shutdown_request(self.request)
            super().do_GET()

    def option() -> str | None:
        with contextlib.closing(connected(server)) as connection:
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert answer.read() == b"xxxxx"
            return answer.getheader("Connection")

    with HTTPServer(LOCAL, Ending) as server:
        answer = client.run(option)
        server.handle_request()
        assert answer.result(PATIENCE) == "close"


def test_the_hooks_work_on_a_socket_that_nobody_serves(capsys: pytest.CaptureFixture[str]) -> None:
    """As users' own tests and servers of other protocols call them."""
    ours, theirs = socket.socketpair()
    with HTTPServer(LOCAL, Hello) as server, theirs:
        theirs.send(b"GET / HTTP/1.0\r\n\r\n")
        server.process_request(ours, ("192.0.2.1", 1))
        assert theirs.recv(100).startswith(b"HTTP/1.0 200 OK\r\n")
        try:
            raise RuntimeError("by hand")  # noqa: TRY301 - the hook looks at it
        except RuntimeError:
            server.handle_error(ours, ("192.0.2.1", 1))
        server.shutdown_request(ours)
        assert ours.fileno() == -1
    assert "RuntimeError: by hand" in capsys.readouterr().err


def test_closing_the_server_closes_its_connections(client: Client) -> None:
    class Persistent(Hello):
        protocol_version = "HTTP/1.1"

    server = HTTPServer(LOCAL, Persistent)
    with contextlib.closing(connected(server)) as connection:

        def asking() -> int:
            connection.request("GET", "/")
            return len(connection.getresponse().read())

        answer = client.run(asking)
        server.handle_request()
        assert answer.result(PATIENCE) == 5
        server.server_close()
        assert connection.sock.recv(1) == b""
