"""Listeners: bound once, inherited by every worker, kept over reloads.

A generation has a ``Binding``: the sockets of its addresses. A reload makes the
next one aside, from sockets whose address is unchanged and from new ones; what
is only in one of the two is closed when it is decided which of them goes on.

A unix socket in the file system is never stolen: one that answers is somebody's,
one that does not is replaced if it is a socket and belongs to us.

Source of the systemd protocol: sd_listen_fds(3).
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forkhttp import settings as tables
from forkhttp.config.addresses import (
    DescriptorAddress,
    SystemdAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
)
from forkhttp.context import Listener
from forkhttp.errors import ForkhttpError

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from forkhttp.config.addresses import Address
    from forkhttp.settings import Settings

#: The first descriptor that systemd passes.
_LISTEN_FDS_START = 3


class ListenError(ForkhttpError):
    """An address cannot be bound, or an inherited socket cannot be used."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """A socket of ours that listens.

    Attributes:
        address: what it stands for in the configuration; the same one is kept.
        place: device and inode of a unix socket's path: ours to remove as long as they are those.
    """

    address: Address
    table: tables.Listener
    socket: socket.socket
    place: tuple[int, int] | None = None

    @property
    def path(self) -> str:
        """The path of a unix socket that we made and nobody removed; else empty."""
        if not isinstance(self.address, UnixAddress) or self.place is None:
            return ""
        return self.address.path if _place(self.address.path) == self.place else ""

    @property
    def in_place(self) -> bool:
        """Whether clients still reach it."""
        return self.place is None or bool(self.path)

    def close(self) -> None:
        """Close it, and remove its path if that is still ours."""
        if self.path:
            with contextlib.suppress(OSError):
                Path(self.path).unlink()
        self.socket.close()


@dataclass(frozen=True, slots=True)
class Binding:
    """The sockets of one generation."""

    bound: tuple[_Bound, ...] = ()

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What the workers are born with."""
        return tuple(
            Listener(name=bound.table.bind, socket=bound.socket, tls=bound.table.tls) for bound in self.bound
        )

    def close_unless_in(self, other: Binding) -> None:
        """Close every socket that the other one does not have."""
        kept = {id(bound.socket) for bound in other.bound}
        for bound in self.bound:
            if id(bound.socket) not in kept:
                bound.close()

    def close(self) -> None:
        """Close every socket."""
        self.close_unless_in(Binding())

    def adjust(self, backlog: int) -> None:
        """Give kept sockets the properties of these settings, at the commit.

        Raises:
            ListenError: some could not be changed; the others were.
        """
        faults = []
        for bound in self.bound:
            try:
                bound.socket.listen(backlog)
                if bound.path:
                    _set_permissions(bound.path, bound.table)
            except (OSError, ListenError) as error:
                faults.append(f"{bound.address}: {error}")
        if faults:
            raise ListenError("; ".join(faults))


class Inherited:
    """The sockets that systemd passed, taken from the environment, once."""

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        """Read and remove the variables, so that no child believes they are meant for it."""
        count, owner = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
        environ.pop("LISTEN_FDNAMES", None)
        meant = owner == str(pid) and count.isdecimal()
        self.descriptors = range(_LISTEN_FDS_START, _LISTEN_FDS_START + int(count)) if meant else range(0)
        for fd in self.descriptors:
            with contextlib.suppress(OSError):
                os.set_inheritable(fd, False)  # noqa: FBT003 - it has no other name


def bind(settings: Settings, inherited: Inherited, before: Binding) -> Binding:
    """Open what the settings name, keeping of ``before`` what is the same.

    Raises:
        ListenError: something cannot be opened; what was opened here is closed again.
    """
    bound: list[_Bound] = []
    try:
        for table in _tables(settings):
            bound += _open(table, settings.backlog, inherited, before)
    except ListenError:
        Binding(tuple(bound)).close_unless_in(before)
        raise
    return Binding(tuple(bound))


def _tables(settings: Settings) -> Iterable[tables.Listener]:
    yield from (tables.Listener(bind=text) for text in settings.addresses)
    yield from settings.listener


def _open(table: tables.Listener, backlog: int, inherited: Inherited, before: Binding) -> list[_Bound]:
    address = parse_address(table.bind)
    kept = [bound for bound in before.bound if bound.address == address and bound.in_place]
    if kept:
        return [_Bound(address, table, bound.socket, bound.place) for bound in kept]
    try:
        if isinstance(address, TcpAddress):
            return [_Bound(address, table, _open_tcp(address, backlog))]
        if isinstance(address, UnixAddress):
            return [_open_unix(address, table, backlog)]
        if isinstance(address, DescriptorAddress):
            return [_Bound(address, table, _adopt(address.number))]
        return [_Bound(address, table, listener) for listener in _adopt_all(address, inherited)]
    except OSError as error:
        raise ListenError(f"cannot listen on {table.bind}: {error.strerror or error}") from error


def _open_tcp(address: TcpAddress, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if address.v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.settimeout(0.0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.v6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _open_unix(address: UnixAddress, table: tables.Listener, backlog: int) -> _Bound:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.settimeout(0.0)
        if address.abstract:
            listener.bind(address.path)
            listener.listen(backlog)
            return _Bound(address, table, listener)
        _make_room(address.path)
        before = os.umask(0o777 & ~int(table.mode, 8))
        try:
            listener.bind(address.path)
        finally:
            os.umask(before)
        _set_permissions(address.path, table)
        listener.listen(backlog)
        return _Bound(address, table, listener, _place(address.path))
    except BaseException:
        listener.close()
        raise


def _make_room(path: str) -> None:
    """Remove a stale socket of ours.

    Raises:
        OSError: the path is in use, or is not ours to remove.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "the path exists, and is no socket")
    if found.st_uid != os.geteuid():
        raise OSError(errno.EEXIST, f"the socket there belongs to uid {found.st_uid}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.0)
        answer = probe.connect_ex(path)
    if answer == errno.ECONNREFUSED:
        Path(path).unlink()
    elif answer != errno.ENOENT:
        raise OSError(errno.EADDRINUSE, "another server answers there")


def _set_permissions(path: str, table: tables.Listener) -> None:
    Path(path).chmod(int(table.mode, 8))
    if not table.owner and not table.group:
        return
    try:
        uid = pwd.getpwnam(table.owner).pw_uid if table.owner else -1
        gid = grp.getgrnam(table.group).gr_gid if table.group else -1
    except KeyError as error:
        raise ListenError(f"cannot give {path} away: {error.args[0]}") from error
    os.chown(path, uid, gid)


def _place(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _adopt_all(address: SystemdAddress, inherited: Inherited) -> list[socket.socket]:
    if not inherited.descriptors:
        raise ListenError(f"cannot listen on {address}: it passed no sockets (LISTEN_FDS, LISTEN_PID)")
    return [_adopt(number) for number in inherited.descriptors]


def _adopt(number: int) -> socket.socket:
    """Take over a socket that somebody else bound.

    Raises:
        OSError: it is none that listens for streams.
    """
    try:
        mode = os.fstat(number).st_mode
    except OSError as error:
        raise OSError(errno.EBADF, f"descriptor {number} is not open") from error
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, f"descriptor {number} is no socket")
    adopted = socket.socket(fileno=number)
    listens = adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not listens or adopted.type != socket.SOCK_STREAM:
        adopted.detach()
        raise OSError(errno.EINVAL, f"descriptor {number} is no stream socket that listens")
    adopted.set_inheritable(False)
    adopted.settimeout(0.0)
    return adopted
