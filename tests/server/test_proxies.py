"""Proxies in front: whom they speak for, as the handler, the hooks and the access log see it."""

from __future__ import annotations

import http.client
import http.server
import json
from typing import TYPE_CHECKING, Any

import pytest

from forkhttp import HTTPServer
from forkhttp.handlers.wsgi import WSGIHandler
from forkhttp.settings import Proxy, Timeouts
from tests.deadline import until
from tests.server.serving import Client, Served, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from forkhttp.server.record import ExchangeRecord

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n"
CLAIMS = b"X-Forwarded-For: 9.9.9.9, 1.1.1.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=2.2.2.2\r\n"
TRUSTED = ("127.0.0.1",)

Seen = dict[str, Any]


class Telling(http.server.BaseHTTPRequestHandler):
    """Tell what is known of the client."""

    def do_GET(self) -> None:
        """Answer in JSON."""
        address, scheme = self.client_address[0], getattr(self, "url_scheme", None)
        seen = {"client": address, "scheme": scheme, "fields": [name.lower() for name in self.headers]}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Rereading(Telling):
    """Parse the head oneself, from the octets in the stream."""

    def parse_request(self) -> bool:
        """Read the lines as they come."""
        self.command, self.request_version = "GET", "HTTP/1.1"
        self.close_connection = False
        self.headers = http.client.parse_headers(self.rfile)
        return True


def application(environ: Seen, start_response: Callable[..., object]) -> Iterable[bytes]:
    """Tell the same by WSGI."""
    fields = [name[5:].lower().replace("_", "-") for name in environ if name.startswith("HTTP_")]
    body = {"client": environ["REMOTE_ADDR"], "scheme": environ["wsgi.url_scheme"], "fields": fields}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


def told(served: Served, *requests: bytes) -> list[Seen]:
    """Ask on one connection, one after the other."""

    def talk(client: Client) -> list[Seen]:
        return [json.loads(client.ask(request)[2]) for request in requests]

    return served.run(talk)


@pytest.mark.parametrize("handler", [Telling, Rereading, WSGIHandler.serving(application)])
@pytest.mark.parametrize(
    ("proxy", "client", "scheme", "fields"),
    [
        (Proxy(), "127.0.0.1", "http", []),
        (Proxy(trusted=("10.0.0.0/8", "unix")), "127.0.0.1", "http", []),
        (Proxy(trusted=TRUSTED), "1.1.1.1", "https", ["x-forwarded-for", "x-forwarded-proto"]),
        (Proxy(trusted=TRUSTED, headers="forwarded"), "2.2.2.2", "http", ["forwarded"]),
        (Proxy(trusted=TRUSTED, headers="none"), "127.0.0.1", "http", []),
    ],
)
def test_only_a_trusted_proxy_is_believed_and_only_in_what_it_writes(  # noqa: PLR0913, PLR0917 - the facts of a case
    tmp_path: Path, handler: type, proxy: Proxy, client: str, scheme: str, fields: list[str]
) -> None:
    with serving(handler, tmp_path, proxy=proxy) as served:
        (seen,) = told(served, ASK % CLAIMS)
    assert seen["client"] == client
    assert seen["scheme"] == scheme
    assert [name for name in seen["fields"] if name != "host"] == fields


def test_each_request_of_one_connection_has_its_own_client(tmp_path: Path) -> None:
    with serving(Telling, tmp_path, proxy=Proxy(trusted=TRUSTED)) as served:
        seen = told(
            served,
            ASK % b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n",
            ASK % b"X-Forwarded-For: 2.2.2.2\r\n",
            ASK % b"",
        )
    assert [(each["client"], each["scheme"]) for each in seen] == [
        ("1.1.1.1", "https"),
        ("2.2.2.2", "http"),
        ("127.0.0.1", "http"),
    ]


