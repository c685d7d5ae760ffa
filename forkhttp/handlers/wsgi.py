"""WSGIHandler: a WSGI application, served as a handler like any other.

Source: PEP 3333.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote_to_bytes

from forkhttp.errors import HandlerError
from forkhttp.handlers.base import BaseHTTPRequestHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    Environ = dict[str, Any]
    Fields = list[tuple[str, str]]
    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
    Application = Callable[[Environ, Callable[..., Callable[[bytes], object]]], Iterable[bytes]]

#: Names that no other name becomes equal to when "-" turns into "_".
_MAPPED = re.compile(r"[A-Za-z0-9-]+")

#: Fields that have a name of their own in the environment.
_PLAIN = {"CONTENT_TYPE", "CONTENT_LENGTH"}


class WSGIHandler(BaseHTTPRequestHandler):
    """Serve one WSGI application; ``WSGIHandler.serving(application)`` makes the class for it.

    Attributes:
        application: any PEP 3333 application.
        multithread, multiprocess: what ``wsgi.multithread`` and ``wsgi.multiprocess`` say.
    """

    application: ClassVar[Application | None] = None
    multithread: ClassVar[bool] = False
    multiprocess: ClassVar[bool] = True
    protocol_version = "HTTP/1.1"

    @classmethod
    def serving(cls, application: Application) -> type[WSGIHandler]:
        """Make the handler class that serves ``application``."""
        return type(
            cls.__name__, (cls,), {"application": staticmethod(application), "__module__": cls.__module__}
        )

    def respond(self) -> None:
        """Call the application, whatever the method, and write what it gives.

        Raises:
            HandlerError: it broke a rule of PEP 3333.
        """
        application = type(self).application
        if application is None:
            raise HandlerError(
                "WSGIHandler has no application; make one with WSGIHandler.serving(application)"
            )
        answer = _Answer(self)
        result = application(self.environ(), answer.start_response)
        try:
            for data in result:
                if data:
                    answer.write(data)
            answer.end(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def environ(self) -> Environ:
        """Build the environment of the current request (PEP 3333, "environ Variables")."""
        path, _, query = self.path.partition("?")
        host, port = self._server_address()
        environ: Environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            # Latin-1 is how PEP 3333 carries octets in native strings.
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": host,
            "SERVER_PORT": port,
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": str(self.client_address[0]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.url_scheme,
            "wsgi.input": self.rfile,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": self.multithread,
            "wsgi.multiprocess": self.multiprocess,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        if len(self.client_address) > 1 and self.client_address[1]:
            environ["REMOTE_PORT"] = str(self.client_address[1])
        for name, value in self.headers.items():
            if not _MAPPED.fullmatch(name) or name.lower() == "proxy":
                # X_Forwarded_For would collide with X-Forwarded-For; Proxy would become HTTP_PROXY (httpoxy).
                continue
            key = name.upper().replace("-", "_")
            if key not in _PLAIN:
                key = "HTTP_" + key
            if key in environ:
                value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"  # noqa: PLW2901 - one field in several lines
            environ[key] = value
        return environ

    def _server_address(self) -> tuple[str, str]:
        address = getattr(self.server, "server_address", None)
        if isinstance(address, tuple):
            return str(address[0]), str(address[1])
        return "localhost", "80"


class _Answer:
    """One answer of an application: ``start_response`` and what follows."""

    def __init__(self, handler: WSGIHandler) -> None:
        self._handler = handler
        self._status: str | None = None
        self._fields: Fields = []
        self._sent = False

    def start_response(
        self, status: str, headers: Fields, exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        if exc_info is not None:
            if self._sent:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self._status is not None:
            raise HandlerError("start_response was called twice")
        self._status = status
        self._fields = list(headers)
        return self.write

    def write(self, data: bytes) -> None:
        if not self._sent:
            self._send_head()
        if self._handler.command != "HEAD":
            self._handler.wfile.write(data)

    def end(self, result: Iterable[bytes]) -> None:
        """The result is exhausted: an answer without a body has its head still to be sent."""
        if not self._sent:
            if (
                self._handler.command != "HEAD"
                and isinstance(result, list | tuple)
                and not any(name.lower() == "content-length" for name, _ in self._fields)
                and (self._status or "")[:3] not in ("204", "304")
            ):
                self._fields.append(("Content-Length", "0"))
            self._send_head()

    def _send_head(self) -> None:
        if self._status is None:
            raise HandlerError("the application gave a body before it called start_response")
        code, _, reason = self._status.partition(" ")
        if len(code) != 3 or not code.isascii() or not code.isdigit():
            raise HandlerError("the application's status does not begin with three digits")
        handler = self._handler
        self._sent = True
        handler.log_request(int(code))
        handler.send_response_only(int(code), reason)
        names = {name.lower() for name, _ in self._fields}
        if "server" not in names and (server := handler.version_string()):
            handler.send_header("Server", server)
        if "date" not in names:
            handler.send_header("Date", handler.date_time_string())
        for name, value in self._fields:
            handler.send_header(name, value)
        handler.end_headers()
