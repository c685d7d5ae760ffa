"""The deadlines of connections: O(1) to set, nothing to do for those that are met.

A connection has one deadline at a time and almost always meets it, so the common case
is a plain assignment of ``connection.deadline``. The wheel holds each connection in one
slot, the earliest at which it may be due; a connection whose deadline has moved on since
is put into a later slot when its slot comes up (the lazy timer of kernels).
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

#: Width of a slot. Timeouts are seconds to minutes; a quarter of a second late is on time.
GRAIN = 0.25

#: The slot of what is not being watched.
NOWHERE = -1


class Timed(Protocol):
    """What the wheel knows of a connection."""

    deadline: float
    slot: int


T = TypeVar("T", bound=Timed)


class TimerWheel(Generic[T]):
    """Slots of connections, by the time at which they may be due."""

    def __init__(self) -> None:
        """Make an empty wheel."""
        self._slots: dict[int, set[T]] = {}
        self._earliest = 0  # no slot lies before it; a search for the first one in each turn would cost

    def __len__(self) -> int:
        """Count what is being watched."""
        return sum(map(len, self._slots.values()))

    def add(self, timed: T) -> None:
        """Watch over ``timed.deadline``; to be called again only if the deadline became earlier."""
        slot = int(timed.deadline / GRAIN) + 1
        if slot == timed.slot:
            return
        self.discard(timed)
        timed.slot = slot
        if slot < self._earliest or not self._slots:
            self._earliest = slot
        self._slots.setdefault(slot, set()).add(timed)

    def discard(self, timed: T) -> None:
        """Watch over it no longer; nothing happens if it is not being watched."""
        entries = self._slots.get(timed.slot)
        if entries is not None:
            entries.discard(timed)
            if not entries:
                del self._slots[timed.slot]
        timed.slot = NOWHERE

    def next_due(self) -> float | None:
        """Give the instant at which ``expired`` should be asked next; None if nothing is being watched.

        It may come before anything is due: what was discarded is not searched for.
        """
        return self._earliest * GRAIN if self._slots else None

    def expired(self, now: float) -> list[T]:
        """Take out those whose deadline has passed; those that moved on are put where they belong now."""
        current = int(now / GRAIN)
        due: list[T] = []
        if current < self._earliest:
            return due
        for slot in [slot for slot in self._slots if slot <= current]:
            for timed in self._slots.pop(slot):
                timed.slot = NOWHERE
                if timed.deadline <= now:
                    due.append(timed)
                else:
                    self.add(timed)
        self._earliest = min(self._slots, default=0)
        return due
