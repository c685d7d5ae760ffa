"""An application that tells what reached it, and writes what the corpus says; it knows nothing of forkhttp.

Whatever it answers to it notes in ``seen``, a line each: so a request that was never meant to
be one shows, whoever got its answer.
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Clients from elsewhere get their answer before anybody looks at their bodies.
PATIENT = "127.0.0.1"

SEEN = Path(__file__).with_name("seen")


class Handler(BaseHTTPRequestHandler):
    """One answer for every method."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Serve any method."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self.write if "X-Case" in self.headers else self.tell

    def write(self) -> None:
        """Write the octets of the answer that is named."""
        self.wfile.write(Path(os.environ["CORPUS"], f"{self.headers['X-Case']}.http").read_bytes())

    def tell(self) -> None:
        """Tell what was asked."""
        body = self.rfile.read() if self.client_address[0] == PATIENT else b""
        with SEEN.open("ab", buffering=0) as seen:
            seen.write(f"{self.command} {self.path}\n".encode())
        answer = json.dumps(
            {
                "method": self.command,
                "target": self.path,
                "version": self.request_version,
                "fields": list(self.headers.items()),
                "body": body.decode("latin-1"),
            }
        ).encode()
        if self.command == "CONNECT":
            # What comes next may be meant for the tunnel that there is not.
            self.send_response(405)
            self.send_header("Connection", "close")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)
