"""What a handler needs from whoever serves it, without knowing who that is.

The documented classes are given a socket and no more. A server of forkhttp keeps a
port for each connection it serves, under the socket object that it hands to the
handler class; a handler that finds none is driven by hand, with streams of its
own, and keeps to the letter of the documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from io import BufferedIOBase

    from forkhttp.wire import RequestHead


class Resident(Protocol):
    """The handler instance that lives with a connection, as the server sees it.

    ``movable``: the connection may go on with another instance, because this one keeps nothing.
    """

    close_connection: bool
    client_address: Any
    movable: bool

    def handle(self) -> None:
        """Serve the request that has arrived."""

    def finish(self) -> None:
        """Take leave of the connection."""


class Port(Protocol):
    """One served connection, as its handler sees it.

    Attributes:
        rfile: the framed body of the current request; it ends where the body ends.
        wfile: takes the answer; what is written is checked before it reaches the wire.
        resident: set by the handler once ``setup()`` is done; from then on the server
            calls its ``handle()`` for each request and its ``finish()`` at the end.
        records: whether the server writes the access log, so that the handler need not.
        always_persistent: connections persist whatever ``protocol_version`` says.
        scheme: ``https`` if the client of the current request came by TLS, else ``http``.
    """

    resident: Resident | None

    @property
    def rfile(self) -> BufferedIOBase:
        """See above."""

    @property
    def wfile(self) -> BufferedIOBase:
        """See above."""

    @property
    def records(self) -> bool:
        """See above."""

    @property
    def always_persistent(self) -> bool:
        """See above."""

    @property
    def scheme(self) -> str:
        """See above."""

    def take_head(self) -> RequestHead | None:
        """Give the head of the request that is to be served, once; then None."""

    def replay_heads(self) -> None:
        """Let ``rfile`` begin with the head's octets from now on: the class parses them itself."""

    def take_early(self, size: int, *, peek: bool) -> bytes | None:
        """Give up to ``size`` octets of the body, or those of a tunnel that came early; None: ask the socket.

        ``peek``: without taking them.
        """

    def end_soon(self) -> bool:
        """End the connection when the current answer has left; False in a tunnel, or if there is none."""

    def set_timeout(self, seconds: float) -> None:
        """Use this, instead of the settings, for idle time and stalls of the connection."""

    def end_after_answer(self) -> None:
        """Let the connection end with the current exchange."""

    def log(self, line: str) -> None:
        """Write a line of the handler's to the error log."""

    def log_failure(self, error: BaseException) -> None:
        """Write the exception that ended the exchange to the error log."""


#: The ports of the connections that are being served, by the socket object given to the handler class.
PORTS: WeakKeyDictionary[object, Port] = WeakKeyDictionary()


def port_of(request: object) -> Port | None:
    """Find the port behind a handler's ``request``; None when nobody of ours serves it."""
    try:
        return PORTS.get(request)
    except TypeError:  # what a test passes for a request need not be hashable or weakly referable
        return None
