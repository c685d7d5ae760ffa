"""What applications do to a server: sockets closed, threads left behind, forks, hooks that raise."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from forkhttp import SimpleHTTPRequestHandler
from forkhttp.settings import Timeouts
from tests.referee import BrokenOff
from tests.server.serving import GET, Client, serving
from tests.server.test_loop import HELLO, Plain, head

BIG = 8_000_000


class Careless(Plain):
    """Does what it should not."""

    late = threading.Event()
    joined: list[threading.Thread] = []  # noqa: RUF012 - shared by the instances on purpose

    def answer(self, body: bytes, *fields: tuple[str, str]) -> None:
        """Answer in order."""
        self.send_response(200)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_path_close(self) -> None:
        """Close the socket after an answer that has left."""
        self.answer(HELLO)
        self.wfile.flush()
        self.connection.close()

    def do_path_close_large(self) -> None:
        """Close the socket under an answer that has not left."""
        self.answer(b"x" * BIG)
        self.wfile.flush()
        self.connection.close()

    def do_path_detach(self) -> None:
        """Take the socket away."""
        self.answer(HELLO)
        self.wfile.flush()
        os.close(self.connection.detach())

    def do_path_thread(self) -> None:
        """Leave a thread behind that writes when the answer is complete."""

        def write_late() -> None:
            self.late.wait(10)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Evil: 1\r\n\r\n")
            self.wfile.flush()

        thread = threading.Thread(target=write_late)
        self.joined.append(thread)
        thread.start()
        self.answer(HELLO)

    def do_path_keep(self) -> None:
        """Insist on a connection that the peer wants to end."""
        self.answer(HELLO, ("Connection", "keep-alive"))

    def do_path_fork(self) -> None:
        """Fork, and let the child return as well."""
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            self.answer(b"%d" % os.waitstatus_to_exitcode(status))

    def do_path_fork_exit(self) -> None:
        """Fork, and end the child with a status."""
        child = os.fork()
        if not child:
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        self.answer(b"%d" % os.waitstatus_to_exitcode(status))

    def do_path_fork_look(self) -> None:
        """Count the sockets that a child still has."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, b"%d" % _sockets())
            os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as pipe:
            self.answer(pipe.read())

    def do_path_send_nothing(self) -> None:
        """Fail to send a file, and go on as if nothing had happened."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        try:
            self.wfile.send_file(io.BytesIO(b"abcde"), 0, 5)  # type: ignore[attr-defined]
        except OSError:
            self.wfile.write(b"abcde")


def _sockets() -> int:
    """Count the sockets of this process."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the directory itself
            count += str(link.readlink()).startswith("socket:")
    return count


@pytest.mark.parametrize("path", ["/close", "/detach", "/close-large"])
def test_a_handler_that_closes_its_socket_harms_nobody_else(tmp_path: Path, path: str) -> None:
    """The number of the descriptor is the next client's."""
    with serving(Careless, tmp_path, timeouts=Timeouts(keep_alive=0.3)) as served:

        def closed(connection: Client) -> None:
            connection.send(head(path))
            with contextlib.suppress(BrokenOff):  # as far as it had left, it was its answer
                connection.rest()

        served.run(closed)
        served.until(lambda: served.row.connections == 0)
        assert served.run(lambda connection: [connection.ask()[2] for _ in range(2)]) == [HELLO, HELLO]
        served.until(lambda: served.row.connections == 0)


def test_what_a_thread_writes_after_the_answer_goes_nowhere(tmp_path: Path) -> None:
    Careless.late.clear()
    with serving(Careless, tmp_path) as served:
        client = served.client()
        client.send(head("/thread"))
        assert served.let(client.expect)[2] == HELLO
        Careless.late.set()
        for thread in Careless.joined:
            thread.join()
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        octets = served.let(client.rest)
    assert octets.count(b"HTTP/1.1 200") == 1
    assert b"Evil" not in octets


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_peer_that_wants_to_end_its_connection_gets_its_way(tmp_path: Path, version: str) -> None:
    def client(connection: Client) -> bytes:
        connection.send(head("/keep", version, "Connection: close") + GET)
        connection.expect()
        return connection.rest()

    with serving(Careless, tmp_path) as served:
        assert served.run(client) == b""
        assert served.row.requests == 1


def test_octets_behind_the_last_request_do_not_cost_its_answer(tmp_path: Path) -> None:
    def client(connection: Client) -> int:
        connection.send(head("/big", "1.1", "Connection: close"))
        connection.send(b"\r\n" * 10)
        return len(connection.expect()[2])

    with serving(Careless, tmp_path) as served:
        for _ in range(5):
            assert served.run(client) == BIG


def test_a_switch_of_protocols_ends_http_on_the_connection(tmp_path: Path) -> None:
    class Switches(Plain):
        def do_GET(self) -> None:
            self.send_response_only(101)
            self.send_header("Connection", "upgrade")
            self.send_header("Upgrade", "echo")
            self.end_headers()
            self.wfile.write(b"spoken in another protocol")

    def client(connection: Client) -> bytes:
        offer = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        connection.send(offer + GET)
        return connection.rest()

    with serving(Switches, tmp_path) as served:
        answer = served.run(client)
        assert served.row.requests == 1
    assert b"Connection: upgrade\r\n" in answer
    assert answer.endswith(b"\r\n\r\nspoken in another protocol")


