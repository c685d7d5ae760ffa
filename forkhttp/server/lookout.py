"""The thread that watches the loop from outside: asleep until a handler takes long.

Whoever runs a handler leaves a ticket before it and takes it back after; both are one
atomic step on a list, so the fast path takes no lock. The lookout looks once a tick.
A ticket that lies there from one tick to the next belongs to a late handler: the lookout
takes it, and from then on it is the handler's return that must ask (``returned``).

For a late handler it lets go of the output that was gathered, tick by tick, so that a
stream of events that never flushes flows; and it says when nothing has moved for
``timeouts.stall``.

It parks itself when no request has come for a moment: an idle worker has no tick.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two looks: how late others may notice a slow handler. 2 ms would halve the worst case
#: (measured 22 ms with 5) for more than twice the wake-ups.
TICK = 0.005

#: Looks without a request before it parks itself.
_IDLE_TICKS = 40


class Late(Protocol):
    """An exchange whose handler is late."""

    def let_go(self) -> None:
        """Send what its handler has written."""


class Lookout:
    """Watches one loop.

    The loop calls ``enter`` before a handler and ``leave`` after it, from one thread at a
    time; everything else happens on the lookout's own thread, under ``_lock``.
    """

    def __init__(self, stalled: Callable[[Late], None]) -> None:
        """Call ``stalled`` at each tick for an exchange that is late: is it worse than that?"""
        self._stalled = stalled
        self._tickets: list[Late] = []
        self._lock = threading.Lock()
        self._late: Late | None = None
        self._wake = threading.Semaphore(0)
        self._parked = False
        self._entered = 0
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; not before the last fork that should not have it."""
        self._thread = threading.Thread(target=self._watch, name="forkhttp-lookout", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        if self._thread is not None:
            self._ended = True
            self._wake.release()
            self._thread.join()
            self._thread = None

    def enter(self, exchange: Late) -> None:
        """Leave a ticket: a handler is about to run."""
        self._tickets.append(exchange)
        self._entered += 1
        # The ticket lies there before the flag is read, and the lookout sets the flag before
        # it looks for a ticket: one of the two sees the other.
        if self._parked:
            self._parked = False
            self._wake.release()

    def leave(self) -> bool:
        """Take the ticket back: the handler has returned. False if it was late."""
        try:
            self._tickets.pop()
        except IndexError:
            with self._lock:
                self._late = None
            return False
        return True

    def _watch(self) -> None:
        seen = -1
        idle = 0
        while not self._ended:
            time.sleep(TICK)
            with self._lock:
                if self._late is not None:
                    self._look_after(self._late)
                    continue
            entered = self._entered
            if entered != seen:
                seen = entered
                idle = 0
            elif self._tickets:
                self._take()
            else:
                idle += 1
                if idle >= _IDLE_TICKS:
                    self._park()
                    idle = 0

    def _take(self) -> None:
        """Take the ticket of the handler that is late.

        Between the look and the pop the handler may have returned and another have begun; its
        exchange is then treated as late too early, which costs it a lock and nothing else.
        """
        with self._lock, contextlib.suppress(IndexError):
            self._late = self._tickets.pop()
            self._look_after(self._late)

    def _look_after(self, late: Late) -> None:
        # Whatever it is, the handler will meet it on its own thread; this one must go on.
        with contextlib.suppress(Exception):
            late.let_go()
        self._stalled(late)

    def _park(self) -> None:
        self._parked = True
        if self._tickets:
            self._parked = False
            return
        self._wake.acquire()
