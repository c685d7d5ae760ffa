"""Addresses as operators write them, read without a look-up.

What each form means:

* ``127.0.0.1:8000``, ``[::1]:8000``: that address. Host names are not looked up,
  because the master never waits for a name server; ``localhost`` is ``127.0.0.1``.
* ``:8000``: every IPv4 address, as ``HTTPServer(("", 8000), …)`` does. ``[::]:8000``
  beside it adds every IPv6 address: an IPv6 listener takes IPv6 alone, so both
  can be bound, and no peer shows up as ``::ffff:127.0.0.1``.
* port 0: any free port.
* ``unix:/run/app.sock``: a socket in the file system; ``unix:@name``: an abstract one.
* ``fd:3``: a listening socket that forkhttp inherited under that number.
* ``systemd``: every socket that systemd passed.

Called by the checks of the configuration, and by the master, which binds.
"""

from __future__ import annotations

import os
import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Octets of a path in a unix address: ``sockaddr_un.sun_path`` less its final NUL (unix(7)).
UNIX_PATH_OCTETS = 107

#: The highest number a descriptor can have.
_MOST_DESCRIPTOR = (1 << 31) - 1

#: Texts that are no address, and what their writers should write; the first that matches.
_SHAPES = (
    (r"([0-9]{1,5})", "a port alone; write 127.0.0.1:{0}, or :{0} for every IPv4 address"),
    (r"https?://.*", "a URL is none; write host:port"),
    (r"([/@].*|\./.*)", "a unix socket begins with unix:, write unix:{0}"),
    (r"\*:([0-9]+)", "write :{0} for every IPv4 address, [::]:{0} for every IPv6 address"),
    (r"(\[.*\]|localhost|[0-9]+(?:\.[0-9]+){3})", "no port; write {0}:8000"),
    (r".*:.*:.*", "an IPv6 address stands in brackets: [::1]:8000"),
    (r"([0-9.]+):[0-9]+", "{0} is no IPv4 address, which has four numbers from 0 to 255"),
    (r"([A-Za-z0-9._-]+):[0-9]+", "host names are not looked up; write the numeric address of {0}"),
)
_FORMS = "expected host:port, :port, [v6]:port, unix:/path, unix:@name, fd:N or systemd"


class TcpAddress(NamedTuple):
    """A TCP port of one address, or of every address of its family.

    Attributes:
        host: numeric, in its canonical form; ``0.0.0.0`` and ``::`` are every address.
        port: 0 to 65535; 0 is any free one.
        v6: whether it is an IPv6 address; its socket is for IPv6 alone.
    """

    host: str
    port: int
    v6: bool = False

    def __str__(self) -> str:
        """Give the canonical text."""
        return f"[{self.host}]:{self.port}" if self.v6 else f"{self.host}:{self.port}"


class UnixAddress(NamedTuple):
    """A unix socket: ``path`` in the file system, or an abstract name after a NUL."""

    path: str

    @property
    def abstract(self) -> bool:
        """Whether the name is in the kernel alone, not in the file system."""
        return self.path.startswith("\0")

    def __str__(self) -> str:
        """Give the canonical text."""
        return f"unix:@{self.path[1:]}" if self.abstract else f"unix:{self.path}"


class DescriptorAddress(NamedTuple):
    """A listening socket that was inherited under this number."""

    number: int

    def __str__(self) -> str:
        """Give the canonical text."""
        return f"fd:{self.number}"


class SystemdAddress(NamedTuple):
    """All listening sockets that systemd passed (sd_listen_fds(3))."""

    def __str__(self) -> str:
        """Give the canonical text."""
        return "systemd"


Address = TcpAddress | UnixAddress | DescriptorAddress | SystemdAddress


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: what is wrong with it, what was expected and what was probably meant.
    """
    if text == "systemd":
        return SystemdAddress()
    scheme, _, rest = text.partition(":")
    if scheme == "unix":
        return _unix_address(rest)
    if scheme == "fd":
        return _descriptor_address(rest)
    return _tcp_address(text)


def conflict(address: Address, others: Sequence[Address]) -> Address | None:
    """Give the first of ``others`` that cannot be bound beside ``address``.

    That is the same one, or one of the same port where either takes every address.
    Port 0 never conflicts.
    """
    for other in others:
        if isinstance(address, TcpAddress) and isinstance(other, TcpAddress):
            if address.port and address[1:] == other[1:]:
                hosts = {address.host, other.host}
                if len(hosts) == 1 or hosts & {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
                    return other
        elif address == other:
            return other
    return None


def _unix_address(path: str) -> UnixAddress:
    """Read what follows ``unix:``; its octets must fit the kernel's structure."""
    if path in ("", "@"):
        raise ValueError("a unix socket needs a path or a name: unix:/run/app.sock, unix:@app")
    if "\0" in path:
        raise ValueError("a unix socket's path cannot hold a NUL")
    path = f"\0{path[1:]}" if path.startswith("@") else re.sub("^/+", "/", path)
    size = len(os.fsencode(path))
    if size > UNIX_PATH_OCTETS:
        raise ValueError(f"a unix socket's path has at most {UNIX_PATH_OCTETS} octets, this one {size}")
    return UnixAddress(path)


def _descriptor_address(text: str) -> DescriptorAddress:
    """Read what follows ``fd:``; 0 to 2 are where the logs go."""
    number = _number(text, _MOST_DESCRIPTOR)
    if number is None or number < 3:
        raise ValueError("expected fd:N, the number of an inherited socket, 3 or more")
    return DescriptorAddress(number)


def _tcp_address(text: str) -> TcpAddress:
    """Read ``host:port`` in its forms."""
    host, colon, digits = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (not bracketed and ("[" in text or ":" in host)):
        raise ValueError(_what_was_meant(text))
    port = _number(digits, 65535)
    if port is None:
        raise ValueError(f"expected a port from 0 to 65535 after the last colon, got {digits[:20]!a}")
    if bracketed:
        return _v6_address(host[1:-1], port)
    if host == "":
        return TcpAddress("0.0.0.0", port)  # noqa: S104 - what ":port" means
    if host == "localhost":
        return TcpAddress("127.0.0.1", port)
    try:
        return TcpAddress(str(IPv4Address(host)), port)
    except AddressValueError:
        raise ValueError(_what_was_meant(text)) from None


def _v6_address(host: str, port: int) -> TcpAddress:
    """Read what stands in the brackets, a scope like ``%eth0`` included."""
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise ValueError(f"{host[:60]!a} is no IPv6 address") from None
    if address.ipv4_mapped is not None:
        raise ValueError(f"an IPv4 address is written as such: {address.ipv4_mapped}:{port}")
    return TcpAddress(str(address), port, v6=True)


def _what_was_meant(text: str) -> str:
    """Say what is wrong with a text that is no address, by looking at its shape."""
    for shape, answer in _SHAPES:
        found = re.fullmatch(shape, text)
        if found:
            return answer.format(*(part[:100] for part in found.groups()))
    return _FORMS


def _number(digits: str, most: int) -> int | None:
    """Read ASCII digits up to ``most``; None for all else."""
    if not re.fullmatch("[0-9]{1,10}", digits):
        return None
    number = int(digits)
    return number if number <= most else None
