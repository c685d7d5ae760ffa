"""Deadlines on the wheel: due when they are due, wherever they moved in the meantime."""

from __future__ import annotations

import time

from forkhttp.server.timers import GRAIN, NOWHERE, TimerWheel


class Timed:
    """What has a deadline."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.slot = NOWHERE


def wheel_of(*deadlines: float) -> tuple[TimerWheel[Timed], list[Timed]]:
    wheel: TimerWheel[Timed] = TimerWheel()
    all_timed = [Timed(deadline) for deadline in deadlines]
    for timed in all_timed:
        wheel.add(timed)
    return wheel, all_timed


def test_nothing_is_due_on_an_empty_wheel() -> None:
    wheel, _ = wheel_of()
    assert (len(wheel), wheel.next_due(), wheel.expired(1e9)) == (0, None, [])


def test_what_is_due_comes_once_and_not_before_its_time() -> None:
    wheel, (timed,) = wheel_of(10.0)
    assert wheel.expired(9.99) == []
    assert wheel.expired(10.0 + GRAIN) == [timed]
    assert wheel.expired(99.0) == []
    assert (timed.slot, len(wheel)) == (NOWHERE, 0)


def test_at_the_instant_that_next_due_names_the_earliest_is_due() -> None:
    for deadline in (10.0, 10.1, 10.2499, 10.25, 0.0):
        wheel, all_timed = wheel_of(deadline, deadline + 100)
        due = wheel.next_due()
        assert due is not None
        assert deadline < due <= deadline + GRAIN
        assert wheel.expired(due) == all_timed[:1]


def test_a_deadline_that_moved_on_is_kept_without_being_told() -> None:
    wheel, (timed,) = wheel_of(10.0)
    timed.deadline = 20.0
    assert wheel.expired(11.0) == []
    assert wheel.next_due() == 20.0 + GRAIN
    assert wheel.expired(21.0) == [timed]


def test_a_deadline_that_became_earlier_is_added_again() -> None:
    wheel, (timed,) = wheel_of(20.0)
    timed.deadline = 10.0
    wheel.add(timed)
    assert len(wheel) == 1
    assert wheel.expired(11.0) == [timed]


def test_adding_within_the_same_slot_changes_nothing() -> None:
    wheel, (timed,) = wheel_of(10.0)
    slot = timed.slot
    timed.deadline = 10.1
    wheel.add(timed)
    assert (timed.slot, len(wheel)) == (slot, 1)


def test_what_is_discarded_is_never_due() -> None:
    wheel, (one, two) = wheel_of(10.0, 10.0)
    wheel.discard(one)
    wheel.discard(one)
    wheel.discard(Timed(1.0))
    assert one.slot == NOWHERE
    assert wheel.expired(99.0) == [two]


def test_all_that_are_due_come_at_once_after_a_long_wait() -> None:
    wheel, all_timed = wheel_of(*(float(number) for number in range(100)))
    assert sorted(wheel.expired(49.5), key=lambda each: each.deadline) == all_timed[:50]
    assert len(wheel) == 50


def test_what_became_due_earlier_is_due_though_others_were_discarded() -> None:
    wheel, (one, two, three) = wheel_of(10.0, 20.0, 30.0)
    wheel.discard(one)
    assert wheel.expired(15.0) == []
    assert wheel.next_due() == 20.25
    three.deadline = 16.0
    wheel.add(three)
    assert wheel.next_due() == 16.25
    assert wheel.expired(16.25) == [three]
    wheel.discard(two)
    assert wheel.next_due() is None
    wheel.add(one)
    assert wheel.next_due() == 10.25


def test_a_turn_costs_the_same_however_many_are_watched() -> None:
    def seconds(count: int) -> float:
        wheel, _ = wheel_of(*(float(number) for number in range(100, 100 + count)))
        begun = time.perf_counter()
        for _ in range(2000):
            wheel.next_due()
            wheel.expired(50.0)
        return time.perf_counter() - begun

    few, many = (min(seconds(count) for _ in range(5)) for count in (1, 2000))
    assert many < 5 * few
