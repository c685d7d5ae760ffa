"""The loop as a client meets it: heads, bodies, answers, ends."""

from __future__ import annotations

import contextlib
import http.server
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from forkhttp import BaseHTTPRequestHandler
from forkhttp.settings import Http, Limits, Timeouts
from tests.server.serving import GET, Client, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.serving import Tables

HELLO = b"hello\n"


class Plain(http.server.BaseHTTPRequestHandler):
    """As people write them: HTTP/1.0, no thought of persistence."""

    def do_GET(self) -> None:
        """Answer with the path, by a method of that name if there is one."""
        special = getattr(self, "do_path_" + self.path.strip("/").replace("-", "_"), None)
        if special is not None:
            special()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(HELLO)))
        self.end_headers()
        self.wfile.write(HELLO)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer with the body."""
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else self.rfile.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """Never look at the body."""
        self.send_response(204)
        self.end_headers()

    def do_path_raise(self) -> None:
        """Fail before anything is written."""
        raise RuntimeError("a fault of the application")

    def do_path_raise_late(self) -> None:
        """Fail after the head has left."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"begun")
        self.wfile.flush()
        raise RuntimeError("a fault of the application")

    def do_path_exit(self) -> None:
        """Try to end the process."""
        raise SystemExit(7)

    def do_path_nothing(self) -> None:
        """Answer nothing at all."""

    def do_path_short(self) -> None:
        """Announce more than is written."""
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"too little")

    def do_path_long(self) -> None:
        """Write more than was announced."""
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"abcdef")

    def do_path_split(self) -> None:
        """Try to smuggle a second field."""
        self.send_response(200)
        self.send_header("X-Echo", "a\r\nInjected: 1")
        self.end_headers()

    def do_path_by_hand(self) -> None:
        """Write the head without any of the methods for it."""
        self.wfile.write(b"HTTP/1.0 200 Fine\r\nContent-")
        self.wfile.write(b"Type: text/plain\r\n\r\nby hand")

    def do_path_garbage(self) -> None:
        """Write no head."""
        self.wfile.write(b"just text, no head\r\n\r\n")

    def do_path_chunks(self) -> None:
        """Frame chunks by hand."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n")
        self.wfile.write(b"2\r\nde\r\n0\r\n\r\n")

    def do_path_slow_lines(self) -> None:
        """Write a line now and then and never flush."""
        self.send_response(200)
        self.end_headers()
        for number in range(3):
            self.wfile.write(b"line %d\n" % number)
            time.sleep(0.1)

    def do_path_unread(self) -> None:
        """Close after this."""
        self.close_connection = True
        self.do_path_by_hand()

    def do_path_big(self) -> None:
        """Write a lot in one piece."""
        self.send_response(200)
        self.send_header("Content-Length", "8000000")
        self.end_headers()
        self.wfile.write(b"x" * 8_000_000)

    def do_path_body_on_304(self) -> None:
        """Write a body where there is none."""
        self.send_response(304)
        self.end_headers()
        self.wfile.write(b"no")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


def head(path: str, version: str = "1.1", *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: a", *fields, "", ""]).encode()


def post(body: bytes, *fields: str, method: str = "POST") -> bytes:
    length = f"Content-Length: {len(body)}"
    return "\r\n".join([f"{method} / HTTP/1.1", "Host: a", length, *fields, "", ""]).encode() + body


CHUNKED_POST = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n"
)


def test_a_handler_that_never_heard_of_http_1_1_persists(tmp_path: Path) -> None:
    def client(connection: Client) -> list[tuple[int, bytes]]:
        return [connection.ask()[::2] for _ in range(5)]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == [(200, HELLO)] * 5
        assert served.row.requests == 5


def test_declared_persistence_follows_the_class(tmp_path: Path) -> None:
    class Declares(Plain):
        protocol_version = "HTTP/1.1"

    def client(connection: Client) -> str | None:
        return connection.ask()[1].get("connection")

    with serving(Plain, tmp_path, http=Http(persistent="declared")) as served:
        assert served.run(client) == "close"
    with serving(Declares, tmp_path, http=Http(persistent="declared")) as served:
        assert served.run(client) is None


def test_an_http_1_0_client_may_persist_if_it_asks(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[str, str]:
        first = connection.ask(head("/", "1.0", "Connection: keep-alive"))[1]["connection"]
        second = connection.ask(head("/", "1.0"))[1]["connection"]
        assert connection.rest() == b""
        return first, second

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == ("keep-alive", "close")


@pytest.mark.parametrize("step", [1, 2, 7])
@pytest.mark.parametrize(
    ("request_octets", "answer"),
    [(GET, HELLO), (post(b"abcdefgh"), b"abcdefgh"), (CHUNKED_POST, b"abcdefgh")],
)
def test_a_request_in_pieces_is_one_request(
    tmp_path: Path, request_octets: bytes, answer: bytes, step: int
) -> None:
    def client(connection: Client) -> list[bytes]:
        octets = request_octets + GET
        for begin in range(0, len(octets), step):
            connection.send(octets[begin : begin + step])
        return [connection.expect()[2], connection.expect()[2]]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == [answer, HELLO]


def test_pipelined_requests_are_answered_in_order_and_in_turn(tmp_path: Path) -> None:
    def client(connection: Client) -> list[bytes]:
        connection.send(b"".join(post(b"%d" % number) for number in range(50)))
        return [connection.expect()[2] for _ in range(50)]

    with serving(Plain, tmp_path) as served:
        answers = served.run_all([client, client])
    assert answers == [[b"%d" % number for number in range(50)]] * 2


def test_a_body_that_does_not_fit_the_buffer_streams(tmp_path: Path) -> None:
    body = bytes(range(256)) * 4096

    def client(connection: Client) -> bytes:
        return connection.ask(post(body))[2]

    with serving(Plain, tmp_path, limits=Limits(buffered_body=1000)) as served:
        assert served.run(client) == body


def test_a_trickling_body_does_not_enter_the_handler(tmp_path: Path) -> None:
    def trickle(connection: Client) -> bytes:
        connection.send(post(b"a" * 100)[:-1])
        return b""

    with serving(Plain, tmp_path) as served:
        served.run(trickle)
        served.until(lambda: served.row.connections == 0)
        assert served.row.requests == 0


def test_an_unread_body_never_becomes_a_request(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[int, int]:
        connection.send(post(GET * 3, method="PUT") + GET)
        return connection.expect("PUT")[0], connection.expect()[0]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (204, 200)
        assert served.row.requests == 2


def test_a_large_unread_body_closes_after_the_answer(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[int, str]:
        connection.send(post(b"x" * 300_000, method="PUT"))
        status, fields, _ = connection.expect("PUT")
        assert connection.rest() == b""
        return status, fields["connection"]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (204, "close")


def test_100_continue_comes_when_the_handler_reads(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[bytes, bytes]:
        connection.send(post(b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 4"))
        interim = connection.socket.recv(25)
        connection.send(b"late")
        return interim, connection.expect()[2]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"late")


def test_no_100_continue_for_a_handler_that_does_not_read(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[int, str]:
        connection.send(post(b"", "Expect: 100-continue", method="PUT").replace(b"Length: 0", b"Length: 4"))
        status, fields, _ = connection.expect("PUT")
        return status, fields["connection"]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (204, "close")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ],
)
def test_bad_input_gets_a_status_and_a_close(tmp_path: Path, octets: bytes, status: int) -> None:
    def client(connection: Client) -> tuple[int, str]:
        connection.send(octets + GET)
        answer, fields, _ = connection.expect()
        assert connection.rest() == b"", "nothing after an error is parsed"
        return answer, fields["connection"]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (status, "close")
        assert served.row.requests == 0
        assert served.row.errors == 1


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/raise", 500, "a fault of the application"),
        ("/exit", 500, "SystemExit: 7"),
        ("/nothing", 500, "without an answer"),
        ("/short", 500, "90 octets shorter"),
        ("/split", 500, "cannot hold CR or LF"),
        ("/garbage", 500, "malformed status line"),
    ],
)
def test_a_handlers_fault_is_a_500_and_the_log_says_whose(
    tmp_path: Path, path: str, status: int, said: str
) -> None:
    def client(connection: Client) -> tuple[int, str]:
        answer, fields, _ = connection.ask(head(path))
        return answer, fields["connection"]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (status, "close")
        assert served.run(lambda connection: connection.ask()[0]) == 200, "the worker goes on"
        assert said in served.log
        assert f'request="GET {path} HTTP/1.1"' in served.log


def test_a_fault_after_the_head_is_a_truncated_answer(tmp_path: Path) -> None:
    def client(connection: Client) -> bytes:
        connection.send(head("/raise-late"))
        return connection.broken()

    with serving(Plain, tmp_path) as served:
        answer = served.run(client)
    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")


def test_a_fault_after_the_head_resets_where_a_close_would_end_the_answer(tmp_path: Path) -> None:
    def client(connection: Client) -> bool:
        connection.send(head("/raise-late", "1.0"))
        try:
            connection.rest()
        except ConnectionResetError:
            return True
        return False

    with serving(Plain, tmp_path) as served:
        assert served.run(client)


def test_too_many_octets_are_cut_off_and_the_connection_goes_on(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[bytes, bytes]:
        return connection.ask(head("/long"))[2], connection.ask()[2]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (b"abc", HELLO)
        assert "3 octets longer" in served.log


def test_no_body_where_there_is_none(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[bytes, bytes, bytes]:
        no_content = connection.ask(head("/body-on-304"))[2]
        to_head = connection.ask(GET.replace(b"GET", b"HEAD"), "HEAD")[2]
        return no_content, to_head, connection.ask()[2]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (b"", b"", HELLO)


def test_a_head_written_by_hand_is_understood(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[dict[str, str], bytes, bytes]:
        _, fields, body = connection.ask(head("/by-hand"))
        return fields, body, connection.ask()[2]

    with serving(Plain, tmp_path) as served:
        fields, body, after = served.run(client)
    assert (body, after) == (b"by hand", HELLO)
    assert fields["content-length"] == "7"
    assert "date" in fields


def test_chunks_framed_by_hand_are_understood(tmp_path: Path) -> None:
    def client(connection: Client) -> tuple[bytes, bytes, bytes]:
        by_hand = connection.ask(head("/chunks"))[2]
        after = connection.ask()[2]
        connection.send(head("/chunks", "1.0"))
        return by_hand, after, connection.rest().partition(b"\r\n\r\n")[2]

    with serving(Plain, tmp_path) as served:
        assert served.run(client) == (b"abcde", HELLO, b"abcde")


def test_lines_flow_from_a_handler_that_never_flushes(tmp_path: Path) -> None:
    def client(connection: Client) -> list[bytes]:
        connection.send(head("/slow-lines"))
        received = b""
        seen = []
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.socket.recv(4096)
            seen.append(received)
        return seen

    with serving(Plain, tmp_path) as served:
        seen = served.run(client)
    assert any(b"line 0" in part and b"line 1" not in part for part in seen)
    assert any(b"line 1" in part and b"line 2" not in part for part in seen)


def test_a_large_answer_does_not_hold_the_loop(tmp_path: Path) -> None:
    """The handler returns at once; while one peer does not read, another is served."""
    with serving(Plain, tmp_path) as served:
        slow = served.client()
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        slow.send(head("/big"))
        served.until(lambda: served.row.requests == 1)
        assert served.run(lambda connection: connection.ask()[2]) == HELLO
        assert len(served.let(slow.expect)[2]) == 8_000_000


def test_a_peer_that_takes_nothing_is_closed(tmp_path: Path) -> None:
    with serving(Plain, tmp_path, timeouts=Timeouts(send=0.2)) as served:
        slow = served.client()
        slow.send(head("/big"))
        served.until(lambda: served.row.requests == 1)
        served.until(lambda: served.row.connections == 0)


def test_a_peer_that_takes_too_little_is_closed(tmp_path: Path) -> None:
    """Each octet that it takes would put a stall off; the average does not let it."""
    tables: Tables = {"timeouts": Timeouts(send=0.5), "limits": Limits(min_rate=1 << 40)}
    with serving(Plain, tmp_path, **tables) as served:
        slow = served.client()
        slow.send(head("/big"))
        served.until(lambda: served.row.requests == 1)
        slow.socket.settimeout(0)
        taken = 0

        def over() -> bool:
            nonlocal taken
            with contextlib.suppress(BlockingIOError, ConnectionError):
                taken += len(slow.socket.recv(1 << 16))
            return served.row.connections == 0 or taken > 8_000_000

        served.until(over)
    assert taken < 8_000_000


@pytest.mark.parametrize(
    ("octets", "timeouts", "status"),
    [
        (b"GET / HT", Timeouts(head=0.2), 408),
        (post(b"a" * 10)[:-1], Timeouts(body=0.2), 408),
        (b"", Timeouts(keep_alive=0.2), None),
        (GET, Timeouts(keep_alive=0.2), 200),
    ],
)
def test_whoever_keeps_us_waiting_is_closed_in_time(
    tmp_path: Path, octets: bytes, timeouts: Timeouts, status: int | None
) -> None:
    def client(connection: Client) -> int | None:
        connection.send(octets)
        answer = connection.expect()[0] if status else None
        assert connection.rest() == b""
        return answer

    with serving(Plain, tmp_path, timeouts=timeouts) as served:
        assert served.run(client) == status


def test_a_streamed_body_that_stalls_is_a_408(tmp_path: Path) -> None:
    def client(connection: Client) -> int:
        connection.send(post(b"a" * 5000)[:-1])
        return connection.expect()[0]

    tables: Tables = {"timeouts": Timeouts(body=0.2), "limits": Limits(buffered_body=1000)}
    with serving(Plain, tmp_path, **tables) as served:
        assert served.run(client) == 408


def test_a_stalled_handler_gets_a_504_and_its_stack_is_logged(tmp_path: Path) -> None:
    class Sleeps(Plain):
        def do_GET(self) -> None:
            time.sleep(1)

    def client(connection: Client) -> int:
        connection.send(GET)
        return connection.expect()[0]

    with serving(Sleeps, tmp_path, timeouts=Timeouts(stall=0.2)) as served:
        assert served.run(client) == 504
        assert served.loop.unfit
        assert "in do_GET" in served.log


def test_half_close_still_gets_the_whole_answer(tmp_path: Path) -> None:
    def client(connection: Client) -> bytes:
        connection.send(head("/big"))
        connection.socket.shutdown(socket.SHUT_WR)
        return connection.expect()[2]

    with serving(Plain, tmp_path) as served:
        assert len(served.run(client)) == 8_000_000
        served.until(lambda: served.row.connections == 0)


def test_resets_leave_nothing_behind(tmp_path: Path) -> None:
    def client(connection: Client) -> None:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.send(head("/big"))

    with serving(Plain, tmp_path) as served:
        served.run_all([client] * 20)
        served.until(lambda: served.row.connections == 0)
        assert "Traceback" not in served.log


def test_more_connections_than_allowed_wait_in_the_backlog(tmp_path: Path) -> None:
    with serving(Plain, tmp_path, limits=Limits(connections=2)) as served:
        first, _second, third = (served.client() for _ in range(3))
        served.until(lambda: served.row.connections == 2)
        third.send(GET)
        first.close()
        assert served.let(lambda: third.expect()[0]) == 200


def test_no_descriptors_is_a_pause_not_a_spin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Plain, tmp_path) as served:
        failures: list[int] = []
        accept = served.server.get_request

        def get_request() -> tuple[object, object]:
            if not failures:
                failures.append(1)
                raise OSError(24, "Too many open files")
            return accept()

        monkeypatch.setattr(served.server, "get_request", get_request)
        assert served.run(lambda connection: connection.ask()[0]) == 200
        assert served.log.count("accept failed") == 1


def test_leaving_announces_the_close_and_dismissing_half_closes(tmp_path: Path) -> None:
    with serving(Plain, tmp_path) as served:
        idle, busy = served.client(), served.client()
        for each in (idle, busy):
            assert served.let(each.ask)[0] == 200
        served.loop.leave()
        assert served.let(busy.ask)[1]["connection"] == "close"
        served.loop.dismiss()
        assert served.let(idle.rest) == b""
        served.until(lambda: served.loop.empty)


def test_a_racing_request_at_a_stop_is_answered(tmp_path: Path) -> None:
    with serving(Plain, tmp_path) as served:
        idle = served.client()
        assert served.let(idle.ask)[0] == 200
        served.loop.dismiss()
        assert served.let(idle.ask)[1]["connection"] == "close"


def test_what_waits_in_the_backlog_is_served_before_leaving(tmp_path: Path) -> None:
    with serving(Plain, tmp_path) as served:
        waiting = [served.client() for _ in range(10)]
        served.loop.leave()
        for each in waiting:
            assert served.let(each.ask)[0] == 200


class Counting(BaseHTTPRequestHandler):
    """Notes its life."""

    life: list[str] = []  # noqa: RUF012 - shared by the instances on purpose

    def setup(self) -> None:
        """Begin."""
        super().setup()
        self.life.append("setup")

    def do_GET(self) -> None:
        """Answer."""
        self.life.append("get")
        self.send_response(200)
        self.end_headers()

    def finish(self) -> None:
        """End."""
        super().finish()
        self.life.append("finish")


def test_one_instance_lives_as_long_as_its_connection(tmp_path: Path) -> None:
    Counting.life.clear()
    with serving(Counting, tmp_path) as served:
        served.run(lambda connection: [connection.ask() for _ in range(2)])
        served.until(lambda: served.loop.empty)
    assert Counting.life == ["setup", "get", "get", "finish"]


class OwnChunks(http.server.BaseHTTPRequestHandler):
    """Frames its answers itself, and knows where there is nothing to frame."""

    def do_GET(self) -> None:
        """Announce chunks, and write them where there is a body."""
        status = int(self.path[1:])
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "GET" and status == 200:
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")

    do_HEAD = do_GET


def test_chunks_are_awaited_only_where_there_is_a_body(tmp_path: Path) -> None:
    """RFC 9112 section 6.1 allows the announcement to HEAD and in a 304."""

    def client(connection: Client) -> list[tuple[int, bytes]]:
        asked = [("GET", 200), ("HEAD", 200), ("GET", 304), ("GET", 204), ("GET", 200)]
        answers = []
        for method, status in asked:
            request = f"{method} /{status} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            got, _, body = connection.ask(request, method)
            answers.append((got, body))
        return answers

    with serving(OwnChunks, tmp_path) as served:
        assert served.run(client) == [(200, b"hello"), (200, b""), (304, b""), (204, b""), (200, b"hello")]
        assert served.log == ""
