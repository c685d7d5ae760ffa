"""Which descriptors are ready: the one seam between Linux and elsewhere.

Under a master it is epoll, with listeners registered exclusively so that one new
connection wakes one worker. Where there is no epoll the classes still run alone, in
one process, through ``selectors``.

Source: epoll_ctl(2).
"""

from __future__ import annotations

import select
import selectors
from typing import Protocol

READ = 1
WRITE = 4


class Poller(Protocol):
    """A set of watched descriptors."""

    def add(self, fd: int, interest: int, *, shared: bool = False) -> None:
        """Watch ``fd`` for READ or WRITE; ``shared``: other processes watch it too, wake only one."""

    def change(self, fd: int, interest: int) -> None:
        """Watch ``fd`` for something else."""

    def remove(self, fd: int) -> None:
        """Watch it no longer. To be called before the descriptor is closed or passed on."""

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Wait up to ``timeout`` seconds; give the ready descriptors and what they are ready for."""

    def close(self) -> None:
        """Let go of everything."""


class EpollPoller:
    """epoll: what a worker waits with."""

    def __init__(self) -> None:
        """Make an empty set."""
        self._epoll = select.epoll()
        #: Bound once: the loop calls it for each turn.
        self.poll = self._epoll.poll
        self.remove = self._epoll.unregister
        self.change = self._epoll.modify

    def add(self, fd: int, interest: int, *, shared: bool = False) -> None:
        """Watch ``fd``."""
        self._epoll.register(fd, interest | select.EPOLLEXCLUSIVE if shared else interest)

    def close(self) -> None:
        """Let go of everything."""
        self._epoll.close()


class SelectorPoller:
    """``selectors``: the same surface for one process on any platform."""

    def __init__(self) -> None:
        """Make an empty set."""
        self._selector = selectors.DefaultSelector()

    def add(self, fd: int, interest: int, *, shared: bool = False) -> None:
        """Watch ``fd``; there is no sharing to speak of in one process."""
        del shared
        self._selector.register(fd, _EVENTS[interest])

    def change(self, fd: int, interest: int) -> None:
        """Watch ``fd`` for something else."""
        self._selector.modify(fd, _EVENTS[interest])

    def remove(self, fd: int) -> None:
        """Watch it no longer."""
        self._selector.unregister(fd)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Wait up to ``timeout`` seconds."""
        return [(key.fd, _READY[mask]) for key, mask in self._selector.select(timeout)]

    def close(self) -> None:
        """Let go of everything."""
        self._selector.close()


_EVENTS = {READ: selectors.EVENT_READ, WRITE: selectors.EVENT_WRITE}
_READY = {
    selectors.EVENT_READ: READ,
    selectors.EVENT_WRITE: WRITE,
    selectors.EVENT_READ | selectors.EVENT_WRITE: READ | WRITE,
}


def new_poller() -> Poller:
    """Make the best poller of this platform."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()
