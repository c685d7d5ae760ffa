"""Answers below 200, straight and through real proxies: early hints, and protocols that are switched."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.system.client import Client, get
from tests.system.conftest import program
from tests.system.front import Front, HAProxy, Nginx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.system.server import Server

APP = """
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
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
