"""The main job: an existing handler class behind nginx, used by real clients."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import subprocess
from typing import TYPE_CHECKING

import psutil
import pytest
import requests

from tests.deadline import PATIENCE, until
from tests.referee import connect, read_all, read_broken
from tests.system.app import BIG, PIECE
from tests.system.front import Front

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.server import Server

#: The big download, as it must arrive.
BIG_DIGEST = hashlib.sha256((PIECE * (BIG // len(PIECE) + 1))[:BIG]).hexdigest()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client that keeps its connections and repeats nothing."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(params=["front", "haproxy"], ids=["nginx", "haproxy"])
def proxy(request: pytest.FixtureRequest) -> Front:
    """Each proxy."""
    front = request.getfixturevalue(request.param)
    assert isinstance(front, Front)
    return front


@pytest.fixture(params=["front", "haproxy", ""], ids=["nginx", "haproxy", "direct"])
def port(request: pytest.FixtureRequest, served: Server) -> int:
    """Through each proxy, and without one."""
    if not request.param:
        return served.port
    front = request.getfixturevalue(request.param)
    assert isinstance(front, Front)
    return front.port


@pytest.fixture
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def run_curl(curl: str, *arguments: str) -> str:
    done = subprocess.run(
        [curl, "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_uses_every_method(url: str, curl: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("round trip " * 1000)
    assert run_curl(curl, f"{url}/hello") == "hello\n"
    assert run_curl(curl, "--data-binary", f"@{body}", f"{url}/echo") == body.read_text()
    chunked = ("--header", "Transfer-Encoding: chunked", "--data-binary", f"@{body}")
    assert run_curl(curl, *chunked, f"{url}/echo") == body.read_text()
    assert run_curl(curl, "--request", "SPAM", f"{url}/") == "spam\n"
    status = ("--output", os.devnull, "--write-out", "%{http_code}")
    assert run_curl(curl, *status, "--request", "BREW", f"{url}/") == "501"
    assert run_curl(curl, *status, f"{url}/nowhere") == "404"
    head = run_curl(curl, "--head", f"{url}/hello")
    assert head.startswith("HTTP/1.1 200")
    assert re.search(r"(?im)^content-length: 6\r?$", head)


def test_curl_keeps_its_connection(url: str, curl: str) -> None:
    """The application never heard of HTTP/1.1, and gives no length; connections persist all the same."""
    connects = run_curl(curl, "--write-out", "%{num_connects} ", *[f"{url}/hello"] * 5)
    assert connects.replace("hello\n", "").split() == ["1", "0", "0", "0", "0"]


def test_a_big_body_goes_up_and_down_whole(
    url: str, curl: str, session: requests.Session, tmp_path: Path
) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(BIG))
    digest = hashlib.sha256(upload.read_bytes()).hexdigest()
    assert run_curl(curl, "--upload-file", str(upload), f"{url}/upload") == f"{BIG} {digest}\n"
    for path in ("/big", "/big?length=1"):
        with session.get(url + path, stream=True, timeout=PATIENCE) as answer:
            arrived = hashlib.sha256()
            for octets in answer.iter_content(1 << 16):
                arrived.update(octets)
        assert arrived.hexdigest() == BIG_DIGEST
    assert session.get(url + "/hello", timeout=PATIENCE).text == "hello\n"


def test_http_client_uses_one_connection_for_everything(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    first = connection.sock = connect(("127.0.0.1", port))

    def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    assert ask("GET", "/hello") == (200, b"hello\n")
    assert ask("HEAD", "/hello") == (200, b"")
    assert ask("POST", "/echo", b"body") == (200, b"body")
    assert ask("POST", "/echo", b"") == (200, b"")
    connection.request("POST", "/echo", iter([b"in ", b"three ", b"chunks"]), encode_chunked=True)
    assert connection.getresponse().read() == b"in three chunks"
    assert ask("SPAM", "/") == (200, b"spam\n")
    assert ask("GET", "/hello") == (200, b"hello\n")
    assert connection.sock is first
    connection.close()


def test_a_handler_that_raises_is_a_500_with_a_traceback(
    url: str, served: Server, session: requests.Session
) -> None:
    served.expected.append("raised|ValueError|/raise")
    answer = session.get(f"{url}/raise", timeout=PATIENCE)
    assert answer.status_code == 500
    assert "ValueError" not in answer.text
    assert session.get(f"{url}/hello", timeout=PATIENCE).text == "hello\n"
    until(lambda: "ValueError: a fault of the application" in served.log, "the traceback is logged")
    assert "get_raise" in served.log


def test_a_handler_that_raises_within_a_body_cuts_the_answer(served: Server) -> None:
    """The client must see that it has not got everything, and no second status."""
    served.expected.append("raised|ValueError|/late|late fault")
    with connect(("127.0.0.1", served.port)) as peer:
        peer.sendall(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        received = read_broken(peer)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"the beginning"


def test_lines_flow_although_nobody_flushes(url: str, session: requests.Session, tmp_path: Path) -> None:
    """The next line is written only when the one before has arrived."""
    gate = tmp_path / "gate"
    with session.get(f"{url}/lines", params={"gate": str(gate)}, stream=True, timeout=5) as answer:
        lines = answer.iter_lines(chunk_size=1)
        for number in range(3):
            assert next(lines) == b"line %d" % number
            gate.with_suffix(f".{number}").touch()
        assert list(lines) == []


def test_the_connections_from_nginx_persist(front: Front, session: requests.Session) -> None:
    """Each of nginx's workers needs one connection to forkhttp for any number of requests in turn."""
    peers = set()
    for _ in range(100):
        _, peer = session.get(f"http://127.0.0.1:{front.port}/who", timeout=PATIENCE).text.split()
        peers.add(peer)
    assert len(peers) <= len(psutil.Process(front.process.pid).children())


