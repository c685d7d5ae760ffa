"""An application that never reads a body, as people write them: what follows is the server's business."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    """Answers each method by path, and says to which request, on which connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Give the token back, refuse, fail, or answer early."""
        _, what, *words = self.path.split("/")
        if what == "token":
            self.answer(words[0].encode())
        elif what == "refuse":
            self.send_error(int(words[0]))
        elif what == "raise":
            raise ValueError("on purpose")
        elif what == "ignore":
            self.answer(b"ignored")
        elif what == "early":
            self.answer(b"early")
            self.wfile.flush()
        else:
            self.send_error(404)

    do_HEAD = do_OPTIONS = do_POST = do_PUT = do_GET

    def answer(self, body: bytes) -> None:
        """Send a whole answer, without a look at the request's body."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        """Name the peer's port, and the request by the number that the proxy gave it."""
        self.send_header("X-Peer", str(self.client_address[1]))
        self.send_header("X-Seen", self.headers.get("X-Request-Id", "") if hasattr(self, "headers") else "")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""