def test_a_file_that_cannot_be_sent_takes_nothing_from_the_length(tmp_path: Path) -> None:
    def client(connection: Client) -> list[bytes]:
        return [connection.ask(head("/send-nothing"))[2], connection.ask()[2]]

    with serving(Careless, tmp_path) as served:
        assert served.run(client) == [b"abcde", HELLO]


def test_a_pipe_in_the_directory_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, request: Any, client_address: Any, server: Any) -> None:  # noqa: ANN401
            super().__init__(request, client_address, server, directory=tmp_path)

    with serving(Files, tmp_path) as served:
        assert served.run(lambda connection: connection.ask(head("/pipe"))[0]) == 404


def test_links_out_of_the_root_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside").write_bytes(HELLO)
    (root / "alias").symlink_to("inside")
    (root / "out").symlink_to("/etc/passwd")

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, request: Any, client_address: Any, server: Any) -> None:  # noqa: ANN401
            super().__init__(request, client_address, server, directory=root)

    def client(connection: Client) -> list[int]:
        return [Client.ask(connection, head(path))[0] for path in ("/inside", "/alias")]

    with serving(Files, tmp_path) as served:
        assert served.run(client) == [200, 200]
        assert served.run(lambda connection: connection.ask(head("/out"))[0]) == 404
        assert served.run(lambda connection: connection.ask(head("/%00"))[0]) == 404


# Since 3.12 Python warns of each fork beside threads; what comes of it is what is tested.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("path", "status"), [("/fork", b"0"), ("/fork-exit", b"7")])
def test_a_forked_child_that_comes_back_ends(tmp_path: Path, path: str, status: bytes) -> None:
    with serving(Careless, tmp_path) as served:
        parked = served.client()
        assert served.let(parked.ask)[2] == HELLO
        assert served.run(lambda connection: connection.ask(head(path))[2]) == status
        assert served.let(parked.ask)[2] == HELLO


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_holds_no_connection_and_no_listener(tmp_path: Path) -> None:
    with serving(Careless, tmp_path) as served:
        parked = [served.client() for _ in range(5)]
        for each in parked:
            assert served.let(each.ask)[2] == HELLO
        before = _sockets()
        left = int(served.run(lambda connection: connection.ask(head("/fork-look"))[2]))
    # The test's own ends, the connection that is being served and its client are still there.
    assert left <= before + 2 - len(parked) - 2


class Raising(HTTPServer):
    """Every hook at the end of a connection raises."""

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401, ARG002
        """Fail."""
        raise RuntimeError("shutdown_request failed")

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Fail in the report of a failure."""
        raise RuntimeError("handle_error failed")


class RaisingEnd(Plain):
    """Tries to end the process when its connection ends."""

    def finish(self) -> None:
        """Fail."""
        super().finish()
        sys.exit(3)


@pytest.mark.parametrize("handler", [Plain, RaisingEnd])
@pytest.mark.parametrize("server", [HTTPServer, Raising])
def test_hooks_that_raise_end_nothing_but_themselves(
    tmp_path: Path, handler: type[Plain], server: type[HTTPServer]
) -> None:
    with serving(handler, tmp_path, server) as served:
        neighbour = served.client()
        assert served.let(neighbour.ask)[2] == HELLO
        assert served.run(lambda connection: connection.ask(head("/raise"))[0]) == 500
        served.until(lambda: served.row.connections == 1)
        assert served.let(neighbour.ask)[2] == HELLO


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_a_handle_that_says_nothing_of_the_connection_ends_it(tmp_path: Path, pause: float) -> None:
    class Raw(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            time.sleep(pause)

    def client(connection: Client) -> bytes:
        body = connection.ask()[2]
        assert connection.rest() == b""
        return body

    with serving(Raw, tmp_path) as served:
        assert served.run_all([client, client]) == [b"ok", b"ok"]


def test_an_accept_hook_that_raises_costs_its_connection(tmp_path: Path) -> None:
    class Picky(HTTPServer):
        tries = 0

        def get_request(self) -> tuple[Any, Any]:
            request, address = super().get_request()
            type(self).tries += 1
            if self.tries == 1:
                request.close()
                raise RuntimeError("not this one")
            return request, address

    with serving(Plain, tmp_path, Picky) as served:
        first = served.client()
        assert served.let(first.rest) == b""
        assert served.run(lambda connection: connection.ask()[2]) == HELLO
        assert "not this one" in served.log


def test_a_listener_that_the_application_closes_is_noticed_and_costs_no_cpu(tmp_path: Path) -> None:
    class Closes(Plain):
        def do_GET(self) -> None:
            os.close(served.server.fileno())
            super().do_GET()

    with serving(Closes, tmp_path) as served:
        keeper = served.server.socket.dup()  # as a master does
        idle = served.client()
        assert served.let(idle.ask)[2] == HELLO
        late = socket.create_connection(keeper.getsockname())
        served.until(lambda: bool(served.loop.unfit))
        began = time.thread_time()
        for _ in range(20):
            served.loop.turn(0.01)
        assert time.thread_time() - began < 0.1
        late.close()
        keeper.close()
