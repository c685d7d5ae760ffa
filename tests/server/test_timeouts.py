"""Each timeout by a real socket: it ends what it is for, in time, and says so as it should.

Two seconds is far more than any of these timeouts and their slot in the wheel take, and far less than
the timeouts that are not being tested.
"""

from __future__ import annotations

import http.server
import socket
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import pytest

from forkhttp.server.connection import BODY_AT_ONCE
from forkhttp.settings import Limits, Timeouts
from tests.server.serving import GET, Client, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.serving import Served, Tables

#: Of a timeout that is being tested, in seconds, and how late it may be.
SHORT, SLACK = 0.3, 2.0

#: Octets that no socket's buffers hold.
BIG = 16 << 20

#: Octets of a body, more than are awaited before its handler.
HALF = 100_000

#: One octet, so often in a second: no stall, and far below any rate.
DRIP = 0.02


class Plain(http.server.BaseHTTPRequestHandler):
    """Answers with a body that ends by its length, by its last chunk, or with the connection."""

    def do_GET(self) -> None:
        """Answer with as many octets as the path says."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes(int(self.path[1:] or 0)))

    def do_HELD(self) -> None:
        """Write more than may wait, so that the peer holds this handler."""
        self.send_response(200)
        self.end_headers()
        for _ in range(BIG >> 18):
            self.wfile.write(bytes(1 << 18))

    def do_LENGTH(self) -> None:
        """Announce what comes."""
        self.send_response(200)
        self.send_header("Content-Length", str(BIG))
        self.end_headers()
        self.wfile.write(bytes(BIG))

    def do_POST(self) -> None:
        """Read the body."""
        size = len(self.rfile.read())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%d" % size)

    def do_LATER(self) -> None:
        """Read the body later than it should have come, had it been awaited."""
        time.sleep(2 * SHORT)
        self.do_POST()

    def do_HALVES(self) -> None:
        """Read half of the body, do something else for long, and ask for the other half."""
        self.rfile.read(HALF)
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        time.sleep(2 * SHORT)
        self.wfile.write(b"now")
        self.wfile.flush()
        self.wfile.write(b"%d" % len(self.rfile.read()))

    def do_UNREAD(self) -> None:
        """Answer without a look at the body."""
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Drip(NamedTuple):
    """Octets that come at once, and what follows one by one for ever."""

    begins: bytes
    goes_on: bytes


#: What never ends, and the settings that end it.
DRIPS: dict[str, tuple[Drip, Tables]] = {
    "head": (Drip(GET[:-4], b"\r\nX-Y: z"), {"timeouts": Timeouts(head=SHORT)}),
    "request line": (Drip(b"", b"GET"), {"timeouts": Timeouts(head=SHORT)}),
    "body": (
        Drip(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", b"a"),
        {"timeouts": Timeouts(body=SHORT)},
    ),
    "chunks": (
        Drip(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        {"timeouts": Timeouts(body=SHORT)},
    ),
    "streamed body": (
        Drip(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", b"a"),
        {"timeouts": Timeouts(body=SHORT), "limits": Limits(buffered_body=1)},
    ),
}


def told(answer: bytes, status: HTTPStatus) -> bool:
    """Whether octets are one answer of the server's own, which says that the connection ends."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    return (
        lines[0] == f"HTTP/1.1 {status.value} {status.phrase}".encode()
        and b"Connection: close" in lines
        and sum(line.startswith(b"Date: ") for line in lines) == 1
        and f"Content-Length: {len(body)}".encode() in lines
    )


@pytest.mark.parametrize(("drip", "tables"), DRIPS.values(), ids=DRIPS.keys())
def test_a_drip_does_not_put_the_end_off(tmp_path: Path, drip: Drip, tables: Tables) -> None:
    """``timeouts.head`` is a total, and a body has a minimum rate."""

    def client(connection: Client) -> tuple[bytes, float]:
        connection.send(drip.begins)
        begun = time.monotonic()
        connection.socket.settimeout(DRIP)
        for number in range(int(SLACK / DRIP) * 2):
            connection.send(drip.goes_on[number % len(drip.goes_on) :][:1])
            try:
                answer = connection.socket.recv(1 << 16)
            except TimeoutError:
                continue
            connection.socket.settimeout(SLACK)
            return answer + connection.rest(), time.monotonic() - begun
        return b"", 0.0

    with serving(Plain, tmp_path, **tables) as served:
        answer, took = served.run(client)
    assert told(answer, HTTPStatus.REQUEST_TIMEOUT), answer
    assert SHORT - 0.05 <= took < SLACK


def test_a_body_that_keeps_its_rate_may_take_longer_than_a_stall(tmp_path: Path) -> None:
    def client(connection: Client) -> bytes:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            connection.send(b"a")
            time.sleep(DRIP)
        return connection.expect()[2]

    tables: Tables = {"timeouts": Timeouts(body=10 * DRIP), "limits": Limits(min_rate=2)}
    with serving(Plain, tmp_path, **tables) as served:
        assert served.run(client) == b"20"


