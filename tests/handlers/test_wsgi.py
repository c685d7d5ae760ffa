"""WSGI applications, served: PEP 3333 from both sides."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest

from forkhttp import WSGIHandler
from tests.handlers.by_hand import drive
from tests.server.serving import GET, Client, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Environ = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    Application = Callable[[Environ, StartResponse], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]
HEAD = GET.replace(b"GET", b"HEAD")


def served(
    application: Application, directory: Path, octets: bytes = GET
) -> tuple[int, dict[str, str], bytes]:
    """Ask an application once, and see that the connection goes on; give status, fields and body."""
    method = octets.split()[0].decode()

    def client(connection: Client) -> tuple[int, dict[str, str], bytes]:
        answer = connection.ask(octets, method)
        if "connection" not in answer[1]:
            assert connection.ask(octets, method)[0] == answer[0]
        return answer

    with serving(WSGIHandler.serving(application), directory) as serving_it:
        return serving_it.run(client)


def refused(application: Application, directory: Path) -> str:
    """Ask an application that breaks a rule; give what the log says."""
    with serving(WSGIHandler.serving(application), directory) as serving_it:
        assert serving_it.run(lambda connection: connection.ask()[0]) == 500
        return serving_it.log


def environ_of(octets: bytes) -> Environ:
    """Give the environment that an application gets."""
    seen: list[Environ] = []

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        start_response("204 No Content", [])
        return []

    class Quiet(WSGIHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    drive(Quiet.serving(application), octets)
    return seen[0]


# -- environ ------------------------------------------------------------------------------------------


def test_the_environment_holds_what_pep_3333_asks_for() -> None:
    environ = environ_of(
        b"PUT /a%20b/\xc3\xa4%C3%A4?x=1%20&y HTTP/1.1\r\n"
        b"Host: h\r\nContent-Type: t/x\r\nContent-Length: 0\r\n"
        b"X-One: 1\r\nCookie: a=1\r\nX-One: 2\r\nCookie: b=2\r\n\r\n"
    )
    environ.pop("wsgi.input")
    assert type(environ) is dict
    assert environ == {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/" + "\u00c3\u00a4" * 2,
        "QUERY_STRING": "x=1%20&y",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4711",
        "CONTENT_TYPE": "t/x",
        "CONTENT_LENGTH": "0",
        "HTTP_HOST": "h",
        "HTTP_X_ONE": "1,2",
        "HTTP_COOKIE": "a=1; b=2",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }


def test_fields_that_could_pass_for_others_are_left_out() -> None:
    environ = environ_of(
        b"GET / HTTP/1.1\r\nX_Forwarded_For: evil\r\nX-Forwarded-For: good\r\nX.Y: odd\r\nProxy: evil\r\n"
        b"Content_Length: 5\r\nCONTENT_TYPE: evil\r\n\r\n"
    )
    assert environ["HTTP_X_FORWARDED_FOR"] == "good"
    assert not [key for key, value in environ.items() if value == "evil" or key == "HTTP_PROXY"]
    assert "CONTENT_LENGTH" not in environ
    assert "odd" not in environ.values()


def test_the_servers_address_is_the_listeners(tmp_path: Path) -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        yield f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}".encode()

    with serving(WSGIHandler.serving(application), tmp_path) as serving_it:
        body = serving_it.run(Client.ask)[2]
        assert body.decode() == f"127.0.0.1:{serving_it.server.server_port}"


# -- answers ------------------------------------------------------------------------------------------


def simple(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the examples do."""
    start_response("200 Fine", [*TEXT, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"Hello, ", b"world"]


def test_an_answer_has_the_applications_status_fields_and_body(tmp_path: Path) -> None:
    status, fields, body = served(simple, tmp_path)
    assert (status, body) == (200, b"Hello, world")
    assert fields["content-length"] == "12"
    assert fields["content-type"] == "text/plain"
    assert "date" in fields
    assert fields["server"].startswith("forkhttp/")


def test_equal_fields_stay_two(tmp_path: Path) -> None:
    with serving(WSGIHandler.serving(simple), tmp_path) as serving_it:

        def client(connection: Client) -> bytes:
            connection.send(GET.replace(b"Host: a", b"Host: a\r\nConnection: close"))
            return connection.rest()

        assert b"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in serving_it.run(client)


def test_the_validator_of_the_standard_library_has_no_objection(tmp_path: Path) -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.errors"].flush()
        start_response("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
        return [body]

    post = b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    checked: Any = validator(application)  # its types are narrower than PEP 3333
    assert served(checked, tmp_path, post)[::2] == (200, b"abc")
    assert served(checked, tmp_path)[::2] == (200, b"")
    assert served(checked, tmp_path, HEAD)[::2] == (200, b"")


def test_a_date_and_server_of_the_applications_own_stand_alone(tmp_path: Path) -> None:
    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("SERVER", "mine")])
        return [b"x"]

    fields = served(application, tmp_path)[1]
    assert (fields["date"], fields["server"]) == ("Thu, 01 Jan 1970 00:00:00 GMT", "mine")


