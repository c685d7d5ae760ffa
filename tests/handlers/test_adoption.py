"""Classes written against the standard library, served unedited: whatever of them they override or call."""

from __future__ import annotations

import functools
import http.client
import http.server
import io
import socketserver
from typing import TYPE_CHECKING, Any

import pytest

from forkhttp import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from forkhttp.errors import TargetError
from forkhttp.handlers.adoption import adopt_handler, adopt_server, is_handler, with_server_field
from forkhttp.settings import Http
from tests.server.serving import GET, Client, serving

if TYPE_CHECKING:
    from pathlib import Path

    from forkhttp.handlers.adoption import HandlerFactory

HELLO = b"hello\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n" + HELLO

StdBase = http.server.BaseHTTPRequestHandler
StdFiles = http.server.SimpleHTTPRequestHandler


class Plain(StdBase):
    """As people write them."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(HELLO)))
        self.end_headers()
        self.wfile.write(HELLO)

    def do_POST(self) -> None:
        """Answer with the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


def two_and_two(connection: Client) -> list[tuple[int, bytes]]:
    """Ask twice in turn, then twice at once, on one connection."""
    answers = [connection.ask(), connection.ask(POST), *_pipelined(connection)]
    return [(status, body) for status, _, body in answers]


def _pipelined(connection: Client) -> list[tuple[int, dict[str, str], bytes]]:
    connection.send(POST + GET)
    return [connection.expect(), connection.expect()]


def all_answered(handler: HandlerFactory, directory: Path) -> bool:
    """Whether a handler answers four requests on one connection as ``Plain`` does."""
    with serving(handler, directory) as served:
        answers = served.run(two_and_two)
        assert "handler" not in served.log.replace("handler says", ""), served.log
    return answers == [(200, HELLO)] * 4


# -- what an adopted class is -------------------------------------------------------------------


def test_an_adopted_class_is_a_subclass_of_the_original_and_goes_by_its_name() -> None:
    adopted = adopt_handler(Plain)
    assert isinstance(adopted, type)
    assert {Plain, StdBase, socketserver.StreamRequestHandler, BaseHTTPRequestHandler} < set(adopted.__mro__)
    assert (adopted.__name__, adopted.__module__, adopted.__doc__) == ("Plain", __name__, Plain.__doc__)


def test_forkhttp_stands_between_the_users_classes_and_the_standard_ones() -> None:
    class Files(StdFiles):
        pass

    def places(original: type, *classes: type) -> list[int]:
        adopted = adopt_handler(original)
        assert isinstance(adopted, type)
        return [adopted.__mro__.index(each) for each in classes]

    for order in (
        places(Plain, Plain, BaseHTTPRequestHandler, StdBase),
        places(Files, Files, SimpleHTTPRequestHandler, BaseHTTPRequestHandler, StdFiles, StdBase),
    ):
        assert order == sorted(order)


def test_a_class_of_forkhttp_is_left_as_it_is() -> None:
    class Ours(BaseHTTPRequestHandler):
        pass

    assert adopt_handler(Ours) is Ours
    assert adopt_handler(SimpleHTTPRequestHandler) is SimpleHTTPRequestHandler


@pytest.mark.parametrize("original", [StdBase, StdFiles])
def test_a_class_of_the_standard_library_itself_becomes_forkhttps(original: type) -> None:
    adopted = adopt_handler(original)
    assert isinstance(adopted, type)
    assert issubclass(adopted, original)
    assert issubclass(adopted, BaseHTTPRequestHandler)


@pytest.mark.parametrize("thing", [int, socketserver.StreamRequestHandler, print, "Handler", None])
def test_what_is_no_handler_class_is_refused(thing: Any) -> None:  # noqa: ANN401 - anything at all
    with pytest.raises(TargetError, match=r"no (handler class|subclass)"):
        adopt_handler(thing)
    assert not is_handler(thing)


def test_isinstance_and_super_work_in_the_users_own_hierarchy(tmp_path: Path) -> None:
    class Parent(Plain):
        def do_GET(self) -> None:
            assert isinstance(self, Child)
            super().do_GET()

    class Child(Parent):
        def do_GET(self) -> None:
            super().do_GET()

    assert all_answered(Child, tmp_path)