@pytest.mark.parametrize("before", [b"", GET], ids=["nothing asked", "answered before"])
def test_an_idle_connection_is_closed_in_silence(tmp_path: Path, before: bytes) -> None:
    def client(connection: Client) -> tuple[bytes, float]:
        if before:
            assert connection.ask(before)[0] == 200
        begun = time.monotonic()
        return connection.rest(), time.monotonic() - begun

    with serving(Plain, tmp_path, timeouts=Timeouts(keep_alive=SHORT)) as served:
        octets, took = served.run(client)
    assert octets == b""
    assert SHORT - 0.05 <= took < SLACK


def test_empty_lines_do_not_keep_an_idle_connection(tmp_path: Path) -> None:
    """They belong to a head that has begun (RFC 9112 section 2.2)."""

    def client(connection: Client) -> tuple[bytes, float]:
        connection.send(b"\r\n")
        begun = time.monotonic()
        return connection.rest(), time.monotonic() - begun

    with serving(Plain, tmp_path, timeouts=Timeouts(head=SHORT)) as served:
        octets, took = served.run(client)
    assert told(octets, HTTPStatus.REQUEST_TIMEOUT)
    assert took < SLACK


def test_the_last_of_so_many_requests_is_announced(tmp_path: Path) -> None:
    def client(connection: Client) -> list[str]:
        connection.send(GET * 5)
        announced = [connection.expect()[1].get("connection", "") for _ in range(3)]
        assert connection.rest() == b""
        return announced

    with serving(Plain, tmp_path, limits=Limits(keep_alive_requests=3)) as served:
        assert served.run(client) == ["", "", "close"]
        assert served.row.requests == 3


def slow_reader(served: Served, request: bytes) -> Client:
    """Ask for much, read nothing, and be given up."""
    client = served.client()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    client.send(request)
    served.until(lambda: served.row.connections == 1)
    begun = time.monotonic()
    served.until(lambda: served.row.connections == 0)
    assert SHORT - 0.05 <= time.monotonic() - begun < SLACK
    return client


