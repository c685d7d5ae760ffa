"""What handlers do with ``self.connection``, and what the threads they leave behind do."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from forkhttp import HTTPServer
from forkhttp.server.served_socket import ServedSocket
from forkhttp.settings import Proxy, Timeouts
from tests.deadline import until
from tests.server.serving import GET, Client, Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b"0123456789" * 20_000


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer with the body, sent in the way that the path names."""

    released: ClassVar[threading.Event]
    late: ClassVar[list[threading.Thread]]
    heard: ClassVar[list[object]]

    def do_GET(self) -> None:
        """Send a head by the documented methods, and what the path says by the socket."""
        action = getattr(self, "by_" + self.path.strip("/"), None)
        if action is None:
            self.answer(b"plain")
        else:
            action()

    do_POST = do_GET

    def answer(self, body: bytes) -> None:
        """Answer as documented."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def head(self) -> None:
        """Announce the body."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()

    def by_sendfile(self) -> None:
        """Send a file, from its second octet and back."""
        self.head()
        file = BytesIO(b"x" + BODY + b"y")
        assert self.connection.sendfile(file, 1, len(BODY)) == len(BODY)

    def by_whole_file(self) -> None:
        """Send all of a file."""
        self.head()
        assert self.connection.sendfile(BytesIO(BODY)) == len(BODY)

    def by_sendmsg(self) -> None:
        """Send two buffers."""
        self.head()
        assert self.connection.sendmsg([BODY[:7], memoryview(BODY[7:])]) == len(BODY)

    def by_flags(self) -> None:
        """Send with a flag, as careful people do."""
        self.head()
        self.connection.sendall(BODY, socket.MSG_NOSIGNAL)

    def by_sendto(self) -> None:
        """Send to where the connection goes anyway."""
        self.head()
        assert self.connection.sendto(BODY, self.client_address) == len(BODY)

    def by_closing(self) -> None:
        """Close as soon as everything is written."""
        self.answer(b"closed")
        self.connection.close()

    def by_shutting(self) -> None:
        """Shut both directions down."""
        self.answer(b"shut")
        self.connection.shutdown(socket.SHUT_RDWR)

    def by_closed_stream(self) -> None:
        """Close the stream, and go on with the socket."""
        self.answer(b"all")
        self.wfile.close()
        with pytest.raises(BrokenPipeError):
            self.connection.sendall(b"more")

    def by_receiving(self) -> None:
        """Read the body from the socket, and more than that."""
        peeked = self.connection.recv(2, socket.MSG_PEEK)
        buffer = bytearray(3)
        size = self.connection.recv_into(buffer)
        rest = self.connection.recvfrom(100)[0]
        self.answer(b"|".join([peeked, bytes(buffer[:size]), rest, self.connection.recv(100)]))

    def by_blocking(self) -> None:
        """Take the timeout away."""
        self.connection.settimeout(1.5)
        assert self.connection.gettimeout() == 1.5
        self.connection.setblocking(True)  # noqa: FBT003
        assert self.connection.gettimeout() is None
        self.answer(b"blocking")

    def by_late(self) -> None:
        """Leave a thread behind that answers once more, by all ways there are."""
        handler = self

        def answer_again() -> None:
            type(handler).released.wait(10)
            for way in (
                lambda: handler.answer(b"secret"),
                lambda: handler.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"),
                lambda: handler.rfile.read(6),
                handler.wfile.flush,
                handler.wfile.close,
                handler.rfile.close,
                lambda: handler.connection.shutdown(socket.SHUT_RDWR),
            ):
                try:
                    type(handler).heard.append(way())
                except (OSError, ValueError) as error:
                    type(handler).heard.append(error)

        thread = threading.Thread(target=answer_again)
        type(self).late.append(thread)
        thread.start()
        self.answer(b"accepted")

    def by_waiting(self) -> None:
        """Wait until the late thread has done its worst, and answer."""
        type(self).released.set()
        until(lambda: not any(thread.is_alive() for thread in type(self).late), "the late threads are done")
        self.answer(b"mine:" + self.rfile.read())


class Staying(Handler):
    """Has state of its own, and cannot be replaced."""

    def setup(self) -> None:
        """Keep something."""
        super().setup()
        self.kept = 1


@pytest.fixture(params=[Handler, Staying])
def handler(request: pytest.FixtureRequest) -> Iterator[type[Handler]]:
    handler: type[Handler] = request.param
    Handler.released, Handler.late, Handler.heard = threading.Event(), [], []
    yield handler
    Handler.released.set()
    for thread in Handler.late:
        thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    Handler.released, Handler.late, Handler.heard = threading.Event(), [], []
    with serving(Handler, tmp_path, timeouts=Timeouts(linger=0.3)) as served:
        yield served


def get(path: str) -> bytes:
    return f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@pytest.mark.parametrize("path", ["sendfile", "whole_file", "sendmsg", "flags", "sendto"])
def test_whatever_way_it_is_sent_it_is_the_body(served: Served, path: str) -> None:
    def talk(client: Client) -> list[bytes]:
        return [client.ask(get(path))[2], client.ask(GET)[2]]

    assert served.run(talk) == [BODY, b"plain"]
    assert served.log == ""


