"""Applications that do with a peer's octets what careless ones do: a handler and a WSGI application.

They are written against ``http.server`` and PEP 3333, and know nothing of forkhttp. What a test
wants to be sent comes percent-encoded in the query.
"""

from __future__ import annotations

import json
import re
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def told(query: str) -> dict[str, str]:
    """What the query says, as octets in the form of Latin-1."""
    return dict(parse_qsl(query, keep_blank_values=True, encoding="latin-1"))


class Handler(SimpleHTTPRequestHandler):
    """Answers what it is told to, or a file below ``root``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, directory=str(Path(__file__).with_name("root")), **kwargs)

    def do_GET(self) -> None:
        """Do what the path names."""
        path, _, query = self.path.partition("?")
        answer = getattr(self, "get_" + path.strip("/"), None)
        if answer is None:
            super().do_GET()
        else:
            answer(**told(query))

    def get_reason(self, text: str) -> None:
        """Give a reason phrase of somebody else's."""
        self.send_response(200, text)
        self.end()

    def get_value(self, text: str) -> None:
        """Give a value of somebody else's."""
        self.send_response(200)
        self.send_header("X-Value", text)
        self.end()

    def get_name(self, text: str) -> None:
        """Give a field name of somebody else's."""
        self.send_response(200)
        self.send_header(text, "value")
        self.end()

    def get_status(self, text: str) -> None:
        """Give a status of somebody else's."""
        self.send_response_only(text)  # type: ignore[arg-type]
        self.end()

    def get_buffer(self, text: str) -> None:
        """Put a field where ``send_header`` does not see it."""
        self.send_response(200)
        self._headers_buffer.append(b"X-Value: " + text.encode("latin-1") + b"\r\n")  # type: ignore[attr-defined]
        self.end()

    def get_interim(self, text: str) -> None:
        """Give a value of somebody else's in an early hint."""
        self.send_response_only(103)
        self._headers_buffer.append(b"Link: " + text.encode("latin-1") + b"\r\n")  # type: ignore[attr-defined]
        self.end_headers()
        self.send_response(200)
        self.end()

    def get_error(self, text: str) -> None:
        """Show what was asked for in an error's message and explanation."""
        self.send_error(404, re.sub("[\r\n]", " ", text), text)

    def get_log(self, text: str) -> None:
        """Log what was asked for, and the fields."""
        self.log_message("%s", text)
        self.log_error("agent %s", self.headers["User-Agent"])
        self.get_value("logged")

    def get_raise(self, text: str) -> None:
        """Fail with what was asked for in the message."""
        raise ValueError(text)

    def end(self) -> None:
        """End an answer without a body."""
        self.send_header("Content-Length", "0")
        self.end_headers()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with the environment, or with the status and field that the query names."""
    query = told(environ["QUERY_STRING"])
    if not query:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [
            json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
        ]
    fields = [(query["name"], query.get("value", "value"))] if "name" in query else []
    start_response(query.get("status", "200 OK"), fields)
    return [b"body"]