@pytest.mark.parametrize(
    "request_line",
    [
        f"GET /{BIG} HTTP/1.1",
        f"GET /{BIG} HTTP/1.0",
        "LENGTH / HTTP/1.1",
        "HELD / HTTP/1.1",
        "HELD / HTTP/1.0",
    ],
)
def test_a_reader_that_is_given_up_cannot_take_what_it_has_for_all(tmp_path: Path, request_line: str) -> None:
    """Where only the connection's end ends the answer, it is a reset; nor does the kernel go on sending."""
    with serving(Plain, tmp_path, timeouts=Timeouts(send=SHORT)) as served:
        client = slow_reader(served, f"{request_line}\r\nHost: a\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_a_drip_of_reads_does_not_hold_an_answer(tmp_path: Path) -> None:
    """Each read puts the stall off, but not the average; the buffers of the sockets are filled first."""

    def client(connection: Client) -> float:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        connection.send(f"GET /{BIG} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        begun = time.monotonic()
        while time.monotonic() - begun < 2 * SLACK:
            try:
                connection.socket.recv(1 << 10)
            except ConnectionResetError:
                return time.monotonic() - begun
            time.sleep(DRIP)
        return 2 * SLACK

    tables: Tables = {"timeouts": Timeouts(send=SHORT), "limits": Limits(min_rate=1 << 30)}
    with serving(Plain, tmp_path, **tables) as served:
        assert served.run(client) < SLACK


UNREAD = b"UNREAD / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize(
    ("request_octets", "status"),
    [(UNREAD % 1_000_000_000 + bytes(1 << 17), 401), (b"No request\r\n\r\n", 400)],
    ids=["below the rate", "unasked"],
)
def test_a_peer_that_sends_on_after_its_last_answer_is_closed_in_time(
    tmp_path: Path, request_octets: bytes, status: int
) -> None:
    """Octets that nobody announced, or that come too slowly, do not extend ``timeouts.linger``."""

    def client(connection: Client) -> float:
        connection.send(request_octets)
        assert connection.expect()[0] == status
        assert connection.rest() == b""
        begun = time.monotonic()
        while time.monotonic() - begun < 2 * SLACK:
            try:
                connection.send(bytes(100))
            except OSError:
                return time.monotonic() - begun
            time.sleep(DRIP)
        return 2 * SLACK

    tables: Tables = {"timeouts": Timeouts(linger=SHORT), "limits": Limits(min_rate=1 << 20)}
    with serving(Plain, tmp_path, **tables) as served:
        assert SHORT - 0.25 <= served.run(client) < SLACK


@pytest.mark.parametrize("body", [1 << 21, 1 << 28], ids=["accepted", "too long"])
def test_an_announced_body_may_come_to_its_end_after_the_last_answer(tmp_path: Path, body: int) -> None:
    """A reset would meet a client that does not read before it has sent everything."""

    def client(connection: Client) -> tuple[int, bytes]:
        connection.send(UNREAD % body)
        for _ in range(64):
            connection.send(bytes(1 << 15))
            time.sleep(DRIP)
        return connection.expect("UNREAD")[0], connection.rest()

    tables: Tables = {"timeouts": Timeouts(linger=SHORT), "limits": Limits(body=1 << 27)}
    with serving(Plain, tmp_path, **tables) as served:
        assert served.run(client) == (401 if body == 1 << 21 else 413, b"")


def test_a_peer_that_reads_steadily_takes_its_answer(tmp_path: Path) -> None:
    """Although the kernel, which holds megabytes, says for long that it has no room."""

    def client(connection: Client) -> int:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        connection.send(f"GET /{BIG} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        begun, size = time.monotonic(), 0
        while time.monotonic() - begun < 2.5:
            size += len(connection.socket.recv(1 << 12))
            time.sleep(DRIP)
        return size

    # Acknowledgements come some tenths of a second apart where the reader's window is closed.
    with serving(Plain, tmp_path, timeouts=Timeouts(send=1.0)) as served:
        assert served.run(client) > 1 << 14


def test_what_lies_here_when_lingering_ends_makes_no_reset(tmp_path: Path) -> None:
    """A handler of another kept the loop from it for longer than the peer had."""

    def refuse(client: Client) -> None:
        client.send(b"\0\r\n\r\n")
        assert client.expect()[0] == 400

    with serving(Plain, tmp_path, timeouts=Timeouts(linger=SHORT)) as served:
        refused, other = served.client(), served.client()
        served.let(partial(refuse, refused))
        refused.send(bytes(4 * BODY_AT_ONCE))
        other.send(b"LATER / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        served.until(lambda: served.row.connections == 1)
        assert refused.rest() == b""
        assert refused.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert served.let(other.expect)[2] == b"0"


@pytest.mark.parametrize("expects", [b"", b"Expect: 100-continue\r\n"], ids=["sends", "waits"])
def test_waiting_for_a_body_is_no_stall_of_its_handler(tmp_path: Path, expects: bytes) -> None:
    """The peer is told that it was late, in time, and no worker has to go."""

    def client(connection: Client) -> bytes:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n" + expects + b"\r\n")
        connection.send(b"" if expects else b"some")
        return connection.rest()

    tables: Tables = {
        "timeouts": Timeouts(body=4 * SHORT, stall=2 * SHORT),
        "limits": Limits(buffered_body=1),
    }
    with serving(Plain, tmp_path, **tables) as served:
        begun = time.monotonic()
        answer = served.run(client)
        assert 4 * SHORT - 0.05 <= time.monotonic() - begun < 4 * SHORT + SLACK
        assert told(answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"), HTTPStatus.REQUEST_TIMEOUT)
        assert served.loop.unfit == ""


def test_waiting_for_a_reader_is_no_stall_of_its_handler(tmp_path: Path) -> None:
    with serving(Plain, tmp_path, timeouts=Timeouts(send=4 * SHORT, stall=2 * SHORT)) as served:
        client = served.client()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        client.send(b"HELD / HTTP/1.1\r\nHost: a\r\n\r\n")
        served.until(lambda: served.row.connections == 1)
        served.until(lambda: served.row.connections == 0)
        assert served.loop.unfit == ""
        with pytest.raises(ConnectionResetError):
            client.rest()


@pytest.mark.parametrize("field", ["Expect: 100-continue", "X-Expect: nothing"])
def test_a_body_is_not_late_because_its_handler_was(tmp_path: Path, field: str) -> None:
    """A peer that awaits the 100 sends nothing before, and one whose octets lie here has sent them."""

    def client(connection: Client) -> bytes:
        connection.send(f"LATER / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n{field}\r\n\r\n".encode())
        if "100" in field:
            interim = connection.socket.recv(100)
            assert interim.startswith(b"HTTP/1.1 100 ")
            time.sleep(DRIP)
        connection.send(bytes(70_000))
        return connection.expect()[2]

    tables: Tables = {"timeouts": Timeouts(body=SHORT), "limits": Limits(min_rate=1 << 20)}
    with serving(Plain, tmp_path, **tables) as served:
        assert served.run(client) == b"70000"


def test_what_a_handler_does_between_two_reads_is_not_its_peers_time(tmp_path: Path) -> None:
    def client(connection: Client) -> bytes:
        connection.send(b"HALVES / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2 * HALF))
        connection.send(bytes(HALF))
        received = b""
        while b"now" not in received:
            received += connection.socket.recv(1 << 16)
        time.sleep(DRIP)  # so that the handler has to wait
        connection.send(bytes(HALF))
        return received + connection.socket.recv(1 << 16)

    tables: Tables = {"timeouts": Timeouts(body=SHORT), "limits": Limits(min_rate=1 << 20)}
    with serving(Plain, tmp_path, **tables) as served:
        assert b"%d\r\n" % HALF in served.run(client)
