"""Attacks that worked on other servers, beside those on framing, tried on real workers.

Header spoofing, response splitting, forged log lines, and paths that lead out of the root. Each
group names the advisories that it comes from. The log of every server here must stay what it
is: one line a record, printable, with nothing in it that a peer could have made up.
"""

from __future__ import annotations

import functools
import json
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

import pytest

from tests.deadline import until
from tests.server.serving import Client
from tests.system.server import running
from tests.wire.probes import head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.server import Server

APP = Path(__file__).with_name("advisories_app.py")
SECRET = b"a secret beside the root"

#: The access log's formats: what analysers know, and every letter that shows what a peer sent.
PATTERN = '%h "%r" %m %U %q %H %s "%{Referer}i" "%{User-Agent}i" "%{Authorization}i" "%{Cookie}i" "%{Host}i"'
FORMATS = ["combined", "json", PATTERN]


def make_root(directory: Path) -> Path:
    """A small tree with links that lead out of it, beside a secret."""
    root = directory / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_bytes(b"content")
    (directory / "secret").write_bytes(SECRET)
    (directory / "secrets").mkdir()
    (directory / "secrets" / "file").write_bytes(SECRET)
    (root / "link").symlink_to(directory / "secret")
    (root / "links").symlink_to(directory / "secrets")
    (root / "sub" / "up").symlink_to("../../secret")
    (root / "inner").symlink_to("sub")
    return root


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The handler on two workers, with files."""
    directory = tmp_path_factory.mktemp("handlers")
    make_root(directory)
    with running(APP, directory) as server:
        server.expected = [" handler fault ", " handler failed "]
        yield server


@pytest.fixture(scope="module")
def wsgi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The WSGI application on one worker."""
    with running(APP, tmp_path_factory.mktemp("wsgi"), "application", workers=1) as server:
        server.expected = [" handler fault ", " handler failed "]
        yield server


