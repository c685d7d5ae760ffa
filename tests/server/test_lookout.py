"""The lookout, tick by tick: the test lets each tick pass."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import PeerGone
from forkhttp.server import lookout as lookout_module
from forkhttp.server.lookout import TICK, Lookout
from tests.deadline import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

#: After so many ticks without a request it parks itself; one more sees that there was none.
IDLE = lookout_module._IDLE_TICKS + 1  # noqa: SLF001 - the limit itself is not tested


class Ticks:
    """Stands for the clock: sleeping takes until the test says so."""

    def __init__(self) -> None:
        self._asleep = threading.Semaphore(0)
        self._go_on = threading.Semaphore(0)
        self._free = False

    def sleep(self, seconds: float) -> None:
        """Sleep one tick."""
        assert seconds == TICK
        if not self._free:
            self._asleep.release()
            self._go_on.acquire()

    def await_sleep(self) -> None:
        """Wait until the lookout sleeps: all that it did before is done."""
        assert self._asleep.acquire(timeout=PATIENCE), "the lookout does not tick"

    def wake(self) -> None:
        """End a sleep."""
        self._go_on.release()

    def pass_by(self, count: int = 1) -> None:
        """Let ticks pass, from sleep to sleep."""
        for _ in range(count):
            self.wake()
            self.await_sleep()

    @property
    def ticking(self) -> bool:
        """Whether it sleeps now, and was not seen yet."""
        return self._asleep.acquire(blocking=False)

    def let_free(self) -> None:
        """Take no more time."""
        self._free = True
        self._go_on.release()


class Exchange:
    """What the lookout looks after."""

    def __init__(self, *, gone: bool = False) -> None:
        self.let_go_of = 0
        self._gone = gone

    def let_go(self) -> None:
        """Count."""
        self.let_go_of += 1
        if self._gone:
            raise PeerGone("the peer left")


class Watched:
    """A lookout on the test's time."""

    def __init__(self, ticks: Ticks) -> None:
        self.ticks = ticks
        self.stalled: list[object] = []
        self.lookout = Lookout(self.stalled.append)

    def park(self) -> None:
        """Let time pass until it parks itself."""
        self.ticks.pass_by(IDLE - 1)
        self.ticks.wake()
        until(lambda: self.lookout._parked, "it parks itself")  # noqa: SLF001


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Start a lookout, and end it whatever it does."""
    ticks = Ticks()
    monkeypatch.setattr(lookout_module, "time", ticks)
    it = Watched(ticks)
    it.lookout.start()
    ticks.await_sleep()
    yield it
    ticks.let_free()
    it.lookout.stop()
    assert "forkhttp-lookout" not in {thread.name for thread in threading.enumerate()}


def test_a_handler_that_returns_within_a_tick_is_not_late(watched: Watched) -> None:
    exchange = Exchange()
    for _ in range(10):
        watched.lookout.enter(exchange)
        assert watched.lookout.leave()
        watched.ticks.pass_by()
    assert exchange.let_go_of == 0


def test_a_handler_is_late_from_the_second_tick_until_it_returns(watched: Watched) -> None:
    exchange = Exchange()
    watched.lookout.enter(exchange)
    watched.ticks.pass_by()
    assert exchange.let_go_of == 0
    watched.ticks.pass_by(3)
    assert exchange.let_go_of == 3
    assert watched.stalled == [exchange] * 3
    assert not watched.lookout.leave()
    watched.ticks.pass_by(3)
    assert exchange.let_go_of == 3


def test_the_next_handler_after_a_late_one_begins_anew(watched: Watched) -> None:
    late, prompt = Exchange(), Exchange()
    watched.lookout.enter(late)
    watched.ticks.pass_by(2)
    assert not watched.lookout.leave()
    watched.lookout.enter(prompt)
    assert watched.lookout.leave()
    watched.ticks.pass_by(2)
    assert (late.let_go_of, prompt.let_go_of) == (1, 0)


def test_a_peer_that_left_does_not_end_the_lookout(watched: Watched) -> None:
    exchange = Exchange(gone=True)
    watched.lookout.enter(exchange)
    watched.ticks.pass_by(4)
    assert exchange.let_go_of == 3
    assert watched.stalled == [exchange] * 3
    watched.lookout.leave()


def test_an_idle_lookout_has_no_ticks_until_a_handler_enters(watched: Watched) -> None:
    watched.park()
    assert not watched.ticks.ticking
    exchange = Exchange()
    watched.lookout.enter(exchange)
    watched.ticks.await_sleep()
    watched.ticks.pass_by(3)
    assert exchange.let_go_of == 2
    watched.lookout.leave()


def test_it_parks_and_wakes_again_and_again(watched: Watched) -> None:
    for _ in range(3):
        watched.park()
        watched.lookout.enter(Exchange())
        watched.ticks.await_sleep()
        assert watched.lookout.leave()


def test_requests_keep_it_from_parking(watched: Watched) -> None:
    for _ in range(3):
        watched.ticks.pass_by(IDLE - 2)
        watched.lookout.enter(Exchange())
        watched.lookout.leave()
    watched.park()


def test_a_handler_that_enters_while_it_parks_is_seen() -> None:
    """One of the two sees the other: here the ticket lies there before the lookout sleeps."""
    lookout = Lookout(lambda _: None)
    lookout.enter(Exchange())
    lookout._park()  # noqa: SLF001 - it would sleep for ever
    assert not lookout._parked  # noqa: SLF001
    assert lookout.leave()


def test_a_handler_that_returns_under_its_eyes_is_not_taken() -> None:
    stalled: list[object] = []
    lookout = Lookout(stalled.append)
    lookout._take()  # noqa: SLF001 - the ticket was there when it looked
    assert stalled == []


def test_a_parked_lookout_can_be_stopped(watched: Watched) -> None:
    watched.park()
    watched.ticks.let_free()
    watched.lookout.stop()
    watched.lookout.stop()


def test_one_that_was_never_started_can_be_stopped() -> None:
    Lookout(lambda _: None).stop()
