"""The roster: what the master knows of its children, and of slots that have none.

Records of facts, without a process behind them: pids and instants come as
arguments, so a history can be replayed. The master writes down here what it did
and what it saw; ``policy.decide`` reads it.

Instants are monotonic seconds.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from forkhttp.scoreboard import Order, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forkhttp.settings import Timeouts

#: What a first failure costs a slot in seconds; each further one doubles it, up to the second figure.
BACKOFF_FIRST = 0.1
BACKOFF_LAST = 30.0
#: A worker that was ready for so many seconds before it failed has not failed to start.
SETTLED = 10.0


class Sight(NamedTuple):
    """What a child's row shows; only its own time and its neighbours' hang on its truth.

    Attributes:
        beat, progress: instants; 0.0: never.
        began: when the current request began; 0.0: none runs.
    """

    state: State = State.BOOTING
    beat: float = 0.0
    began: float = 0.0
    progress: float = 0.0


class Death(NamedTuple):
    """How a child ended, as the kernel tells it.

    Attributes:
        status: exit status, if it exited.
        signal: number of the signal that ended it, or 0.
        out_of_memory: the kernel killed somebody in this cgroup for memory meanwhile.
    """

    status: int = 0
    signal: int = 0
    out_of_memory: bool = False


@dataclass(slots=True)
class Child:
    """One process.

    Attributes:
        timeouts: of the settings it was born with.
        ready: when its application was loaded; None: not yet.
        order: the last that it was given, at ``ordered``.
        dumped: when it was asked for its stacks because it is about to be killed.
        killed: why it was killed by us; empty: it was not.
        seen: what its row showed last.
    """

    pid: int
    slot: int
    generation: int
    born: float
    timeouts: Timeouts
    ready: float | None = None
    order: Order = Order.BOOT
    ordered: float = 0.0
    dumped: float | None = None
    killed: str = ""
    seen: Sight = field(default_factory=Sight)

    @property
    def serves(self) -> bool:
        """Whether it fills its slot: it serves, or it boots in order to."""
        return self.order <= Order.SERVE


@dataclass(slots=True)
class Backoff:
    """How long something that failed waits before it is tried again."""

    failures: int = 0
    until: float = 0.0

    def fail(self, now: float) -> float:
        """Count a failure; the delay in seconds."""
        delay = min(BACKOFF_FIRST * 2.0**self.failures, BACKOFF_LAST)
        self.failures = min(self.failures + 1, 64)
        self.until = now + delay
        return delay


@dataclass(slots=True)
class Rising:
    """A generation that boots aside.

    Attributes:
        count: how many workers it must have, all ready, to be committed.
        failure: why it cannot be any more; empty: it still can.
        culprit: pid of the child that failed, or 0.
        status: the exit status that it failed with, or 0.
    """

    number: int
    count: int
    failure: str = ""
    culprit: int = 0
    status: int = 0

    def fail(self, reason: str, culprit: int = 0, status: int = 0) -> None:
        """Keep the first reason: the others follow from it."""
        if not self.failure:
            self.failure, self.culprit, self.status = reason, culprit, status


@dataclass(slots=True)
class Roster:
    """All children, and what was decided about generations.

    Attributes:
        generation: the number of the committed one; 0 before the first.
        rising: the one that boots aside, if any.
        forks: the backoff after a fork that failed, for all slots.
        awake_since: since when the master has been running without being stopped
            or frozen; before that it could not have seen a sign of life.
    """

    children: dict[int, Child] = field(default_factory=dict)
    generation: int = 0
    rising: Rising | None = None
    slots: dict[int, Backoff] = field(default_factory=dict)
    forks: Backoff = field(default_factory=Backoff)
    awake_since: float = 0.0

    def __iter__(self) -> Iterator[Child]:
        """All children, the oldest first."""
        return iter(self.children.values())

    def of(self, generation: int) -> list[Child]:
        """Those that fill a slot of this generation, or will once they are ready."""
        return [child for child in self if child.generation == generation and child.serves]

    def not_before(self, slot: int) -> float:
        """When the next worker of this slot may be forked."""
        backoff = self.slots.get(slot)
        return max(self.forks.until, backoff.until if backoff else 0.0)

    def begin(self, count: int) -> int:
        """Let a generation rise; its number. A refused one's number is used again."""
        self.rising = Rising(self.generation + 1, count)
        return self.rising.number

    def spawned(self, child: Child) -> None:
        """A child was forked."""
        self.children[child.pid] = child
        self.forks = Backoff()

    def fork_failed(self, generation: int, reason: str, now: float) -> float:
        """No child could be forked; the delay until the next attempt in seconds."""
        if self.rising and self.rising.number == generation:
            self.rising.fail(reason)
            return 0.0
        return self.forks.fail(now)

    def became_ready(self, pid: int, now: float) -> None:
        """A child's application is loaded."""
        self.children[pid].ready = now

    def gave(self, pid: int, order: Order, now: float) -> None:
        """A child was given an order."""
        child = self.children[pid]
        child.order, child.ordered = order, now

    def commit(self, now: float) -> None:
        """The rising generation serves; what failed in the one before is forgotten."""
        if self.rising is None:
            return
        self.generation = self.rising.number
        for child in self.of(self.generation):
            if not child.killed:
                self.gave(child.pid, Order.SERVE, now)
        self.rising = None
        self.slots.clear()

    def abandon(self, reason: str) -> list[Child]:
        """The rising generation is given up; those of it that still must be killed."""
        if self.rising is None:
            return []
        doomed = [child for child in self.of(self.rising.number) if not child.killed]
        for child in doomed:
            child.order, child.killed = Order.QUIT, reason
        self.rising = None
        return doomed

    def died(self, pid: int, death: Death, now: float) -> Child | None:
        """A child was reaped; its record, or None for a stranger (we may be PID 1)."""
        child = self.children.pop(pid, None)
        if child is None:
            return None
        if not child.serves:
            return child
        if self.rising and child.generation == self.rising.number:
            self.rising.fail(f"worker {child.slot} {describe(death)} before it served", pid, death.status)
        elif child.generation == self.generation and failed_to_start(child, death, now):
            self.slots.setdefault(child.slot, Backoff()).fail(now)
        elif child.generation == self.generation:
            self.slots.pop(child.slot, None)
        return child


def failed_to_start(child: Child, death: Death, now: float) -> bool:
    """Whether the next in this slot had better wait.

    It had, after one that was never ready, and after one that broke down soon.
    It need not after one that served and was killed from outside or left in
    order: whoever kills healthy workers wants them back.
    """
    if child.ready is None or death.out_of_memory:
        return True
    if child.killed or death.signal in _FROM_OUTSIDE or (death.status, death.signal) == (0, 0):
        return False
    return now - child.ready < SETTLED


#: What people and process managers send; other signals are breakdowns.
_FROM_OUTSIDE = frozenset({signal.SIGINT, signal.SIGKILL, signal.SIGTERM})


def describe(death: Death) -> str:
    """The death in words: ``exited with status 3``, ``was killed by SIGSEGV``."""
    if not death.signal:
        return f"exited with status {death.status}"
    try:
        name = signal.Signals(death.signal).name
    except ValueError:  # a real-time signal has a number only
        name = f"signal {death.signal}"
    return f"was killed by {name}"
