"""A running master under test: started, asked, signalled, and cleaned up after."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from forkhttp.scoreboard import NotAScoreboardError, Scoreboard

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from forkhttp.scoreboard import Header, Row

T = TypeVar("T")
_ROOT = Path(__file__).parents[2]
#: Seconds until a state that does not come is a failure.
DEADLINE = 10.0


def wait_for(what: Callable[[], T]) -> T:
    """Ask until the answer is true; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.005)
    return answer


class RunningMaster:
    """One master process on a unix socket in ``directory``.

    Leaving the context ends it, and fails if it left a process, a socket or a PID file.
    """

    def __init__(self, directory: Path) -> None:
        """Nothing is started yet."""
        self.directory = directory
        self.file = directory / "toy.toml"
        self.socket = directory / "toy.sock"
        self.pid_file = directory / "toy.pid"
        self.errors = directory / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, text: str = "", *, toy: str = "", workers: int = 2, bind: str = "") -> None:
        """Write the configuration; ``text`` are further tables."""
        self.file.write_text(
            f'bind = "{bind or f"unix:{self.socket}"}"\npid_file = "{self.pid_file}"\n'
            f'env = {{TOY = "{toy}"}}\nworkers.count = {workers}\n{text}\n'
        )

    def start(self, *prefix: str) -> Self:
        """Start it, without waiting for anything."""
        with self.errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "tests.master.toy", str(self.file)], cwd=_ROOT, stderr=errors
            )
        return self

    def __enter__(self) -> Self:
        """Start it with what was configured, and wait until its first generation serves."""
        if not self.file.exists():
            self.configure()
        self.start()
        wait_for(lambda: self.process.poll() is not None or self.serving)
        return self

    def __exit__(self, *_: object) -> None:
        """End it for good."""
        self.end()

    def end(self) -> None:
        """End it, if it runs, and see that nobody is left."""
        descendants = self.family()
        if self._process and self._process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                for descendant in descendants:
                    with contextlib.suppress(psutil.Error):
                        descendant.kill()
                self.process.kill()
                self.process.wait()
                raise
        wait_for(lambda: not any(_lives(process) for process in descendants))

    # What it shows.

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The one that was started last."""
        assert self._process
        return self._process

    @property
    def pid(self) -> int:
        """The master's."""
        return self.process.pid

    @property
    def title(self) -> str:
        """Its title, less the room that a longer one took."""
        return " ".join(psutil.Process(self.pid).cmdline()).rstrip()

    def family(self) -> list[psutil.Process]:
        """Its children, zombies included."""
        if self._process is None:
            return []
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    @property
    def rows(self) -> list[Row]:
        """The rows of its scoreboard; none before there is one."""
        board = self.board
        return list(board.rows()) if board else []

    @property
    def board(self) -> Scoreboard | None:
        """Its scoreboard, once it is complete."""
        try:
            board = Scoreboard.of_process(self.pid)
        except NotAScoreboardError:
            return None
        if board:
            board.close()
        return board

    @property
    def header(self) -> Header:
        """The header of its scoreboard."""
        board = self.board
        assert board
        return board.header

    def pids(self, generation: int = 0) -> set[int]:
        """Workers that serve, of one generation or of all."""
        return {
            row.pid
            for row in self.rows
            if row.order == row.state - 2 == 1 and generation in (0, row.generation)
        }

    @property
    def serving(self) -> bool:
        """Whether its current generation serves, all of it."""
        board = self.board
        if not board or not board.header.generation:
            return False
        rows = [row for row in self.rows if row.generation == board.header.generation]
        return bool(rows) and len(self.pids()) == len(rows)

    @property
    def log(self) -> str:
        """Its error log so far."""
        return self.errors.read_text()

    def signal(self, *signals: signal.Signals) -> None:
        """Send it these."""
        for number in signals:
            self.process.send_signal(number)

    def ask(self) -> tuple[int, int]:
        """Connect; the pid and the generation that answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(self.socket))
            pid, generation = client.recv(100).split()
        return int(pid), int(generation)

    def reloaded(self, attempts: int) -> bool:
        """Whether so many reloads were attempted and the last has ended."""
        header = self.header
        return header.reloads >= attempts and header.outcome != 1

    def descriptors(self) -> int:
        """How many descriptors it has."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - only their number


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
