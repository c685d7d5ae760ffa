"""Requests that wait in memory, and deadlines of connections that go from phase to phase."""

from __future__ import annotations

import contextlib
import http.server
import socket
from typing import TYPE_CHECKING

from forkhttp.server.connection import Phase
from forkhttp.settings import Timeouts
from tests.server.serving import GET, Client, Served, serving

if TYPE_CHECKING:
    from pathlib import Path

HALF = GET[:9]


class Short(http.server.BaseHTTPRequestHandler):
    """The shortest answer."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(204)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def phases(served: Served) -> list[Phase]:
    """Look at what the connections are doing."""
    return [connection.phase for connection in served.loop._connections.values()]  # noqa: SLF001


def test_a_connection_is_parked_after_requests_that_came_while_others_waited(tmp_path: Path) -> None:
    """More octets arrive while requests wait in memory: none is lost, none is served twice."""
    with serving(Short, tmp_path) as served:
        client = served.client()
        client.send(GET * 3)
        served.until(lambda: served.row.requests >= 2)
        client.send(GET * 3)
        assert [served.let(client.expect)[0] for _ in range(6)] == [204] * 6
        assert served.row.requests == 6
        served.until(lambda: not served.loop._ready)  # noqa: SLF001
        assert phases(served) == [Phase.PARKED]


def test_a_half_close_behind_pipelined_requests_leaves_each_of_them_its_answer(tmp_path: Path) -> None:
    def client(connection: Client) -> list[int]:
        connection.send(GET * 20)
        connection.socket.shutdown(socket.SHUT_WR)
        return [connection.expect()[0] for _ in range(20)]

    with serving(Short, tmp_path) as served:
        assert served.run(client) == [204] * 20
        served.until(lambda: served.loop.empty)


def test_a_flood_of_pipelined_requests_does_not_pile_up_in_memory(tmp_path: Path) -> None:
    with serving(Short, tmp_path) as served:
        client = served.client()
        client.socket.setblocking(False)  # noqa: FBT003
        most = 0
        for _ in range(300):
            with contextlib.suppress(BlockingIOError):
                client.socket.send(GET * 2000)
            served.loop.turn(0.01)
            connections = served.loop._connections.values()  # noqa: SLF001
            most = max([most, *(len(each.state.unread) for each in connections)])
        assert 0 < most <= 64 << 10


def test_half_a_request_behind_another_waits_for_its_rest(tmp_path: Path) -> None:
    with serving(Short, tmp_path) as served:
        client = served.client()
        client.send(GET + HALF)
        assert served.let(client.expect)[0] == 204
        served.until(lambda: phases(served) == [Phase.HEAD])
        client.send(GET[9:])
        assert served.let(client.expect)[0] == 204


def test_the_timeout_of_a_class_holds_for_its_idle_connections(tmp_path: Path) -> None:
    def client(connection: Client) -> bytes:
        assert connection.ask()[0] == 204
        return connection.rest()

    with serving(type("Hasty", (Short,), {"timeout": 0.1}), tmp_path) as served:
        assert served.run(client) == b""


def test_an_idle_timeout_shorter_than_that_of_a_body_holds_after_a_body(tmp_path: Path) -> None:
    octets = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"

    with serving(Short, tmp_path, timeouts=Timeouts(keep_alive=0.3)) as served:
        client = served.client()
        client.send(octets)
        served.until(lambda: phases(served) == [Phase.BODY])
        client.send(b"ab")
        assert served.let(client.expect)[0] == 204
        assert served.let(client.rest) == b""