@pytest.fixture(scope="module", params=FORMATS, ids=["combined", "json", "pattern"])
def logging(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The handler on one worker, with each format of the access log."""
    directory = tmp_path_factory.mktemp("logging")
    make_root(directory)
    more = f"[log]\nformat = {json.dumps(request.param)}"
    with running(APP, directory, workers=1, more=more) as server:
        server.expected = [" handler fault ", " handler failed "]
        yield server


@functools.cache
def port_of(server: Server) -> int:
    """Its port; looking it up takes longer than a request."""
    return server.port


def octets(server: Server, *requests: bytes) -> bytes:
    """All that is answered, up to the end."""
    with closing(Client(("127.0.0.1", port_of(server)))) as client:
        client.send(b"".join(requests))
        return client.rest()


def get(target: bytes, *fields: bytes) -> bytes:
    """A request that is the last on its connection."""
    return head(b"Connection: close", *fields, line=b"GET " + target + b" HTTP/1.1")


def ask(server: Server, target: bytes, *fields: bytes) -> tuple[int, dict[str, str], bytes]:
    """One answer as h11 understands it, and nothing behind it."""
    with closing(Client(("127.0.0.1", port_of(server)))) as client:
        answer = client.ask(get(target, *fields))
        assert client.rest() == b""
    return answer


# -- header spoofing --------------------------------------------------------------------------------------
# puma CVE-2024-45614, passenger CVE-2015-7519, gunicorn 22.0, waitress 3.0.2, thin CVE-2009-3287;
# httpoxy CVE-2016-1000110.


@pytest.mark.parametrize(
    "name",
    [
        "X_Forwarded_For",
        "x_forwarded-for",
        "X-Forwarded_For",
        "X_Real_IP",
        "Content_Length",
        "Content_Type",
        "content_length",
        "Transfer_Encoding",
        "Host_",
        "_Host",
        "Remote_Addr",
        "X_",
        "_",
        "Proxy",
        "PROXY",
        "pRoXy",
    ],
)
def test_a_name_that_could_pass_for_another_is_no_part_of_the_environment(wsgi: Server, name: str) -> None:
    plain = environ_of(wsgi)
    spoofed = environ_of(wsgi, name.encode() + b": spoofed")
    for environ in (plain, spoofed):
        del environ["REMOTE_PORT"]
    assert spoofed == plain


def test_a_spoofed_name_beside_the_real_one_adds_nothing_to_it(wsgi: Server) -> None:
    fields = (
        b"X_Real: spoofed",
        b"X-Real: true",
        b"X_real: spoofed",
        b"Content_Type: spoofed",
        b"Content-Type: t/t",
    )
    environ = environ_of(wsgi, *fields)
    assert (environ["HTTP_X_REAL"], environ["CONTENT_TYPE"]) == ("true", "t/t")
    assert "spoofed" not in str(environ)


def test_what_an_untrusted_peer_says_of_its_client_is_not_believed(wsgi: Server, handlers: Server) -> None:
    fields = (
        b"X-Forwarded-For: 192.0.2.66",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil.example",
        b"Forwarded: for=192.0.2.66;proto=https",
    )
    environ = environ_of(wsgi, *fields)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    ask(handlers, b"/file?untrusted", *fields)
    line = record(handlers, "untrusted")
    assert line.startswith("127.0.0.1 ")
    assert "192.0.2.66" not in line


def environ_of(server: Server, *fields: bytes) -> dict[str, str]:
    """The texts in the environment of a request."""
    environ: dict[str, str] = json.loads(ask(server, b"/", *fields)[2])
    return environ


# -- response splitting -------------------------------------------------------------------------------------
# gunicorn CVE-2018-1000164, uvicorn CVE-2020-7695, puma CVE-2020-5247 and -5249, pitchfork
# CVE-2025-30221, tornado CVE-2012-2374 and CVE-2025-67724, gh-142533.

#: What splits a head for some client, with a mark that must not be seen again.
SPLITS = [
    b"mark\r\nInjected: mark",
    b"mark\nInjected: mark",
    b"mark\rInjected: mark",
    b"mark\r\n\r\nHTTP/1.1 200 OK\r\n\r\nmark",
    b"mark\r\n Injected: mark",
    b"mark\r\n",
    b"mark\n",
    b"\r\nInjected: mark",
    b"mark\x00",
    b"mark\x0bmark",
    b"mark\x0cmark",
    b"mark\x1bmark",
    b"mark\x7fmark",
]


def refuses(server: Server, target: bytes) -> None:
    """The worker's answer is a 500 that shows nothing of what was to be sent."""
    sent = octets(server, get(target))
    assert sent.startswith(b"HTTP/1.1 500 Internal Server Error\r\n"), target
    assert b"mark" not in sent
    assert b"njected" not in sent
    assert sent.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("place", [b"reason", b"value", b"buffer", b"name", b"status", b"interim"])
def test_a_handler_cannot_split_its_answer(handlers: Server, place: bytes) -> None:
    for text in SPLITS:
        # An appended line that ends where it may is a line of its own; a name may not end in white space.
        if place in (b"buffer", b"interim") and b"\r\n" in text and b"\r\n " not in text:
            continue
        refuses(handlers, b"/" + place + b"?text=" + quote_from_bytes(text).encode())


@pytest.mark.parametrize("name", [b"", b" ", b"X Y", b"X\t", b" X", b"X\xe4", b"X(", b'"X"', b"X/Y", b"X@"])
def test_a_field_name_is_a_token(handlers: Server, wsgi: Server, name: bytes) -> None:
    quoted = quote_from_bytes(name).encode()
    refuses(handlers, b"/name?text=" + quoted)
    refuses(wsgi, b"/?name=" + quoted)


@pytest.mark.parametrize(
    "status", [b"", b"20", b"2000", b"+20", b" 200", b"2 0", b"2_0", b"\xb2\xb0\xb0", b"099", b"-99"]
)
def test_a_status_is_three_digits(handlers: Server, wsgi: Server, status: bytes) -> None:
    quoted = quote_from_bytes(status).encode()
    refuses(handlers, b"/status?text=" + quoted)
    refuses(wsgi, b"/?status=" + quoted + b"%20mark")


@pytest.mark.parametrize("place", [b"status=200%20", b"name=X-Value&value=", b"name="])
def test_a_wsgi_application_cannot_split_its_answer(wsgi: Server, place: bytes) -> None:
    for text in SPLITS:
        refuses(wsgi, b"/?" + place + quote_from_bytes(text).encode())


def test_an_interim_answer_that_is_split_never_leaves(handlers: Server) -> None:
    sent = octets(handlers, get(b"/interim?text=%3C/s%3E"))
    assert sent.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 200 ")
    sent = octets(handlers, get(b"/interim?text=mark%0Amark"))
    assert sent.startswith(b"HTTP/1.1 500 ")


def test_the_log_names_the_field_and_not_its_value(handlers: Server) -> None:
    refuses(handlers, b"/buffer?text=ma%72k%00ma%72k")
    said = "a control character in the value of field X-Value"
    (line,) = until(
        lambda: [line for line in handlers.log.splitlines() if said in line and "ma%72k" in line], "the fault"
    )
    assert "mark" not in line


def test_text_of_other_languages_may_be_sent(handlers: Server) -> None:
    sent = octets(handlers, get(b"/value?text=" + quote_from_bytes(b"\xe4\ta\xff~").encode()))
    assert b"\r\nX-Value: \xe4\ta\xff~\r\n" in sent


# -- logs ----------------------------------------------------------------------------------------------------
# webrick CVE-2009-4492 and CVE-2017-10784, uvicorn CVE-2020-7694, gh-100001, tornado CVE-2025-47287.

#: What a terminal obeys, a reader takes for a new line, or for the end of a quoted text.
FORGERIES = [
    b"\x1b[31mred\x1b[0m",
    b'" 200 1 "-" "-"\\',
    b"\\n127.0.0.1 - - forged",
    b"\\",
    b'"',
    b"\x85forged",
    b"\x9b2Jforged",
    b"\xe2\x80\xa8forged",
    b"\x80\xff\xa0",
    b"%0d%0aforged%1b%00",
    b"\t\ttab",
    b"%s%n%(x)s{0}",
    b"\x7fforged",
    b"\nforged",
]


def record(server: Server, mark: str) -> str:
    """The only line of the access log with a mark."""
    (line,) = until(lambda: [each for each in server.access if mark in each], f"a record of {mark}")
    return line


def is_one_record(line: str, server: Server) -> bool:
    """Whether an access line is printable ASCII, and in JSON an object."""
    if not (line.isascii() and line.isprintable()):
        return False
    return '"json"' not in server.config.read_text() or isinstance(json.loads(line), dict)


def test_no_request_forges_a_line_of_the_access_log(logging: Server) -> None:
    """In the target, in each field that a format shows, and as the name of a user."""
    before = len(logging.access)
    requests = 0
    for forgery in FORGERIES:
        fields = [name + b": " + forgery for name in (b"User-Agent", b"Referer", b"Authorization", b"Cookie")]
        target = b"/file?" + re.sub(rb"[^!-~]|#", b"", forgery)
        for probe in (
            get(target),
            *[get(b"/file", field) for field in fields],
            get(forgery),
            b"GET " + forgery,
        ):
            sent = octets(logging, probe + b"\r\n\r\n")
            requests += sent.count(b"HTTP/1.1 ")
    lines = until(
        lambda: logging.access[before:] if len(logging.access) >= before + requests else [], "all records"
    )
    assert len(lines) == requests, "one request, one line"
    assert [line for line in lines if not is_one_record(line, logging)] == []
    raw = (logging.directory / "stdout").read_bytes()
    assert re.search(rb"[^\n -~]", raw) is None


def test_what_was_sent_can_be_told_from_the_access_log(logging: Server) -> None:
    """An escape is unlike any other text: a backslash and a quote are escaped as well."""
    ask(logging, b'/file?both"\\x0a', b'User-Agent: \x9b"\\x9b')
    line = record(logging, "?both")
    if line.startswith("{"):
        found = json.loads(line)
        assert (found["target"], found["user_agent"]) == ('/file?both"\\x0a', '\x9b"\\x9b')
    else:
        assert '/file?both\\"\\\\x0a ' in line
        assert '"\\x9b\\"\\\\x9b"' in line


def test_no_request_forges_a_line_of_the_error_log(handlers: Server) -> None:
    """In a handler's own lines, in a traceback, in the report of a fault, and in those of send_error."""
    for forgery in FORGERIES:
        quoted = quote_from_bytes(forgery + b"\r\n2026-11-21T00:00:00.000Z error master forged").encode()
        for path in (b"/log", b"/raise", b"/error", b"/buffer", b"/value"):
            octets(handlers, get(path + b"?text=" + quoted, b"User-Agent: " + forgery.replace(b"\n", b"")))
        octets(
            handlers,
            head(b"Connection: close", line=b"BR'EW /" + re.sub(rb"[^!-~]|#", b"", forgery) + b" HTTP/1.1"),
        )
    lines = (handlers.directory / "stderr").read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert line.isprintable(), line
        assert re.match(r"\d{4}-\d\d-\d\dT[0-9:.]{12}Z (info |warning|error) (master|worker=)|  \| ", line), (
            line
        )
        assert not re.match(r"\S+ error +master", line)


def test_an_error_page_shows_no_markup_of_a_peers(handlers: Server) -> None:
    _, fields, body = ask(handlers, b"/error?text=%3Cscript%3E%22mark%22%3C/script%3E")
    assert b"<script" not in body
    assert "charset" in fields["content-type"]


def test_a_bad_request_is_one_line_and_no_error(handlers: Server) -> None:
    """Tornado CVE-2025-47287: a flood of bad requests was a flood of log lines."""
    ask(handlers, b"/file?before")
    records_of(handlers, "/file?before")  # those of other tests have come before it
    log, access = len(handlers.log), len(handlers.access)
    octets(handlers, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"Bad Field: x\r\n" * 90 + b"\r\n")
    ask(handlers, b"/file?after")
    records_of(handlers, "/file?after")
    assert len(handlers.access) == access + 2
    assert len(handlers.log) == log


def records_of(handlers: Server, target: str) -> None:
    """Wait until a request of that target is in the access log."""
    until(lambda: any(target in line for line in handlers.access), f"a record of {target}")


# -- paths and redirects -------------------------------------------------------------------------------------
# CVE-2021-28861, aiohttp CVE-2021-21330 and CVE-2024-23334, werkzeug CVE-2020-28724, tornado
# CVE-2023-28370, uWSGI CVE-2018-7490, mongrel CVE-2007-6612, iodine CVE-2024-22050.

OUTSIDE = (
    b"/../secret|/%2e%2e/secret|/%2e%2e%2fsecret|/..%2fsecret|/..%5csecret|/..\\secret|/%252e%252e/secret|"
    b"/%252e%252e%252fsecret|/.%252e/secret|/sub/../../secret|/sub/%2e%2e/%2e%2e/secret|//../secret|"
    b"/sub/..;/../secret|/%c0%ae%c0%ae/secret|/..%c0%afsecret|/%uff0e%uff0e/secret|/....//secret|/../secret%00|"
    b"/secret%00/../file|/%00|/file%00.html|/link|/links/file|/links/|/links|/sub/up|/inner/up|/inner/../link|"
    b"/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd|/etc/passwd|//etc/passwd|///etc/passwd|"
    b"/file/../../secret|/./../secret|/~root|/sub/%2e%2e%2f%2e%2e%2fsecret|http://a/../secret|"
    b"http://a//../secret|/?/../secret/../../secret|/../root/../secret|/file/|/sub/%2f..%2f..%2fsecret"
).split(b"|")


def test_no_target_leads_out_of_the_root(handlers: Server) -> None:
    listing = ask(handlers, b"/")[2]
    for target in OUTSIDE:
        status, fields, body = ask(handlers, target)
        assert SECRET not in body, target
        assert b"root:" not in body, target
        # What was brought back into the root may be served, and nothing else.
        assert status == 404 or body in (b"content", listing), (target, fields)


@pytest.mark.parametrize(
    "target",
    [
        b"//evil.example/%2e%2e/sub",
        b"//evil.example/../sub",
        b"///evil.example/..//sub",
        b"/\\evil.example/../sub",
        b"/%5cevil.example/../sub",
        b"//sub",
        b"///sub",
        b"/sub?//evil.example",
        b"/sub%2f..%2fsub",
        b"http://evil.example//sub",
        b"http://evil.example/sub",
        b"/sub%0d%0aX:%201/../sub",
        b"/%09/evil.example/../../sub",
    ],
)
def test_a_redirect_leads_to_a_path_of_this_host(handlers: Server, target: bytes) -> None:
    status, fields, _ = ask(handlers, target)
    assert status in (301, 404)
    if status == 301:
        location = fields["location"]
        assert re.match(r"/(?![/\\])", location), location
        assert "\\" not in location
        assert location.partition("?")[0].endswith("/")


def test_the_redirects_above_are_some(handlers: Server) -> None:
    assert ask(handlers, b"//sub")[1]["location"] == "/sub/"
    assert ask(handlers, b"//evil.example/../sub")[1]["location"] == "/evil.example/../sub/"


@pytest.mark.parametrize(
    "target",
    [b"http://[::1", b"http://[::1/", b"http://[/", b"http://]/", b"http://[::1]a/", b"http://[x]:80/"],
)
def test_a_broken_address_in_a_target_is_a_400(handlers: Server, target: bytes) -> None:
    sent = octets(handlers, get(target))
    assert sent.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("target", [b"/[", b"/[::1", b"//[::1/", b"/sub/[::1", b"//[x]/../sub", b"/sub?[::1"])
def test_a_bracket_in_a_path_is_no_address_and_no_500(handlers: Server, target: bytes) -> None:
    assert ask(handlers, target)[0] in (301, 404), target


def test_a_listing_says_its_charset(handlers: Server) -> None:
    """CVE-2011-4940: without one, a browser may guess a charset in which text is markup."""
    name = "+ADw-script+AD4-<b>"
    (handlers.directory / "root" / "sub" / name).touch()
    status, fields, body = ask(handlers, b"/sub/")
    assert status == 200
    assert fields["content-type"].endswith("charset=utf-8")
    assert b"<b>" not in body
    assert b"+ADw-" in body
