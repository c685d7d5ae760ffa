"""What a process is to the system: its title, its memory, its CPUs, its rights.

Names of users and groups are resolved once, before anything starts; the drop
itself is system calls only, so it is safe in a child right after the fork.
"""

from __future__ import annotations

import contextlib
import grp
import math
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
import setproctitle

from forkhttp.errors import BootError, ConfigError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator


def set_title(title: str, role: str) -> None:
    """Name this process in ``ps``: ``forkhttp: worker 3 gen=2``."""
    setproctitle.setproctitle(f"{title}: {role}")


def memory() -> int:
    """The octets of memory that are this process's alone (USS); 0 where the system does not say."""
    try:
        return int(psutil.Process().memory_full_info().uss)
    except (psutil.Error, OSError):
        return 0


def occupy_standard_descriptors() -> None:
    """Open ``/dev/null`` for whichever of 0, 1 and 2 is closed.

    Otherwise a listener or a connection gets that number, and what an application
    prints goes to a client.
    """
    fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    while fd <= 2:
        os.set_inheritable(fd, True)  # noqa: FBT003 - it takes no keywords
        fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.close(fd)


def cpu_count(
    affinity: int | None = None,
    own_cgroups: Path = Path("/proc/self/cgroup"),
    hierarchy: Path = Path("/sys/fs/cgroup"),
) -> int:
    """How many CPUs this process may use: by its affinity and its cgroup's quota, rounded up, at least 1.

    Source: sched_getaffinity(2); Documentation/admin-guide/cgroup-v2.rst (cpu.max) and
    Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us) of Linux.
    """
    allowed = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quotas = [quota for quota in _quotas(own_cgroups, hierarchy) if quota > 0]
    return max(1, min([allowed, *map(math.ceil, quotas)]))


def _quotas(own_cgroups: Path, hierarchy: Path) -> Iterator[float]:
    """The quotas that hold here, in CPUs: of the own cgroup and of each one above it."""
    for line in _text(own_cgroups).splitlines():
        _, _, membership = line.partition(":")
        controllers, _, path = membership.partition(":")
        if not controllers:
            mounts = [hierarchy, hierarchy / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [hierarchy / controllers, hierarchy / "cpu"]
        else:
            continue
        for mount in mounts:
            # In a container the path may be the host's; the root of the mount holds then.
            cgroup = mount / path.lstrip("/")
            for level in (cgroup, *cgroup.parents):
                if level != mount and mount not in level.parents:
                    break
                yield _quota(level)


def _quota(cgroup: Path) -> float:
    """The CPUs that one cgroup allows, 0 if it does not say."""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        quota, period = _text(cgroup / "cpu.max").split()
        return 0 if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(ValueError, ZeroDivisionError):
        return int(_text(cgroup / "cpu.cfs_quota_us")) / int(_text(cgroup / "cpu.cfs_period_us"))
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


class Identity(NamedTuple):
    """Whom the workers become: numbers, no names left to resolve."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def resolve_identity(user: str, group: str) -> Identity | None:
    """Look up a user and a group, each a name or a number; None if neither is given.

    Without a group, the user's own groups are taken. A group replaces them all.

    Raises:
        ConfigError: there is no such user or group.
    """
    if not user and not group:
        return None
    faults = []
    uid, gid, groups = os.geteuid(), os.getegid(), tuple(os.getgroups())
    if user:
        try:
            entry = _user(user)
        except KeyError:
            faults.append(Fault("user", f"there is no user {user!r}"))
        else:
            uid, gid = entry.pw_uid, entry.pw_gid
            groups = tuple(os.getgrouplist(entry.pw_name, gid))
    if group:
        try:
            gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
            groups = (gid,)
        except KeyError:
            faults.append(Fault("group", f"there is no group {group!r}"))
    if faults:
        raise ConfigError(faults)
    return Identity(uid, gid, groups)


def _user(user: str) -> pwd.struct_passwd:
    return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)


def drop_privileges(identity: Identity) -> None:
    """Become ``identity`` for good: groups, then group, then user; and make sure of it.

    Who is that identity already needs no rights for it.

    Raises:
        BootError: it cannot be done, or could be undone.

    Source: setuid(2), credentials(7); the order is that of every daemon, because
    after the user is gone nothing else may be changed.
    """
    uid, gid, groups = identity
    if os.geteuid() != 0:
        if (os.getresuid(), os.getresgid()) == ((uid,) * 3, (gid,) * 3):
            return
        raise BootError(
            f"only root can become uid={uid} gid={gid}; start as root, or leave user and group out"
        )
    try:
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        raise BootError(f"cannot become uid={uid} gid={gid}: {error.strerror}") from error
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3:
        raise BootError(f"became uid={os.getresuid()} gid={os.getresgid()} instead of uid={uid} gid={gid}")
    if uid != 0:
        _refuse_return()


def _refuse_return() -> None:
    """Make sure that the way back to root is shut."""
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise BootError("privileges were dropped, but setuid(0) brought them back")
