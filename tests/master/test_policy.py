"""What the master does next, case by case: facts in, actions out, no process anywhere."""

from __future__ import annotations

import pytest

from forkhttp.master.policy import (
    DUMP_MOMENT,
    LEAVERS,
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
from forkhttp.master.roster import BACKOFF_LAST, SETTLED, Child, Death, Rising, Roster, Sight
from forkhttp.scoreboard import Order, State
from forkhttp.settings import Timeouts

#: Each differs from the others, so that a case shows which one was meant. Stalls are off, unless asked for.
TIMEOUTS = Timeouts(boot=60, stall=0, kill=5, stop_drain=25, reload_drain=300)
STALLING = Timeouts(boot=60, stall=40, kill=5, stop_drain=25, reload_drain=300)
KILLED = Death(signal=9)
CRASHED = Death(signal=11)


def child(pid: int, order: Order = Order.SERVE, *, slot: int = 0, generation: int = 1) -> Child:
    """Stand for a worker that was born at 0, ready at 1 unless it boots, and ordered at 2."""
    ready = None if order is Order.BOOT else 1.0
    return Child(pid, slot, generation, 0.0, TIMEOUTS, ready=ready, order=order, ordered=2.0)


def roster(*children: Child, generation: int = 1, rising: Rising | None = None) -> Roster:
    """Stand for these children."""
    return Roster({child.pid: child for child in children}, generation, rising)


# A generation rises.


def test_a_rising_generation_is_forked_at_once() -> None:
    facts = roster(generation=0, rising=Rising(1, 3))
    assert decide(facts, Wanted(0), 0.0) == [Spawn(0, 1), Spawn(1, 1), Spawn(2, 1)]


def test_it_is_waited_for_until_the_boot_timeout() -> None:
    ready = child(7, Order.BOOT)
    ready.ready = 3.0
    facts = roster(ready, child(8, Order.BOOT, slot=1), generation=0, rising=Rising(1, 2))
    assert decide(facts, Wanted(0), 10.0) == [WaitUntil(60.0)]


def test_it_is_committed_when_all_are_ready() -> None:
    facts = roster(child(7, Order.BOOT), child(8, Order.BOOT, slot=1), generation=0, rising=Rising(1, 2))
    facts.became_ready(7, 3.0)
    facts.became_ready(8, 4.0)
    assert decide(facts, Wanted(0), 4.0) == [Commit(1)]


def test_it_is_refused_when_one_dies_even_if_it_was_ready() -> None:
    facts = roster(child(5), child(7, Order.BOOT, generation=2), child(8, Order.BOOT, slot=1, generation=2))
    facts.rising = Rising(2, 2)
    facts.became_ready(7, 3.0)
    facts.died(7, Death(status=3), 4.0)
    facts.died(8, Death(status=4), 4.0)
    assert decide(facts, Wanted(1), 4.0) == [Refuse("worker 0 exited with status 3 before it served", 7)]


def test_it_is_refused_when_a_fork_fails() -> None:
    facts = roster(child(5), rising=Rising(2, 2))
    facts.fork_failed(2, "cannot fork", 4.0)
    assert decide(facts, Wanted(1), 4.0) == [Refuse("cannot fork")]


def test_one_that_is_not_ready_in_time_is_asked_for_its_stacks_first() -> None:
    facts = roster(child(5), child(7, Order.BOOT, generation=2), rising=Rising(2, 1))
    assert decide(facts, Wanted(1), 60.0) == [Dump(7)]
    facts.children[7].dumped = 60.0
    assert decide(facts, Wanted(1), 60.0) == [WaitUntil(60.0 + DUMP_MOMENT)]
    refusal = Refuse("worker 0 was not ready after 60 s", 7)
    assert decide(facts, Wanted(1), 60.0 + DUMP_MOMENT) == [refusal]


def test_a_commit_comes_alone_because_it_changes_who_is_current() -> None:
    facts = roster(child(5, Order.BOOT), child(7, Order.BOOT, generation=2), rising=Rising(2, 1))
    facts.became_ready(5, 3.0)
    facts.became_ready(7, 3.0)
    assert decide(facts, Wanted(1), 4.0) == [Commit(2)]


def test_a_generation_is_refused_once_however_many_are_late() -> None:
    late = [child(pid, Order.BOOT, slot=pid, generation=2) for pid in (0, 1)]
    facts = roster(*late, rising=Rising(2, 2))
    for one in late:
        one.dumped = 60.0
    assert decide(facts, Wanted(1), 61.0) == [Refuse("worker 0 was not ready after 60 s", 0)]


def test_what_serves_is_replaced_while_another_generation_rises() -> None:
    facts = roster(child(7, Order.BOOT, generation=2), rising=Rising(2, 1))
    assert decide(facts, Wanted(1), 4.0) == [Spawn(0, 1), WaitUntil(60.0)]


def test_a_refused_generation_leaves_no_trace_on_the_next_of_its_number() -> None:
    facts = roster(child(5), child(7, Order.BOOT, generation=2), rising=Rising(2, 1))
    assert [doomed.pid for doomed in facts.abandon("refused")] == [7]
    assert facts.begin(1) == 2
    assert decide(facts, Wanted(1), 4.0) == [Spawn(0, 2)]
    facts.died(7, KILLED, 4.0)
    assert facts.rising == Rising(2, 1)
    assert facts.not_before(0) == 0.0


# One generation follows another.


def test_the_old_retire_after_the_commit() -> None:
    facts = roster(child(5), child(7, Order.BOOT, generation=2), rising=Rising(2, 1))
    facts.became_ready(7, 3.0)
    facts.commit(4.0)
    assert decide(facts, Wanted(1), 4.0) == [Give(5, Order.RETIRE)]


def test_an_old_one_that_never_served_is_killed() -> None:
    facts = roster(child(5, Order.BOOT), child(7, generation=2), generation=2)
    reason = "it is not needed any more, and has served nobody"
    assert decide(facts, Wanted(1), 4.0) == [Kill(5, reason)]


@pytest.mark.parametrize(
    ("order", "now", "actions"),
    [
        (Order.RETIRE, 301.0, [WaitUntil(302.0)]),
        (Order.RETIRE, 302.0, [Give(5, Order.DRAIN)]),
        (Order.DRAIN, 6.0, [WaitUntil(7.0)]),
        (Order.DRAIN, 7.0, [Dump(5)]),
        (Order.QUIT, 7.0, [Dump(5)]),
    ],
)
def test_who_leaves_has_so_much_time(order: Order, now: float, actions: list[object]) -> None:
    facts = roster(child(5, order), child(7, generation=2), generation=2)
    assert decide(facts, Wanted(1), now) == actions


def test_who_does_not_leave_is_killed_after_its_stacks_were_asked_for() -> None:
    facts = roster(child(5, Order.DRAIN), child(7, generation=2), generation=2)
    facts.children[5].dumped = 7.0
    assert decide(facts, Wanted(1), 7.25) == [Kill(5, "did not finish in time")]
    facts.children[5].killed = "did not finish in time"
    assert decide(facts, Wanted(1), 7.25) == []


# Workers come and go.


def test_a_missing_worker_is_forked_at_once() -> None:
    assert decide(roster(child(5)), Wanted(2), 4.0) == [Spawn(1, 1)]


def test_a_replacement_serves_as_soon_as_it_is_ready() -> None:
    facts = roster(child(5, Order.BOOT))
    facts.became_ready(5, 3.0)
    assert decide(facts, Wanted(1), 4.0) == [Give(5, Order.SERVE)]


def test_a_replacement_that_is_not_ready_in_time_is_killed() -> None:
    facts = roster(child(5, Order.BOOT))
    assert decide(facts, Wanted(1), 60.0) == [Dump(5)]
    facts.children[5].dumped = 60.0
    assert decide(facts, Wanted(1), 61.0) == [Kill(5, "was not ready after 60 s")]


def test_one_worker_fewer_is_the_last_slot_and_it_retires() -> None:
    facts = roster(child(5), child(6, slot=1))
    assert decide(facts, Wanted(1), 4.0) == [Give(6, Order.RETIRE)]


def test_who_retires_by_itself_is_ordered_to_and_replaced() -> None:
    facts = roster(child(5))
    facts.children[5].seen = Sight(State.RETIRING)
    assert decide(facts, Wanted(1), 4.0) == [Give(5, Order.RETIRE)]
    facts.gave(5, Order.RETIRE, 4.0)
    assert decide(facts, Wanted(1), 4.0) == [Spawn(0, 1), WaitUntil(304.0)]


def test_a_slot_whose_workers_leave_as_soon_as_they_come_is_no_fork_bomb() -> None:
    facts = roster(*(child(pid, Order.RETIRE) for pid in range(1, LEAVERS + 1)))
    assert decide(facts, Wanted(1), 4.0) == [WaitUntil(302.0)]


# Deaths and backoff.


def die(facts: Roster, *, born: float, ready: float | None, death: Death, now: float) -> float:
    """Live through one worker of slot 0; how long its successor waits."""
    facts.spawned(Child(9, 0, 1, born, TIMEOUTS, ready=ready, order=Order.SERVE if ready else Order.BOOT))
    facts.died(9, death, now)
    return max(facts.not_before(0) - now, 0.0)


def test_deaths_before_readiness_wait_longer_each_time() -> None:
    facts = roster()
    delays = [die(facts, born=t, ready=None, death=CRASHED, now=t) for t in map(float, range(11))]
    doubling = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, BACKOFF_LAST, BACKOFF_LAST]
    assert delays == pytest.approx(doubling)


