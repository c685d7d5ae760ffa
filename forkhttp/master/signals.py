"""The signals of the master: one table, and the inbox that they fill.

A handler records and returns; the master's one wait is woken through the wake-up
descriptor, and what was recorded is taken there.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import FrameType


class Command(Enum):
    """What a signal asks of the master."""

    REAP = auto()
    STOP = auto()
    QUIT = auto()
    RELOAD = auto()
    DUMP = auto()
    REOPEN = auto()
    UPGRADE = auto()
    MORE = auto()
    FEWER = auto()


class Meaning(NamedTuple):
    """One row of the table."""

    signal: signal.Signals
    command: Command
    description: str


#: In the order in which they are obeyed when several came at once.
TABLE = (
    Meaning(signal.SIGCHLD, Command.REAP, "a child ended"),
    Meaning(signal.SIGTERM, Command.STOP, "graceful stop within `timeouts.quiesce` and `stop_drain`"),
    Meaning(signal.SIGINT, Command.QUIT, "quick stop; a second one kills"),
    Meaning(signal.SIGHUP, Command.RELOAD, "transactional reload of config and code; a storm coalesces"),
    Meaning(signal.SIGQUIT, Command.DUMP, "dump every stack, and go on"),
    Meaning(signal.SIGUSR1, Command.REOPEN, "reopen log files"),
    Meaning(signal.SIGUSR2, Command.UPGRADE, "reserved for the upgrade; ignored, with a warning"),
    Meaning(signal.SIGTTIN, Command.MORE, "one worker more, until the next reload"),
    Meaning(signal.SIGTTOU, Command.FEWER, "one worker fewer, until the next reload"),
)


class Inbox:
    """Signals that came and were not yet obeyed.

    Attributes:
        fd: readable when there are some.
    """

    def __init__(self) -> None:
        """Record nothing yet; see ``open``."""
        self.fd, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._came: Counter[int] = Counter()
        self._before: dict[int, Any] = {}
        self._wake_before = -1

    def open(self) -> None:
        """Install the handlers; whatever comes from now on is recorded."""
        self._wake_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for meaning in TABLE:
            self._before[meaning.signal] = signal.signal(meaning.signal, self._record)
        # Whoever started us may have had them blocked, and a mask is inherited.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)

    def close(self) -> None:
        """Ignore the signals of the table from now on, all but that of children.

        The process is about to end with a status of its own, and one more signal on its way must
        not make another of it.
        """
        for number in self._before:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_before, warn_on_full_buffer=False)
        self.release()

    def release(self) -> None:
        """Close the descriptors only: in a child, whose signals are set elsewhere."""
        os.close(self.fd)
        os.close(self._wake)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        self._came[number] += 1

    def take(self) -> list[Command]:
        """Everything that came since, in the table's order; a stop counts each time, the rest once."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self.fd, 4096)) == 4096:
                pass
        came, self._came = self._came, Counter()
        commands = []
        for meaning in TABLE:
            times = came[meaning.signal]
            commands += [meaning.command] * (times if meaning.command in _COUNTED else min(times, 1))
        return commands


#: Commands of which a second one means something else, or one step more.
_COUNTED = (Command.STOP, Command.QUIT, Command.MORE, Command.FEWER)
