"""BaseHTTPRequestHandler driven by hand, as its users' own tests drive it: lenient as the documents say."""

from __future__ import annotations

import email.message
import http.client
import io
import re
import socket
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from forkhttp import BaseHTTPRequestHandler
from tests.handlers.by_hand import GET, PEER, Request, answer, drive

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = f"Server: {BaseHTTPRequestHandler.server_version} {BaseHTTPRequestHandler.sys_version}\r\n".encode()


class Quiet(BaseHTTPRequestHandler):
    """Answers with what the method ``act`` does; the log stays here."""

    def do_GET(self) -> None:
        """Do nothing but end."""
        self.send_response(200)
        self.end_headers()

    do_HEAD = do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the documented name
        """Keep the line."""
        self.__dict__.setdefault("lines", []).append(format % args)

    @property
    def logged(self) -> list[str]:
        """The lines."""
        return list(self.__dict__.get("lines", []))


def acting(action: Callable[[Quiet], object], **names: object) -> type[Quiet]:
    """Make a handler class whose GET does ``action``."""
    return type("Acting", (Quiet,), {"do_GET": action, "do_HEAD": action, **names})


def responding(code: int, message: str | None = None) -> Callable[[Quiet], None]:
    """Make an action that answers with a status alone."""

    def act(handler: Quiet) -> None:
        handler.send_response(code, message)
        handler.end_headers()

    return act


class InMemory(Quiet):
    """The trick that many test suites use: streams of one's own, and no server at all."""

    def __init__(self, line: bytes = b"", rest: bytes = b"\r\n") -> None:
        self.rfile = io.BytesIO(rest)
        self.wfile = io.BytesIO()
        self.raw_requestline = line
        self.client_address = PEER
        self.close_connection = True

    @property
    def written(self) -> bytes:
        """What it wrote."""
        assert isinstance(self.wfile, io.BytesIO)
        return self.wfile.getvalue()


# -- one request ------------------------------------------------------------------------------


def test_an_instance_has_the_documented_attributes() -> None:
    handler, _ = drive(Quiet)
    assert handler.client_address == PEER
    assert handler.server is None
    assert handler.command == "GET"
    assert handler.path == "/path?a=1"
    assert handler.request_version == "HTTP/1.1"
    assert handler.requestline == "GET /path?a=1 HTTP/1.1"
    assert handler.raw_requestline == b"GET /path?a=1 HTTP/1.1\r\n"
    assert handler.headers["x-one"] == "1"
    assert handler.close_connection is True
    assert handler.connection is handler.request


def test_the_class_has_the_documented_attributes() -> None:
    ours = BaseHTTPRequestHandler
    assert ours.protocol_version == "HTTP/1.0"
    assert ours.default_request_version == "HTTP/0.9"
    assert ours.MessageClass is http.client.HTTPMessage
    assert ours.responses[404] == ("Not Found", "Nothing matches the given URI")
    assert ours.responses[HTTPStatus.OK][0] == "OK"
    assert ours.error_content_type == "text/html;charset=utf-8"
    assert (ours.timeout, ours.rbufsize, ours.wbufsize, ours.disable_nagle_algorithm) == (None, -1, 0, False)
    assert ours.sys_version.startswith(f"Python/{sys.version_info.major}.{sys.version_info.minor}")
    assert all(part in ours.error_message_format for part in ("%(code)d", "%(message)s", "%(explain)s"))