# -- served, unedited -----------------------------------------------------------------------------


def test_a_plain_class_is_served(tmp_path: Path) -> None:
    assert all_answered(Plain, tmp_path)


def test_overrides_that_call_super_are_called(tmp_path: Path) -> None:
    calls: list[str] = []

    class Overriding(Plain):
        def setup(self) -> None:
            calls.append("setup")
            super().setup()

        def handle(self) -> None:
            calls.append("handle")
            super().handle()

        def handle_one_request(self) -> None:
            calls.append("one")
            super().handle_one_request()

        def parse_request(self) -> bool:
            calls.append("parse")
            return super().parse_request()

        def send_response(self, code: int, message: str | None = None) -> None:
            calls.append("response")
            super().send_response(code, message)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            calls.append("log")
            super().log_request(code, size)

        def end_headers(self) -> None:
            calls.append("end")
            super().end_headers()

        def finish(self) -> None:
            calls.append("finish")
            super().finish()

    with serving(Overriding, tmp_path) as served:
        assert served.run(lambda connection: [connection.ask()[0], connection.ask()[0]]) == [200, 200]
        served.until(lambda: served.loop.empty)
    once = ["handle", "one", "parse", "response", "log", "end"]
    assert calls == ["setup", *once, *once, "finish"]


def test_each_override_alone_is_served(tmp_path: Path) -> None:
    def through(name: str) -> type[Plain]:
        def method(self: Plain, *args: object) -> object:
            return getattr(super(Overriding, self), name)(*args)

        class Overriding(Plain):
            pass

        setattr(Overriding, name, method)
        return Overriding

    for name in ("setup", "handle", "handle_one_request", "parse_request", "send_response", "end_headers"):
        assert all_answered(through(name), tmp_path), name
    for name in ("log_request", "log_message", "version_string", "send_header", "flush_headers", "finish"):
        assert all_answered(through(name), tmp_path), name


def test_fields_added_in_end_headers_reach_the_client(tmp_path: Path) -> None:
    class Adding(Plain):
        def end_headers(self) -> None:
            self.send_header("Access-Control-Allow-Origin", "*")
            super().end_headers()

        def version_string(self) -> str:
            return "Mine"

    with serving(Adding, tmp_path) as served:
        fields = served.run(lambda connection: connection.ask()[1])
    assert (fields["access-control-allow-origin"], fields["server"]) == ("*", "Mine")


def test_an_overridden_log_message_gets_each_request(tmp_path: Path) -> None:
    lines: list[str] = []

    class Logging(Plain):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the documented name
            lines.append(format % args)

    assert all_answered(Logging, tmp_path)
    assert lines == [f'"{method} / HTTP/1.1" 200 -' for method in ("GET", "POST", "POST", "GET")]


def test_the_log_message_of_ours_goes_to_the_error_log(tmp_path: Path) -> None:
    class Saying(Plain):
        def do_GET(self) -> None:
            self.log_message("said %d\n", 1)
            super().do_GET()

    with serving(Saying, tmp_path) as served:
        served.run(Client.ask)
        assert "said 1" in served.log


def test_a_parse_request_of_the_users_own_is_served(tmp_path: Path) -> None:
    class Parsing(Plain):
        raw_requestline: bytes

        def parse_request(self) -> bool:
            self.requestline = self.raw_requestline.decode().strip()
            self.command, self.path, self.request_version = self.requestline.split()
            self.headers = http.client.parse_headers(self.rfile)
            self.close_connection = False
            return True

    assert all_answered(Parsing, tmp_path)


def test_a_copy_of_the_standard_librarys_handle_one_request_is_served(tmp_path: Path) -> None:
    class Copying(Plain):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline:
                self.close_connection = True
                return
            if not self.parse_request():
                return
            getattr(self, "do_" + self.command)()
            self.wfile.flush()

    assert all_answered(Copying, tmp_path)


class Looping(Plain):
    """A loop of its own."""

    def handle(self) -> None:
        """Loop as the standard library does."""
        self.close_connection = True
        self.handle_one_request()
        while not self.close_connection:
            self.handle_one_request()


def test_a_handle_that_loops_persists(tmp_path: Path) -> None:
    assert all_answered(Looping, tmp_path)


