"""A client that wants little and asks all the time, and notes how long it waits for each answer."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from tests.deadline import until
from tests.system.client import Client, Lost

if TYPE_CHECKING:
    from types import TracebackType

#: Seconds between two questions.
PAUSE = 0.01

#: Seconds that half of the answers may take, and all but one in twenty: what a busy machine adds is not ours.
PROMPT, TAIL = 0.05, 0.5


class Bystander:
    """Asks on one persistent connection, and on a fresh one each time, from entering to leaving.

    Attributes:
        persistent: seconds that each answer took on the connection that stays.
        fresh: the same with a connection for each, its making included.
        lost: what came instead of an answer; nobody may lose one.
    """

    def __init__(self, port: int) -> None:
        self.persistent: list[float] = []
        self.fresh: list[float] = []
        self.lost: list[str] = []
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def goes_on(self, times: int = 20) -> None:
        """Wait until it has had so many more answers of either kind."""
        wanted = len(self.fresh) + times
        until(lambda: self.lost or len(self.fresh) >= wanted, "the bystander is answered")

    def check(self) -> None:
        """See that it was served at once, all the time."""
        assert self.lost == []
        for took in (self.persistent, self.fresh):
            in_order = sorted(took)
            half, most = in_order[len(took) // 2], in_order[len(took) * 19 // 20]
            assert half < PROMPT, f"half of {len(took)} answers took longer than {half}"
            assert most < TAIL, f"one in twenty of {len(took)} answers took longer than {most}"

    def _run(self) -> None:
        try:
            with Client(self._port) as client:
                while not self._ended.wait(PAUSE):
                    self.persistent.append(_seconds(client))
                    begun = time.monotonic()
                    with Client(self._port) as other:
                        _seconds(other)
                        self.fresh.append(time.monotonic() - begun)
        except (Lost, OSError) as error:
            self.lost.append(repr(error))


def _seconds(client: Client) -> float:
    begun = time.monotonic()
    if client.fetch("/hello") != "hello\n":
        raise Lost("another answer")
    return time.monotonic() - begun