def test_an_answer_is_a_status_line_server_and_date() -> None:
    request = Request(GET)
    Quiet(request, PEER, None)
    lines = request.sent.split(b"\r\n")
    assert lines[:2] == [b"HTTP/1.0 200 OK", SERVER.rstrip()]
    assert re.fullmatch(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", lines[2])
    assert lines[3:] == [b"", b""]


@pytest.mark.parametrize("method", ["GET", "SPAM", "custom"])
def test_any_method_reaches_the_method_of_its_name(method: str) -> None:
    handler = type("Any", (Quiet,), {f"do_{method}": lambda self: self.wfile.write(b"reached")})
    assert answer(handler, f"{method} / HTTP/1.1\r\n\r\n".encode()) == b"reached"


def test_a_method_without_a_name_here_is_501() -> None:
    handler, sent = drive(Quiet, b"SPAM / HTTP/1.1\r\n\r\n")
    assert sent.startswith(b"HTTP/1.0 501 Unsupported method ('SPAM')\r\n")
    assert handler.logged[0] == "code 501, message Unsupported method ('SPAM')"
    assert handler.logged[1] == '"SPAM / HTTP/1.1" 501 -'


def test_http_1_1_serves_one_request_after_the_other() -> None:
    persistent = type("Persistent", (Quiet,), {"protocol_version": "HTTP/1.1"})
    last = GET.replace(b"X-One: 1", b"Connection: close")
    assert answer(persistent, GET + GET + last + GET).count(b"200 OK") == 3


def test_http_1_1_ends_with_the_octets() -> None:
    persistent = type("Persistent", (Quiet,), {"protocol_version": "HTTP/1.1"})
    assert answer(persistent, GET + GET).count(b"200 OK") == 2


def test_http_1_0_serves_one_request() -> None:
    assert answer(Quiet, GET + GET).count(b"200 OK") == 1


def test_an_http_1_0_client_may_ask_to_persist() -> None:
    persistent = type("Persistent", (Quiet,), {"protocol_version": "HTTP/1.1"})
    octets = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert answer(persistent, octets + octets).count(b"200 OK") == 2


def test_setup_handle_and_finish_come_in_this_order_and_finish_also_after_a_fault() -> None:
    life = []

    class Living(Quiet):
        def setup(self) -> None:
            super().setup()
            life.append("setup")

        def handle(self) -> None:
            life.append("handle")
            raise RuntimeError("a fault")

        def finish(self) -> None:
            super().finish()
            life.append("finish")

    with pytest.raises(RuntimeError):
        Living(Request(GET), PEER, None)
    assert life == ["setup", "handle", "finish"]


def test_setup_makes_the_streams_as_the_class_says() -> None:
    request = Request(GET)
    buffered = type(
        "Tuned", (Quiet,), {"timeout": 7, "rbufsize": 0, "wbufsize": 512, "disable_nagle_algorithm": True}
    )
    buffered(request, PEER, None)
    assert request.made == [("rb", 0), ("wb", 512)]
    assert request.timeout == 7
    assert request.options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    assert request.sent.startswith(b"HTTP/1.0 200 OK")


def test_wfile_writes_all_of_any_kind_of_octets() -> None:
    def write(handler: Quiet) -> None:
        assert handler.wfile.writable()
        assert handler.wfile.fileno() == 4711
        assert handler.wfile.write(memoryview(b"abcd").cast("H")) == 4
        assert handler.wfile.write(bytearray(b"ef")) == 2

    assert answer(acting(write)) == b"abcdef"


def test_finish_closes_the_streams_even_if_the_peer_is_gone() -> None:
    class Gone(Request):
        def makefile(self, mode: str, bufsize: int = -1) -> io.BytesIO:
            return GoneWriter() if mode == "wb" else super().makefile(mode, bufsize)

    class GoneWriter(io.BytesIO):
        def flush(self) -> None:
            raise BrokenPipeError

    handler = type("Buffering", (Quiet,), {"wbufsize": -1, "handle": lambda _: None})(Gone(GET), PEER, None)
    assert handler.rfile.closed
    assert handler.wfile.closed
    assert handler.close_connection


def test_a_timeout_while_reading_ends_the_connection_and_is_logged() -> None:
    class Slow(io.BytesIO):
        def readline(self, _size: int | None = -1, /) -> bytes:
            raise TimeoutError("timed out")

    class SlowRequest(Request):
        def makefile(self, mode: str, bufsize: int = -1) -> io.BytesIO:
            return Slow() if mode == "rb" else super().makefile(mode, bufsize)

    handler = Quiet(SlowRequest(b""), PEER, None)
    assert handler.close_connection
    assert handler.logged == ["Request timed out: TimeoutError('timed out')"]


# -- parse_request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET", "400 Bad request syntax ('GET')"),
        (b"GET / HTTP/1.1 more HTTP/1.1", "400 Bad request syntax ('GET / HTTP/1.1 more HTTP/1.1')"),
        (b"GET / FTP/1.1", "400 Bad request version ('FTP/1.1')"),
        (b"GET / HTTP/1", "400 Bad request version ('HTTP/1')"),
        (b"GET / HTTP/a.b", "400 Bad request version ('HTTP/a.b')"),
        (b"GET / HTTP/1.12345678901", "400 Bad request version ('HTTP/1.12345678901')"),
        (b"GET / HTTP/2.0", "505 Invalid HTTP version (2.0)"),
        (b"POST /", "400 Bad HTTP/0.9 request type ('POST')"),
    ],
)
def test_a_bad_request_line_is_refused(line: bytes, status: str) -> None:
    handler = InMemory(line + b"\r\n")
    handler.default_request_version = "HTTP/1.0"  # the default, 0.9, has no status line to show
    assert handler.parse_request() is False
    assert handler.close_connection is True
    assert handler.written.startswith(f"HTTP/1.0 {status}\r\n".encode())