def test_a_handle_that_loops_still_closes_when_it_says_so(tmp_path: Path) -> None:
    class Closing(Looping):
        def do_GET(self) -> None:
            self.close_connection = True
            super().do_GET()

    with serving(Closing, tmp_path) as served:
        assert served.run(lambda connection: connection.ask()[1]["connection"]) == "close"
    with serving(Looping, tmp_path, http=Http(persistent="declared")) as served:
        assert served.run(lambda connection: connection.ask()[1]["connection"]) == "close"


def test_an_unread_body_is_no_request_to_a_loop_of_the_users_own(tmp_path: Path) -> None:
    handled: list[str] = []

    class Copying(Looping):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline:
                self.close_connection = True
                return
            if not self.parse_request():
                return
            handled.append(self.command)
            self.send_response(204)
            self.end_headers()
            self.wfile.flush()

    smuggled = b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"
    octets = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(smuggled) + smuggled
    with serving(Copying, tmp_path) as served:
        assert served.run(lambda connection: connection.ask(octets, "POST")[0]) == 204
    assert handled == ["POST"]


def test_a_handle_that_reads_the_head_itself_is_served(tmp_path: Path) -> None:
    class Reading(Plain):
        def handle(self) -> None:
            self.raw_requestline = self.rfile.readline()
            assert self.parse_request()
            self.path = "/" + self.command
            getattr(self, "do_" + self.command)()

    assert all_answered(Reading, tmp_path)


def test_a_handle_that_writes_without_reading_is_served(tmp_path: Path) -> None:
    class Fixed(Plain):
        def handle(self) -> None:
            self.close_connection = False
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + HELLO)

    assert all_answered(Fixed, tmp_path)


