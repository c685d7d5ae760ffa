"""Real masters with a toy worker: started, killed, reloaded and stopped from outside.

``RunningMaster`` checks at the end of each that no process is left.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from forkhttp.scoreboard import Outcome
from tests.master.running import RunningMaster, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

HUP, INT, KILL, TERM = signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM
STALLING = "[timeouts]\nstall = 0.3\nkill = 0.3"


@pytest.fixture
def master(tmp_path: Path) -> Iterator[RunningMaster]:
    master = RunningMaster(tmp_path)
    yield master
    master.end()


def left(master: RunningMaster) -> list[str]:
    """What is left in the directory beside the configuration and the log."""
    return sorted(path.name for path in master.directory.iterdir() if path.suffix in {".sock", ".pid"})


# Start and stop.


def test_it_serves_and_stops(master: RunningMaster) -> None:
    with master:
        assert int(master.pid_file.read_text()) == master.pid
        assert len(master.pids()) == 2
        pid, generation = master.ask()
        assert (pid in master.pids(), generation) == (True, 1)
        titles = {" ".join(child.cmdline()).rstrip() for child in master.family()}
        assert titles == {"forkhttp: worker 0 gen=1", "forkhttp: worker 1 gen=1"}
        assert master.title == "forkhttp: master gen=1"
    assert (master.process.returncode, left(master)) == (0, [])
    assert " error " not in master.log


@pytest.mark.parametrize(("number", "status"), [(TERM, 0), (INT, 0)])
def test_either_stop_is_a_success(master: RunningMaster, number: signal.Signals, status: int) -> None:
    with master:
        master.signal(number)
        assert master.process.wait(5) == status
    assert left(master) == []


def test_who_connected_before_the_stop_is_answered(master: RunningMaster) -> None:
    """The master closes its listeners first, and the last worker accepts until nobody is left."""
    master.configure(workers=1)
    with master:
        (worker,) = master.pids()
        os.kill(worker, signal.SIGSTOP)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        for client in clients:
            client.connect(str(master.socket))
        master.signal(TERM)
        wait_for(lambda: not master.socket.exists())
        os.kill(worker, signal.SIGCONT)
        for client in clients:
            assert client.recv(100)
            client.close()
        assert master.process.wait(5) == 0


def test_a_second_stop_is_quick_and_a_further_one_kills(master: RunningMaster) -> None:
    master.configure("[timeouts]\nkill = 100\nstop_drain = 100", toy="never leaves")
    with master:
        master.signal(TERM)
        wait_for(lambda: {row.order for row in master.rows} == {3})
        master.signal(TERM)
        wait_for(lambda: {row.order for row in master.rows} == {4})
        master.signal(INT)
        assert master.process.wait(5) == 0


def test_a_stop_that_nobody_obeys_ends_after_its_timeouts(master: RunningMaster) -> None:
    master.configure("[timeouts]\nkill = 0.2\nstop_drain = 0.2", toy="never leaves")
    with master:
        master.signal(TERM)
        assert master.process.wait(5) == 0
    assert 'reason="did not quit in time"' in master.log
    assert "most recent call first" in master.log


@pytest.mark.parametrize("number", [TERM, INT])
def test_a_stop_during_the_boot(master: RunningMaster, number: signal.Signals) -> None:
    master.configure(toy="hangs in boot")
    master.start()
    wait_for(lambda: len(master.family()) == 2)
    wait_for(lambda: len(master.rows) == 2)
    master.signal(number)
    assert master.process.wait(5) == 0
    assert left(master) == []


def test_no_process_is_left_when_the_master_is_killed(master: RunningMaster) -> None:
    with master:
        family = master.family()
        master.signal(KILL)
        master.process.wait()
        wait_for(lambda: not any(child.is_running() for child in family))
        master.pid_file.unlink()
    with master:  # the stale socket is taken over
        assert master.ask()[1] == 1


# What cannot start.


@pytest.mark.parametrize(
    ("toy", "text", "reason"),
    [
        ("fails to boot", "", "worker 0 exited with status 3 before it served: ModuleNotFoundError"),
        ("raises", "", "exited with status 1 before it served: RuntimeError: the toy is broken"),
        ("hangs in boot", "[timeouts]\nboot = 0.3", "was not ready after 0.3 s"),
    ],
)
def test_a_boot_that_fails(master: RunningMaster, toy: str, text: str, reason: str) -> None:
    master.configure(text, toy=toy, workers=1)
    with master:
        assert master.process.wait(5) == 3
    assert "the first generation could not boot: worker 0 " in master.log
    assert reason in master.log
    assert left(master) == []


def test_why_it_cannot_boot_is_on_stderr_if_the_log_is_elsewhere(master: RunningMaster) -> None:
    elsewhere = master.directory / "error.log"
    master.configure(f'[log]\nerror = "{elsewhere}"', toy="fails to boot")
    with master:
        assert master.process.wait(5) == 3
    assert master.log.startswith("forkhttp: the first generation could not boot: worker ")
    assert "No module named 'toy'" in master.log
    assert "No module named 'toy'" in elsewhere.read_text()


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("typo = 1", 2, "toy.toml: toy: Object contains unknown field `typo`"),
        ('[log]\nerror = "/nowhere/log"', 2, "log.error: cannot open '/nowhere/log'"),
        ('[[listener]]\nbind = "unix:/nowhere/s"', 1, "cannot listen on unix:/nowhere/s: No such file"),
        ('[[listener]]\nbind = "203.0.113.1:80"', 1, "cannot listen on 203.0.113.1:80"),
    ],
)
def test_a_start_that_is_refused(master: RunningMaster, text: str, status: int, reason: str) -> None:
    master.configure(text)
    with master:
        assert master.process.wait(5) == status
    assert reason in master.log
    assert "Traceback" not in master.log
    assert left(master) == []


def test_a_second_master_is_refused_and_the_first_untouched(master: RunningMaster) -> None:
    with master:
        command = [sys.executable, "-m", "tests.master.toy", str(master.file)]
        root = Path(__file__).parents[2]
        second = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert (second.returncode, "another server answers there" in second.stderr) == (1, True)
        master.configure(bind=f"unix:{master.directory}/second.sock")
        second = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert (second.returncode, f"running master, pid {master.pid}" in second.stderr) == (1, True)
        assert master.ask()[0] in master.pids()
    assert left(master) == []


# Workers that end, and workers that do not.


def test_a_killed_worker_is_replaced_and_its_death_explained_once(master: RunningMaster) -> None:
    with master:
        victim = min(master.pids())
        os.kill(victim, KILL)
        wait_for(lambda: len(master.pids() - {victim}) == 2)
        wait_for(lambda: "worker died" in master.log)
        assert len(master.family()) == 2
        (record,) = [line for line in master.log.splitlines() if "worker died" in line]
        assert f'pid={victim} cause="was killed by SIGKILL" phase=serving' in record


def test_all_workers_are_killed_and_killed_again(master: RunningMaster) -> None:
    with master:
        descriptors = master.descriptors()
        for _ in range(4):
            before = master.pids()
            for victim in before:
                os.kill(victim, KILL)
            wait_for(lambda before=before: len(master.pids() - before) == 2)  # type: ignore[misc]
            assert master.ask()[0] in master.pids()
        assert master.descriptors() == descriptors
        assert len(master.rows) == 2


def test_a_worker_that_breaks_down_is_backed_off(master: RunningMaster) -> None:
    master.configure(toy="breaks down")
    master.start()
    wait_for(lambda: master.log.count("worker died") >= 6)
    master.signal(TERM)
    assert master.process.wait(5) == 0
    births = [line for line in master.log.splitlines() if "worker forked worker=0" in line]
    assert 3 <= len(births) <= 6


def test_a_worker_that_retires_by_itself_is_replaced(master: RunningMaster) -> None:
    with master:
        leaver = min(master.pids())
        os.kill(leaver, TERM)
        wait_for(lambda: len(master.pids() - {leaver}) == 2)
    assert 'cause="was killed by SIGTERM"' in master.log


def test_a_request_without_progress_ends_its_worker(master: RunningMaster) -> None:
    master.configure(STALLING, toy="stalls", workers=1)
    with master:
        pid, _ = master.ask()
        wait_for(lambda: "worker died" in master.log)
        wait_for(lambda: master.pids() - {pid})
    record = next(line for line in master.log.splitlines() if "worker died" in line)
    assert 'reason="a request made no progress for 0.6 s"' in record
    assert 'request="GET /stalls"' in record
    assert "in _loop" in master.log


def test_a_stopped_worker_is_replaced(master: RunningMaster) -> None:
    master.configure("[timeouts]\nstall = 1.5\nkill = 0.2")
    with master:
        victim = min(master.pids())
        os.kill(victim, signal.SIGSTOP)
        wait_for(lambda: len(master.pids() - {victim}) == 2)
    assert 'reason="it gave no sign of life for 1.7 s"' in master.log


def test_nobody_is_blamed_for_a_master_that_was_stopped(master: RunningMaster) -> None:
    """FAULTS 9: everything was frozen, so all signs of life look old when the master wakes."""
    master.configure("[timeouts]\nstall = 1.5\nkill = 0.2")
    with master:
        before = master.pids()
        for pid in [master.pid, *before]:
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            master.process.wait(2.5)  # longer than the patience that it has with workers
        os.kill(master.pid, signal.SIGCONT)
        wait_for(lambda: "held up" in master.log)
        with pytest.raises(subprocess.TimeoutExpired):
            master.process.wait(0.6)  # longer than it takes from the verdict to the kill
        for pid in before:
            os.kill(pid, signal.SIGCONT)
        beats = {row.pid: row.beat for row in master.rows}
        wait_for(lambda: all(row.beat > beats[row.pid] for row in master.rows))
        assert master.pids() == before
    assert "worker died" not in master.log


def test_strangers_are_reaped_and_not_missed(master: RunningMaster) -> None:
    """FAULTS 36: as PID 1 the master gets everybody's orphans."""
    # One is dead before the master can look, the other dies later.
    shell = 'true & sleep 1 & exec "$@"'
    master.configure()
    master.start("sh", "-c", shell, "sh")
    wait_for(lambda: master.serving and len(master.family()) == 2)
    master.signal(TERM)
    assert master.process.wait(5) == 0
    assert " error " not in master.log


