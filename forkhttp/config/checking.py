"""What a value's type cannot tell: checks that need several keys, the disk or the list of users.

Each check names its key, so that the fault gets the file and line of that key.
They look at the machine as the process that asks sees it: whoever will start
forkhttp should be the one who checks.
"""

from __future__ import annotations

import difflib
import grp
import os
import pwd
import re
from pathlib import Path
from typing import TYPE_CHECKING

from forkhttp.access_format import compile_format
from forkhttp.config.addresses import TcpAddress, UnixAddress, conflict, parse_address
from forkhttp.config.keys import KEYS, LISTENER_KEYS
from forkhttp.config.unavailable import UNAVAILABLE
from forkhttp.config.values import shown
from forkhttp.wire import TrustedPeers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from forkhttp.config.addresses import Address
    from forkhttp.settings import Listener, Settings

#: A dotted name and what is wrong with its value.
Problem = tuple[str, str]

#: Where a log may go beside a file.
STREAMS = ("stdout", "stderr", "off")

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def problems(settings: Settings, listeners: Mapping[str, Listener]) -> Iterator[Problem]:
    """Find everything that is wrong.

    Args:
        settings: complete; a path in it may be relative to the current directory.
        listeners: those of ``settings`` by the names that faults give them: ``listener[0]``.
    """
    yield from _unavailable(settings, listeners)
    yield from _addresses(settings, listeners)
    for name, listener in listeners.items():
        yield from _listener(name, listener)
    yield from _directories(settings)
    yield from _files(settings)
    yield from _names(settings)
    yield from _identity(settings)
    yield from _texts(settings)


def warnings(settings: Settings) -> Iterator[Problem]:
    """Find what will have no effect."""
    if settings.target and settings.directory:
        yield "directory", "has no effect beside a target"


def _unavailable(settings: Settings, listeners: Mapping[str, Listener]) -> Iterator[Problem]:
    """Refuse a key whose feature is not built, unless it asks for nothing."""
    for name in sorted(UNAVAILABLE & KEYS.keys()):
        table, _, last = name.rpartition(".")
        if getattr(getattr(settings, table), last) != KEYS[name].default:
            yield name, _not_yet(KEYS[name].default)
    for place, listener in listeners.items():
        for last, key in LISTENER_KEYS.items():
            if f"listener.{last}" in UNAVAILABLE and getattr(listener, last) != key.default:
                yield f"{place}.{last}", _not_yet(key.default)


def _not_yet(default: object) -> str:
    """Say so, and what may stand there."""
    value = shown(list(default) if isinstance(default, tuple) else default)
    return f"not available in this version; leave it out, or at {'[]' if default == () else value}"


def _addresses(settings: Settings, listeners: Mapping[str, Listener]) -> Iterator[Problem]:
    """Check all addresses, each alone and beside those before it."""
    written = [("bind", text) for text in settings.addresses]
    written += [(f"{name}.bind", listener.bind) for name, listener in listeners.items()]
    if not written:
        yield "bind", "there is nothing to listen on; give at least one address"
    seen: dict[Address, str] = {}
    for name, text in written:
        try:
            address = parse_address(text)
        except ValueError as error:
            yield name, f"{shown(text)} is no address: {error}"
            continue
        other = conflict(address, tuple(seen))
        if other is not None:
            yield name, f"{shown(text)} cannot be bound beside {shown(seen[other])}"
        elif isinstance(address, UnixAddress) and not address.abstract:
            yield from _parent(name, address.path)
        seen.setdefault(address, text)


def _listener(name: str, listener: Listener) -> Iterator[Problem]:
    """Check what only a unix socket in the file system has: permissions and owners."""
    for last in ("mode", "owner", "group"):
        value = getattr(listener, last)
        if value != LISTENER_KEYS[last].default and _is_tcp(listener.bind):
            yield f"{name}.{last}", f"only a unix socket has one, and {shown(listener.bind)} is none"
    for last, kind, owner, number in (
        ("owner", "user", listener.owner, _uid),
        ("group", "group", listener.group, _gid),
    ):
        try:
            if owner:
                number(owner)
        except KeyError:
            yield f"{name}.{last}", f"there is no {kind} {shown(owner)}"


def _is_tcp(text: str) -> bool:
    """Whether an address is a good one of TCP."""
    try:
        return isinstance(parse_address(text), TcpAddress)
    except ValueError:
        return False


def _directories(settings: Settings) -> Iterator[Problem]:
    """Check that directories are there."""
    paths = [("chdir", settings.chdir), ("directory", settings.directory)]
    paths += [("pythonpath", path) for path in settings.pythonpath]
    for name, path in paths:
        if path and not os.path.isdir(path):  # noqa: PTH112 - never raises, whatever the path
            there = "is not a directory" if os.path.lexists(path) else "does not exist"
            yield name, f"{shown(path)} {there}"


