"""BaseHTTPRequestHandler: the documented class, served or driven by hand.

Under a server of forkhttp the head has been validated and the body framed before
``handle()`` is entered, and what the handler writes is checked and framed on its way
out (``forkhttp.server``). Driven by hand, with streams of its own, the class is as
lenient as the documents say, because its users' own tests drive it so.

Source: https://docs.python.org/3/library/http.server.html
"""

from __future__ import annotations

import email.utils
import html
import http.client
import io
import socket
import sys
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from forkhttp.handlers.port import port_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import ReadableBuffer as Buffer

    from forkhttp.handlers.port import Port
    from forkhttp.wire import RequestHead

__version__ = "0.1.0"

DEFAULT_ERROR_MESSAGE = """\
<!DOCTYPE HTML>
<html lang="en">
    <head>
        <meta charset="utf-8">
        <title>Error response</title>
    </head>
    <body>
        <h1>Error response</h1>
        <p>Error code: %(code)d</p>
        <p>Message: %(message)s.</p>
        <p>Error code explanation: %(code)s - %(explain)s.</p>
    </body>
</html>
"""

DEFAULT_ERROR_CONTENT_TYPE = "text/html;charset=utf-8"

_LONGEST_LINE = 65536

#: A log line holds one event: what could start another, or move a terminal, is shown as an escape.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {ord("\\"): "\\\\"}


@lru_cache(maxsize=4)
def http_date(second: int) -> str:
    """Format a time, whole seconds since 1970, as an IMF-fixdate (RFC 9110 section 5.6.7)."""
    return email.utils.formatdate(second, usegmt=True)


