"""Answers below 200, straight and through real proxies: early hints, and protocols that are switched."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING

import pytest

from tests.deadline import PATIENCE
from tests.system.client import Client, get
from tests.system.conftest import program
from tests.system.front import CONFIGURATIONS, Front, HAProxy, Nginx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.system.server import Server

APP = """
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if "Upgrade" in self.headers:
            self.switch()
        else:
            self.hint()

    def switch(self):
        self.send_response(101)
        self.send_header("Upgrade", "echo")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        while octets := self.connection.recv(100):
            self.connection.sendall(octets.upper())

    def hint(self):
        self.send_response_only(103)
        self.send_header("Link", "</style>; rel=preload")
        self.end_headers()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
"""


@contextlib.contextmanager
def reached(
    server: Server, front: type[Front] | None, changes: Mapping[str, str] | None = None
) -> Iterator[int]:
    """The port of a running server, or of a proxy in front of it."""
    if front is None:
        yield server.port
        return
    proxy = front(program(front.name), server.directory / "front", server.port, changes)
    with contextlib.closing(proxy):
        yield proxy.port


@pytest.mark.parametrize(
    ("front", "hints"), [(None, "true"), (None, "false"), (HAProxy, "true"), (Nginx, "false")]
)
def test_hints_come_early_or_not_at_all(server: Server, front: type[Front] | None, hints: str) -> None:
    """An nginx before 1.29 would wait for the rest of them: it must be given none."""
    (server.directory / "app.py").write_text(APP)
    server.configure(workers=1, more=f"[http]\nearly_hints = {hints}\n")
    server.start(workers=1)
    with reached(server, front) as port, Client(port) as client:
        for _ in range(2):
            answer = client.ask(get("/"))
            if hints == "true":
                assert (answer.status, b"link: </style>" in answer.head.lower()) == (103, True)
                answer = client.answer()
            assert (answer.status, answer.body, b"link" in answer.head.lower()) == (200, b"hello", False)


def unmarked(front: type[Front] | None) -> dict[str, str]:
    """The changes that take the comment marks off what an upgrade needs."""
    text = "" if front is None else (CONFIGURATIONS / front.file).read_text()
    lines = re.findall(r'(?m)^ +# +(?:map|default upgrade|""|}|timeout tunnel|proxy_set_header).*\n', text)
    return {line: line.replace("# ", "", 1) for line in lines}


@pytest.mark.parametrize("front", [None, Nginx, HAProxy])
def test_switched_protocols_are_spoken_both_ways(server: Server, front: type[Front] | None) -> None:
    """With the lines in the proxy's file that are for that; plain requests go on as they did."""
    (server.directory / "app.py").write_text(APP)
    server.configure(workers=1, more="[http]\nearly_hints = false\n")
    server.start(workers=1)
    with reached(server, front, unmarked(front)) as port:
        for _ in range(2):
            with Client(port) as client:
                answer = client.ask(get("/"))
                assert (answer.status, answer.body, answer.closes) == (200, b"hello", False)
            with (
                socket.create_connection(("127.0.0.1", port), PATIENCE) as peer,
                peer.makefile("rb") as stream,
            ):
                peer.sendall(get("/", "Connection: Upgrade", "Upgrade: echo") + b"early ")
                head = b"".join(iter(stream.readline, b"\r\n")).lower()
                assert head.startswith(b"http/1.1 101 ")
                assert b"\r\nupgrade: echo\r\n" in head
                assert stream.read(6) == b"EARLY "
                for octets in (b"one", b"two"):
                    peer.sendall(octets)
                    assert stream.read(3) == octets.upper()
                peer.shutdown(socket.SHUT_WR)
                assert stream.read() == b""