# Reload.


def test_a_reload_brings_new_workers_and_the_old_leave(master: RunningMaster) -> None:
    with master:
        before, descriptors = master.pids(), master.descriptors()
        master.configure('title = "renamed"', workers=3)
        text = master.file.read_text().replace('title = "renamed"', "")
        master.file.write_text(f'title = "renamed"\n{text}')
        master.signal(HUP)
        wait_for(lambda: master.reloaded(1))
        header = master.header
        assert (header.outcome, header.generation) == (Outcome.DONE, 2)
        assert header.reason == "generation 2 serves with 3 workers"
        wait_for(lambda: len(master.pids(2)) == 3 and not master.pids() & before)
        wait_for(lambda: len(master.rows) == 3)
        assert master.ask()[1] == 2
        assert master.title == "renamed: master gen=2"
        assert master.descriptors() == descriptors + 2  # the last words and the pipe of one more
    assert " error " not in master.log


@pytest.mark.parametrize(
    ("toy", "text", "reason"),
    [
        ("fails to boot", "", "before it served: ModuleNotFoundError: No module named 'toy'"),
        ("hangs in boot", "[timeouts]\nboot = 0.2", "was not ready after 0.2 s"),
        ("", "typo = 1", "toy.toml: toy: Object contains unknown field `typo`"),
        ("", '[[listener]]\nbind = "unix:/nowhere/s"', "cannot listen on unix:/nowhere/s"),
        ("", "[workers]", "toy.toml: toy: "),
    ],
)
def test_a_refused_reload_changes_nothing(master: RunningMaster, toy: str, text: str, reason: str) -> None:
    with master:
        before, descriptors = master.pids(), master.descriptors()
        new = master.directory / "new.sock"
        master.configure(f'{text}\n[[listener]]\nbind = "unix:{new}"', toy=toy)
        master.signal(HUP)
        wait_for(lambda: master.reloaded(1))
        assert (master.header.outcome, reason in master.header.reason) == (Outcome.REFUSED, True)
        wait_for(lambda: len(master.rows) == 2)
        assert master.pids() == before
        assert master.ask()[1] == 1
        wait_for(lambda: master.descriptors() == descriptors)
        assert not new.exists()
        assert reason in master.log
        master.configure()
        master.signal(HUP)
        wait_for(lambda: master.reloaded(2) and len(master.rows) == 2)
        assert (master.header.outcome, master.ask()[1]) == (Outcome.DONE, 2)