class BaseHTTPRequestHandler:
    """Answer HTTP requests with a method ``do_SPAM`` for each request method SPAM.

    One instance lives as long as its connection: ``setup()`` before the first request,
    ``handle()`` whenever a request has arrived, ``finish()`` at the end.

    Attributes:
        client_address: ``(host, port)`` of the peer; ``("", 0)`` for a unix socket.
        server: the server instance.
        command: the request method.
        path: the request target; an absolute-form target is reduced to its path.
        request_version: ``"HTTP/1.0"`` or ``"HTTP/1.1"``.
        requestline, raw_requestline: the request line as text without, as octets with its end.
        headers: the request's fields, a ``MessageClass``; built when first asked for.
        rfile, wfile: streams of the request's body and of the answer.
        close_connection: whether the connection ends after this exchange.
        movable: whether the connection may go on with another instance, because this one
            keeps nothing from request to request. Not in the documents; false, unless a class says
            otherwise, where it overrides ``__init__``, ``setup``, ``finish`` or ``handle``.
    """

    server_version: str = "forkhttp/" + __version__
    sys_version: str = "Python/" + sys.version.split(maxsplit=1)[0]
    error_message_format: str = DEFAULT_ERROR_MESSAGE
    error_content_type: str = DEFAULT_ERROR_CONTENT_TYPE
    protocol_version: str = "HTTP/1.0"
    default_request_version: str = "HTTP/0.9"
    MessageClass: type[http.client.HTTPMessage] = http.client.HTTPMessage
    responses: Mapping[int, tuple[str, str]] = {
        status: (status.phrase, status.description) for status in HTTPStatus
    }
    timeout: float | None = None
    rbufsize: int = -1
    wbufsize: int = 0
    disable_nagle_algorithm: bool = False
    movable: bool = True

    weekdayname: ClassVar[list[str]] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    monthname: ClassVar[list[str | None]] = [
        None,
        *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    ]  # fmt: skip

    rfile: io.BufferedIOBase
    wfile: io.BufferedIOBase
    command: str
    path: str
    requestline: str
    raw_requestline: bytes
    request_version: str
    close_connection: bool = True

    _port: Port | None = None
    _head: RequestHead | None = None
    _headers: http.client.HTTPMessage | None = None
    _headers_buffer: list[bytes]
    _url_scheme: str = ""
    _logs_as_ours: ClassVar[bool] = True
    _parses_as_ours: ClassVar[bool] = True
    _may_read_heads: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Note once per class what would otherwise be asked for each request."""
        super().__init_subclass__(**kwargs)
        ours = BaseHTTPRequestHandler
        cls._logs_as_ours = cls.log_request is ours.log_request and cls.log_message is ours.log_message
        cls._parses_as_ours = (
            cls.handle_one_request is ours.handle_one_request and cls.parse_request is ours.parse_request
        )
        if "movable" not in vars(cls):
            cls.movable = cls.movable and all(
                getattr(cls, name) is getattr(ours, name)
                for name in ("__init__", "setup", "finish", "handle")
            )
        cls._may_read_heads = not cls._parses_as_ours or cls.handle is not ours.handle

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:  # noqa: ANN401 - as documented: whatever the server class made of them
        """Serve ``request``, as ``socketserver.BaseRequestHandler`` does."""
        self.request = request
        self.client_address = client_address
        self.server = server
        self._port = port = port_of(request)
        self.setup()
        if port is not None:
            self._stay(port)
            self.handle()
            return
        try:
            self.handle()
        finally:
            self.finish()

    def _stay(self, port: Port) -> None:
        """Become the one that the server calls for each request of the connection."""
        port.resident = self
        if self._may_read_heads:
            port.replay_heads()

    def setup(self) -> None:
        """Make ``connection``, ``rfile`` and ``wfile``; called once, before the first request."""
        self.connection = self.request
        if self._port is None and (found := port_of(self.request)) is not None:
            # The standard library's __init__ was called by its own name. It ends with finish(); an
            # override must not see that twice, so an instance that has one serves a single request.
            self._port = found
            if type(self).finish is BaseHTTPRequestHandler.finish:
                self._stay(found)
            elif self._may_read_heads:
                found.replay_heads()
        if (port := self._port) is not None:
            self.rfile = port.rfile
            self.wfile = port.wfile
            if self.timeout is not None:
                port.set_timeout(self.timeout)
            return
        if self.timeout is not None:
            self.connection.settimeout(self.timeout)
        if self.disable_nagle_algorithm:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        # A buffer of 0 makes a raw writer, which may write less than it is given; the
        # documents promise that wfile writes everything (3.6: "wfile now ... BufferedIOBase").
        self.wfile = (
            self.connection.makefile("wb", self.wbufsize) if self.wbufsize else _WholeWriter(self.connection)
        )

    def finish(self) -> None:
        """Flush and close the streams; called once, at the connection's end."""
        if (port := self._port) is not None and port.resident is self:
            return  # the connection goes on; the server lets go of its resident first
        if not self.wfile.closed:
            try:
                self.wfile.flush()
            except OSError:
                # The peer is gone, and with it whoever could be told.
                self.close_connection = True
        self.wfile.close()
        self.rfile.close()

    def handle(self) -> None:
        """Serve the requests that have arrived, until the connection is to be closed."""
        self.close_connection = True
        self.handle_one_request()
        if self._port is None:
            while not self.close_connection:
                self.handle_one_request()

    def handle_one_request(self) -> None:
        """Take or read one request, parse it and call its ``do_`` method."""
        port = self._port
        if port is not None and self._parses_as_ours:
            head = port.take_head()
            if head is None:
                self.close_connection = True
            elif self._accept(port, head):
                self.respond()
            return
        try:
            self._read_request()
        except TimeoutError as error:
            self.log_error("Request timed out: %r", error)
            self.close_connection = True

    def _read_request(self) -> None:
        self.raw_requestline = self.rfile.readline(_LONGEST_LINE + 1)
        if len(self.raw_requestline) > _LONGEST_LINE:
            self.requestline = ""
            self.request_version = ""
            self.command = ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return
        if not self.raw_requestline:
            self.close_connection = True
            return
        if self.parse_request():
            self.respond()
            if self._port is None:
                self.wfile.flush()

    def respond(self) -> None:
        """Answer the request that was parsed, with the ``do_`` method of its name.

        Not in the documents: a subclass that answers all methods alike overrides this one.
        """
        method = getattr(self, "do_" + self.command, None)
        if method is None:
            self.send_error(HTTPStatus.NOT_IMPLEMENTED, f"Unsupported method ({self.command!r})")
        else:
            method()

    def parse_request(self) -> bool:
        """Set ``command``, ``path``, ``request_version``, ``headers`` and ``close_connection``.

        Returns:
            False if the request was refused; the answer has been sent then.
        """
        if (port := self._port) is None:
            return self._parse_leniently()
        head = port.take_head()
        if head is None:
            # A loop of the class's own came round again; what it has read is no request.
            self.close_connection = True
            return False
        return self._accept(port, head)

    def _accept(self, port: Port, head: RequestHead) -> bool:
        """Take over a head that the server has validated."""
        self._head = head
        self.command = head.method
        path = head.target
        # Two slashes at the start would make a redirect to this path point at another host (CVE-2021-28861).
        self.path = "/" + path.lstrip("/") if path.startswith("//") else path
        self.requestline = line = head.request_line
        self.raw_requestline = line.encode("latin-1") + b"\r\n"
        self.request_version = "HTTP/1.1" if head.minor else "HTTP/1.0"
        self._headers = None
        self.close_connection = not (
            head.persistent and (port.always_persistent or self.protocol_version >= "HTTP/1.1")
        )
        return self.handle_expect_100() if head.expects_continue else True

    def _parse_leniently(self) -> bool:
        self.command = ""
        self.request_version = version = self.default_request_version
        self.close_connection = True
        self.requestline = line = str(self.raw_requestline, "iso-8859-1").rstrip("\r\n")
        words = line.split()
        if not words:
            return False
        if len(words) >= 3:
            version = words[-1]
            number = _version_number(version)
            if number is None:
                self.send_error(HTTPStatus.BAD_REQUEST, f"Bad request version ({version!r})")
                return False
            if number >= (1, 1) and self.protocol_version >= "HTTP/1.1":
                self.close_connection = False
            if number >= (2, 0):
                self.send_error(
                    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
                    f"Invalid HTTP version ({version.split('/', 1)[1]})",
                )
                return False
            self.request_version = version
        if not 2 <= len(words) <= 3:
            self.send_error(HTTPStatus.BAD_REQUEST, f"Bad request syntax ({line!r})")
            return False
        command, path = words[:2]
        if len(words) == 2 and command != "GET":
            self.send_error(HTTPStatus.BAD_REQUEST, f"Bad HTTP/0.9 request type ({command!r})")
            return False
        self.command = command
        self.path = "/" + path.lstrip("/") if path.startswith("//") else path
        return self._read_fields()

    def _read_fields(self) -> bool:
        try:
            self.headers = fields = http.client.parse_headers(self.rfile, _class=self.MessageClass)
        except http.client.LineTooLong as error:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Line too long", str(error))
            return False
        except http.client.HTTPException as error:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Too many headers", str(error))
            return False
        connection = str(fields.get("Connection", "")).lower()
        if connection == "close":
            self.close_connection = True
        elif connection == "keep-alive" and self.protocol_version >= "HTTP/1.1":
            self.close_connection = False
        expected = str(fields.get("Expect", "")).lower()
        if expected == "100-continue" and self.protocol_version >= "HTTP/1.1" <= self.request_version:
            return self.handle_expect_100()
        return True

    @property
    def headers(self) -> http.client.HTTPMessage:
        """The request's fields, built when first asked for: most handlers never look.

        Raises:
            AttributeError: before a request has been parsed.
        """
        if (fields := self._headers) is None:
            if self._head is None:
                raise AttributeError("headers: no request has been parsed")
            fields = self._headers = _message(self.MessageClass, self._head)
        return fields

    @headers.setter
    def headers(self, fields: http.client.HTTPMessage) -> None:
        self._headers = fields

    def handle_expect_100(self) -> bool:
        """Decide on ``Expect: 100-continue`` before the body is sent.

        A server of forkhttp sends the 100 when the handler first reads, and never if it does
        not read (RFC 9110 section 10.1.1); by hand it is sent here.

        Returns:
            False if the request was refused; the answer has been sent then.
        """
        if self._head is None:
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send a complete error answer, log it, and close after it.

        Args:
            code: three-digit status.
            message: the reason phrase; the standard one of ``responses`` if None.
            explain: a longer text for the body; the standard one if None.
        """
        short, long = self.responses.get(code, ("???", "???"))
        message = short if message is None else message
        explain = long if explain is None else explain
        self.log_error("code %d, message %s", code, message)
        self.send_response(code, message)
        self.send_header("Connection", "close")
        if code == HTTPStatus.METHOD_NOT_ALLOWED:
            # RFC 9110 section 15.5.6: a 405 must say what is allowed; here, what else the class can do.
            names = (name[3:] for name in dir(self) if name.startswith("do_"))
            self.send_header("Allow", ", ".join(name for name in names if name != self.command))
        body = b""
        if code >= 200 and code not in (
            HTTPStatus.NO_CONTENT,
            HTTPStatus.RESET_CONTENT,
            HTTPStatus.NOT_MODIFIED,
        ):
            # The message may repeat what the peer sent; it must not become markup.
            text = self.error_message_format % {
                "code": code,
                "message": html.escape(message, quote=False),
                "explain": html.escape(explain, quote=False),
            }
            body = text.encode("utf-8", "replace")
            self.send_header("Content-Type", self.error_content_type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer: log the request, then status line, ``Server`` and ``Date``."""
        self.log_request(code)
        self.send_response_only(code, message)
        if server := self.version_string():
            self.send_header("Server", server)
        self.send_header("Date", self.date_time_string())

    def send_response_only(self, code: int, message: str | None = None) -> None:
        """Begin an answer with its status line alone."""
        if self.request_version == "HTTP/0.9":
            return
        if message is None:
            message = self.responses[code][0] if code in self.responses else ""
        if "\r" in message or "\n" in message:
            raise ValueError("a reason phrase cannot hold CR or LF")
        line = f"{self.protocol_version} {code:d} {message}\r\n".encode("latin-1", "strict")
        try:
            self._headers_buffer.append(line)
        except AttributeError:
            self._headers_buffer = [line]

    def send_header(self, keyword: str, value: object) -> None:
        """Add a field to the head of the answer; ``Connection`` also decides ``close_connection``.

        Raises:
            ValueError: the name or the value holds CR or LF, so it would be more than one field.
        """
        if self.request_version != "HTTP/0.9":
            line = f"{keyword}: {value}\r\n"
            if line.count("\n") != 1 or line.count("\r") != 1:
                raise ValueError("a field of the answer cannot hold CR or LF")
            try:
                self._headers_buffer.append(line.encode("latin-1", "strict"))
            except AttributeError:
                self._headers_buffer = [line.encode("latin-1", "strict")]
        if keyword.lower() == "connection":
            option = str(value).lower()
            if option == "close":
                self.close_connection = True
            elif option == "keep-alive":
                self.close_connection = False

    def end_headers(self) -> None:
        """End the head of the answer and send it on its way."""
        if self.request_version != "HTTP/0.9":
            self._headers_buffer.append(b"\r\n")
            self.flush_headers()

    def flush_headers(self) -> None:
        """Write what ``send_header`` gathered to ``wfile``."""
        if hasattr(self, "_headers_buffer"):
            self.wfile.write(b"".join(self._headers_buffer))
            self._headers_buffer = []

    @property
    def url_scheme(self) -> str:
        """``https`` if the client came by TLS, here or to a trusted proxy in front; else ``http``."""
        return self._url_scheme or ("http" if self._port is None else self._port.scheme)

    @url_scheme.setter
    def url_scheme(self, scheme: str) -> None:
        self._url_scheme = scheme

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log an answered request; a server that keeps an access log does it itself, at the end."""
        if self._logs_as_ours and (port := self._port) is not None and port.records:
            return
        if isinstance(code, HTTPStatus):
            code = code.value
        self.log_message('"%s" %s %s', self.requestline, str(code), str(size))

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - the documented name
        """Log what went wrong."""
        self.log_message(format, *args)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the documented name
        """Write a line to the log: standard error, or the server's error log."""
        message = (format % args).translate(_ESCAPES)
        line = f"{self.address_string()} - - [{self.log_date_time_string()}] {message}"
        if (port := self._port) is not None:
            port.log(line)
        else:
            sys.stderr.write(line + "\n")

    def version_string(self) -> str:
        """Give the value of the ``Server`` field; an empty one sends no such field."""
        return f"{self.server_version} {self.sys_version}"

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Format a time, seconds since 1970, as an IMF-fixdate (RFC 9110 section 5.6.7); now if None."""
        return http_date(int(time.time() if timestamp is None else timestamp))

    def log_date_time_string(self) -> str:
        """Format the current local time for a log line."""
        now = time.localtime()
        month = self.monthname[now.tm_mon]
        return f"{now.tm_mday:02d}/{month}/{now.tm_year:04d} {time.strftime('%H:%M:%S', now)}"

    def address_string(self) -> str:
        """Give the peer's address."""
        return str(self.client_address[0])


class _WholeWriter(io.BufferedIOBase):
    """A writer on a socket that writes everything it is given, unbuffered."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        self._connection.sendall(data)
        with memoryview(data) as view:
            return view.nbytes

    def fileno(self) -> int:
        return self._connection.fileno()


def _version_number(version: str) -> tuple[int, int] | None:
    """Read ``HTTP/1.1`` as ``(1, 1)``, as leniently as the documents; None if it is not one."""
    name, slash, number = version.partition("/")
    parts = number.split(".")
    if (
        name != "HTTP"
        or not slash
        or len(parts) != 2
        or not all(part.isdigit() and len(part) <= 10 for part in parts)
    ):
        return None
    return int(parts[0]), int(parts[1])


def _message(message_class: type[http.client.HTTPMessage], head: RequestHead) -> http.client.HTTPMessage:
    """Build the documented ``headers`` of validated fields.

    ``set_raw`` is what the standard library's own parser fills a message with; going
    through that parser again would cost ten times as much for the same result.
    """
    message = message_class()
    for name, value in head.fields():
        message.set_raw(name, value)
    message.set_payload("")
    return message