def test_an_empty_request_line_is_no_request_and_no_answer() -> None:
    handler = InMemory(b"\r\n")
    assert handler.parse_request() is False
    assert handler.written == b""


def test_a_line_may_end_in_a_bare_line_feed() -> None:
    handler = InMemory(b"GET /a HTTP/1.1\n", b"One: 1\nTwo: 2\n\n")
    assert handler.parse_request() is True
    assert (handler.path, handler.headers["two"]) == ("/a", "2")


def test_no_host_is_needed() -> None:
    handler = InMemory(b"GET /a HTTP/1.1\r\n")
    assert handler.parse_request() is True


def test_several_slashes_at_the_start_become_one() -> None:
    handler = InMemory(b"GET ///evil.example/a//b HTTP/1.1\r\n")
    handler.parse_request()
    assert handler.path == "/evil.example/a//b"


def test_http_0_9_is_a_line_and_an_answer_without_a_head() -> None:
    def act(handler: Quiet) -> None:
        Quiet.do_GET(handler)
        handler.wfile.write(b"old")

    handler, sent = drive(acting(act), b"GET /a\r\n")
    assert sent == b"old"
    assert (handler.request_version, handler.path) == ("HTTP/0.9", "/a")


def test_http_0_9_gets_errors_without_a_head() -> None:
    assert answer(Quiet, b"GET\r\n").startswith(b"<!DOCTYPE HTML>")


