"""The policy over a fake kernel: any history of births, deaths, reloads and stops keeps its promises."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from forkhttp.master.policy import (
    LEAVERS,
    Action,
    Commit,
    Dump,
    Finish,
    Give,
    Goal,
    Kill,
    Refuse,
    Spawn,
    WaitUntil,
    Wanted,
    decide,
)
from forkhttp.master.roster import Child, Death, Roster, Sight
from forkhttp.scoreboard import Order, State
from forkhttp.settings import Timeouts

TIMEOUTS = Timeouts(boot=10, stall=20, kill=2, stop_drain=5, reload_drain=30)
COUNTS = st.integers(1, 3)
DEATHS = st.sampled_from([Death(), Death(status=3), Death(signal=9), Death(signal=11)])
#: Who of those there are, whatever their number.
ANYBODY = st.integers(0, 30)


class Server(RuleBasedStateMachine):
    """A master without processes: it performs the actions on the roster alone."""

    def __init__(self) -> None:
        """Start at time 0 with nobody."""
        super().__init__()
        self.now = 0.0
        self.roster = Roster()
        self.wanted = Wanted(0)
        self.pids = iter(range(1, 100_000))
        self.forks_fail = False
        self.finished = False
        self.next_look: float | None = None

    @initialize(count=COUNTS)
    def start(self, count: int) -> None:
        """Begin the first generation."""
        self.roster.begin(count)
        self.settle()

    def settle(self) -> None:
        """Ask and perform until there is nothing left but to wait."""
        for _ in range(20):
            actions = decide(self.roster, self.wanted, self.now)
            self.next_look = next((a.instant for a in actions if isinstance(a, WaitUntil)), None)
            if self.next_look is not None:
                assert self.next_look > self.now
            actions = [action for action in actions if not isinstance(action, WaitUntil)]
            if not actions or self.finished:
                return
            for action in actions:
                self.perform(action)
        raise AssertionError("the master spins")

    def perform(self, action: Action) -> None:
        """Do to the roster what the master would do to processes."""
        children = self.roster.children
        match action:
            case Spawn(slot, generation):
                self.fork(slot, generation)
            case Give(pid, order):
                assert order > children[pid].order
                assert order is not Order.SERVE or children[pid].generation == self.roster.generation
                self.roster.gave(pid, order, self.now)
            case Dump(pid):
                children[pid].dumped = self.now
            case Kill(pid, reason):
                assert not children[pid].killed
                children[pid].killed = reason
            case Commit():
                assert self.roster.rising
                risen = [c for c in self.roster.of(self.roster.rising.number) if not c.killed]
                assert {c.slot for c in risen} == set(range(self.roster.rising.count))
                assert all(c.ready is not None for c in risen)
                self.wanted = Wanted(self.roster.rising.count)
                self.roster.commit(self.now)
            case Refuse(reason):
                self.roster.abandon(reason)
                if not self.roster.generation:
                    self.wanted = Wanted(0, Goal.KILL, self.now)
            case Finish():
                assert not children
                self.finished = True

    def fork(self, slot: int, generation: int) -> None:
        """Make a child, or fail to."""
        assert self.wanted.goal is Goal.RUN
        if self.forks_fail:
            self.roster.fork_failed(generation, "no", self.now)
        elif generation != self.roster.generation or self.now >= self.roster.not_before(slot):
            self.roster.spawned(Child(next(self.pids), slot, generation, self.now, TIMEOUTS))

    def one(self, number: int) -> Child | None:
        """Pick a child."""
        children = list(self.roster)
        return children[number % len(children)] if children else None

    @rule(number=ANYBODY)
    def becomes_ready(self, number: int) -> None:
        """Let one finish booting."""
        child = self.one(number)
        if child and child.ready is None:
            self.roster.became_ready(child.pid, self.now)
            self.settle()

    @rule()
    def all_become_ready(self) -> None:
        """Let everybody finish booting."""
        for child in self.roster:
            if child.ready is None:
                self.roster.became_ready(child.pid, self.now)
        self.settle()

    @rule(number=ANYBODY, death=DEATHS)
    def dies(self, number: int, death: Death) -> None:
        """Let one end."""
        child = self.one(number)
        if child:
            self.roster.died(child.pid, death, self.now)
            self.settle()

    @rule(number=ANYBODY, state=st.sampled_from(State), busy=st.booleans())
    def shows(self, number: int, state: State, *, busy: bool) -> None:
        """Let one write something into its row, sense or not."""
        child = self.one(number)
        if child:
            child.seen = Sight(state, self.now, self.now if busy else 0.0, self.now)
            self.settle()

    @rule(seconds=st.floats(0.01, 40))
    def time_passes(self, seconds: float) -> None:
        """Let the master wake at every instant that it asked for."""
        end = self.now + seconds
        while self.next_look is not None and self.next_look < end and not self.finished:
            self.now = self.next_look
            self.settle()
        self.now = end
        self.settle()

    @rule(fail=st.booleans())
    def forks_change(self, *, fail: bool) -> None:
        """Let the system run out of processes, or recover."""
        self.forks_fail = fail

    @precondition(lambda self: self.roster.generation and not self.roster.rising)
    @rule(count=COUNTS)
    def reload(self, count: int) -> None:
        """Let a generation rise."""
        if self.wanted.goal is Goal.RUN:
            self.roster.begin(count)
            self.settle()

    @rule(step=st.sampled_from([-1, 1]))
    def resize(self, step: int) -> None:
        """Want one more or one fewer."""
        self.wanted = Wanted(min(max(self.wanted.count + step, 1), 4), self.wanted.goal, self.wanted.since)
        self.settle()

    @rule(goal=st.sampled_from([Goal.DRAIN, Goal.QUIT, Goal.KILL]), chance=st.integers(0, 5))
    def stop(self, goal: Goal, chance: int) -> None:
        """Want to end, or end sooner."""
        if not chance and goal > self.wanted.goal:
            self.wanted = Wanted(self.wanted.count, goal, self.now)
            self.settle()

    @invariant()
    def a_slot_has_one_worker(self) -> None:
        """No slot is served twice, and only leavers are beside it, in bounds."""
        places = [(c.generation, c.slot) for c in self.roster if c.serves]
        assert len(places) == len(set(places))
        for place in set(places):
            assert sum((c.generation, c.slot) == place for c in self.roster) <= LEAVERS + 1

    @invariant()
    def nobody_is_missing(self) -> None:
        """A slot without a worker has a reason: a backoff, or those that leave it."""
        roster, wanted = self.roster, self.wanted
        if not roster.generation or wanted.goal is not Goal.RUN:
            return
        taken = {child.slot for child in roster.of(roster.generation)}
        for slot in set(range(wanted.count)) - taken:
            leaving = sum((c.generation, c.slot) == (roster.generation, slot) for c in roster)
            assert roster.not_before(slot) > self.now or leaving >= LEAVERS

    @invariant()
    def only_the_current_generation_serves(self) -> None:
        """An older generation is on its way out, a rising one not yet in."""
        for child in self.roster:
            if child.order is Order.SERVE and not child.killed and self.wanted.goal is Goal.RUN:
                assert child.generation == self.roster.generation

    def teardown(self) -> None:
        """A stop always ends, also with workers that obey nothing and die of SIGKILL only."""
        if self.wanted.goal is Goal.RUN:
            self.wanted = Wanted(self.wanted.count, Goal.DRAIN, self.now)
        self.settle()
        begin = self.now
        while not self.finished:
            doomed = [child.pid for child in self.roster if child.killed]
            if doomed:
                for pid in doomed:
                    self.roster.died(pid, Death(signal=9), self.now)
            else:
                assert self.next_look is not None, "the master waits for nothing"
                self.now = self.next_look
            self.settle()
        assert self.now - begin <= TIMEOUTS.stop_drain + TIMEOUTS.kill + 1


Server.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestServer = Server.TestCase
