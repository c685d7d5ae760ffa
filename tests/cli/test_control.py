"""Telling a running master: which one is meant, what is waited for, what is said.

The master is a child of the test: a process that has a scoreboard with its own pid.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from forkhttp.cli import main
from forkhttp.scoreboard import NotAScoreboardError, Scoreboard

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER = """
import os, signal, sys
from forkhttp.scoreboard import Outcome, Scoreboard

board = Scoreboard.create()
board.header.pid = os.getpid()
came = {signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, came)
print("ready", flush=True)
while True:
    number = signal.sigwait(came)
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM or "gone" in sys.argv:
        sys.exit()
    board.header.conclude(Outcome.RUNNING)
    board.header.reloads += 1
    outcome = Outcome.REFUSED if board.header.reloads % 2 == 0 else Outcome.DONE
    board.header.conclude(outcome, f"reload {board.header.reloads}")
"""


class Running:
    """A process that looks like a master."""

    def __init__(self, *arguments: str) -> None:
        """Start it and wait until it is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", MASTER, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.pid = str(self.process.pid)
        assert self.line() == "ready"

    def line(self) -> str:
        """Wait for the next line that it writes."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FORKHTTP_")]:
        monkeypatch.delenv(name)
    running = Running()
    yield running
    running.close()


def test_a_reload_waits_for_its_outcome(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reload", "--pid", running.pid]) == 0
    assert capsys.readouterr() == ("forkhttp: reload 1\n", "")
    assert main(["reload", "--pid", running.pid]) == 1
    assert capsys.readouterr() == ("", "forkhttp: reload refused: reload 2\n")
    assert (running.line(), running.line()) == ("SIGHUP", "SIGHUP")


def test_a_master_that_ends_at_a_reload_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    running = Running("gone")
    try:
        assert main(["reload", "--pid", running.pid]) == 1
        assert "ended before the reload did" in capsys.readouterr().err
    finally:
        running.close()


def test_logs_are_reopened_and_a_stop_waits_for_the_end(running: Running) -> None:
    assert main(["reopen", "--pid", running.pid]) == 0
    assert running.line() == "SIGUSR1"
    assert main(["stop", "--pid", running.pid]) == 0
    assert psutil.Process(running.process.pid).status() == psutil.STATUS_ZOMBIE
    assert running.line() == "SIGTERM"


def test_the_pid_file_says_which_also_in_a_broken_configuration(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("f.toml").write_text("pid_file = 'pid'\nworkers.cuont = 4")
    assert main(["stop", "-c", "f.toml"]) == 4
    assert "there is no pid in" in capsys.readouterr().err
    Path("pid").write_text("x")
    assert main(["stop", "-c", "f.toml"]) == 4
    assert "something else than a pid" in capsys.readouterr().err
    Path("pid").write_text(f"{running.pid}\n")
    assert main(["stop", "-c", "f.toml"]) == 0
    assert running.line() == "SIGTERM"


def test_a_configuration_without_a_pid_file_never_means_another_master(
    running: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("f.toml").write_text("")
    assert main(["stop", "-c", "f.toml"]) == 2
    monkeypatch.setenv("FORKHTTP_CONFIG", "f.toml")
    assert main(["stop"]) == 2
    assert capsys.readouterr().err.count("say which master with --pid") == 2
    assert running.process.poll() is None


def only(monkeypatch: pytest.MonkeyPatch, *pids: int) -> None:
    """Let the search see these processes alone: others may run masters on this machine."""
    monkeypatch.setattr(psutil, "process_iter", lambda: map(psutil.Process, pids))


def test_without_a_word_the_only_master_of_the_user_is_meant(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Running()
    try:
        only(monkeypatch, os.getpid(), running.process.pid, other.process.pid)
        assert main(["reopen"]) == 2
        assert f"say which with --pid: [{running.pid}, {other.pid}]" in capsys.readouterr().err
    finally:
        other.close()
    only(monkeypatch, os.getpid(), running.process.pid)
    assert main(["reopen"]) == 0
    only(monkeypatch, os.getpid())
    assert main(["reopen"]) == 4
    assert capsys.readouterr().err == "forkhttp: no master of this user runs\n"


def test_the_search_passes_over_processes_that_end(monkeypatch: pytest.MonkeyPatch, running: Running) -> None:
    process = psutil.Process(running.process.pid)
    running.close()
    monkeypatch.setattr(psutil, "process_iter", lambda: [process])
    assert main(["reopen"]) == 4


def test_a_pid_that_is_no_master_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "--pid", str(os.getpid())]) == 4
    assert "is no running master" in capsys.readouterr().err
    assert main(["stop", "--pid", str((1 << 31) - 1)]) == 4
    assert "does not run" in capsys.readouterr().err


def test_the_master_of_another_user_cannot_be_told(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    assert main(["stop", "--pid", running.pid]) == 1
    assert capsys.readouterr().err == f"forkhttp: pid {running.pid} belongs to another user\n"


def test_a_board_of_another_version_cannot_be_waited_for(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: int) -> None:
        raise NotAScoreboardError

    monkeypatch.setattr(Scoreboard, "of_process", refuse)
    assert main(["reload", "--pid", running.pid]) == 1
    assert "is of another version; send it SIGHUP" in capsys.readouterr().err
    # It was a master a moment ago.
    monkeypatch.setattr("forkhttp.master.pid_file.is_master", lambda _: True)
    monkeypatch.setattr(Scoreboard, "of_process", lambda _: None)
    assert main(["reload", "--pid", running.pid]) == 4