def test_the_access_log_names_who_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal without a head is the peer's own, whoever asked before it."""
    clients: list[str] = []

    class Access:
        def record(self, record: ExchangeRecord) -> None:
            clients.append(f"{record.status} {record.client}")

        def flush(self) -> None:
            pass

    with serving(Telling, tmp_path, proxy=Proxy(trusted=TRUSTED)) as served:
        monkeypatch.setattr(served.logs, "access", Access())

        def talk(client: Client) -> None:
            client.ask(ASK % b"X-Forwarded-For: 1.1.1.1\r\n")
            client.ask(b"SPAM / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n")

        served.run(talk)
        served.run(lambda client: (client.ask(ASK % b"X-Forwarded-For: 1.1.1.1\r\n"), client.ask(b"?\r\n")))
        too_long = b"X-Forwarded-For: 3.3.3.3\r\nContent-Length: 9999999999\r\n"
        served.run(lambda client: client.ask(ASK % too_long))
        monkeypatch.undo()
    assert clients == ["200 1.1.1.1", "501 2.2.2.2", "200 1.1.1.1", "400 127.0.0.1", "413 3.3.3.3"]


def test_hooks_of_the_server_are_told_who_asks(tmp_path: Path) -> None:
    class Server(HTTPServer):
        asked: list[tuple[str, int]]

        def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
            del request
            type(self).asked = [client_address]
            return True

    with serving(Telling, tmp_path, Server, proxy=Proxy(trusted=TRUSTED)) as served:
        told(served, ASK % b"X-Forwarded-For: 1.1.1.1:99\r\n")
        assert served.server.asked == [("1.1.1.1", 99)]  # type: ignore[attr-defined]


V1 = b"PROXY TCP4 1.1.1.1 127.0.0.1 4711 80\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x14\x01\x01\x01\x01\x7f\x00\x00\x01\x12\x67\x00\x50"
    b"\x20\x00\x05\x01\x00\x00\x00\x00"
)


def introduced(served: Served) -> bool:
    """Whether a proxy has said whom it speaks for; there is no other sign of it."""
    connections = list(served.loop._connections.values())  # noqa: SLF001 - see above
    return any(each.client_address[0] == "1.1.1.1" for each in connections)


@pytest.mark.parametrize(
    ("version", "preamble", "scheme"), [("v1", V1, "http"), ("v2", V2, "https")], ids=["v1", "v2"]
)
@pytest.mark.parametrize("pieces", ["whole", "octets", "alone"])
def test_a_preamble_names_the_client_of_the_connection(
    tmp_path: Path, version: str, preamble: bytes, scheme: str, pieces: str
) -> None:
    """Its own forwarded fields are not believed: it is no proxy of ours."""
    proxy = Proxy(trusted=TRUSTED, protocol=version)  # type: ignore[arg-type]
    with serving(Telling, tmp_path, proxy=proxy) as served:
        request = ASK % CLAIMS

        def talk(client: Client) -> list[Seen]:
            if pieces == "whole":
                client.send(preamble + request)
            elif pieces == "octets":
                for octet in preamble + request:
                    client.send(bytes([octet]))
            else:
                client.send(preamble)
                until(lambda: introduced(served), "the loop has read the preamble")
                client.send(request)
            return [json.loads(client.expect()[2]), json.loads(client.ask(request)[2])]

        first, second = served.run(talk)
    assert first == second == {"client": "1.1.1.1", "scheme": scheme, "fields": ["host"]}


def test_a_client_that_is_a_proxy_of_ours_is_believed_in_turn(tmp_path: Path) -> None:
    proxy = Proxy(trusted=("127.0.0.1", "1.1.1.1"), protocol="v1")
    with serving(Telling, tmp_path, proxy=proxy) as served:
        (seen,) = told(served, V1 + ASK % b"X-Forwarded-For: 3.3.3.3\r\n")
    assert seen["client"] == "3.3.3.3"


