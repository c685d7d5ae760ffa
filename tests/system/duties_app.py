"""An application that says what it saw, and answers what it is told to; files below ``root``.

It is written against ``http.server`` and knows nothing of forkhttp.
"""

from __future__ import annotations

import json
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes


class Handler(SimpleHTTPRequestHandler):
    """The field ``X-Say``, or else the path, decides what is done."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, directory=str(Path(__file__).with_name("root")), **kwargs)

    def do_GET(self) -> None:
        """Do what is asked for, or send a file."""
        if not self.did():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Do the same, body and all; or describe a file."""
        if not self.did():
            super().do_HEAD()

    def do_POST(self) -> None:
        """Do what is asked for; nothing else is known."""
        if not self.did():
            self.send_error(404)

    do_SPAM = do_OPTIONS = do_CONNECT = do_POST

    def do_PUT(self) -> None:
        """Refuse it, as RFC 9110 section 15.5.6 asks."""
        self.send_response(405)
        self.send_header("Allow", "GET, HEAD, POST")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def did(self) -> bool:
        """Whether it was anything but a file that was asked for."""
        words = self.headers.get("X-Say")
        path = self.path.partition("?")[0]
        if words is not None:
            self.say(words)
        elif path == "/seen" or self.command in ("OPTIONS", "CONNECT"):
            self.tell()
        elif path == "/raise":
            raise ValueError("on purpose")
        elif path == "/switch":
            self.switch()
        elif path == "/big":
            self.answer(b"y" * 100_000)
        elif path == "/close":
            self.close_connection = True
            self.answer(b"bye\n")
        else:
            return False
        return True

    def say(self, words: str) -> None:
        """Write octets as they are, percent-encoded in the field, and flush where it has a space."""
        first, *others = (unquote_to_bytes(word) for word in words.split(" "))
        self.wfile.write(first)
        for piece in others:
            self.wfile.flush()
            self.wfile.write(piece)

    def tell(self) -> None:
        """Give back what was seen of the request."""
        seen = {
            "method": self.command,
            "path": self.path,
            "version": self.request_version,
            "fields": self.headers.items(),
            "body": self.rfile.read().decode("latin-1"),
        }
        self.answer(json.dumps(seen).encode())

    def switch(self) -> None:
        """Speak another protocol from here on: one that gives back what it gets."""
        self.send_response_only(101)
        self.send_header("Connection", "upgrade")
        self.send_header("Upgrade", "echo")
        self.end_headers()
        for line in self.rfile:
            self.wfile.write(line)

    def answer(self, body: bytes) -> None:
        """Send a whole answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