def test_a_storm_of_reloads_coalesces(master: RunningMaster) -> None:
    with master:
        descriptors = master.descriptors()
        sent = 0
        while master.header.reloads < 4:
            master.signal(*[HUP] * 50)
            sent += 50
        wait_for(lambda: master.reloaded(4) and len(master.rows) == 2 and len(master.pids()) == 2)
        header = master.header
        assert header.generation == header.reloads + 1
        assert header.reloads < sent / 2
        wait_for(lambda: master.descriptors() == descriptors)
        assert master.ask()[1] == header.generation
    assert " error " not in master.log


def test_listeners_follow_the_configuration(master: RunningMaster) -> None:
    with master:
        inode = master.socket.stat().st_ino
        second = RunningMaster(master.directory)
        second.socket = master.directory / "second.sock"
        master.configure(f'[[listener]]\nbind = "unix:{second.socket}"')
        master.signal(HUP)
        wait_for(lambda: master.reloaded(1) and len(master.rows) == 2)
        assert (second.ask()[1], master.ask()[1]) == (2, 2)
        assert master.socket.stat().st_ino == inode
        master.configure(bind=f"unix:{second.socket}")
        master.signal(HUP)
        wait_for(lambda: master.reloaded(2))
        assert left(master) == ["second.sock", "toy.pid"]
        wait_for(lambda: len(master.rows) == 2)
        assert second.ask()[1] == 3


