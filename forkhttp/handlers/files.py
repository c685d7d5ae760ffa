"""SimpleHTTPRequestHandler: the documented file server.

It never leaves its root, and a file goes out by ``sendfile``: a large one costs no
memory, and one that is read slowly costs no handler.

Source: https://docs.python.org/3/library/http.server.html
"""

from __future__ import annotations

import datetime as dt
import email.utils
import html
import io
import os
import posixpath
import shutil
import stat
import sys
import urllib.parse
from http import HTTPStatus
from mimetypes import guess_type, init

# Not those of Path: they raise where a name is too long, or a directory is closed to us.
from os.path import commonpath, isdir, isfile, islink, realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from forkhttp.handlers.base import BaseHTTPRequestHandler

if TYPE_CHECKING:
    from typing import BinaryIO

# Reading the system's table of types takes milliseconds: before the first fork, not in the first request.
init()


class SimpleHTTPRequestHandler(BaseHTTPRequestHandler):
    """Serve the files below ``directory`` for GET and HEAD.

    Attributes:
        directory: the root; the current directory by default.
        index_pages: names that stand for their directory, the first that exists.
        extensions_map: types for endings, before the system's table is asked.
    """

    index_pages: ClassVar[tuple[str, ...]] = ("index.html", "index.htm")
    extensions_map: dict[str, str] = {  # noqa: RUF012 - documented as a mutable mapping of the class
        ".gz": "application/gzip",
        ".Z": "application/octet-stream",
        ".bz2": "application/x-bzip2",
        ".xz": "application/x-xz",
    }

    def __init__(self, *args: Any, directory: str | os.PathLike[str] | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        """Serve below ``directory``; None: the current directory."""
        self.directory = os.fspath(Path.cwd() if directory is None else directory)
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:  # noqa: N802 - the documented name
        """Send a file or a listing."""
        source = self.send_head()
        if source is not None:
            with source:
                self.copyfile(source, self.wfile)

    def do_HEAD(self) -> None:  # noqa: N802 - the documented name
        """Send what GET would, without the body."""
        source = self.send_head()
        if source is not None:
            source.close()

    def send_head(self) -> BinaryIO | io.BytesIO | None:
        """Send the head for the current path.

        Returns:
            What is to be sent as the body, to be closed by the caller; None if the answer is complete.
        """
        path = self.translate_path(self.path)
        if self._leads_out(path):
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        if isdir(path):
            if not urllib.parse.urlsplit(self.path).path.endswith("/"):
                self._redirect_to_directory()
                return None
            index = next((name for name in self.index_pages if isfile(Path(path, name))), None)
            if index is None:
                return self.list_directory(path)
            path = str(Path(path, index))
        elif path.endswith("/"):
            # A file is no directory; some systems would open `file/` all the same.
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        return self._open_file(path)

    def _leads_out(self, path: str) -> bool:
        """Whether a symbolic link leads out of the root; a class that maps paths itself knows better."""
        if type(self).translate_path is not SimpleHTTPRequestHandler.translate_path:
            return False
        root = realpath(self.directory)
        try:
            return commonpath((root, realpath(path))) != root
        except ValueError:  # a NUL is no part of a name
            return True

    def _redirect_to_directory(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        # Browsers read a backslash as a slash, and two at the start as the name of a host.
        place = parts.path.replace("\\", "%5C") + "/"
        location = urllib.parse.urlunsplit(("", "", place, parts.query, ""))
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _open_file(self, path: str) -> BinaryIO | None:
        try:
            # Without waiting: opening a pipe would hold the worker until somebody writes to it.
            source = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        except (OSError, ValueError):
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        try:
            status = os.fstat(source.fileno())
            if not stat.S_ISREG(status.st_mode):
                self.send_error(HTTPStatus.NOT_FOUND, "File not found")
                source.close()
                return None
            if self._is_unchanged(status.st_mtime):
                self.send_response(HTTPStatus.NOT_MODIFIED)
                self.end_headers()
                source.close()
                return None
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-type", self.guess_type(path))
            self.send_header("Content-Length", str(status.st_size))
            self.send_header("Last-Modified", self.date_time_string(status.st_mtime))
            self.end_headers()
        except BaseException:
            source.close()
            raise
        return source

    def _is_unchanged(self, modified: float) -> bool:
        """Whether If-Modified-Since asks for nothing newer (RFC 9110 section 13.1.3)."""
        if "If-Modified-Since" not in self.headers or "If-None-Match" in self.headers:
            return False
        try:
            since = email.utils.parsedate_to_datetime(self.headers["If-Modified-Since"])
        except (TypeError, IndexError, OverflowError, ValueError):
            return False
        if since.tzinfo is None:
            since = since.replace(tzinfo=dt.UTC)
        if since.tzinfo is not dt.UTC:
            return False
        return dt.datetime.fromtimestamp(int(modified), dt.UTC) <= since

    def list_directory(self, path: str | os.PathLike[str]) -> io.BytesIO | None:
        """Send the head of a listing of ``path`` and give its body; None if it cannot be read."""
        try:
            names = sorted((entry.name for entry in Path(path).iterdir()), key=str.lower)
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND, "No permission to list directory")
            return None
        shown = _unquoted(urllib.parse.urlsplit(self.path).path)
        title = html.escape(f"Directory listing for {shown}", quote=False)
        encoding = sys.getfilesystemencoding()
        lines = [
            "<!DOCTYPE HTML>",
            '<html lang="en">',
            "<head>",
            f'<meta charset="{encoding}">',
            f"<title>{title}</title>",
            "</head>",
            f"<body>\n<h1>{title}</h1>",
            "<hr>\n<ul>",
            *(self._listed(Path(path, name)) for name in names),
            "</ul>\n<hr>\n</body>\n</html>\n",
        ]
        body = "\n".join(lines).encode(encoding, "surrogateescape")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-type", f"text/html; charset={encoding}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    @staticmethod
    def _listed(path: Path) -> str:
        link = shown = path.name
        if isdir(path):
            link = shown = path.name + "/"
        if islink(path):
            shown = path.name + "@"
        target = urllib.parse.quote(link, errors="surrogatepass")
        # A name with a colon in its first part would read as a scheme (RFC 3986 section 4.2).
        return f'<li><a href="./{target}">{html.escape(shown, quote=False)}</a></li>'

    def translate_path(self, path: str) -> str:
        """Give the file name that a request target stands for; always below ``directory``.

        A trailing slash stays, because a file must not answer for a directory of its name.
        """
        path = _unquoted(path.split("?", 1)[0].split("#", 1)[0])
        ends_with_slash = path.rstrip().endswith("/")
        words = [word for word in posixpath.normpath(path).split("/") if word]
        # A word that is more than one component, or none, on this system is left out.
        safe = [
            word
            for word in words
            if "/" not in word and os.sep not in word and word not in (os.curdir, os.pardir)
        ]
        result = str(Path(self.directory, *safe))
        return result + "/" if ends_with_slash and not result.endswith("/") else result

    def copyfile(self, source: BinaryIO | io.BytesIO, outputfile: io.BufferedIOBase) -> None:
        """Copy ``source`` to ``outputfile``, by ``sendfile`` where it is a file and the answer is served."""
        send_file = getattr(outputfile, "send_file", None)
        if send_file is not None and not isinstance(source, io.BytesIO):
            try:
                offset = source.tell()
                size = os.fstat(source.fileno()).st_size - offset
            except (OSError, AttributeError):
                size = -1
            if size >= 0 and send_file(source, offset, size):
                return
        shutil.copyfileobj(source, outputfile)

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """Give the media type for a file's name, by ``extensions_map`` first."""
        _, ending = posixpath.splitext(os.fspath(path))
        for key in (ending, ending.lower()):
            if key in self.extensions_map:
                return self.extensions_map[key]
        guessed, _ = guess_type(os.fspath(path))
        return guessed or "application/octet-stream"


def _unquoted(path: str) -> str:
    """Decode a target; a name that is no UTF-8 is one with surrogates, as in ``os.fsdecode``."""
    try:
        return urllib.parse.unquote(path, errors="surrogatepass")
    except UnicodeDecodeError:
        return urllib.parse.unquote(path)