def test_every_answered_request_has_an_access_line(served: Server, session: requests.Session) -> None:
    for path in ("/hello", "/nowhere", "/hello?a=1"):
        session.get(f"http://127.0.0.1:{served.port}{path}", timeout=PATIENCE)
    served.stop()
    requested = [re.findall(r'"(GET [^"]+)" (\d+) ', line) for line in served.access]
    assert sorted(line for (line,) in requested) == [
        ("GET /hello HTTP/1.1", "200"),
        ("GET /hello?a=1 HTTP/1.1", "200"),
        ("GET /nowhere HTTP/1.1", "404"),
    ]


def test_a_proxy_says_who_asks_and_is_believed_if_it_is_trusted(
    served: Server, proxy: Front, session: requests.Session
) -> None:
    def fields() -> dict[str, str]:
        answer = session.get(
            f"http://127.0.0.1:{proxy.port}/fields",
            headers={"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=192.0.2.77"},
            timeout=PATIENCE,
        )
        pairs = (line.split(": ", 1) for line in answer.text.splitlines())
        return {name.lower(): value for name, value in pairs}  # HAProxy writes them so

    assert not {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"} & fields().keys()
    served.configure(more='[proxy]\ntrusted = ["127.0.0.1"]')
    served.reload(2)
    # The connections that it holds belong to the old workers until their next answer.
    until(lambda: "x-forwarded-for" in fields(), "it is believed")
    seen = fields()
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["host"] == seen["x-forwarded-host"] == f"127.0.0.1:{proxy.port}"
    assert not {"connection", "forwarded"} & seen.keys()


def test_pipelined_requests_are_answered_in_turn(served: Server) -> None:
    with connect(("127.0.0.1", served.port)) as peer:
        peer.sendall(
            b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
            b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        received = read_all(peer)
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in received.split(b"HTTP/1.1 200 ")[1:]]
    assert bodies == [b"hello\n", b"body", b"hello\n"]
