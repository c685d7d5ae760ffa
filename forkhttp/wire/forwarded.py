"""For whom a proxy speaks: the forwarded fields, believed from trusted peers alone.

There are two families of them. A proxy writes one; whatever stands in the other
came from its client, as does everything in both when the peer is no proxy of ours. So
a request head shows the fields of the family that is believed and no others.

Source: RFC 7239; for X-Forwarded-For and its kin the practice of nginx and HAProxy.
"""

from __future__ import annotations

import ipaddress
import re
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from forkhttp.wire.grammar import MEMO_ENTRIES, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forkhttp.wire.head import RequestHead


class Family(Enum):
    """The forwarded fields that a handler sees, and that are believed."""

    NONE = "none"
    X_FORWARDED = "x-forwarded"
    FORWARDED = "forwarded"
    ANY = "any"  # all are seen, none is believed: nobody said who is trusted


class Client(NamedTuple):
    """Who asks: ``("", 0)`` for nobody with an address; port 0 where none is known; ``http`` or ``https``."""

    address: tuple[str, int]
    scheme: str


_SCHEMES = ("http", "https")
_PORT = re.compile(r":([0-9]{1,5})")

_TEXT = TOKEN.decode()
_PAIR = re.compile(rf'({_TEXT})=(?:({_TEXT})|"((?:[^"\\]|\\.)*)")')
_BETWEEN = re.compile(r"[ \t]*([;,]|\Z)[ \t]*")
_ESCAPED = re.compile(r"\\(.)")


def family_of(name: str) -> Family | None:
    """Tell which family a field in lower case belongs to; None if it says nothing of a client."""
    if name.startswith("x-forwarded-") or name == "x-real-ip":
        return Family.X_FORWARDED
    return Family.FORWARDED if name == "forwarded" else None


def claimed_client(
    head: RequestHead, family: Family, peer: Client, is_trusted: Callable[[str], bool]
) -> Client:
    """Tell who asks, as trusted proxies say.

    Each proxy adds the address that it was asked from at the end of a list. From that end the
    list is believed for as long as the speaker is trusted; the first that is not is the client. An
    entry that names no address ends the search.

    Args:
        head: of the request.
        family: what the proxies write.
        peer: who is connected; it is trusted.
        is_trusted: whether a numeric address is a proxy's.
    """
    client = peer
    for hop in _HOPS[family](head):
        client = Client(hop.address or client.address, hop.scheme or client.scheme)
        if hop.address is None or not is_trusted(hop.address[0]):
            break
    return client


class _Hop(NamedTuple):
    """What one proxy says of its client."""

    address: tuple[str, int] | None
    scheme: str


def _no_hops(_head: RequestHead) -> Iterator[_Hop]:
    return iter(())


def _x_forwarded_hops(head: RequestHead) -> Iterator[_Hop]:
    """Give the hops of X-Forwarded-For and X-Forwarded-Proto, the nearest first.

    The scheme is mostly written once, by the proxy that clients meet; as a list
    it has an entry a hop.
    """
    addresses = _elements(head.field("x-forwarded-for"))
    schemes = _elements(head.field("x-forwarded-proto"))
    one_each = len(schemes) == len(addresses)
    for place in range(len(addresses) - 1, -1, -1):
        scheme = schemes[place] if one_each else schemes[-1] if schemes else ""
        yield _Hop(_node(addresses[place]), _scheme(scheme))
    if not addresses and schemes:
        yield _Hop(None, _scheme(schemes[-1]))


def _forwarded_hops(head: RequestHead) -> Iterator[_Hop]:
    """Give the elements of Forwarded, the nearest first; a line that breaks the grammar ends them.

    Lines are read one by one: a quote that a client left open reaches no further than its own line.
    """
    lines = [value for name, value in head.fields() if name.lower() == "forwarded"]
    for line in reversed(lines):
        elements = _forwarded_elements(line)
        if elements is None:
            return
        for element in reversed(elements):
            yield _Hop(_node(element.get("for", "")), _scheme(element.get("proto", "")))


_HOPS: dict[Family, Callable[[RequestHead], Iterator[_Hop]]] = {
    Family.NONE: _no_hops,
    Family.ANY: _no_hops,
    Family.X_FORWARDED: _x_forwarded_hops,
    Family.FORWARDED: _forwarded_hops,
}


def _elements(value: str | None) -> list[str]:
    return [element.strip(" \t") for element in value.split(",")] if value else []


def _forwarded_elements(line: str) -> list[dict[str, str]] | None:
    """Read one line of Forwarded: each element's pairs by name; None if it breaks the grammar.

    Source: RFC 7239 section 4.
    """
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(line):
        pair = _PAIR.match(line, at)
        if pair is not None:
            name, token, quoted = pair.groups()
            if name.lower() in elements[-1]:
                return None
            elements[-1][name.lower()] = token or _ESCAPED.sub(r"\1", quoted or "")
            at = pair.end()
        between = _BETWEEN.match(line, at)
        if between is None:
            return None
        if between[1] == ",":
            elements.append({})
        at = between.end()
    return [element for element in elements if element]


def _scheme(text: str) -> str:
    scheme = text.lower()
    return scheme if scheme in _SCHEMES else ""


@lru_cache(MEMO_ENTRIES)
def _node(text: str) -> tuple[str, int] | None:
    """Read an address with or without a port; None for ``unknown``, for a made-up name, for anything else.

    Source: RFC 7239 section 6.
    """
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in host:
            return None
    elif text.count(":") == 1:
        host, _, rest = text.partition(":")
        port = ":" + rest
    else:
        host, port = text, ""
    number = _PORT.fullmatch(port)
    if port and (number is None or int(number[1]) > 0xFFFF):
        return None
    address = numeric(host)
    return None if address is None else (str(address), int(number[1]) if number else 0)


def numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read a numeric address; None if it is none. IPv4 that is mapped into IPv6 becomes IPv4 again."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class TrustedPeers:
    """Addresses and networks of proxies.

    Attributes:
        unix: whether the peers of unix sockets, which have no address, are proxies.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        """Take numeric addresses, networks and ``unix``.

        Raises:
            ValueError: an entry is none of these; the message says which and why.
        """
        self.unix = "unix" in entries
        self._networks = [_network(entry) for entry in entries if entry != "unix"]
        #: Whether a numeric address is a proxy's. Proxies ask again and again, and so do their clients.
        self.includes = lru_cache(MEMO_ENTRIES)(self._includes) if self._networks else _nobody

    def _includes(self, host: str) -> bool:
        address = numeric(host)
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )


def _nobody(_host: str) -> bool:
    return False


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        meant = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        raise ValueError(f'"{entry}" is no numeric address or network, and not "unix"') from None
    mapped = getattr(meant[0], "ipv4_mapped", None)
    if mapped is not None:
        plain = ipaddress.ip_network((mapped, max(0, meant.prefixlen - 96)), strict=False)
        raise ValueError(f'"{entry}" is IPv4 mapped into IPv6; did you mean "{plain}"?')
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        raise ValueError(f'"{entry}" has bits beyond its mask; did you mean "{meant}"?') from None
