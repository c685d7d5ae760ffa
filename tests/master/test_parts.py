"""Small parts of the master: the signal table and its inbox, the causes of deaths, the only fork."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from forkhttp.master.deaths import OutOfMemory
from forkhttp.master.signals import TABLE, Command, Inbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    before = {row.signal: signal.getsignal(row.signal) for row in TABLE}
    inbox = Inbox()
    inbox.open()
    yield inbox
    inbox.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_every_command_and_every_signal_stands_once() -> None:
    assert sorted(command.name for command in Command) == sorted(row.command.name for row in TABLE)
    assert len({row.signal for row in TABLE}) == len(TABLE)


def test_what_came_is_taken_once_in_the_tables_order(inbox: Inbox) -> None:
    assert inbox.take() == []
    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGHUP, signal.SIGTTIN, signal.SIGTERM):
        os.kill(os.getpid(), number)
    assert inbox.take() == [Command.STOP, Command.RELOAD, Command.MORE, Command.MORE]
    assert inbox.take() == []


def test_a_signal_wakes_a_wait(inbox: Inbox) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    assert os.read(inbox.fd, 10) == bytes([signal.SIGUSR1])


def test_a_storm_that_fills_the_pipe_loses_no_command(inbox: Inbox) -> None:
    for _ in range(70_000):
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert inbox.take() == [Command.STOP, Command.RELOAD]
    with pytest.raises(BlockingIOError):
        os.read(inbox.fd, 1)


def test_a_signal_after_the_end_changes_nothing(inbox: Inbox) -> None:
    other = Inbox()
    other.open()
    other.close()
    for row in TABLE:
        os.kill(os.getpid(), row.signal)
    assert inbox.take() == []


def test_a_lack_of_memory_is_seen_in_the_cgroup(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("12:cpu:/else\n0::/here\n")
    events = tmp_path / "here" / "memory.events"
    events.parent.mkdir()
    events.write_text("low 0\noom 1\noom_kill 4\n")
    memory = OutOfMemory(tmp_path / "own", tmp_path)
    assert not memory.happened()
    events.write_text("low 0\noom 2\noom_kill 5\n")
    assert memory.happened()
    assert not memory.happened()
    events.unlink()
    assert not memory.happened()