@pytest.mark.parametrize(
    ("path", "body"), [("closing", b"closed"), ("shutting", b"shut"), ("closed_stream", b"all")]
)
def test_what_was_written_leaves_before_the_close(served: Served, path: str, body: bytes) -> None:
    def talk(client: Client) -> tuple[str, bytes, bytes]:
        _, fields, read = client.ask(get(path))
        return fields["connection"], read, client.rest()

    assert served.run(talk) == ("close", body, b"")
    assert served.log == ""


def test_nobody_receives_past_the_body(served: Served) -> None:
    def talk(client: Client) -> list[bytes]:
        client.send(b"POST /receiving HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET)
        return [client.expect()[2], client.expect()[2]]

    assert served.run(talk) == [b"he|hel|lo|", b"plain"]


def test_no_timeout_does_not_stop_the_loop(served: Served) -> None:
    """A client that reads its last answer and stays; another one must be served meanwhile."""
    staying = served.client()
    staying.send(get("blocking").replace(b"Host", b"Connection: close\r\nHost"))
    served.until(lambda: served.row.requests == 1)
    begun = time.monotonic()
    assert served.run(lambda client: client.ask(GET)[2]) == b"plain"
    assert time.monotonic() - begun < 5
    assert served.let(staying.expect)[2] == b"blocking"


def test_a_thread_that_was_left_behind_answers_nobody(handler: type[Handler], tmp_path: Path) -> None:
    """Nor does it read what is somebody else's: on a proxy's connection that is another client's."""

    def talk(client: Client) -> list[bytes]:
        bodies = [client.ask(GET)[2]]
        _, fields, body = client.ask(get("late"))
        bodies.append(body)
        if fields.get("connection") == "close":
            handler.released.set()
            return [*bodies, client.rest()]
        client.send(get("waiting").replace(b"GET", b"POST").replace(b"Host", b"Content-Length: 6\r\nHost"))
        client.send(b"secret")
        return [*bodies, client.expect()[2], client.ask(GET)[2]]

    with serving(handler, tmp_path, timeouts=Timeouts(linger=0.3)) as served:
        bodies = served.run(talk)
    if handler is Handler:
        assert bodies == [b"plain", b"accepted", b"mine:secret", b"plain"]
        assert b"secret" not in Handler.heard
    else:
        assert bodies == [b"plain", b"accepted", b""]


class Ours(socket.socket):
    """A socket class of an application."""


class ServerOfSockets(HTTPServer):
    """Hands its own kind of socket out."""

    def get_request(self) -> tuple[Any, Any]:
        """Accept, and make it ours."""
        accepted, address = super().get_request()
        return Ours(accepted.family, accepted.type, accepted.proto, accepted.detach()), address


def test_a_socket_of_the_applications_own_class_is_one_too(tmp_path: Path) -> None:
    def talk(client: Client) -> list[bytes]:
        return [client.ask(get("sendmsg"))[2], client.ask(GET)[2]]

    with serving(Handler, tmp_path, ServerOfSockets) as served:
        assert served.run(talk) == [BODY, b"plain"]


class OddServer(HTTPServer):
    """Says of its peers what nobody can use."""

    address: ClassVar[object] = 7

    def get_request(self) -> tuple[Any, Any]:
        """Accept."""
        return super().get_request()[0], self.address


@pytest.mark.parametrize("address", [7, (), "peer", None, ("peer",), ("peer", 1)])
def test_a_peer_without_a_usable_address_is_nobody(tmp_path: Path, address: object) -> None:
    """Above all it is no trusted one."""
    OddServer.address = address
    with serving(Handler, tmp_path, OddServer, proxy=Proxy(trusted=("unix", "127.0.0.1"))) as served:
        assert served.run(lambda client: client.ask(GET)[2]) == b"plain"


class Choosy(HTTPServer):
    """Serves some clients."""

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        """Refuse one."""
        del request
        return client_address[0] != "6.6.6.6"


def test_a_client_that_is_not_served_is_not_served_by_a_proxys_connection(tmp_path: Path) -> None:
    """Each client is asked about, and the others do not suffer for it."""

    def ask(client: Client, address: str) -> tuple[int, str]:
        status, fields, _ = client.ask(
            GET.replace(b"Host", b"X-Forwarded-For: %b\r\nHost" % address.encode())
        )
        return status, fields.get("connection", "")

    with serving(Handler, tmp_path, Choosy, proxy=Proxy(trusted=("127.0.0.1",))) as served:
        assert served.run(lambda client: [ask(client, "1.1.1.1"), ask(client, "6.6.6.6")]) == [
            (200, ""),
            (403, "close"),
        ]
        assert served.run(lambda client: ask(client, "6.6.6.6")) == (403, "close")


def test_a_socket_without_a_server_is_a_socket() -> None:
    """So it is again when its connection has ended."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ServedSocket.serve(ours)
        ours.sendall(b"a")
        assert ours.send(b"b") == 1
        assert ours.sendmsg([b"c"]) == 1
        assert ours.sendfile(BytesIO(b"d")) == 1
        assert theirs.recv(9) == b"abcd"
        theirs.sendall(b"efgh")
        assert ours.recv(1) == b"e"
        buffer = bytearray(2)
        assert ours.recv_into(buffer, 1) == 1
        assert buffer == b"f\0"
        assert ours.recvfrom(1)[0] == b"g"
        ours.shutdown(socket.SHUT_WR)
        assert theirs.recv(1) == b""