def _files(settings: Settings) -> Iterator[Problem]:
    """Check that files which forkhttp writes can be made where they are wanted."""
    for name, path in (("log.error", settings.log.error), ("log.access", settings.log.access)):
        if path in STREAMS:
            continue
        if "/" in path:
            yield from _parent(name, path)
            continue
        close = difflib.get_close_matches(path.lower(), STREAMS, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        yield name, f"expected stdout, stderr, off or a path with a slash in it, got {shown(path)}{guess}"
    if settings.pid_file:
        yield from _parent("pid_file", settings.pid_file)
        if settings.pid_file in (settings.log.error, settings.log.access):
            yield "pid_file", f"{shown(settings.pid_file)} is a log file too"


def _parent(name: str, path: str) -> Iterator[Problem]:
    """Check the directory that a file or socket will be made in, and that none has its name."""
    parent = os.path.dirname(path) or "."  # noqa: PTH120 - as it was written
    if not os.path.isdir(parent):  # noqa: PTH112 - never raises, whatever the path
        yield name, f"the directory {shown(parent)} does not exist"
    elif os.path.isdir(path):  # noqa: PTH112
        yield name, f"{shown(path)} is a directory"


def _names(settings: Settings) -> Iterator[Problem]:
    """Check the shape of names that are resolved in the workers."""
    if settings.target:
        yield from _target(settings)
    name = settings.server_class
    if name and not _DOTTED.fullmatch(name.replace(":", ".", 1)):
        yield "server_class", f"expected a dotted name such as package.module.Class, got {shown(name)}"


def _target(settings: Settings) -> Iterator[Problem]:
    """Check a target without importing it; the workers resolve it in their own directory."""
    path, colon, attribute = settings.target.rpartition(":")
    if not colon or "/" in attribute:  # then the colon is part of a path
        path, attribute = settings.target, "handler"
    file = Path(settings.chdir, path)
    if not _DOTTED.fullmatch(attribute):
        yield "target", f"expected a name after the colon, got {shown(settings.target)}"
    elif not path.endswith(".py") and "/" not in path:
        if not _DOTTED.fullmatch(path):
            forms = "module:attribute or path/to/file.py:attribute"
            yield "target", f"expected {forms}, got {shown(settings.target)}"
    elif not os.path.isfile(file):  # noqa: PTH113 - never raises, whatever the path
        yield "target", f"the file {shown(str(file))} does not exist"


def _identity(settings: Settings) -> Iterator[Problem]:
    """Check that the workers can become whom they should."""
    uid, gid = os.geteuid(), os.getegid()
    for name, wanted, own, number in (
        ("user", settings.user, uid, _uid),
        ("group", settings.group, gid, _gid),
    ):
        try:
            if wanted and number(wanted) != own and uid != 0:
                yield name, f"only root can become {shown(wanted)}, and this is uid {uid} gid {gid}"
        except KeyError:
            yield name, f"there is no {name} {shown(wanted)}"


def _uid(user: str) -> int:
    """Look a user up, by name or number.

    Raises:
        KeyError: there is none.
    """
    return (pwd.getpwuid(int(user)) if _is_number(user) else pwd.getpwnam(user)).pw_uid


def _gid(group: str) -> int:
    """Look a group up; a number needs no entry, as for chown(1).

    Raises:
        KeyError: there is none.
    """
    if not _is_number(group):
        return grp.getgrnam(group).gr_gid
    if int(group) >= 1 << 32:
        raise KeyError(group)
    return int(group)


def _is_number(name: str) -> bool:
    """Whether a user or group is given by its number; no number of theirs has more than ten digits."""
    return name.isdecimal() and len(name) <= 10


def _texts(settings: Settings) -> Iterator[Problem]:
    """Check texts that have a form of their own."""
    header = settings.http.server_header
    if isinstance(header, str) and not (header.isascii() and header.isprintable() and header.strip()):
        yield "http.server_header", f"expected printable ASCII, true or false, got {shown(header)}"
    if not settings.title.strip():
        yield "title", "expected a name, got an empty one"
    for entry in settings.proxy.trusted:
        try:
            TrustedPeers([entry])
        except ValueError as error:
            yield "proxy.trusted", str(error)
    if settings.proxy.protocol != "off" and not settings.proxy.trusted:
        yield "proxy.protocol", "nobody is trusted to speak it; name your proxies in proxy.trusted"
    try:
        compile_format(settings.log.format)
    except ValueError as error:
        yield "log.format", str(error)
