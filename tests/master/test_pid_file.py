"""The PID file: it takes over what is provably a dead master's, and nothing else (FAULTS 38 and 39)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from forkhttp.master.pid_file import PidFile, PidFileError, is_master, read_pid
from forkhttp.scoreboard import Scoreboard

if TYPE_CHECKING:
    from pathlib import Path

#: Higher than pids go.
DEAD = 2**22 + 1


def test_it_is_written_and_removed(tmp_path: Path) -> None:
    file = PidFile(tmp_path / "pid", 77)
    file.write()
    assert (tmp_path / "pid").read_text() == "77\n"
    assert stat.S_IMODE((tmp_path / "pid").stat().st_mode) == 0o644
    file.remove()
    assert list(tmp_path.iterdir()) == []
    file.remove()


@pytest.mark.parametrize("found", ["", f"{DEAD}\n", f"{os.getppid()}\n", "77"])
def test_what_no_master_owns_is_replaced(found: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(found)
    PidFile(path, 77).write()
    assert path.read_text() == "77\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["pid"]


def test_what_a_living_master_owns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    assert not is_master(os.getpid())
    board = Scoreboard.create()
    board.header.pid = os.getpid()
    assert is_master(os.getpid())
    with pytest.raises(PidFileError, match=f"belongs to a running master, pid {os.getpid()}"):
        PidFile(path, 77).write()
    board.header.pid = 12  # as in a worker, which has its master's board
    assert not is_master(os.getpid())
    board.close()
    assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["precious", "-4", "0", "1 2", "99999999999"])
def test_what_is_no_pid_file_is_refused_and_stays(content: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(content)
    with pytest.raises(PidFileError, match="something else than a pid"):
        PidFile(path, 77).write()
    assert path.read_text() == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("77")
    (tmp_path / "pid").symlink_to(tmp_path / "precious")
    with pytest.raises(PidFileError, match="symbolic link"):
        PidFile(tmp_path / "pid", 78).write()
    PidFile(tmp_path / "pid", 77).remove()
    assert (tmp_path / "precious").read_text() == "77"
    assert (tmp_path / "pid").is_symlink()


def test_a_pipe_does_not_hold_it_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    with pytest.raises(PidFileError, match="no regular file"):
        PidFile(tmp_path / "pid", 77).write()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PidFileError, match="missing/pid: No such file or directory"):
        PidFile(tmp_path / "missing" / "pid", 77).write()


def test_what_another_master_wrote_meanwhile_is_not_removed(tmp_path: Path) -> None:
    file = PidFile(tmp_path / "pid", 77)
    file.write()
    (tmp_path / "pid").write_text("78\n")
    file.remove()
    assert read_pid(tmp_path / "pid") == 78
