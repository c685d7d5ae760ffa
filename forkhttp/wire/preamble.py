"""The PROXY protocol: what a proxy says of its client once, before anything else on a connection.

It stands before the first octet of HTTP and is awaited from trusted peers alone; a second one,
or one from anybody else, is no request.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from forkhttp.errors import ProtocolError
from forkhttp.wire.forwarded import numeric

#: Octets of the longest line of version 1, CRLF included (section 2.1).
_LONGEST_LINE = 107
_ADDRESSES = rb"TCP(4|6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5})"
_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|" + _ADDRESSES + rb")\r\n")

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = 16
#: Octets behind the fixed part of version 2. Addresses take 216 at most; a client's certificate name
#: and the like are some hundreds more.
_LONGEST_REST = 4096
_LOCAL, _PROXY = 0x20, 0x21

#: Octets of one address and of both with their ports, by family and transport (section 2.2): what names
#: a client of TCP. Unix sockets and unspecified families name nobody.
_TCP = {0x11: (4, 12), 0x21: (16, 36)}
_NAMELESS = {0x00: 0, 0x31: 216}

_TLS = 0x20
_TLS_USED = 0x01


class Preamble(NamedTuple):
    """What a proxy says.

    Attributes:
        size: octets that it took.
        source: host and port of the client; None where the proxy does not name one.
        own: the proxy asks for itself.
        tls: whether the client came to the proxy by TLS; only version 2 can say so.
    """

    size: int
    source: tuple[str, int] | None
    own: bool = False
    tls: bool = False


def parse_preamble(data: bytes, version: str) -> Preamble | None:
    """Read the preamble that a connection begins with.

    Args:
        data: what has arrived.
        version: ``v1`` or ``v2``; the other one is not accepted.

    Returns:
        The preamble, or None if more octets are needed.

    Raises:
        ProtocolError: 400; this is none. It may not be guessed that a client is meant.
    """
    return _parse_line(data) if version == "v1" else _parse_binary(data)


def _parse_line(data: bytes) -> Preamble | None:
    """Read version 1 (section 2.1)."""
    end = data.find(b"\n", 0, _LONGEST_LINE) + 1
    if not end:
        if data[:6] != b"PROXY "[: len(data)] or len(data) >= _LONGEST_LINE:
            raise ProtocolError(400, "no PROXY line")
        return None
    match = _LINE.fullmatch(data, 0, end)
    if match is None:
        raise ProtocolError(400, "malformed PROXY line")
    family, source, destination, source_port, destination_port = match.groups()
    if family is None:
        return Preamble(end, None)
    kind = ipaddress.IPv4Address if family == b"4" else ipaddress.IPv6Address
    try:
        kind(source.decode())
        kind(destination.decode())
    except ValueError:
        raise ProtocolError(400, "malformed address in a PROXY line") from None
    if max(int(source_port), int(destination_port)) > 0xFFFF:
        raise ProtocolError(400, "malformed port in a PROXY line")
    return Preamble(end, (str(numeric(source.decode())), int(source_port)))


def _parse_binary(data: bytes) -> Preamble | None:
    """Read version 2 (section 2.2)."""
    if data[:12] != _SIGNATURE[: len(data)]:
        raise ProtocolError(400, "no PROXY header")
    if len(data) < _FIXED:
        return None
    command, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY) or length > _LONGEST_REST:
        raise ProtocolError(400, "malformed PROXY header")
    size = _FIXED + length
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Preamble(size, None, own=True)
    rest = data[_FIXED:size]
    if family in _NAMELESS:
        return Preamble(size, None, tls=_came_by_tls(rest[_NAMELESS[family] :]))
    if family not in _TCP or length < _TCP[family][1]:
        raise ProtocolError(400, "malformed PROXY header")
    address, both = _TCP[family]
    host = numeric(str(ipaddress.ip_address(rest[:address])))
    port = int.from_bytes(rest[2 * address : 2 * address + 2], "big")
    return Preamble(size, (str(host), port), tls=_came_by_tls(rest[both:]))


def _came_by_tls(items: bytes) -> bool:
    """Look through the type-length-value items behind the addresses (section 2.2.6).

    Raises:
        ProtocolError: 400; an item is longer than what is there.
    """
    tls = False
    at = 0
    while at < len(items):
        value = at + 3
        end = value + int.from_bytes(items[at + 1 : value], "big")
        if end > len(items) or value > len(items):
            raise ProtocolError(400, "malformed item in a PROXY header")
        if items[at] == _TLS and end > value:
            tls = bool(items[value] & _TLS_USED)
        at = end
    return tls
