"""The proxies in front: who is one, and whom they speak for.

Whoever is connected is known when a connection is accepted, and so is whether it is trusted.
What it says of its own clients comes later: once, before anything else (the PROXY protocol), or
in the fields of each request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forkhttp.wire import Client, Family, TrustedPeers, claimed_client, parse_preamble

if TYPE_CHECKING:
    from forkhttp.errors import ProtocolError
    from forkhttp.logs import ErrorLog
    from forkhttp.server.connection import ConnectionState
    from forkhttp.settings import Proxy
    from forkhttp.wire import RequestHead


#: Seconds in which the same trouble is said once.
_SAY_EVERY = 60.0


class Proxies:
    """The rules of ``[proxy]``, for the connections of one loop."""

    def __init__(self, settings: Proxy, *, alone: bool) -> None:
        """Know who is trusted; ``alone``: nobody said who, so all is shown and nothing believed."""
        self._trusted = TrustedPeers(settings.trusted)
        self._family = Family.ANY if alone else Family(settings.headers)
        self._protocol = settings.protocol
        self._alone = alone
        self._say_at = 0.0

    def meet(self, state: ConnectionState, *, unix: bool) -> bool:
        """Note on a new connection whether its peer is trusted; say whether it begins with a preamble.

        ``unix``: it is connected by a unix socket, and has no address.
        """
        host = state.client_address[0]
        state.trusted = self._alone or (self._trusted.unix if unix else self._trusted.includes(host))
        return state.trusted and self._protocol != "off"

    def read_preamble(self, state: ConnectionState) -> bool:
        """Take the preamble from the front of what has arrived; False if more of it must come.

        From then on whoever is named there is the peer; its own forwarded fields are believed if it
        is trusted itself. Nobody is believed who is not named.

        Raises:
            ProtocolError: 400; this is no preamble.
        """
        preamble = parse_preamble(state.unread, self._protocol)
        if preamble is None:
            return False
        state.unread = state.unread[preamble.size :]
        if preamble.source is not None:
            state.client_address = preamble.source
            state.trusted = self._trusted.includes(preamble.source[0])
        elif not preamble.own:
            state.trusted = False
        if preamble.tls:
            state.scheme = "https"
        return True

    def complain(self, errors: ErrorLog, state: ConnectionState, error: ProtocolError, now: float) -> None:
        """Tell the operator of a trusted peer that does not begin as it should; once in a while."""
        if now >= self._say_at:
            self._say_at = now + _SAY_EVERY
            errors.warning(
                "a trusted peer did not begin with the PROXY protocol",
                peer=state.client_address[0],
                problem=error.detail,
                expected=self._protocol,
            )

    def client_of(self, state: ConnectionState, head: RequestHead) -> Client:
        """Show a trusted peer's forwarded fields, and tell who asks by them."""
        head.believed = self._family
        peer = Client(state.client_address, state.scheme)
        return claimed_client(head, self._family, peer, self._trusted.includes)