def test_the_backoff_is_waited_for() -> None:
    facts = roster()
    die(facts, born=3.0, ready=None, death=CRASHED, now=4.0)
    assert decide(facts, Wanted(1), 4.0) == [WaitUntil(4.1)]
    assert decide(facts, Wanted(1), 4.1) == [Spawn(0, 1)]


def test_one_that_served_ends_the_backoff() -> None:
    facts = roster()
    for _ in range(5):
        die(facts, born=3.0, ready=None, death=CRASHED, now=4.0)
    assert die(facts, born=5.0, ready=6.0, death=KILLED, now=7.0) == 0.0
    assert die(facts, born=8.0, ready=None, death=CRASHED, now=9.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("death", "age", "waits"),
    [
        (KILLED, 0.0, False),
        (Death(signal=15), 0.0, False),
        (Death(), 0.0, False),
        (Death(status=1), 0.0, True),
        (CRASHED, SETTLED - 1, True),
        (CRASHED, SETTLED, False),
        (Death(signal=9, out_of_memory=True), SETTLED, True),
    ],
)
def test_who_was_ready_is_backed_off_only_if_it_broke_down_early(
    death: Death, age: float, *, waits: bool
) -> None:
    delay = die(roster(), born=3.0, ready=4.0, death=death, now=4.0 + age)
    assert (delay > 0.0) is waits


