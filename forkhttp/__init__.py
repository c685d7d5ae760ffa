"""forkhttp: the production server for Python's documented HTTP server API.

``HTTPServer`` and ``BaseHTTPRequestHandler`` are the documented classes; each works alone,
in one process, and under the pre-forking master that ``forkhttp run`` starts.
"""

from forkhttp.handlers import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, WSGIHandler
from forkhttp.server import HTTPServer

__all__ = ["BaseHTTPRequestHandler", "HTTPServer", "SimpleHTTPRequestHandler", "WSGIHandler"]
