"""What the master should do next: a pure function of what it knows, what is wanted, and the time.

``decide`` is asked after every event. It reads a roster, forks nothing and
signals nobody; the master performs its actions, writes them down in the roster,
and asks again until there is nothing left but to wait. All rules about when a
worker is started, ordered, replaced or killed stand here.

A generation of which one worker fails before the commit is refused whole, also
if that worker had been ready: until then a reload costs nothing to take back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from forkhttp.scoreboard import Order, State

if TYPE_CHECKING:
    from forkhttp.master.roster import Child, Roster

#: Between the request for stacks and the kill: what faulthandler needs, with room.
DUMP_MOMENT = 0.25
#: The master looks at the rows so often within the time that a stall may take. It
#: bounds what a freeze of the machine that it could not notice takes from a worker.
LOOKS = 8
#: A slot has no more workers than this that leave of their own accord. A worker
#: that says so as soon as it is born must not become a fork bomb.
LEAVERS = 8


class Goal(IntEnum):
    """Where the operator wants the server to go."""

    RUN = 0
    DRAIN = 1
    QUIT = 2
    KILL = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator wants.

    Attributes:
        count: workers of the current generation.
        since: when ``goal`` was set.
    """

    count: int
    goal: Goal = Goal.RUN
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Spawn:
    """Fork a worker."""

    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class Give:
    """Write an order into a child's row and tell it to look."""

    pid: int
    order: Order


