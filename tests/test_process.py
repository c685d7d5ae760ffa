"""CPUs that a cgroup allows, rights that are given up for good, descriptors that are kept occupied."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import BootError, ConfigError
from forkhttp.process import Identity, cpu_count, drop_privileges, memory, resolve_identity

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = pwd.getpwnam("nobody")


def test_memory_is_this_process_alone() -> None:
    assert 1 << 20 < memory() < 1 << 32


def test_the_title_names_the_role() -> None:
    program = """
from forkhttp.process import set_title
set_title('forkhttp', 'worker 3 gen=2')
print(open('/proc/self/cmdline').read())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip("\0\n") == "forkhttp: worker 3 gen=2"


@pytest.mark.parametrize(
    ("own", "files", "affinity", "count"),
    [
        ("0::/\n", {}, 8, 8),
        ("", {}, 1, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, 8, 8),
        ("0::/\n", {"cpu.max": "150000 100000"}, 8, 2),
        ("0::/\n", {"cpu.max": "10000 100000"}, 8, 1),
        ("0::/\n", {"cpu.max": "400000 100000"}, 2, 2),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 8, 3),
        ("0::/not/here\n", {"cpu.max": "200000 100000"}, 8, 2),
        ("0::/\n", {"cpu.max": "nonsense"}, 8, 8),
        (
            "4:cpu,cpuacct:/x\n0::/\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "250000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            8,
            3,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, 8),
        ("3:memory:/x\n", {"memory/x/cpu.cfs_quota_us": "1", "memory/x/cpu.cfs_period_us": "1"}, 8, 8),
        ("0::/a\n", {"unified/a/cpu.max": "100000 100000"}, 8, 1),
    ],
)
def test_the_smallest_of_affinity_and_quotas_holds(
    tmp_path: Path, own: str, files: dict[str, str], affinity: int, count: int
) -> None:
    hierarchy = tmp_path / "cgroup"
    for name, text in files.items():
        path = hierarchy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "own").write_text(own)
    assert cpu_count(affinity, tmp_path / "own", hierarchy) == count


def test_this_machine_has_a_count() -> None:
    assert 1 <= cpu_count() <= len(os.sched_getaffinity(0))


def test_names_and_numbers_are_resolved() -> None:
    group = grp.getgrgid(NOBODY.pw_gid).gr_name
    assert resolve_identity("", "") is None
    by_name = resolve_identity("nobody", "")
    assert by_name == resolve_identity(str(NOBODY.pw_uid), "")
    assert by_name
    assert by_name[:2] == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert NOBODY.pw_gid in by_name.groups
    assert resolve_identity("nobody", group) == Identity(NOBODY.pw_uid, NOBODY.pw_gid, (NOBODY.pw_gid,))
    assert resolve_identity("nobody", "12345") == Identity(NOBODY.pw_uid, 12345, (12345,))
    assert resolve_identity("", "12345") == Identity(os.geteuid(), 12345, (12345,))


def test_unknown_names_are_all_told() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_identity("no-such-user", "no-such-group")
    assert [str(fault) for fault in caught.value.faults] == [
        "user: there is no user 'no-such-user'",
        "group: there is no group 'no-such-group'",
    ]


class Kernel:
    """The system calls of a drop, recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, returns: bool = False, refuses: str = "") -> None:
        self.calls: list[tuple[str, object]] = []
        self.uid = self.gid = 0
        self.returns = returns
        self.refuses = refuses
        for name in ("setgroups", "setgid", "setuid", "geteuid", "getresuid", "getresgid"):
            monkeypatch.setattr(os, name, getattr(self, name))

    def _called(self, name: str, argument: object) -> None:
        self.calls.append((name, argument))
        if name == self.refuses or (self.uid and name == "setuid" and not self.returns):
            raise PermissionError(1, "Operation not permitted")

    def setgroups(self, groups: object) -> None:
        """Record."""
        self._called("setgroups", groups)

    def setgid(self, gid: int) -> None:
        """Record and obey."""
        self._called("setgid", gid)
        self.gid = gid

    def setuid(self, uid: int) -> None:
        """Record and obey, unless the way back should be shut."""
        self._called("setuid", uid)
        self.uid = uid

    def geteuid(self) -> int:
        """Who this is."""
        return self.uid

    def getresuid(self) -> tuple[int, int, int]:
        """Who this is, three times."""
        return (self.uid,) * 3

    def getresgid(self) -> tuple[int, int, int]:
        """And its group."""
        return (self.gid,) * 3


WANTED = Identity(33, 44, (44, 55))
ORDER = [("setgroups", (44, 55)), ("setgid", 44), ("setuid", 33)]


def test_groups_then_group_then_user_then_the_way_back_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    drop_privileges(WANTED)
    assert kernel.calls == [*ORDER, ("setuid", 0)]
    kernel.calls.clear()
    drop_privileges(WANTED)
    assert kernel.calls == []


@pytest.mark.parametrize("refuses", ["setgroups", "setgid", "setuid"])
def test_a_refused_step_stops_the_drop(monkeypatch: pytest.MonkeyPatch, refuses: str) -> None:
    kernel = Kernel(monkeypatch, refuses=refuses)
    with pytest.raises(BootError, match="cannot become uid=33 gid=44: Operation not permitted"):
        drop_privileges(WANTED)
    assert kernel.calls[-1][0] == refuses


def test_a_way_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, returns=True)
    with pytest.raises(BootError, match="brought them back"):
        drop_privileges(WANTED)


def test_only_root_can_become_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    kernel.uid = 1000
    with pytest.raises(BootError, match="only root can become uid=33 gid=44"):
        drop_privileges(WANTED)
    assert kernel.calls == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its rights up")
def test_the_real_kernel_takes_the_rights() -> None:
    program = """
import os
from forkhttp.process import *
drop_privileges(resolve_identity("nobody", ""))
print(os.getresuid(), os.getresgid(), os.getgroups(), memory() > 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    assert done.stdout.strip() == f"{(uid,) * 3} {(gid,) * 3} {[gid]} True"


def test_closed_standard_descriptors_are_occupied() -> None:
    program = """
import os
from forkhttp.process import *
occupy_standard_descriptors()
print(os.readlink('/proc/self/fd/0'), os.readlink('/proc/self/fd/2'), os.open('/', os.O_RDONLY))
"""
    command = f'exec "{sys.executable}" -c "{program}" <&- 2>&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "/dev/null /dev/null 3\n"
