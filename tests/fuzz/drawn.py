"""Fuzz one target in this process with messages that Hypothesis draws; for Pythons without atheris.

    python -m tests.fuzz.drawn TARGET SECONDS FILE

The process ends with 0, or with 77 if a promise was broken; the octets are then in FILE.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hypothesis import given, seed, settings

from tests.fuzz.targets import TARGETS, UNHURRIED

#: As libFuzzer says it.
FOUND = 77


def main(name: str, seconds: float, found: Path) -> int:
    """Draw messages until time is up; say how many."""
    check, messages = TARGETS[name][:2]
    end = time.monotonic() + seconds
    count = 0

    @settings(UNHURRIED, max_examples=100)
    @given(messages)
    def batch(data: bytes) -> None:
        nonlocal count
        count += 1
        if time.monotonic() > end:
            return
        try:
            check(data)
        except BaseException:
            found.write_bytes(data)
            raise

    number = time.time_ns()
    while time.monotonic() < end:
        number += 1
        try:
            seed(number)(batch)()
        except BaseException as error:  # noqa: BLE001 - whatever gets out is what is looked for
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return FOUND
    rate = round(count / seconds)
    sys.stderr.write(f"stat::number_of_executed_units: {count}\nstat::average_exec_per_sec: {rate}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
