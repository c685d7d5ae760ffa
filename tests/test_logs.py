"""Logging never raises, never waits, and keeps lines whole, whatever is at the other end."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import ConfigError
from forkhttp.logs import GATHERED, KEPT, AccessLog, ErrorLog, Logs, Sink, open_logs
from forkhttp.settings import Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forkhttp.access_format import AccessRecord


class Pipe:
    """A pipe whose reader reads when the test says so."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def read(self) -> bytes:
        """Everything that is in it."""
        data = b""
        while True:
            try:
                octets = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                return data
            if not octets:
                return data
            data += octets

    def fill(self) -> None:
        """Leave no room in it."""
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"x" * 4096)
        os.set_blocking(self.writer, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    both = Pipe()
    yield both
    os.close(both.reader)
    os.close(both.writer)


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log"


def plain_line(record: AccessRecord) -> bytes:
    return f"{record.target}\n".encode()


def test_an_event_is_one_line(log_file: Path) -> None:
    logs = open_logs(Log(error=str(log_file), access="off"))
    logs.error.info("worker ready", worker=3, gen=2, pid=812, took=0.25, key=None)
    logs.close()
    stamp, event = log_file.read_text().split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    assert event == "info  master worker ready worker=3 gen=2 pid=812 took=0.25\n"


class Unspeakable:
    """A fact that raises when it is rendered."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("fact", "shown"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a\nb\x1b\x7f\x9b", '"a\\x0ab\\x1b\\x7f\\x9b"'),
        ("\u202e\U000e0001\udc80", '"\\u202e\\U000e0001\\udc80"'),
        ("größe", '"größe"'),
        (Unspeakable(), "<Unspeakable>"),
        ("x" * 5000, '"' + "x" * 4096 + '..."'),
    ],
)
def test_a_fact_is_one_word_or_quoted(log_file: Path, fact: object, shown: str) -> None:
    logs = open_logs(Log(error=str(log_file), access="off"))
    logs.error.warning("event", fact=fact)
    logs.close()
    assert log_file.read_text().endswith(f" fact={shown}\n")
    assert log_file.read_text().count("\n") == 1


def test_a_traceback_follows_in_marked_lines(log_file: Path) -> None:
    logs = open_logs(Log(error=str(log_file), access="off"))
    logs.error.error("handler raised", detail='Traceback:\n  File "x.py"\n\x1b[31mValueError: C:\\\n')
    logs.close()
    assert log_file.read_text().split("\n")[1:] == [
        "  | Traceback:",
        '  |   File "x.py"',
        "  | \\x1b[31mValueError: C:\\",
        "",
    ]


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")]
)
def test_the_level_filters(pipe: Pipe, level: str, shown: str) -> None:
    log = ErrorLog(Sink("pipe", pipe.writer), level)
    for say in (log.debug, log.info, log.warning, log.error):
        say("event")
    assert "".join(line.split()[1][0] for line in pipe.read().decode().splitlines()) == shown


def test_off_is_silent() -> None:
    logs = open_logs(Log(error="off", access="off"))
    logs.error.error("nobody hears it")
    logs.flush()
    assert logs.access is None
    assert logs.reopen()
    logs.with_role("worker=1").close()


def test_access_lines_are_gathered(pipe: Pipe) -> None:
    sink = Sink("pipe", pipe.writer)
    log = AccessLog(sink, plain_line, ErrorLog(None))
    log.write(b"one\n")
    log.write(b"two\n")
    assert pipe.read() == b""
    log.flush()
    assert pipe.read() == b"one\ntwo\n"


def test_many_access_lines_are_written_unasked(log_file: Path) -> None:
    logs = open_logs(Log(error="off", access=str(log_file)))
    assert logs.access
    for _ in range(GATHERED // 16):
        assert log_file.stat().st_size == 0
        logs.access.write(b"fifteen octets.\n")
    assert log_file.stat().st_size == GATHERED
    logs.close()


def test_a_full_pipe_holds_nobody_up_and_its_loss_is_told_once(pipe: Pipe) -> None:
    log = ErrorLog(Sink("pipe", pipe.writer))
    pipe.fill()
    said = KEPT // 1000 + 100
    for number in range(said):
        log.info("event", number=number, padding="x" * 1000)
    pipe.read()
    for _ in range(10):
        log.flush()
        if b"lost" in (text := pipe.read()):
            break
    lost = re.findall(
        rb"warning master log lines were lost lines=(\d+) reason=\"Resource temporarily unavailable\"", text
    )
    assert len(lost) == 1
    assert 50 < int(lost[0]) < 150
    log.info("later")
    assert pipe.read().decode().split(" ", 1)[1] == "info  master later\n"


def test_a_pipe_takes_whole_lines(pipe: Pipe) -> None:
    """Each write is at most PIPE_BUF, so lines of other processes come between lines only."""
    sink = Sink("pipe", pipe.writer)
    lines = [f"{number} {'x' * (number % 700)}\n".encode() for number in range(300)]
    seen = b""
    for line in lines:
        sink.put(line)
    while len(seen) < sum(map(len, lines)):
        sink.flush()
        piece = pipe.read()
        assert piece.endswith(b"\n")
        seen += piece
    assert seen == b"".join(lines)


def test_a_line_longer_than_a_pipe_is_finished_before_the_next(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    sink = Sink("pipe", pipe.writer)
    line = b"y" * 150_000 + b"\n"
    sink.put(line)
    sink.put(b"next\n")
    seen = b""
    for _ in range(10):
        sink.flush()
        seen += pipe.read()
    assert seen == line + b"next\n"
    assert sink.lost == 0


def test_a_reader_that_left_costs_lines_only(pipe: Pipe) -> None:
    log = ErrorLog(Sink("pipe", pipe.writer))
    os.close(pipe.reader)
    log.error("event")
    log.flush()
    assert log.sink
    assert log.sink.reason == "Broken pipe"
    pipe.reader = os.dup(pipe.writer)


def test_a_full_disk_is_survived(log_file: Path) -> None:
    """/dev/full refuses like a full disk does."""
    logs = open_logs(Log(error=str(log_file), access="/dev/full"))
    assert logs.access
    line = b"x" * 1023 + b"\n"
    for _ in range(2 * KEPT // len(line)):
        logs.access.write(line)
    logs.flush()
    sink = logs.access.sink
    assert (sink.lost, sink.reason) == (KEPT // len(line), "No space left on device")
    assert log_file.read_text() == ""
    sink.target = os.devnull
    sink.reopen()
    logs.flush()
    logs.flush()
    assert [line.split(" ", 3)[3] for line in log_file.read_text().splitlines()] == [
        f'log lines were lost lines={KEPT // len(line)} reason="No space left on device"'
    ]
    logs.close()


def test_a_socket_is_never_waited_for(pipe: Pipe) -> None:
    """The journal gives services a socket as their stdout."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink("socket", ours.fileno())
        for _ in range(1000):
            sink.put(b"z" * 999 + b"\n")
        sink.flush()
        received = theirs.recv(1 << 20)
    assert received.startswith(b"z" * 999 + b"\n")
    assert pipe.read() == b""


def test_a_stopped_reader_of_stdout_does_not_stop_the_program() -> None:
    """The description that is shared with the shell stays blocking; ours does not."""
    program = """
import os
from forkhttp.logs import open_logs
from forkhttp.settings import Log
logs = open_logs(Log(error="stderr", access="stdout"))
for number in range(20000):
    logs.access.write(b"%060d\\n" % number)
logs.flush()
assert os.get_blocking(1)
logs.error.info("done")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.wait(timeout=10) == 0
        assert process.stdout
        assert process.stderr
        lines = process.stdout.read().splitlines()
        assert lines == [b"%060d" % number for number in range(len(lines))]
        assert 900 < len(lines) < 20000
        assert process.stderr.read().endswith(b"info  master done\n")


def test_closed_standard_streams_swallow_the_logs() -> None:
    program = """
from forkhttp.logs import *
from forkhttp.process import occupy_standard_descriptors
from forkhttp.settings import Log
occupy_standard_descriptors()
logs = open_logs(Log())
logs.error.error("nobody reads it")
logs.access.write(b"nor this")
logs.flush()
raise SystemExit(any(sink.lost for sink in logs.sinks))
"""
    assert (
        subprocess.run(["sh", "-c", '"$0" -c "$1" >&- 2>&-', sys.executable, program], check=False).returncode
        == 0
    )


def test_reopening_follows_the_name(log_file: Path) -> None:
    logs = open_logs(Log(error=str(log_file), access="off"))
    logs.error.info("before")
    log_file.rename(log_file.with_suffix(".1"))
    logs.error.info("between")
    assert logs.reopen()
    logs.error.info("after")
    logs.close()
    assert log_file.with_suffix(".1").read_text().count("\n") == 2
    assert log_file.read_text().endswith("after\n")
    assert log_file.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_cannot_be_reopened_stays_open(log_file: Path, tmp_path: Path) -> None:
    access = tmp_path / "access"
    logs = open_logs(Log(error=str(log_file), access=str(access)))
    assert logs.access
    access.rename(tmp_path / "access.1")
    access.mkdir()
    assert not logs.reopen()
    logs.access.write(b"still here\n")
    logs.close()
    assert (tmp_path / "access.1").read_bytes() == b"still here\n"
    assert f'error master log not reopened path={access} problem="Is a directory"' in log_file.read_text()


def test_a_child_signs_with_its_role_and_writes_only_its_own(log_file: Path, tmp_path: Path) -> None:
    access = tmp_path / "access"
    logs = open_logs(Log(error=str(log_file), access=str(access), level="warning"))
    assert logs.access
    logs.access.write(b"the parent's\n")
    child = logs.with_role("worker=3 gen=2 pid=812")
    assert child.access
    child.access.write(b"the child's\n")
    child.error.warning("event")
    child.error.info("too small")
    child.flush()
    assert access.read_bytes() == b"the child's\n"
    logs.close()
    assert access.read_bytes() == b"the child's\nthe parent's\n"
    assert log_file.read_text().endswith("warning worker=3 gen=2 pid=812 event\n")


def test_every_fault_of_the_table_is_told_at_once(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError) as caught:
        open_logs(Log(error=str(link), access=str(tmp_path / "no" / "log"), format="%z"))
    assert [fault.key for fault in caught.value.faults] == ["log.error", "log.access", "log.format"]
    assert not (tmp_path / "elsewhere").exists()


def test_a_named_pipe_without_a_reader_is_a_fault_and_no_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="No such device"):
        open_logs(Log(error="off", access=str(tmp_path / "fifo")))


class Odd:
    """A record that an application spoiled."""

    @property
    def target(self) -> str:
        """Raise."""
        raise RuntimeError("spoiled")


def test_an_odd_record_costs_its_line_only(pipe: Pipe) -> None:
    errors = ErrorLog(Sink("pipe", pipe.writer))
    log = AccessLog(Sink("pipe", pipe.writer), plain_line, errors)
    log.record(Odd())  # type: ignore[arg-type]
    assert b"error master access line failed problem=spoiled\n" in pipe.read()


def test_threads_lose_no_line(log_file: Path) -> None:
    logs = open_logs(Log(error="off", access=str(log_file)))

    def write(name: int) -> None:
        assert logs.access
        for number in range(2000):
            logs.access.write(f"{name} {number}\n".encode())
            if number % 7 == 0:
                logs.access.flush()

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs.close()
    lines = log_file.read_text().splitlines()
    assert sorted(lines) == sorted(f"{name} {number}" for name in range(4) for number in range(2000))


def test_a_writer_that_is_interrupted_by_itself_does_not_wait(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler may log while the same thread is inside a write."""
    log = ErrorLog(Sink("pipe", pipe.writer))
    real = os.write
    interrupted = False

    def write(fd: int, data: bytes) -> int:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            log.info("from the signal handler")
        return real(fd, data)

    monkeypatch.setattr("forkhttp.logs.os.write", write)
    log.info("first")
    assert [line.split(" ", 4)[4] for line in pipe.read().decode().splitlines()] == [
        "first",
        "from the signal handler",
    ]


def test_logs_are_a_pair() -> None:
    assert Logs(ErrorLog(None), None).sinks == ()
