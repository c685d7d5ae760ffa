"""Waiting for a state, with a deadline; no test sleeps and hopes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Seconds; far more than any state takes on a busy machine, far less than a patient person waits.
PATIENCE = 15.0


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Ask again until ``condition`` gives something true, and give it back.

    Raises:
        AssertionError: it did not within ``seconds``; the message says ``what`` was awaited.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.01)