@pytest.mark.parametrize("result", [[], (), [b""]])
def test_an_answer_without_a_body_has_length_nothing(tmp_path: Path, result: Iterable[bytes]) -> None:
    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return result

    _, fields, body = served(application, tmp_path)
    assert (fields["content-length"], body) == ("0", b"")


def test_head_has_no_body_and_no_invented_length(tmp_path: Path) -> None:
    def empty(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return []

    for application in (simple, empty):
        _, fields, body = served(application, tmp_path, HEAD)
        assert body == b""
        assert "content-length" not in fields


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_204_and_304_have_neither_body_nor_length(tmp_path: Path, status: str) -> None:
    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [])
        return []

    code, fields, body = served(application, tmp_path)
    assert (code, body) == (int(status[:3]), b"")
    assert "content-length" not in fields


def test_write_comes_before_what_is_returned(tmp_path: Path) -> None:
    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    assert served(application, tmp_path)[2] == b"one two three"


def test_start_response_may_come_with_the_first_piece_of_a_generator(tmp_path: Path) -> None:
    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b""
        yield b"a"
        yield b"b"

    assert served(application, tmp_path)[2] == b"ab"


def test_an_error_before_the_head_may_replace_it(tmp_path: Path) -> None:
    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            start_response("503 Sorry", [("X-New", "1")], sys.exc_info())
        return [b"sorry"]

    status, fields, body = served(application, tmp_path)
    assert (status, fields["x-new"], body) == (503, "1", b"sorry")
    assert "content-type" not in fields


def test_an_error_after_the_head_is_raised_again(tmp_path: Path) -> None:
    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"begun")
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            start_response("503 Sorry", [], sys.exc_info())
        return []

    assert "ZeroDivisionError" in refused(application, tmp_path)


class Closing:
    """An iterable that says when it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        """Count."""
        self.closed += 1


@pytest.mark.parametrize(
    ("pieces", "status"), [((b"a",), 200), ((), 200), ((RuntimeError(),), 500), ((b"a", RuntimeError()), 500)]
)
def test_close_is_called_once_whatever_happened(
    tmp_path: Path, pieces: tuple[bytes | Exception, ...], status: int
) -> None:
    result = Closing(*pieces)

    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return result

    with serving(WSGIHandler.serving(application), tmp_path) as serving_it:
        assert serving_it.run(lambda connection: connection.ask()[0]) == status
    assert result.closed == 1


# -- wsgi.input -----------------------------------------------------------------------------------------


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the body, read to its end."""
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read()]


@pytest.mark.parametrize(
    "octets",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nab\ncd\ne",
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"4\r\nab\nc\r\n3\r\nd\ne\r\n0\r\n\r\n"
        ),
    ],
)
def test_input_ends_where_the_body_ends(tmp_path: Path, octets: bytes) -> None:
    def lines(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        read = [
            stream.read(1),
            stream.readline(),
            *stream,
            stream.read(),
            stream.read(9),
            *stream.readlines(),
        ]
        start_response("200 OK", TEXT)
        return [repr(read).encode()]

    assert served(echo, tmp_path, octets)[2] == b"ab\ncd\ne"
    assert served(lines, tmp_path, octets)[2] == repr([b"a", b"b\n", b"cd\n", b"e", b"", b""]).encode()


# -- what breaks the rules ------------------------------------------------------------------------------


def starting(*arguments: object) -> Application:
    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(*arguments)
        return [b"x"]

    return application


def never(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
    return [b"x"]


def nothing(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
    return []


def twice(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


def text(_environ: Environ, start_response: StartResponse) -> Iterable[Any]:
    start_response("200 OK", [])
    return ["text"]


def none(_environ: Environ, start_response: StartResponse) -> Any:  # noqa: ANN401 - it breaks the rules
    start_response("200 OK", [])


@pytest.mark.parametrize(
    ("application", "said"),
    [
        (never, "before it called start_response"),
        (nothing, "before it called start_response"),
        (twice, "start_response was called twice"),
        (text, "bytes-like object is required, not 'str'"),
        (none, "'NoneType' object is not iterable"),
        (starting("20 OK", []), "does not begin with three digits"),
        (starting("OK", []), "does not begin with three digits"),
        (starting("\u0662\u0660\u0660 OK", []), "does not begin with three digits"),
        (starting("200 OK\r\nX: 1", []), "cannot hold CR or LF"),
        (starting("200 OK", [("X", "1\r\nY: 2")]), "cannot hold CR or LF"),
        (starting("200 OK", [("X y", "1")]), "malformed field line|begin with a name"),
    ],
)
def test_a_broken_rule_is_a_500_and_said(tmp_path: Path, application: Application, said: str) -> None:
    log = refused(application, tmp_path)
    assert any(each in log for each in said.split("|"))


def test_a_handler_without_an_application_says_so(tmp_path: Path) -> None:
    with serving(WSGIHandler, tmp_path) as serving_it:
        assert serving_it.run(lambda connection: connection.ask()[0]) == 500
        assert "WSGIHandler.serving(application)" in serving_it.log
