"""A real ``forkhttp run``, its processes, its log, and what must be true once it is gone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from forkhttp.scoreboard import Scoreboard, State
from tests.deadline import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What a line of the error log begins with: an instant and a level, or the mark of a detail.
_EVENT = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z (?P<level>debug|info|warning|error) ")
_DETAIL = "  | "


class Server:
    """One master and its workers, in a directory of their own.

    Attributes:
        directory: where it runs; its configuration, logs and PID file are there.
        config: its configuration file, which tests may rewrite before a reload.
        expected: regular expressions of the error lines that the test provokes.
        kills: whether the test kills workers, or lets the master kill them.
        error_log: where its events go, for tests that configure another file.
        python: the interpreter that has forkhttp.
        around: a program and its arguments that runs the master as its child.
        process: the master, or what is around it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "forkhttp.toml"
        self.pid_file = directory / "forkhttp.pid"
        self.expected: list[str] = []
        self.kills = False
        self.error_log = directory / "stderr"
        self.python = sys.executable
        self.around: Sequence[str] = ()
        self.process: subprocess.Popen[bytes] | None = None

    def configure(
        self,
        target: str = "app.py:Handler",
        workers: int = 2,
        more: str = "",
        bind: Sequence[str] = ("127.0.0.1:0",),
    ) -> None:
        """Write the configuration file, at one stroke; ``more`` is TOML that begins with tables."""
        new = self.config.with_suffix(".new")
        new.write_text(
            f'target = "{target}"\nbind = {json.dumps(bind)}\npid_file = "{self.pid_file}"\n'
            f"[workers]\ncount = {workers}\n{more}\n"
        )
        new.rename(self.config)

    def launch(self, *arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start it, and wait for nothing."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FORKHTTP_")}
        with (self.directory / "stdout").open("ab") as out, (self.directory / "stderr").open("ab") as err:
            self.process = subprocess.Popen(
                [*self.around, self.python, "-m", "forkhttp", "run", *arguments],
                cwd=self.directory,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=pass_fds,
                start_new_session=True,  # its session tells its processes from all others
            )
        return self.process

    def start(self, *arguments: str, workers: int = 2, pass_fds: Sequence[int] = ()) -> Server:
        """Start it with its configuration file, and wait until ``workers`` workers serve."""
        if not self.config.exists():
            self.configure(workers=workers)
        self.launch("-c", str(self.config), *arguments, pass_fds=pass_fds)
        self.await_generation(1)
        assert len(self.workers()) == workers
        return self

    def await_generation(self, number: int) -> None:
        """Wait until the log says that a generation serves."""
        said = re.compile(rf"generation serves gen={number}\b")
        until(lambda: self.alive() and said.search(self.log), f"generation {number} serves")

    def reload(self, number: int) -> None:
        """Reload it, and wait until generation ``number`` serves."""
        self.signal(signal.SIGHUP)
        self.await_generation(number)

    def says(self, pattern: str, times: int = 1) -> None:
        """Wait until so many lines of the log match."""
        line = re.compile(pattern)
        until(
            lambda: sum(bool(line.search(each)) for each in self.log.splitlines()) >= times,
            f"the log says {pattern}",
        )

    def serving(self) -> dict[int, int]:
        """The pids of the workers that accept, each with its generation, from the scoreboard."""
        board = Scoreboard.of_process(self.pid)
        if board is None:
            return {}
        with contextlib.closing(board):
            return {row.pid: row.generation for row in board.rows() if row.state is State.SERVING}

    def await_serving(self, count: int, generation: int = 1) -> set[int]:
        """Wait until exactly so many workers of a generation accept; their pids."""

        def found() -> set[int]:
            pids = {pid for pid, number in self.serving().items() if number == generation}
            return pids if len(pids) == count else set()

        return until(found, f"{count} workers of generation {generation} accept")

    def requests(self) -> str:
        """What the workers are doing at the moment, a line for each request that runs."""
        board = Scoreboard.of_process(self.pid)
        if board is None:
            return ""
        with contextlib.closing(board):
            return "\n".join(row.request for row in board.rows() if row.began)

    def connections(self) -> int:
        """How many connections the workers hold, as they say on the scoreboard."""
        board = Scoreboard.of_process(self.pid)
        if board is None:
            return 0
        with contextlib.closing(board):
            return sum(row.connections for row in board.rows())

    def memory(self) -> int:
        """Octets that the workers have for themselves alone (USS), all together."""
        return sum(psutil.Process(pid).memory_full_info().uss for pid in self.workers())

    def holders(self, path: Path) -> list[int]:
        """The pids of its processes that have a file open."""
        wanted = path.stat().st_ino
        found = []
        for pid in (self.pid, *self.workers()):
            with contextlib.suppress(FileNotFoundError):
                if wanted in [each.stat().st_ino for each in Path(f"/proc/{pid}/fd").iterdir()]:
                    found.append(pid)
        return found

    def alive(self) -> bool:
        """Whether the master runs.

        Raises:
            AssertionError: it ended; the message holds its log.
        """
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log}"
        return True

    @property
    def pid(self) -> int:
        """The master's pid."""
        assert self.process is not None
        if not self.around:
            return self.process.pid
        (master,) = psutil.Process(self.process.pid).children()
        return master.pid

    def ports(self) -> list[int]:
        """The TCP ports that the master listens on, in the order of their numbers."""
        connections = psutil.Process(self.pid).net_connections("tcp")
        return sorted({each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN})

    @property
    def port(self) -> int:
        """Its only port."""
        (port,) = self.ports()
        return port

    def workers(self) -> list[int]:
        """The pids of the workers, as they call themselves, in the order of their titles."""
        self.alive()
        titles = []
        for child in psutil.Process(self.pid).children():
            try:
                title = " ".join(child.cmdline())
            except psutil.Error:
                continue
            if ": worker " in title:
                titles.append((title, child.pid))
        return [pid for _, pid in sorted(titles)]

    @property
    def log(self) -> str:
        """The error log so far: its standard error, where nothing else is configured."""
        return self.error_log.read_text(errors="replace") if self.error_log.exists() else ""

    @property
    def access(self) -> list[str]:
        """The lines of its standard output so far: the access log."""
        return (self.directory / "stdout").read_text(errors="replace").splitlines()

    def signal(self, number: signal.Signals) -> None:
        """Signal the master."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait until the master ends; its exit status."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> None:
        """Stop it gracefully, and see that it says that all went well."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log

    def survivors(self) -> list[str]:
        """The processes of its session that are still there."""
        assert self.process is not None
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.pid} {' '.join(process.cmdline()).strip()}")
            except (ProcessLookupError, psutil.Error):
                continue
        return found

    def unexpected(self) -> list[str]:
        """Lines of the log that no test asked for: errors, kills, and what is no log line at all."""
        found = []
        for line in self.log.splitlines():
            event = _EVENT.match(line)
            killed = not self.kills and "SIGKILL" in line
            strange = event is None and not line.startswith(_DETAIL)
            bad = strange or killed or (event is not None and event["level"] == "error")
            if bad and not any(re.search(pattern, line) for pattern in self.expected):
                found.append(line)
        return found

    def left_behind(self) -> list[str]:
        """Its PID file and its unix sockets, as far as they still exist."""
        return [
            path.name
            for path in self.directory.iterdir()
            if path == self.pid_file or stat.S_ISSOCK(path.lstat().st_mode)
        ]

    def close(self) -> None:
        """End it, and see that nothing of it is left and nothing went wrong unseen."""
        if self.process is None:
            return
        try:
            if self.process.poll() is None:
                self.stop()
            until(lambda: not self.survivors(), f"its processes are gone: {self.survivors()}", 5)
            assert self.unexpected() == []
            assert self.left_behind() == []
        finally:
            self.end()

    def end(self) -> None:
        """End what a failed test has left running."""
        for line in self.survivors():
            os.kill(int(line.split()[0]), signal.SIGKILL)
        if self.process is not None:
            self.process.wait(PATIENCE)


@contextlib.contextmanager
def running(
    app: Path, directory: Path, name: str = "Handler", workers: int = 2, more: str = ""
) -> Iterator[Server]:
    """A server for the tests of a module, of ``name`` in a copy of ``app``; it is checked at its end."""
    shutil.copy(app, directory)
    server = Server(directory)
    server.configure(f"{app.name}:{name}", workers, more)
    try:
        yield server.start(workers=workers)
    except BaseException:
        server.end()
        raise
    server.close()
