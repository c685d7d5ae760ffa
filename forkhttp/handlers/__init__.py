"""The documented handler classes, and how others' are found and adopted."""

from forkhttp.handlers.base import BaseHTTPRequestHandler
from forkhttp.handlers.files import SimpleHTTPRequestHandler
from forkhttp.handlers.wsgi import WSGIHandler

__all__ = ["BaseHTTPRequestHandler", "SimpleHTTPRequestHandler", "WSGIHandler"]