@dataclass(frozen=True, slots=True)
class Dump:
    """Ask a child for its stacks: it is about to be killed."""

    pid: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a child with SIGKILL."""

    pid: int
    reason: str


@dataclass(frozen=True, slots=True)
class Commit:
    """Let the rising generation serve."""

    generation: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Give the rising generation up; all its children are killed."""

    reason: str
    culprit: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """Nobody is left, as it was wanted."""


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing is to be done before this instant, unless something happens."""

    instant: float


Action = Spawn | Give | Dump | Kill | Commit | Refuse | Finish | WaitUntil


@dataclass(frozen=True, slots=True, order=True)
class _Limit:
    """An instant that a child must not live to see, and what is wrong if it does."""

    instant: float
    reason: str


@dataclass(slots=True)
class _Plan:
    now: float
    actions: list[Action] = field(default_factory=list)
    instants: list[float] = field(default_factory=list)

    def at(self, instant: float, *actions: Action) -> None:
        """Do it, if it is time for it; else remember when it will be."""
        if self.now >= instant:
            self.actions += actions
        else:
            self.instants.append(instant)

    def end(self, child: Child, limit: _Limit, action: Action | None = None) -> None:
        """Kill a child at a limit, or do this instead, after its stacks were asked for."""
        if child.dumped is None or child.dumped < limit.instant:
            self.at(limit.instant, Dump(child.pid))
        else:
            self.at(child.dumped + DUMP_MOMENT, action or Kill(child.pid, limit.reason))


def decide(roster: Roster, wanted: Wanted, now: float) -> list[Action]:
    """Everything that must be done now, and last the instant at which to ask again, if there is one."""
    plan = _Plan(now)
    living = [child for child in roster if not child.killed]
    if wanted.goal is Goal.RUN:
        if roster.rising:
            _raise(plan, roster)
            verdicts: list[Action] = [
                action for action in plan.actions if isinstance(action, Commit | Refuse)
            ]
            if verdicts:  # it changes what everything else depends on
                return verdicts[:1]
        if roster.generation:
            _fill(plan, roster, wanted)
        for child in living:
            _supervise(plan, roster, wanted, child)
    else:
        for child in living:
            _stop(plan, roster, wanted, child)
        if not roster.children:
            plan.actions.append(Finish())
    if plan.instants:
        plan.actions.append(WaitUntil(min(plan.instants)))
    return plan.actions


def _raise(plan: _Plan, roster: Roster) -> None:
    """Boot the rising generation, all of it at once, and commit or refuse it."""
    rising = roster.rising
    if rising is None:
        return
    if rising.failure:
        plan.actions.append(Refuse(rising.failure, rising.culprit))
        return
    living = [child for child in roster.of(rising.number) if not child.killed]
    missing = sorted(set(range(rising.count)) - {child.slot for child in living})
    if missing:
        plan.actions += [Spawn(slot, rising.number) for slot in missing]
    elif all(child.ready is not None for child in living):
        plan.actions.append(Commit(rising.number))
    for child in living:
        if child.ready is None:
            limit = _boot_limit(roster, child)
            plan.end(child, limit, Refuse(f"worker {child.slot} {limit.reason}", child.pid))


def _fill(plan: _Plan, roster: Roster, wanted: Wanted) -> None:
    """Fork who is missing in the current generation, each slot after its backoff."""
    taken = {child.slot for child in roster.of(roster.generation)}
    for slot in range(wanted.count):
        if slot in taken:
            continue
        leaving = sum(child.slot == slot and child.generation == roster.generation for child in roster)
        if leaving < LEAVERS:
            plan.at(roster.not_before(slot), Spawn(slot, roster.generation))


def _supervise(plan: _Plan, roster: Roster, wanted: Wanted, child: Child) -> None:
    """One living child, while the server is to go on."""
    if roster.rising and child.generation == roster.rising.number:
        return
    unwanted = child.generation != roster.generation or child.slot >= wanted.count
    if unwanted and child.order is Order.BOOT:
        plan.actions.append(Kill(child.pid, "it is not needed any more, and has served nobody"))
    elif child.order is Order.BOOT and child.ready is None:
        plan.end(child, _boot_limit(roster, child))
    elif child.order is Order.BOOT:
        plan.actions.append(Give(child.pid, Order.SERVE))
    elif child.order is Order.SERVE and (unwanted or child.seen.state >= State.RETIRING):
        plan.actions.append(Give(child.pid, Order.RETIRE))
    else:
        _watch(plan, roster, child)


def _watch(plan: _Plan, roster: Roster, child: Child) -> None:
    """One that serves or leaves: it must make progress, and those that leave must end."""
    limits = _signs_of_life(plan, roster, child)
    if child.order is Order.RETIRE and not _due(plan, limits):
        plan.at(child.ordered + child.timeouts.reload_drain, Give(child.pid, Order.DRAIN))
    elif child.order is Order.DRAIN:
        limits.append(_Limit(child.ordered + child.timeouts.kill, "did not finish in time"))
    elif child.order is Order.QUIT:
        limits.append(_Limit(child.ordered + child.timeouts.kill, "did not quit in time"))
    if limits:
        plan.end(child, min(limits))


def _stop(plan: _Plan, roster: Roster, wanted: Wanted, child: Child) -> None:
    """One living child, while the server is to end."""
    if wanted.goal is Goal.KILL:
        plan.actions.append(Kill(child.pid, "the server was told to end at once"))
    elif child.order is Order.BOOT:
        plan.actions.append(Kill(child.pid, "the server ends, and it has served nobody"))
    elif wanted.goal is Goal.DRAIN and child.order < Order.DRAIN:
        plan.actions.append(Give(child.pid, Order.DRAIN))
    elif wanted.goal is Goal.QUIT and child.order < Order.QUIT:
        plan.actions.append(Give(child.pid, Order.QUIT))
    elif child.order is Order.QUIT:
        plan.end(child, _Limit(child.ordered + child.timeouts.kill, "did not quit in time"))
    else:
        limits = _signs_of_life(plan, roster, child)
        if not _due(plan, limits):
            plan.at(wanted.since + child.timeouts.stop_drain, Give(child.pid, Order.QUIT))
        if limits:
            plan.end(child, min(limits))


def _boot_limit(roster: Roster, child: Child) -> _Limit:
    boot = child.timeouts.boot
    return _Limit(max(child.born, roster.awake_since) + boot, f"was not ready after {boot:g} s")


def _signs_of_life(plan: _Plan, roster: Roster, child: Child) -> list[_Limit]:
    """When a child that shows no more than it did counts as stuck.

    A running request must move an octet, whatever its worker was ordered. A worker
    that runs none, and is ordered to serve, goes around its loop at least once a
    second. Time in which the master could not look does not count.
    """
    timeouts, seen = child.timeouts, child.seen
    if not timeouts.stall:
        return []
    patience = timeouts.stall + timeouts.kill
    if seen.began:
        since = max(seen.began, seen.progress, roster.awake_since)
        limits = [_Limit(since + patience, f"a request made no progress for {patience:g} s")]
    elif child.order is Order.SERVE and seen.state in _LOOPING:
        since = max(seen.beat, child.ordered, roster.awake_since)
        limits = [_Limit(since + patience, f"it gave no sign of life for {patience:g} s")]
    else:
        limits = []
    if limits or child.order is Order.SERVE:
        plan.instants.append(plan.now + patience / LOOKS)
    return limits


#: States in which a worker's loop runs; while it leaves, an exit hook of the application may take its time.
_LOOPING = (State.READY, State.SERVING)


def _due(plan: _Plan, limits: list[_Limit]) -> bool:
    return any(plan.now >= limit.instant for limit in limits)