def test_an_init_with_more_arguments_is_served_by_partial_and_by_closure(tmp_path: Path) -> None:
    class Greeting(Plain):
        def __init__(self, greeting: bytes, *args: Any, loud: bool, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
            self.greeting = greeting
            self.loud = loud
            super().__init__(*args, **kwargs)

        def do_GET(self) -> None:
            assert self.loud
            assert self.greeting == b"hi"
            super().do_GET()

    assert all_answered(functools.partial(Greeting, b"hi", loud=True), tmp_path)


def test_an_init_that_calls_the_standard_librarys_by_name_is_served_and_persists(tmp_path: Path) -> None:
    class Old(Plain):
        def __init__(self, *args: Any) -> None:  # noqa: ANN401 - passed on
            self.logic = "mine"
            StdBase.__init__(self, *args)

    assert all_answered(Old, tmp_path)


def test_such_an_init_with_an_overridden_finish_serves_one_request_a_connection(tmp_path: Path) -> None:
    finished: list[int] = []

    class Old(Plain):
        def __init__(self, *args: Any) -> None:  # noqa: ANN401 - passed on
            StdBase.__init__(self, *args)

        def handle_one_request(self) -> None:
            super().handle_one_request()

        def finish(self) -> None:
            finished.append(1)
            super().finish()

    def client(connection: Client) -> tuple[str, bytes]:
        _, fields, body = connection.ask(POST)
        assert connection.rest() == b""
        return fields["connection"], body

    with serving(Old, tmp_path) as served:
        assert served.run(client) == ("close", HELLO)
        served.until(lambda: served.loop.empty)
    assert finished == [1]


def test_calls_by_the_name_of_the_standard_class_are_served(tmp_path: Path) -> None:
    class Explicit(Plain):
        def setup(self) -> None:
            super().setup()

        def do_GET(self) -> None:
            StdBase.send_response(self, 200)
            StdBase.send_header(self, "Content-Length", "6")
            StdBase.end_headers(self)
            StdBase.flush_headers(self)
            self.wfile.write(HELLO)

        def do_POST(self) -> None:
            self.rfile.read()
            StdBase.send_error(self, 404, "nothing")

        def end_headers(self) -> None:
            StdBase.end_headers(self)

    def client(connection: Client) -> list[int]:
        return [connection.ask()[0], connection.ask()[0], connection.ask(POST)[0]]

    with serving(Explicit, tmp_path) as served:
        assert served.run(client) == [200, 200, 404]


def test_a_parse_request_by_the_name_of_the_standard_class_is_served(tmp_path: Path) -> None:
    class Explicit(Plain):
        protocol_version = "HTTP/1.1"

        def parse_request(self) -> bool:
            return StdBase.parse_request(self)

    class Handled(Explicit):
        def handle_one_request(self) -> None:
            StdBase.handle_one_request(self)

    assert all_answered(Explicit, tmp_path)
    assert all_answered(Handled, tmp_path)


def test_mixins_before_and_after_are_served(tmp_path: Path) -> None:
    class Before:
        def do_GET(self) -> None:
            self.greeted = True
            super().do_GET()  # type: ignore[misc]

    class After:
        def do_POST(self) -> None:
            raise AssertionError("the handler's own comes first")

        def end_headers(self) -> None:
            raise AssertionError("and so does the server's")

    class Mixed(Before, Plain, After):
        pass

    assert all_answered(Mixed, tmp_path)


def test_a_class_that_declares_http_1_1_is_served(tmp_path: Path) -> None:
    class Declared(Plain):
        protocol_version = "HTTP/1.1"

    assert all_answered(Declared, tmp_path)


@pytest.mark.parametrize("stream", ["rfile", "wfile"])
def test_closing_a_stream_ends_the_connection_after_the_answer(tmp_path: Path, stream: str) -> None:
    """As ``io.TextIOWrapper(self.rfile)`` does when it is forgotten."""

    class Closing(Plain):
        def do_GET(self) -> None:
            super().do_GET()
            getattr(self, stream).close()

    def client(connection: Client) -> tuple[str, bytes]:
        _, fields, body = connection.ask()
        assert connection.rest() == b""
        return fields["connection"], body

    with serving(Closing, tmp_path) as served:
        assert served.run(client) == ("close", HELLO)


def test_a_stream_that_is_closed_after_the_head_has_left_ends_the_connection(tmp_path: Path) -> None:
    class Closing(Plain):
        def do_GET(self) -> None:
            super().do_GET()
            self.wfile.flush()
            io.TextIOWrapper(self.rfile).close()  # type: ignore[type-var]

    def client(connection: Client) -> bytes:
        body = connection.ask()[2]
        assert connection.rest() == b""
        return body

    with serving(Closing, tmp_path) as served:
        assert served.run(client) == HELLO


def test_an_adopted_class_still_works_by_hand() -> None:
    adopted = adopt_handler(Plain)

    class Request:
        sent = b""

        def makefile(self, _mode: str, _bufsize: int = -1) -> io.BytesIO:
            return io.BytesIO(GET)

        def sendall(self, data: bytes) -> None:
            self.sent += data

    request = Request()
    adopted(request, ("192.0.2.7", 1), None)
    assert request.sent.startswith(b"HTTP/1.0 200 OK\r\n")


def test_files_of_the_standard_library_are_served_by_ours(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_bytes(HELLO)

    class Files(StdFiles):
        extensions_map = {**StdFiles.extensions_map, ".txt": "text/special"}  # noqa: RUF012 - as people write it

    with serving(functools.partial(Files, directory=str(tmp_path / "root")), tmp_path) as served:
        _, fields, body = served.run(
            lambda connection: connection.ask(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        )
    assert (fields["content-type"], body) == ("text/special", HELLO)


# -- the Server field -----------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expected"), [("Mine/1", "Mine/1"), ("", None)])
def test_the_server_field_may_be_set_from_outside(tmp_path: Path, text: str, expected: str | None) -> None:
    for handler in (Plain, functools.partial(Plain)):
        with serving(with_server_field(adopt_handler(handler), text), tmp_path) as served:
            assert served.run(lambda connection: connection.ask()[1]).get("server") == expected


def test_the_server_field_of_what_is_no_class_cannot_be_set() -> None:
    with pytest.raises(TargetError, match="no handler class"):
        with_server_field(lambda *_: None, "Mine")


# -- server classes -------------------------------------------------------------------------------


def test_an_adopted_server_is_a_subclass_of_the_original_and_runs_on_ours() -> None:
    class Own(http.server.HTTPServer):
        pass

    adopted = adopt_server(Own, HTTPServer)
    assert issubclass(adopted, Own)
    assert issubclass(adopted, HTTPServer)
    assert adopted.__mro__.index(HTTPServer) < adopted.__mro__.index(http.server.HTTPServer)
    assert adopted.__name__ == "Own"


@pytest.mark.parametrize("original", [http.server.HTTPServer, http.server.ThreadingHTTPServer, HTTPServer])
def test_the_standard_servers_serve(tmp_path: Path, original: type) -> None:
    with serving(Plain, tmp_path, original) as served:
        assert served.run(two_and_two) == [(200, HELLO)] * 4


@pytest.mark.parametrize("thing", [socketserver.TCPServer, int])
def test_what_is_no_http_server_is_refused(thing: type) -> None:
    with pytest.raises(TargetError, match="no subclass of HTTPServer"):
        adopt_server(thing, HTTPServer)


def test_a_server_that_forks_for_each_request_is_refused() -> None:
    class Forking(socketserver.ForkingMixIn, http.server.HTTPServer):
        pass

    with pytest.raises(TargetError, match="ForkingMixIn"):
        adopt_server(Forking, HTTPServer)


class Sharing(http.server.HTTPServer):
    """State in the server, as people keep it."""

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args)
        self.greeting = HELLO
        self.seen: list[str] = []
        self.closed = 0

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401 - as documented
        """Note it."""
        self.seen.append("verify")
        return super().verify_request(request, client_address)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.seen.append("process")
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.seen.append("finish")
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.seen.append("shutdown")
        super().shutdown_request(request)

    def close_request(self, request: Any) -> None:  # noqa: ANN401 - as documented
        """Note it."""
        self.seen.append("close")
        super().close_request(request)

    def server_close(self) -> None:
        """Note it."""
        self.closed += 1
        super().server_close()


class SharingThreads(socketserver.ThreadingMixIn, Sharing):
    """The same with the mix-in below."""

    daemon_threads = True


class ThreadsSharing(Sharing, socketserver.ThreadingMixIn):
    """The same with the mix-in above."""


class Asking(Plain):
    """Looks at the server."""

    server: Any

    def do_GET(self) -> None:
        """Answer with what the server has."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.greeting)


@pytest.mark.parametrize("original", [Sharing, SharingThreads, ThreadsSharing])
def test_a_servers_own_init_attributes_and_hooks_hold(tmp_path: Path, original: type) -> None:
    with serving(Asking, tmp_path, original) as served:
        server: Any = served.server
        assert served.run(two_and_two) == [(200, HELLO)] * 4
        served.until(lambda: served.loop.empty)
        assert server.seen == ["verify", "process", "finish", "shutdown", "close"]
    assert server.closed == 1


def test_verify_request_may_refuse(tmp_path: Path) -> None:
    class Refusing(http.server.HTTPServer):
        def verify_request(self, *_: object) -> bool:
            return False

    def client(connection: Client) -> bytes:
        connection.send(GET)
        return connection.rest()

    with serving(Plain, tmp_path, Refusing) as served:
        assert served.run(client) == b""
        assert served.log == ""


def test_a_server_that_calls_the_standard_librarys_init_by_name_serves(tmp_path: Path) -> None:
    class Old(http.server.HTTPServer):
        def __init__(self, *args: Any) -> None:  # noqa: ANN401 - passed on
            http.server.HTTPServer.__init__(self, *args)

    with serving(Plain, tmp_path, Old) as served:
        assert served.run(two_and_two) == [(200, HELLO)] * 4


def test_such_a_server_takes_the_socket_that_it_inherits() -> None:
    class Old(http.server.HTTPServer):
        def __init__(self, *args: Any) -> None:  # noqa: ANN401 - passed on
            http.server.HTTPServer.__init__(self, *args)

    with HTTPServer(("127.0.0.1", 0), adopt_handler(Plain)) as first:
        here = type("Here", (adopt_server(Old, HTTPServer),), {"inherited": first.socket})
        second = here(first.server_address, adopt_handler(Plain))
        assert second.socket is first.socket
        assert second.server_port == first.server_port
        second.shutdown()


def test_with_several_classes_of_one_server_each_has_its_own_loop() -> None:
    adopted = adopt_server(Sharing, HTTPServer)
    with adopted(("127.0.0.1", 0), adopt_handler(Plain)) as one, adopted(("127.0.0.1", 0), Plain) as two:
        assert one.server_port != two.server_port