def test_a_stranger_is_nobody() -> None:
    facts = roster(child(5))
    assert facts.died(4711, CRASHED, 4.0) is None
    assert decide(facts, Wanted(1), 4.0) == []


def test_a_fork_that_fails_holds_all_slots_up_and_a_success_ends_it() -> None:
    facts = roster()
    assert facts.fork_failed(1, "no", 4.0) == 0.1
    assert facts.fork_failed(1, "no", 4.1) == 0.2
    assert decide(facts, Wanted(2), 4.1) == [WaitUntil(4.1 + 0.2)]
    facts.spawned(child(5))
    assert decide(facts, Wanted(2), 4.1) == [Spawn(1, 1)]


# Signs of life.


def stalling(order: Order, seen: Sight) -> Roster:
    """One worker with stalls at 45 s, ordered at 2, that shows this."""
    watched = Child(5, 0, 1, 0.0, STALLING, ready=1.0, order=order, ordered=2.0, seen=seen)
    return roster(watched)


SERVING = State.SERVING


@pytest.mark.parametrize(
    ("order", "seen", "now", "reason"),
    [
        (Order.SERVE, Sight(SERVING, beat=100.0), 144.9, ""),
        (Order.SERVE, Sight(SERVING, beat=100.0), 145.0, "it gave no sign of life for 45 s"),
        (Order.SERVE, Sight(State.READY), 46.9, ""),
        (Order.SERVE, Sight(State.READY), 47.0, "it gave no sign of life for 45 s"),
        (Order.SERVE, Sight(SERVING, 145.0, began=90.0, progress=100.0), 144.9, ""),
        (
            Order.SERVE,
            Sight(SERVING, 145.0, began=90.0, progress=100.0),
            145.0,
            "a request made no progress for 45 s",
        ),
        (Order.RETIRE, Sight(State.RETIRING, 0.0, 100.0, 90.0), 145.0, "a request made no progress for 45 s"),
        (Order.RETIRE, Sight(State.RETIRING, 0.0), 145.0, ""),
    ],
)
def test_who_shows_nothing_is_stuck(order: Order, seen: Sight, now: float, reason: str) -> None:
    facts = stalling(order, seen)
    assert (Dump(5) in decide(facts, Wanted(1), now)) is bool(reason)
    facts.children[5].dumped = now
    kill = Kill(5, reason)
    assert (kill in decide(facts, Wanted(1), now + DUMP_MOMENT)) is bool(reason)


