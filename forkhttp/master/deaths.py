"""Every death explained: one record with what the kernel, the row and the worker itself said."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forkhttp.master.roster import Death, describe

if TYPE_CHECKING:
    from forkhttp.logs import ErrorLog
    from forkhttp.master.roster import Child
    from forkhttp.scoreboard import Row


class OutOfMemory:
    """Whether the kernel killed somebody in our cgroup for memory since the last look.

    Source: Documentation/admin-guide/cgroup-v2.rst of Linux, ``memory.events``.
    """

    def __init__(
        self, own_cgroups: Path = Path("/proc/self/cgroup"), hierarchy: Path = Path("/sys/fs/cgroup")
    ) -> None:
        """Find the counter; without one, nothing is ever noticed."""
        path = ""
        for line in _lines(own_cgroups):
            if line.startswith("0::/"):
                path = line[4:]
        self._events = hierarchy / path / "memory.events"
        self._kills = self._count()

    def happened(self) -> bool:
        """Compare the counter with that of the last look."""
        before, self._kills = self._kills, self._count()
        return self._kills > before

    def _count(self) -> int:
        for line in _lines(self._events):
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdecimal():
                return int(count)
        return 0


def death_of(status: int, *, out_of_memory: bool) -> Death:
    """Read a wait status."""
    if os.WIFSIGNALED(status):
        return Death(signal=os.WTERMSIG(status), out_of_memory=out_of_memory)
    return Death(status=os.WEXITSTATUS(status))


@dataclass(frozen=True, slots=True)
class Obituary:
    """What is known of a child that is gone.

    Attributes:
        row: its row, not yet released.
        peak_memory: octets of its largest resident set.
        words: its last words.
        retry_at: instant at which the next worker of its slot may be forked.
        now: the monotonic instant, in seconds.
    """

    child: Child
    death: Death
    row: Row
    peak_memory: int
    words: str
    retry_at: float
    now: float

    def write(self, log: ErrorLog) -> None:
        """Log it: an error, unless it left in order or had to go through no fault of its own."""
        child, death, row = self.child, self.death, self.row
        in_order = (death.status, death.signal) == (0, 0) and child.ready is not None
        innocent = bool(child.killed) and child.dumped is None
        record, event = (log.info, "worker left") if in_order or innocent else (log.error, "worker died")
        began = row.began
        record(
            event,
            worker=child.slot,
            gen=child.generation,
            pid=child.pid,
            cause=describe(death),
            reason=child.killed or None,
            hint="the kernel was short of memory in this cgroup" if death.out_of_memory else None,
            phase=row.state.name.lower(),
            request=row.request if began else None,
            request_age=round(max(self.now - began / 1e9, 0.0), 3) if began else None,
            age=round(self.now - child.born, 3),
            requests=row.requests,
            memory=row.memory or None,
            peak_memory=self.peak_memory,
            retry_in=round(self.retry_at - self.now, 1) if self.retry_at > self.now else None,
            detail=self.words,
        )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
