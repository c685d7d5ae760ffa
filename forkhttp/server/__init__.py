"""The server: connections, the loop that serves them, and the documented server class."""

from forkhttp.server.http_server import HTTPServer
from forkhttp.server.loop import RequestLoop

__all__ = ["HTTPServer", "RequestLoop"]