def test_a_longer_line_than_64_kib_is_414() -> None:
    handler, sent = drive(Quiet, b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n\r\n")
    assert sent.startswith(b"HTTP/1.0 414 ")
    assert handler.close_connection


@pytest.mark.parametrize("fields", [b"X: " + b"a" * 65537 + b"\r\n", b"X: 1\r\n" * 101])
def test_too_large_fields_are_431(fields: bytes) -> None:
    assert answer(Quiet, b"GET / HTTP/1.1\r\n" + fields + b"\r\n").startswith(b"HTTP/1.0 431 ")


@pytest.mark.parametrize(
    ("request_version", "option", "protocol", "closes"),
    [
        ("1.1", "", "HTTP/1.1", False),
        ("1.1", "close", "HTTP/1.1", True),
        ("1.1", "", "HTTP/1.0", True),
        ("1.1", "keep-alive", "HTTP/1.0", True),
        ("1.0", "", "HTTP/1.1", True),
        ("1.0", "Keep-Alive", "HTTP/1.1", False),
    ],
)
def test_close_connection_follows_version_and_field(
    request_version: str, option: str, protocol: str, *, closes: bool
) -> None:
    field = f"Connection: {option}\r\n" if option else ""
    handler = InMemory(f"GET / HTTP/{request_version}\r\n".encode(), f"{field}\r\n".encode())
    handler.protocol_version = protocol
    assert handler.parse_request() is True
    assert handler.close_connection is closes


# -- headers ------------------------------------------------------------------------------------


def test_headers_are_of_the_message_class() -> None:
    class Own(http.client.HTTPMessage):
        pass

    handler, _ = drive(type("Own", (Quiet,), {"MessageClass": Own}))
    assert type(handler.headers) is Own


def test_headers_may_be_replaced() -> None:
    handler, _ = drive(Quiet)
    mine = http.client.HTTPMessage()
    handler.headers = mine
    assert handler.headers is mine


def test_headers_before_a_request_are_an_attribute_error() -> None:
    assert not hasattr(InMemory(), "headers")


def test_headers_are_a_message_with_equal_fields_kept() -> None:
    handler, _ = drive(Quiet, b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\nB:3\r\n\r\n")
    assert isinstance(handler.headers, email.message.Message)
    assert handler.headers.get_all("a") == ["1", "2"]
    assert handler.headers.items() == [("A", "1"), ("a", "2"), ("B", "3")]


# -- Expect -------------------------------------------------------------------------------------

EXPECTING = b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"


def test_100_continue_is_sent_at_once_by_hand() -> None:
    persistent = type("Persistent", (Quiet,), {"protocol_version": "HTTP/1.1"})
    assert answer(persistent, EXPECTING) == (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + SERVER + b"\r\n"
    )


def test_no_100_continue_to_or_from_http_1_0() -> None:
    persistent = type("Persistent", (Quiet,), {"protocol_version": "HTTP/1.1"})
    assert b"100 Continue" not in answer(persistent, EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert b"100 Continue" not in answer(Quiet, EXPECTING)


def test_an_overridden_handle_expect_100_may_refuse() -> None:
    class Refusing(Quiet):
        protocol_version = "HTTP/1.1"

        def handle_expect_100(self) -> bool:
            self.send_error(HTTPStatus.EXPECTATION_FAILED)
            return False

    assert answer(Refusing, EXPECTING).startswith(b"HTTP/1.1 417 Expectation Failed\r\n")


# -- answers ------------------------------------------------------------------------------------


def test_send_error_is_a_whole_answer_that_closes() -> None:
    sent = answer(acting(lambda self: self.send_error(404)))
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.0 404 Not Found",
        SERVER.rstrip(),
        b"Connection: close",
        b"Content-Type: text/html;charset=utf-8",
        b"Content-Length: %d" % len(body),
    ]
    assert b"Error code: 404" in body
    assert b"Message: Not Found." in body
    assert b"404 - Nothing matches the given URI." in body


def test_a_405_says_what_is_allowed() -> None:
    """RFC 9110 section 15.5.6."""
    sent = answer(acting(lambda self: self.send_error(405), do_PUT=Quiet.send_error))
    assert b"\r\nAllow: HEAD, POST, PUT\r\n" in sent


def test_send_error_escapes_markup() -> None:
    body = answer(acting(lambda self: self.send_error(400, "<b>&", "<i>"))).partition(b"\r\n\r\n")[2]
    assert b"Message: &lt;b&gt;&amp;." in body
    assert b"400 - &lt;i&gt;." in body


def test_send_error_of_an_unknown_status_asks_itself() -> None:
    assert answer(acting(lambda self: self.send_error(999))).startswith(b"HTTP/1.0 999 ???\r\n")


def test_send_error_uses_the_formats_of_the_class() -> None:
    handler = acting(
        lambda self: self.send_error(400, "no", "why"),
        error_message_format="%(code)d|%(message)s|%(explain)s",
        error_content_type="text/plain",
    )
    sent = answer(handler)
    assert b"Content-Type: text/plain\r\n" in sent
    assert sent.endswith(b"\r\n\r\n400|no|why")


@pytest.mark.parametrize("status", [204, 205, 304])
def test_send_error_has_no_body_where_there_is_none(status: int) -> None:
    sent = answer(acting(lambda self: self.send_error(status)))
    assert sent.endswith(b"Connection: close\r\n\r\n")


def test_send_error_to_head_describes_the_body_and_sends_none() -> None:
    sent = answer(acting(lambda self: self.send_error(404)), GET.replace(b"GET", b"HEAD"))
    assert b"Content-Length: " in sent
    assert sent.endswith(b"\r\n\r\n")


def test_send_response_may_have_any_reason_or_none() -> None:
    assert answer(acting(responding(200, "Fine"))).startswith(b"HTTP/1.0 200 Fine\r\n")
    assert answer(acting(responding(299))).startswith(b"HTTP/1.0 299 \r\n")


def test_send_response_only_is_only_the_status_line() -> None:
    def act(handler: Quiet) -> None:
        handler.send_response_only(HTTPStatus.NO_CONTENT)
        handler.end_headers()

    assert answer(acting(act)) == b"HTTP/1.0 204 No Content\r\n\r\n"


def test_fields_wait_for_the_end_of_the_head() -> None:
    def act(handler: Quiet) -> None:
        handler.send_response_only(200)
        handler.send_header("One", "1")
        handler.send_header("Number", 2)
        request = handler.request
        assert request.sent == b""
        handler.flush_headers()
        assert request.sent == b"HTTP/1.0 200 OK\r\nOne: 1\r\nNumber: 2\r\n"
        handler.flush_headers()
        handler.end_headers()

    assert answer(acting(act)).endswith(b"Number: 2\r\n\r\n")


def test_a_field_may_come_first() -> None:
    def act(handler: Quiet) -> None:
        handler.send_header("One", "1")
        handler.end_headers()

    assert answer(acting(act)) == b"One: 1\r\n\r\n"


def test_flush_headers_without_any_does_nothing() -> None:
    assert answer(acting(lambda self: self.flush_headers())) == b""


def test_the_connection_field_decides() -> None:
    handler = InMemory(b"GET / HTTP/1.1\r\n")
    handler.parse_request()
    for option, closes in (("keep-alive", False), ("Close", True), ("other", True)):
        handler.send_header("connection", option)
        assert handler.close_connection is closes


@pytest.mark.parametrize(
    ("name", "value"),
    [("A", "1\r\nB: 2"), ("A", "1\n B"), ("A", "1\r"), ("A\r\nB: 2\r\nC", "1"), ("A\n", "")],
)
def test_a_field_cannot_hold_another(name: str, value: str) -> None:
    handler = InMemory(b"GET / HTTP/1.1\r\n")
    handler.parse_request()
    with pytest.raises(ValueError, match="CR or LF"):
        handler.send_header(name, value)
    handler.flush_headers()
    assert handler.written == b""


@pytest.mark.parametrize("message", ["OK\r\nB: 2", "OK\n", "\r"])
def test_a_reason_cannot_hold_a_field(message: str) -> None:
    handler = InMemory(b"GET / HTTP/1.1\r\n")
    handler.parse_request()
    with pytest.raises(ValueError, match="CR or LF"):
        handler.send_response(200, message)


def test_a_field_beyond_latin_1_is_refused() -> None:
    handler = InMemory(b"GET / HTTP/1.1\r\n")
    handler.parse_request()
    with pytest.raises(UnicodeEncodeError):
        handler.send_header("A", "\u20ac")


# -- what it says ---------------------------------------------------------------------------------


def test_date_time_string_is_an_imf_fixdate() -> None:
    assert InMemory().date_time_string(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert InMemory().date_time_string(784111777.9) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_log_date_time_string_is_local_and_short() -> None:
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d", InMemory().log_date_time_string())


def test_address_string_is_the_peers_host() -> None:
    assert InMemory().address_string() == "192.0.2.7"


def test_version_string_joins_the_two_and_an_empty_one_sends_no_field() -> None:
    named = type("Named", (Quiet,), {"server_version": "Mine/1", "sys_version": "Two/2"})
    assert b"Server: Mine/1 Two/2\r\n" in answer(named)
    silent = type("Silent", (Quiet,), {"version_string": lambda _: ""})
    assert b"Server" not in answer(silent)


class Logging(BaseHTTPRequestHandler):
    """Logs as the documents say."""

    def do_GET(self) -> None:
        """Log a line."""
        self.log_message("%s", "\x1b[31m\x00 \x9b two\r\nlines \\x41 \u00e4")


def test_log_message_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    drive(Logging)
    line = capsys.readouterr().err
    assert re.fullmatch(r"192\.0\.2\.7 - - \[[^]]+\] .*\n", line)
    assert line.endswith("] \\x1b[31m\\x00 \\x9b two\\x0d\\x0alines \\\\x41 \u00e4\n")


def test_log_request_and_log_error_go_through_log_message() -> None:
    handler, _ = drive(Quiet)
    handler.log_request(HTTPStatus.OK, 12)
    handler.log_request()
    handler.log_error("%d errors", 2)
    assert handler.logged == [
        '"GET /path?a=1 HTTP/1.1" 200 -',
        '"GET /path?a=1 HTTP/1.1" 200 12',
        '"GET /path?a=1 HTTP/1.1" - -',
        "2 errors",
    ]


def test_an_overridden_log_request_is_called_by_send_response() -> None:
    codes: list[int | str] = []

    class Counting(Quiet):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            del size
            codes.append(code)

    drive(Counting)
    assert codes == [200]
