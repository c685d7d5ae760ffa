"""Whom real proxies speak for: in fields, and by the PROXY protocol in both versions."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from tests.deadline import until
from tests.system.client import Client, Lost, get
from tests.system.conftest import program
from tests.system.front import CONFIGURATIONS, HAProxy, Nginx

if TYPE_CHECKING:
    from tests.system.server import Server

APP = """
import json
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        host, port = self.client_address[:2]
        body = json.dumps([host, port, self.url_scheme, *sorted(name.lower() for name in self.headers)])
        if self.path == "/values":
            body = str(self.headers)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())
"""

FORGED = ("X-Forwarded-For: 192.0.2.66", "Forwarded: for=192.0.2.77", "X-Real-IP: 192.0.2.88")

#: Fields in which a proxy tells something, and which it must not let its clients write.
TOLD = ["Forwarded", "X-Real-IP"] + [
    f"X-Forwarded-{about}"
    for about in (
        *("By", "Client-Cert", "Email", "For", "Groups", "Host", "Path", "Port", "Prefix"),
        *("Proto", "Scheme", "Server", "Ssl", "Uri", "User"),
    )
]


def start(server: Server, trusted: str, more: str = "") -> None:
    (server.directory / "app.py").write_text(APP)
    server.configure(workers=1, more=f"[proxy]\ntrusted = [{trusted}]\n{more}\n")
    server.start(workers=1)


def seen(port: int, *fields: str) -> tuple[str, ...]:
    """What the handler saw: address, port, scheme, and the names of the fields."""
    with Client(port) as client:
        return tuple(client.ask(get("/", *fields)).body.decode().strip("[]").replace('"', "").split(", "))


@pytest.mark.parametrize("front", [Nginx, HAProxy])
def test_a_proxy_speaks_for_its_clients_in_fields(server: Server, front: type[Nginx | HAProxy]) -> None:
    """What the clients wrote themselves is gone, in the log too."""
    start(server, '"127.0.0.0/8"')
    proxy = front(program(front.name), server.directory / "front", server.port)
    with contextlib.closing(proxy):
        host, port, scheme, *names = seen(proxy.port, *FORGED)
    assert (host, port, scheme) == ("127.0.0.1", "0", "http")
    assert "forwarded" not in names
    assert "x-forwarded-for" in names
    server.stop()
    assert all(line.startswith("127.0.0.1 ") for line in server.access)


@pytest.mark.parametrize("front", [Nginx, HAProxy])
@pytest.mark.parametrize("family", ["x-forwarded", "forwarded"])
def test_a_trusted_proxy_lends_its_voice_to_no_client(
    server: Server, front: type[Nginx | HAProxy], family: str
) -> None:
    """Whatever the case of the name, and however often it stands there."""
    start(server, '"127.0.0.1"', f'headers = "{family}"')
    forged = [f"{name}: a-lie" for each in TOLD for name in (each, each.lower(), each.upper())]
    with Client(server.port) as client:  # it would be believed
        assert "a-lie" in client.ask(get("/values", *forged)).body.decode()
    proxy = front(program(front.name), server.directory / "front", server.port)
    with contextlib.closing(proxy), Client(proxy.port) as client:
        body = client.ask(get("/values", *forged)).body.decode().lower()
    assert "host: test" in body
    assert "a-lie" not in body
    assert ("x-real-ip: 127.0.0.1" in body) == (family == "x-forwarded")


@pytest.mark.parametrize(("version", "option"), [("v1", "send-proxy"), ("v2", "send-proxy-v2")])
def test_haproxy_names_the_client_of_each_connection(server: Server, version: str, option: str) -> None:
    """As a proxy of TCP, it leaves what its clients write as it is; forkhttp believes nothing of it."""
    start(server, '"127.0.0.2"', f'protocol = "{version}"')
    rules = re.findall(r"(?m)^    http-request .*\n", (CONFIGURATIONS / HAProxy.file).read_text())
    changes = {
        "mode http\n": "mode tcp\n",
        "option httplog\n": "option tcplog\n",
        **dict.fromkeys(rules, ""),
        "    http-reuse always\n": "",
        "pool-max-conn 32 pool-purge-delay 5s": f"{option} source 127.0.0.2",
    }
    proxy = HAProxy(program(HAProxy.name), server.directory / "front", server.port, changes)
    with contextlib.closing(proxy), Client(proxy.port) as client:
        own = client.socket.getsockname()
        # Its source port is known to HAProxy alone: nothing but the preamble can have told it.
        for _ in range(2):
            body = client.ask(get("/", *FORGED)).body.decode()
            assert body == f'["{own[0]}", {own[1]}, "http", "host"]'


def test_haproxy_names_the_client_of_each_request(server: Server) -> None:
    """As a proxy of HTTP, with the line that is in its file; connections are kept, each for one client."""
    start(server, '"127.0.0.2"', 'protocol = "v2"')
    line = {"    # default-server send-proxy-v2\n": "    default-server send-proxy-v2 source 127.0.0.2\n"}
    proxy = HAProxy(program(HAProxy.name), server.directory / "front", server.port, line)
    with contextlib.closing(proxy), Client(proxy.port) as one, Client(proxy.port) as another:
        for client in (one, another, one, another):
            port = client.socket.getsockname()[1]
            body = client.ask(get("/", *FORGED)).body.decode()
            assert body == f'["127.0.0.1", {port}, "http", "host"]'


def test_a_unix_sockets_peer_may_be_trusted(server: Server) -> None:
    path = server.directory / "socket"
    (server.directory / "app.py").write_text(APP)
    server.configure(
        workers=1, more='[proxy]\ntrusted = ["unix"]\nheaders = "forwarded"\n', bind=(f"unix:{path}",)
    )
    server.start(workers=1)
    with Client(str(path)) as client:
        body = client.ask(get("/", "Forwarded: for=192.0.2.1;proto=https", "X-Forwarded-For: 1.1.1.1")).body
    assert body.decode() == '["192.0.2.1", 0, "https", "forwarded", "host"]'
    server.stop()
    assert re.match(r'192\.0\.2\.1 - - \[.*\] "GET / HTTP/1.1" 200 ', server.access[0])


def test_who_is_no_proxy_cannot_say_that_it_is_one(server: Server) -> None:
    start(server, '"192.0.2.1"', 'protocol = "v1"')
    with Client(server.port) as client:
        answer = client.ask(b"PROXY TCP4 192.0.2.9 127.0.0.1 1 2\r\n" + get("/"))
        assert (answer.status, answer.closes) == (400, True)
    assert seen(server.port, *FORGED)[0] == "127.0.0.1"


def test_a_proxy_that_should_speak_first_and_does_not_is_closed(server: Server) -> None:
    start(server, '"127.0.0.1"', 'protocol = "v2"\n[timeouts]\nhead = 0.5')
    with Client(server.port) as client:
        assert client.rest() == b""
    with Client(server.port) as client:
        assert client.ask(get("/")).status == 400
        with pytest.raises(Lost):
            client.ask(get("/"))


def test_a_reload_takes_the_trust_away(server: Server) -> None:
    start(server, '"127.0.0.1"')
    assert seen(server.port, *FORGED)[0] == "192.0.2.66"
    server.configure(workers=1)
    server.reload(2)
    until(lambda: seen(server.port, *FORGED)[0] == "127.0.0.1", "it is not believed any more")
