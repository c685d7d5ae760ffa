"""Fuzz all targets for so many seconds in all, on all CPUs, and say what came of it.

    python -m tests.fuzz [SECONDS [TARGET]...]

A target is searched in a process of its own. The exit status is 0, or 1 if a promise was
broken: the octets are then printed, and kept in a file that can go into the corpus. With a
number in FUZZ_SEED the search takes the same way each time.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.shrinking import shrink
from tests.fuzz.targets import CORPUS, TARGETS, seeds

ROOT = CORPUS.parent.parent
GUIDED = importlib.util.find_spec("atheris") is not None
DEFAULT_SECONDS = 1800
#: Where broken promises are kept until they go into the corpus; git ignores it.
FOUND = ROOT / ".fuzz"
#: An input that takes so many seconds is found to hang.
LONGEST = 20


def say(line: str) -> None:
    """Tell it now, not when much has been gathered."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Search(NamedTuple):
    """One target being searched."""

    name: str
    process: subprocess.Popen[bytes]
    place: Path


def begin(name: str, seconds: float, place: Path) -> Search:
    """Start to search a target, with a directory of its own for what it needs and finds."""
    place.mkdir()
    if GUIDED:
        corpus = place / "corpus"
        corpus.mkdir()
        for number, data in enumerate(seeds(TARGETS[name])):
            (corpus / str(number)).write_bytes(data)
        engine = [
            "guided",
            name,
            f"-max_total_time={max(1, round(seconds))}",
            f"-artifact_prefix={place}/found-",
            f"-timeout={LONGEST}",
            "-max_len=1024",
            f"-seed={os.environ.get('FUZZ_SEED', '0')}",
            "-print_final_stats=1",
            str(corpus),
        ]
    else:
        engine = ["drawn", name, str(seconds), str(place / "found-drawn")]
    with (place / "log").open("wb") as log:
        command = [sys.executable, "-m", f"tests.fuzz.{engine[0]}", *engine[1:]]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    return Search(name, process, place)


def report(search: Search) -> bool:
    """Say how a search ended; whether nothing was found."""
    log = (search.place / "log").read_text(errors="replace")
    if search.process.returncode:
        return report_found(search, log)
    figures = dict(re.findall(r"stat::(\w+): *(\d+)", log))
    line = "{}: {number_of_executed_units} executions, {average_exec_per_sec} a second".format(
        search.name, **figures
    )
    if edges := re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", log):
        line += ", {} edges, {} features, {} inputs kept".format(*edges[-1])
    say(line)
    return True


def report_found(search: Search, log: str) -> bool:
    """Print the octets that broke a promise, as few as still do, and keep them."""
    target = TARGETS[search.name]
    inputs = sorted(search.place.glob("found-*"))
    if not inputs:
        say(f"{search.name}: the search failed\n{log[-4000:]}")
        return False
    data = inputs[0].read_bytes()
    fault = log[-4000:]
    if "timeout" not in inputs[0].name:
        data = shrink(data, lambda smaller: fault_of(search.name, smaller))
        fault = fault_of(search.name, data) or fault
    FOUND.mkdir(exist_ok=True)
    file = FOUND / f"{search.name}-{zlib.crc32(data):08x}.http"
    file.write_bytes(target.head + data)
    say(f"{search.name}: a promise is broken\n{fault}\n{target.head + data!r}")
    say(f"These octets are in {file}; they belong into tests/corpus/{target.corpus}.")
    return False


def fault_of(name: str, data: bytes) -> str:
    """Give the traceback of a broken promise, empty if all are kept."""
    try:
        TARGETS[name].check(data)
    except Exception:  # noqa: BLE001 - whatever gets out is what is looked for
        return traceback.format_exc(limit=-4)
    return ""


def main(seconds: float, names: list[str]) -> int:
    """Search each of the targets, as many at once as there are CPUs."""
    cpus = len(os.sched_getaffinity(0))
    share = seconds / -(-len(names) // cpus)
    say(f"fuzz: {'guided by coverage (atheris)' if GUIDED else 'drawn by properties (Hypothesis)'}")
    waiting = list(names)
    running: list[Search] = []
    with tempfile.TemporaryDirectory(prefix="forkhttp-fuzz-") as place:
        try:
            while waiting or running:
                while waiting and len(running) < cpus:
                    name = waiting.pop(0)
                    running.append(begin(name, share, Path(place, name)))
                time.sleep(0.1)
                ended = [search for search in running if search.process.poll() is not None]
                told = [report(search) for search in ended]
                if not all(told):
                    return 1
                running = [search for search in running if search not in ended]
        finally:
            for search in running:
                search.process.kill()
                search.process.wait()
    return 0


if __name__ == "__main__":
    chosen = sys.argv[2:] or list(TARGETS)
    if unknown := set(chosen) - set(TARGETS):
        sys.exit(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    sys.exit(main(float(sys.argv[1]) if sys.argv[1:] else DEFAULT_SECONDS, chosen))
