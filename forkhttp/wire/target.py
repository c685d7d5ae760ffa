"""The four forms of a request target, and the authority: who is meant.

Source: RFC 9112 section 3.2, RFC 3986 section 3.2.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from forkhttp.errors import ProtocolError
from forkhttp.wire.grammar import MEMO_ENTRIES

#: uri-host [ ":" port ]: a name, an IPv4 address, or an IPv6 address in
#: brackets. Neither user information nor a future kind of address is spoken.
_AUTHORITY = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2}){1,255})"
    rb"(?::([0-9]{0,5}))?"
)
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?]*+)(/?)(.*+)", re.IGNORECASE)


class Target(NamedTuple):
    """A request target, reduced to what a handler sees.

    Attributes:
        path: origin-form, ``*``, or for CONNECT host and port.
        authority: host and port that the target itself names; empty if none.
    """

    path: str
    authority: str


@lru_cache(MEMO_ENTRIES)
def authority(value: bytes) -> str:
    """Check the value of a Host field, or the authority of a target; give it in lower case.

    An empty value is valid: it says that the target has no authority.

    Raises:
        ProtocolError: 400.

    Source: RFC 9110 section 7.2.
    """
    if not value:
        return ""
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        raise ProtocolError(400, "invalid host")
    address, port = match.groups(b"")
    if address:
        try:
            ipaddress.IPv6Address(address.decode())
        except ValueError:
            raise ProtocolError(400, "invalid IPv6 address as host") from None
    if port and int(port) > 0xFFFF:
        raise ProtocolError(400, "invalid port")
    return value.decode().lower()


def read_target(method: bytes, target: bytes) -> Target:
    """Tell the form of a target and check that the method may use it.

    Absolute-form is reduced to origin-form; its authority stands in for Host.

    Args:
        method: the request's method.
        target: one or more octets of VCHAR.

    Raises:
        ProtocolError: 400.

    Source: RFC 9112 sections 3.2.1 to 3.2.4.
    """
    if method == b"CONNECT":
        port = target[target.rfind(b":") + 1 :]
        if b":" not in target or not port.strip(b"0") or target.endswith(b"]"):
            raise ProtocolError(400, "CONNECT without host and port")
        return Target(target.decode(), authority(target))
    if target.startswith(b"/"):
        return Target(target.decode(), "")
    if target == b"*":
        if method != b"OPTIONS":
            raise ProtocolError(400, "target * with another method than OPTIONS")
        return Target("*", "")
    match = _ABSOLUTE_FORM.fullmatch(target)
    if match is None or not match[1]:
        raise ProtocolError(400, "invalid request target")
    host, slash, rest = match.groups()
    if method == b"OPTIONS" and not slash and not rest:
        return Target("*", authority(host))
    return Target("/" + rest.decode(), authority(host))
