"""Connections that cease to speak HTTP: an upgrade, a CONNECT, and what may not become one."""

from __future__ import annotations

import http.server
import socket
import time
from typing import TYPE_CHECKING

import pytest

from forkhttp.settings import Timeouts
from tests.server.serving import Client, Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPGRADE = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n%b\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n"


class Switching(http.server.BaseHTTPRequestHandler):
    """Speak another protocol: give back what comes, in capitals."""

    def do_GET(self) -> None:
        """Switch in the way that the path names."""
        getattr(self, "by_" + self.path.strip("/"))()

    def do_POST(self) -> None:
        """Switch without a look at the body."""
        self.switch()

    def do_CONNECT(self) -> None:
        """Be the other end oneself."""
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.echo()

    def switch(self) -> None:
        """Answer with a 101."""
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "echo")
        self.end_headers()

    def echo(self) -> None:
        """Give each octet back, up to the peer's end."""
        while octet := self.rfile.read(1):
            self.wfile.write(octet.upper())

    def by_streams(self) -> None:
        """Use the streams."""
        self.switch()
        self.echo()
        self.wfile.write(b".")

    def by_socket(self) -> None:
        """Use the socket, as for WebSockets."""
        self.switch()
        assert self.connection.recv(3, socket.MSG_PEEK)
        while data := self.connection.recv(3):
            self.connection.sendall(data.upper())
        self.connection.send(b".")

    def by_buffer(self) -> None:
        """Use the socket, into a buffer, after something that was written to the stream."""
        self.switch()
        buffer = bytearray(4)
        while size := self.connection.recv_into(buffer):
            self.wfile.write(b"<")
            self.connection.sendall(bytes(buffer[:size]).upper())

    def by_hand(self) -> None:
        """Answer on the socket alone, as many do who speak WebSocket."""
        self.request.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
        )
        while data := self.request.recv(2):
            assert self.request.send(data.upper()) == len(data)

    def by_halves(self) -> None:
        """Give a head with the documented methods, and the body on the socket."""
        self.send_response(200)
        self.end_headers()
        self.connection.sendall(b"bo")
        self.connection.sendall(memoryview(b"dy"))

    def by_timeout(self) -> None:
        """Set a timeout on the socket, and read from the stream."""
        self.switch()
        self.connection.settimeout(0.05)
        try:
            self.rfile.read(1)
        except TimeoutError:
            self.wfile.write(b"late")

    def by_failing(self) -> None:
        """Fail in the middle."""
        self.switch()
        raise RuntimeError("a fault of the application")

    def by_catching(self) -> None:
        """Find out that it may not, and answer otherwise."""
        try:
            self.switch()
        except Exception:  # noqa: BLE001 - whatever it is
            self._headers_buffer: list[bytes] = []
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"stayed")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(Switching, tmp_path, timeouts=Timeouts(linger=0.3, stall=0.2)) as served:
        yield served


def until_end(client: Client) -> bytes:
    """Say that nothing more comes, and read everything."""
    client.socket.shutdown(socket.SHUT_WR)
    return client.rest()


@pytest.mark.parametrize(
    ("path", "end"), [(b"/streams", b"."), (b"/socket", b"."), (b"/buffer", b""), (b"/hand", b"")]
)
@pytest.mark.parametrize("early", [b"", b"early"])
def test_an_upgrade_hands_the_raw_connection_over(
    served: Served, path: bytes, end: bytes, early: bytes
) -> None:
    """Octets that came together with the request are the first of the other protocol."""

    def talk(client: Client) -> bytes:
        client.send(UPGRADE % (path, b"") + early)
        client.send(b"late\r\n\r\n")
        return until_end(client)

    head, _, said = served.run(talk).partition(b"\r\n\r\n")
    assert head.startswith(SWITCHED)
    assert said.replace(b"<", b"") == early.upper() + b"LATE\r\n\r\n" + end


def test_a_tunnel_may_be_silent_for_longer_than_a_handler_may(served: Served) -> None:
    def talk(client: Client) -> bytes:
        client.send(UPGRADE % (b"/streams", b""))
        time.sleep(0.5)  # what is tested is that nothing happens
        client.send(b"a")
        return until_end(client)

    assert served.run(talk).endswith(b"\r\n\r\nA.")
    assert served.log == ""


def test_a_timeout_of_the_socket_is_one_of_the_stream(served: Served) -> None:
    def talk(client: Client) -> bytes:
        client.send(UPGRADE % (b"/timeout", b""))
        return client.rest()

    assert served.run(talk).endswith(b"\r\n\r\nlate")


def test_a_handler_that_fails_in_a_tunnel_resets_it(served: Served) -> None:
    def talk(client: Client) -> None:
        client.send(UPGRADE % (b"/failing", b""))
        with pytest.raises(ConnectionResetError):
            client.rest()

    served.run(talk)
    assert "a fault of the application" in served.log


def test_connect_hands_the_raw_connection_over(served: Served) -> None:
    def talk(client: Client) -> bytes:
        client.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nhello")
        return until_end(client)

    head, _, said = served.run(talk).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length" not in head.lower()
    assert said == b"HELLO"


@pytest.mark.parametrize(
    "request_octets",
    [
        b"GET /streams HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /streams HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
        b"GET /streams HTTP/1.0\r\nHost: a\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_nobody_is_switched_unasked(served: Served, request_octets: bytes) -> None:
    """RFC 9110 section 7.8."""
    status, fields, _ = served.run(lambda client: client.ask(request_octets))
    assert (status, fields["connection"]) == (500, "close")
    assert "protocols cannot be switched unasked" in served.log


def test_a_handler_that_may_not_switch_can_answer_otherwise(served: Served) -> None:
    status, _, body = served.run(lambda client: client.ask(b"GET /catching HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert (status, body) == (200, b"stayed")


def test_a_body_that_has_not_come_is_not_taken_for_the_other_protocol(served: Served) -> None:
    """What fits into memory is there before the handler; this does not."""

    def talk(client: Client) -> tuple[int, dict[str, str], bytes]:
        head = UPGRADE.replace(b"GET", b"POST") % (b"/", b"Content-Length: 100000\r\n")
        client.send(head + b"x" * 70000)
        return client.expect("POST")

    status, fields, _ = served.run(talk)
    assert (status, fields["connection"]) == (500, "close")
    assert "before the request's body has come" in served.log


def test_a_body_that_nobody_read_is_not_a_part_of_the_other_protocol(served: Served) -> None:
    def talk(client: Client) -> bytes:
        client.send(UPGRADE.replace(b"GET", b"POST") % (b"/", b"Content-Length: 4\r\n") + b"bodyraw")
        return until_end(client)

    assert served.run(talk).startswith(SWITCHED)


def test_a_continue_that_was_awaited_comes_before_the_switch(served: Served) -> None:
    """RFC 9110 section 7.8."""

    def talk(client: Client) -> bytes:
        client.send(UPGRADE % (b"/streams", b"Expect: 100-continue\r\n"))
        return until_end(client)

    assert served.run(talk).startswith(b"HTTP/1.1 100 Continue\r\n\r\n" + SWITCHED)


def test_what_is_sent_on_the_socket_is_an_answer_like_any(served: Served) -> None:
    """It is framed, and the connection goes on."""

    def talk(client: Client) -> list[tuple[int, bytes]]:
        answers = [client.ask(b"GET /halves HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(2)]
        return [(status, body) for status, _, body in answers]

    assert served.run(talk) == [(200, b"body")] * 2
    assert served.log == ""
