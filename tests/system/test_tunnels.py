"""Connections that ceased to speak HTTP, in real workers: silence, reload and stop."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from tests.deadline import until
from tests.system.client import Client, get

if TYPE_CHECKING:
    from tests.system.server import Server

APP = """
import os
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if "Upgrade" not in self.headers:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(str(os.getpid()).encode())
            return
        self.send_response(101)
        self.send_header("Upgrade", "echo")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        while data := self.connection.recv(100):
            self.connection.sendall(data.upper())
"""

SHORT = "[timeouts]\nstall = 0.5\nkill = 0.5\n"


def start(server: Server, more: str = SHORT) -> Client:
    """Serve, and switch."""
    (server.directory / "app.py").write_text(APP)
    server.configure(workers=1, more=more)
    server.start(workers=1)
    client = Client(server.port)
    client.send(get("/", "Connection: upgrade", "Upgrade: echo"))
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.socket.recv(1000)
    assert received.startswith(b"HTTP/1.1 101 ")
    return client


def echo(client: Client, data: bytes) -> bytes:
    client.socket.sendall(data)
    return client.socket.recv(100)


def test_silence_in_a_tunnel_ends_no_worker(server: Server) -> None:
    """Neither its own lookout nor the master takes it for a handler that hangs."""
    with start(server) as client:
        (worker,) = server.workers()
        time.sleep(2.5)  # what is tested is that nothing happens
        assert echo(client, b"a") == b"A"
        assert server.workers() == [worker]
    server.stop()
    assert '"GET / HTTP/1.1" 101 ' in server.access[0]


def test_a_tunnel_outlives_a_reload_and_ends_with_a_stop(server: Server) -> None:
    with start(server, SHORT + "stop_drain = 0.5\n") as client:
        server.reload(2)
        assert echo(client, b"b") == b"B"
        with Client(server.port) as other:
            assert int(other.fetch("/")) in server.await_serving(1, 2)
        server.kills = True  # it has no end of its own
        server.expected.append("worker died")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        until(lambda: client.socket.recv(100) == b"", "the tunnel has ended")
