"""Adoption: handler classes written against the standard library run on forkhttp, unedited.

An adopted class is a subclass of the original in which forkhttp's own classes stand
between the user's and the standard library's::

    Adopted → User → _OverBase → forkhttp BaseHTTPRequestHandler → http.server.BaseHTTPRequestHandler → …

so that ``super()`` in the user's methods, and whatever they do not override, finds
forkhttp's implementation, while ``isinstance`` and ``issubclass`` go on as before.
"""

from __future__ import annotations

import functools
import http.server
import inspect
import socketserver
from typing import TYPE_CHECKING, Any, TypeGuard

from forkhttp.errors import TargetError
from forkhttp.handlers.base import BaseHTTPRequestHandler
from forkhttp.handlers.files import SimpleHTTPRequestHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    HandlerFactory = Callable[[Any, Any, Any], object]


# The two describe one surface in different words.
class _OverBase(BaseHTTPRequestHandler, http.server.BaseHTTPRequestHandler):  # type: ignore[misc]
    """forkhttp's base handler, over the standard library's."""


class _OverFiles(SimpleHTTPRequestHandler, _OverBase, http.server.SimpleHTTPRequestHandler):  # type: ignore[misc]
    """forkhttp's file handler, over the standard library's."""


def adopt_handler(handler: HandlerFactory) -> HandlerFactory:
    """Give a handler class, or a ``functools.partial`` of one, that runs on forkhttp.

    Raises:
        TargetError: it is no handler class.
    """
    if isinstance(handler, functools.partial):
        return functools.partial(adopt_handler(handler.func), *handler.args, **handler.keywords)
    if not inspect.isclass(handler):
        raise TargetError(f"{handler!r} is no handler class")
    if issubclass(handler, BaseHTTPRequestHandler):
        return handler
    if issubclass(handler, http.server.SimpleHTTPRequestHandler):
        return _over(handler, _OverFiles)
    if issubclass(handler, http.server.BaseHTTPRequestHandler):
        return _over(handler, _OverBase)
    raise TargetError(f"{handler.__qualname__} is no subclass of BaseHTTPRequestHandler")


def _over(original: type, between: type) -> type:
    if original in (http.server.BaseHTTPRequestHandler, http.server.SimpleHTTPRequestHandler):
        return between
    return type(
        original.__name__,
        (original, between),
        {
            "__module__": original.__module__,
            "__qualname__": original.__qualname__,
            "__doc__": original.__doc__,
        },
    )


def with_server_field(handler: HandlerFactory, text: str) -> HandlerFactory:
    """Give the same handler with another ``Server`` field; an empty text sends none."""
    if isinstance(handler, functools.partial):
        return functools.partial(with_server_field(handler.func, text), *handler.args, **handler.keywords)
    if not inspect.isclass(handler):
        raise TargetError(f"{handler!r} is no handler class")
    return _subclass(handler, (handler,), {"version_string": lambda _: text})


def _subclass(original: type, bases: tuple[type, ...], names: Mapping[str, object]) -> type:
    """Make a subclass that goes by the name of the original, in logs and to whoever asks."""
    identity = {name: getattr(original, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(original.__name__, bases, identity | dict(names))


def is_handler(value: object) -> TypeGuard[HandlerFactory]:
    """Whether ``value`` is a handler class or a partial of one that defines something of its own."""
    if isinstance(value, functools.partial):
        return is_handler(value.func)
    return inspect.isclass(value) and issubclass(
        value, BaseHTTPRequestHandler | http.server.BaseHTTPRequestHandler
    )


def adopt_server(server: type, ours: type) -> type:
    """Give a server class of the user's that runs on ``ours``, forkhttp's HTTPServer.

    A ``ThreadingMixIn`` means threads, which are the worker's business (``workers.threads``), so its
    way of serving a request is passed over.

    Raises:
        TargetError: it is no HTTP server class, or it forks for each request.
    """
    if not issubclass(server, ours | http.server.HTTPServer):
        raise TargetError(f"{server.__qualname__} is no subclass of HTTPServer")
    if hasattr(socketserver, "ForkingMixIn") and issubclass(server, socketserver.ForkingMixIn):
        raise TargetError(
            f"{server.__qualname__} forks for each request (ForkingMixIn); workers are forked here once"
        )
    bases: tuple[type, ...] = (server,)
    if _threads_come_first(server, ours):
        bases += (_WithoutThreads,)
    if not issubclass(server, ours):
        between = type("_OverServer", (ours, http.server.HTTPServer), {"__doc__": ours.__doc__})
        bases = (between,) if server is http.server.HTTPServer else (*bases, between)
    return _subclass(server, bases, {})


def _threads_come_first(server: type, ours: type) -> bool:
    """Whether ThreadingMixIn stands where it has a say, before the class that serves."""
    either = (socketserver.ThreadingMixIn, socketserver.BaseServer, ours)
    return next(each for each in server.__mro__ if each in either) is socketserver.ThreadingMixIn


class _WithoutThreads(socketserver.ThreadingMixIn):
    """Stands before ThreadingMixIn, behind whatever the user's own class does, and passes it over."""

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as documented
        super(socketserver.ThreadingMixIn, self).process_request(request, client_address)  # type: ignore[misc]

    def server_close(self) -> None:
        super(socketserver.ThreadingMixIn, self).server_close()  # type: ignore[misc]
