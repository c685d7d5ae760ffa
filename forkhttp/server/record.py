"""The record of one exchange: what the access log can tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forkhttp.server.connection import Connection
    from forkhttp.wire import RequestHead


class ExchangeRecord:
    """One answered request; octets that were no request have no head.

    Attributes:
        status: of the answer.
        octets: of its body.
        seconds: from the request's head to the answer's end.
    """

    __slots__ = ("_connection", "_head", "octets", "seconds", "status")

    def __init__(
        self, connection: Connection, head: RequestHead | None, status: int, octets: int, seconds: float
    ) -> None:
        """Note what is known; nothing is rendered before it is asked for."""
        self._connection = connection
        self._head = head
        self.status = status
        self.octets = octets
        self.seconds = seconds

    @property
    def client(self) -> str:
        """Who asked, by its address; empty for a unix socket's peer."""
        return str(self._connection.client_address[0])

    @property
    def method(self) -> str:
        """The method, as it was sent; empty if none arrived."""
        return self._head.method if self._head else ""

    @property
    def target(self) -> str:
        """The request target with its query."""
        return self._head.target if self._head else ""

    @property
    def request_line(self) -> str:
        """The request line, as it was sent; empty if none arrived."""
        return self._head.request_line if self._head else ""

    def field(self, name: str) -> str | None:
        """Give the value of a field of the request, or None."""
        return self._head.field(name) if self._head else None