def test_time_in_which_the_master_was_stopped_is_not_counted() -> None:
    facts = stalling(Order.SERVE, Sight(SERVING, beat=100.0, began=100.0, progress=100.0))
    facts.awake_since = 1000.0
    assert decide(facts, Wanted(1), 1000.0) == [WaitUntil(1000.0 + 45 / 8)]
    assert decide(facts, Wanted(1), 1045.0)[0] == Dump(5)


def test_progress_after_the_stacks_were_asked_for_saves_it() -> None:
    facts = stalling(Order.SERVE, Sight(SERVING, beat=145.0, began=100.0, progress=145.1))
    facts.children[5].dumped = 145.0
    assert decide(facts, Wanted(1), 145.3) == [WaitUntil(145.3 + 45 / 8)]


# The end.


def test_a_stop_drains_who_serves_and_kills_who_boots() -> None:
    facts = roster(child(5), child(6, Order.RETIRE), child(7, Order.BOOT))
    assert decide(facts, Wanted(3, Goal.DRAIN, 9.0), 9.0) == [
        Give(5, Order.DRAIN),
        Give(6, Order.DRAIN),
        Kill(7, "the server ends, and it has served nobody"),
    ]


def test_nobody_is_replaced_during_a_stop() -> None:
    facts = roster(child(5, Order.DRAIN))
    assert decide(facts, Wanted(3, Goal.DRAIN, 9.0), 10.0) == [WaitUntil(34.0)]


def test_after_stop_drain_they_quit_and_after_kill_they_are_killed() -> None:
    facts = roster(child(5, Order.DRAIN))
    wanted = Wanted(1, Goal.DRAIN, 9.0)
    assert decide(facts, wanted, 34.0) == [Give(5, Order.QUIT)]
    facts.gave(5, Order.QUIT, 34.0)
    assert decide(facts, wanted, 34.0) == [WaitUntil(39.0)]
    assert decide(facts, wanted, 39.0) == [Dump(5)]
    facts.children[5].dumped = 39.0
    assert decide(facts, wanted, 39.5) == [Kill(5, "did not quit in time")]


def test_a_quick_stop_skips_the_draining() -> None:
    facts = roster(child(5, Order.DRAIN), child(6))
    assert decide(facts, Wanted(1, Goal.QUIT, 9.0), 9.0) == [Give(5, Order.QUIT), Give(6, Order.QUIT)]


def test_a_kill_is_a_kill() -> None:
    facts = roster(child(5, Order.DRAIN))
    assert decide(facts, Wanted(1, Goal.KILL, 9.0), 9.0) == [Kill(5, "the server was told to end at once")]


def test_it_is_finished_when_all_are_reaped_and_not_before() -> None:
    facts = roster(child(5, Order.QUIT))
    facts.children[5].killed = "because"
    wanted = Wanted(1, Goal.KILL, 9.0)
    assert decide(facts, wanted, 9.0) == []
    facts.died(5, KILLED, 9.0)
    assert decide(facts, wanted, 9.0) == [Finish()]


def test_a_stop_ends_a_generation_that_rises() -> None:
    facts = roster(child(5, Order.BOOT), generation=0, rising=Rising(1, 2))
    wanted = Wanted(0, Goal.DRAIN, 9.0)
    assert decide(facts, wanted, 9.0) == [Kill(5, "the server ends, and it has served nobody")]