@pytest.mark.parametrize(
    ("proxy", "octets"),
    [
        (Proxy(trusted=TRUSTED), V1),
        (Proxy(trusted=TRUSTED), V2),
        (Proxy(trusted=("10.0.0.1",), protocol="v1"), V1),
        (Proxy(trusted=TRUSTED, protocol="v1"), ASK % b""),
        (Proxy(trusted=TRUSTED, protocol="v1"), V2),
        (Proxy(trusted=TRUSTED, protocol="v2"), V1),
        (Proxy(trusted=TRUSTED, protocol="v1"), V1 + V1),
        (Proxy(trusted=TRUSTED, protocol="v2"), V2 + V2),
    ],
)
def test_a_preamble_is_taken_once_and_where_it_is_awaited(
    tmp_path: Path, proxy: Proxy, octets: bytes
) -> None:
    """Two parties that disagree about whom they talk about do not go on."""
    with serving(Telling, tmp_path, proxy=proxy) as served:
        status, fields, _ = served.run(lambda client: client.ask(octets + ASK % b""))
    assert (status, fields["connection"]) == (400, "close")


def test_a_preamble_on_a_persistent_connection_is_no_request(tmp_path: Path) -> None:
    with serving(Telling, tmp_path, proxy=Proxy(trusted=TRUSTED, protocol="v1")) as served:

        def talk(client: Client) -> int:
            assert client.ask(V1 + ASK % b"")[0] == 200
            return client.ask(V1 + ASK % b"")[0]

        assert served.run(talk) == 400


def test_a_proxy_that_says_nothing_is_closed_in_time(tmp_path: Path) -> None:
    proxy = Proxy(trusted=TRUSTED, protocol="v1")
    with serving(Telling, tmp_path, proxy=proxy, timeouts=Timeouts(head=0.3)) as served:
        assert served.run(lambda client: client.rest()) == b""

        def begin(client: Client) -> bytes:
            client.send(V1[:9])
            return client.rest()

        assert served.run(begin) == b""


def test_a_proxy_that_asks_for_itself_is_the_client(tmp_path: Path) -> None:
    with serving(Telling, tmp_path, proxy=Proxy(trusted=TRUSTED, protocol="v1")) as served:
        (seen,) = told(served, b"PROXY UNKNOWN\r\n" + ASK % b"")
    assert seen["client"] == "127.0.0.1"


class Stubborn(Telling):
    """Knows better who its client is, and what scheme it came by."""

    def setup(self) -> None:
        """Decide once."""
        super().setup()
        self.client_address = ("10.9.9.9", 1)
        self.url_scheme = "gopher"


@pytest.mark.parametrize("proxy", [Proxy(), Proxy(trusted=TRUSTED)])
def test_what_a_handler_says_of_its_client_stays_while_the_client_does(tmp_path: Path, proxy: Proxy) -> None:
    with serving(Stubborn, tmp_path, proxy=proxy) as served:
        seen = told(served, ASK % b"", ASK % b"")
    assert [(each["client"], each["scheme"]) for each in seen] == [("10.9.9.9", "gopher")] * 2


@pytest.mark.parametrize(
    ("version", "nameless"),
    [
        ("v1", b"PROXY UNKNOWN\r\n"),
        ("v2", b"\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00"),
    ],
)
def test_a_client_that_the_proxy_cannot_name_is_not_believed(
    tmp_path: Path, version: str, nameless: bytes
) -> None:
    proxy = Proxy(trusted=TRUSTED, protocol=version)  # type: ignore[arg-type]
    with serving(Telling, tmp_path, proxy=proxy) as served:
        (seen,) = told(served, nameless + ASK % CLAIMS)
    assert seen == {"client": "127.0.0.1", "scheme": "http", "fields": ["host"]}


def test_a_proxy_that_asks_for_itself_by_version_2_is_believed(tmp_path: Path) -> None:
    own = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
    with serving(Telling, tmp_path, proxy=Proxy(trusted=TRUSTED, protocol="v2")) as served:
        (seen,) = told(served, own + ASK % CLAIMS)
    assert seen["client"] == "1.1.1.1"


def test_the_operator_is_told_once_of_a_proxy_that_does_not_speak_first(tmp_path: Path) -> None:
    with serving(Telling, tmp_path, proxy=Proxy(trusted=TRUSTED, protocol="v2")) as served:
        for _ in range(3):
            assert served.run(lambda client: client.ask(V1 + ASK % b""))[0] == 400
        assert served.log.count("did not begin with the PROXY protocol") == 1
        assert served.log.count("request refused") == 3