def test_old_workers_that_do_not_leave_are_made_to(master: RunningMaster) -> None:
    master.configure("[timeouts]\nreload_drain = 0.2\nkill = 0.2", toy="never leaves")
    with master:
        before = master.pids()
        master.configure()
        master.signal(HUP)
        wait_for(lambda: master.reloaded(1))
        wait_for(lambda: {row.pid for row in master.rows}.isdisjoint(before))
        assert len(master.pids(2)) == 2
    assert 'reason="did not finish in time"' in master.log


def test_a_stop_during_a_reload(master: RunningMaster) -> None:
    with master:
        master.configure(toy="hangs in boot")
        master.signal(HUP)
        wait_for(lambda: len(master.rows) == 4)
        master.signal(TERM)
        assert master.process.wait(5) == 0
    assert left(master) == []


# The other signals.


def test_more_and_fewer_workers_until_the_next_reload(master: RunningMaster) -> None:
    with master:
        master.signal(signal.SIGTTIN)
        wait_for(lambda: len(master.pids()) == 3)
        for count in (2, 1):
            master.signal(signal.SIGTTOU)
            wait_for(lambda count=count: len(master.rows) == count)  # type: ignore[misc]
        master.signal(signal.SIGTTOU)
        wait_for(lambda: master.log.count("number of workers changed workers=1") == 2)
        master.signal(HUP)
        wait_for(lambda: master.reloaded(1) and len(master.pids(2)) == 2)


def test_logs_are_reopened_here_and_there(master: RunningMaster) -> None:
    path = master.directory / "error.log"
    master.configure(f'[log]\nerror = "{path}"')
    with master:
        path.rename(path.with_suffix(".1"))
        master.signal(signal.SIGUSR1)
        wait_for(lambda: path.exists() and "logs reopened" in path.read_text())
        assert [row.reopen for row in master.rows] == [1, 1]


def test_everybody_tells_its_stacks_and_goes_on(master: RunningMaster) -> None:
    with master:
        before = master.pids()
        master.signal(signal.SIGQUIT)
        wait_for(lambda: master.log.count("master stacks worker=") == 2)
        assert master.log.count("most recent call first") == 2
        assert master.pids() == before
        assert master.ask()[0] in before


def deliver(pid: int, number: int) -> None:
    """Send a signal and wait until the process has it.

    Seven at once overflow the signal stack that faulthandler gives a process
    (CPython 3.11: SIGSTKSZ, and handlers of Python run on it too).
    """
    os.kill(pid, number)
    nothing = "ShdPnd:\t0000000000000000"
    wait_for(lambda: nothing in Path(f"/proc/{pid}/status").read_text())


def test_signals_that_ask_for_nothing_kill_nobody(master: RunningMaster) -> None:
    """FAULTS 35."""
    nothing = (signal.SIGPIPE, signal.SIGWINCH, signal.SIGUSR2, signal.SIGURG, signal.SIGCHLD)
    masters = (HUP, INT, signal.SIGUSR1, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU)
    with master:
        before = master.pids()
        for number in nothing:
            deliver(master.pid, number)
        for number in (*nothing, *masters):
            for pid in before:
                deliver(pid, number)
        wait_for(lambda: "SIGUSR2 ignored" in master.log)
        assert master.ask()[0] in before
        assert master.pids() == before


def test_a_worker_holds_what_is_its_own(master: RunningMaster) -> None:
    """Of pipes and memory, it has only those of which the other side is its own master."""
    with master:
        for pid in master.pids():
            links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
            assert sum(link.startswith("/memfd:forkhttp-last-words") for link in links) == 1
            assert not any("eventpoll" in link for link in links)
            flags = [
                int((Path(f"/proc/{pid}/fdinfo") / entry.name).read_text().split()[3], 8) & os.O_WRONLY
                for entry in Path(f"/proc/{pid}/fd").iterdir()
                if str(entry.readlink()).startswith("pipe:") and int(entry.name) > 2
            ]
            assert flags.count(1) == 1  # the toy's own way to wake itself


def test_a_system_without_room_for_another_process(master: RunningMaster) -> None:
    """FAULTS 13: the others serve, and the missing one comes when there is room."""
    with master:
        process = psutil.Process(master.pid)
        limit = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (master.descriptors() - 1, limit[1]))
        victim = min(master.pids())
        os.kill(victim, KILL)
        wait_for(lambda: master.log.count("worker not forked") >= 2)
        assert master.ask()[0] in master.pids()
        process.rlimit(psutil.RLIMIT_NOFILE, limit)
        wait_for(lambda: len(master.pids()) == 2)
