"""The two logs: events with their facts, and one line for each answered request.

Logging never raises and never waits, whatever becomes of the disk, the pipe or
the terminal at its other end: what cannot be written is kept up to a bound,
beyond it dropped and counted, and the count is told once writing works again.
Lines are written whole, so the lines of many processes stay apart.

The master opens the logs, with its rights, before it forks; a child carries them
on under its own name (``Logs.with_role``).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import select
import socket
import stat
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forkhttp.access_format import compile_format
from forkhttp.errors import ConfigError, Fault

if TYPE_CHECKING:
    from forkhttp.access_format import AccessRecord, Formatter
    from forkhttp.settings import Log

#: Octets of access lines that are gathered before they are written without being asked.
GATHERED = 64 << 10
#: Octets that wait for a log which does not take them; beyond, the newest lines are dropped.
KEPT = 256 << 10
#: Characters of one value, and of one detail, that an event line shows.
_VALUE_SHOWN = 4096
_DETAIL_SHOWN = 64 << 10

_LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3}
_STANDARD = {"stdout": 1, "/dev/stdout": 1, "stderr": 2, "/dev/stderr": 2}
#: A write of so many octets into a pipe is not cut by those of other processes (pipe(7)).
_PIPE_BUF = select.PIPE_BUF
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,<>\[\]{}()*~#-]+")


class Sink:
    """One opened log: takes whole lines, from any thread, in a bounded space.

    Whoever holds the lock writes for all; nobody waits for it, so neither a thread
    nor a signal handler that interrupts a write is ever held up.

    Attributes:
        lost: lines that were dropped since this was last reported.
        reason: why, in the words of the operating system.
    """

    def __init__(self, target: str, fd: int, owner: tuple[int, int] | None = None) -> None:
        """Write to ``fd``, which ``target`` names; give new files to ``owner`` (uid, gid)."""
        mode = os.fstat(fd).st_mode
        self.target = target
        self.lost = 0
        self.reason = ""
        self._fd = fd
        self._owner = owner
        self._regular = stat.S_ISREG(mode)
        self._socket = stat.S_ISSOCK(mode)
        self._blocking = os.get_blocking(fd)
        self._lines: deque[bytes] = deque()
        self._gathered = 0
        self._rest = b""
        self._writing = threading.Lock()

    @classmethod
    def open(cls, target: str, owner: tuple[int, int] | None = None) -> Sink:
        """Open a path, ``stdout`` or ``stderr``.

        Raises:
            OSError: it cannot be opened.
        """
        return cls(target, _open(target, owner), owner)

    def inherited(self) -> Sink:
        """The same log in a child process; what is gathered stays its parent's to write."""
        return Sink(self.target, self._fd, self._owner)

    def put(self, line: bytes) -> None:
        """Gather a line, newline included; write when there is enough."""
        self._lines.append(line)
        self._gathered += len(line)
        if self._gathered >= GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered, as far as it is taken at once."""
        while (self._lines or self._rest) and self._writing.acquire(blocking=False):
            try:
                drained = self._drain()
            finally:
                self._writing.release()
            if not drained:
                return

    def _drain(self) -> bool:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        self._gathered = 0
        data = self._rest + b"".join(lines)
        taken = self._write(data)
        self._rest = data[taken:]
        if len(self._rest) > KEPT:
            keep = self._rest.rfind(b"\n", 0, KEPT) + 1
            self.lost += self._rest.count(b"\n", keep)
            self._rest = self._rest[:keep]
        return not self._rest

    def _write(self, data: bytes) -> int:
        """Give it to the kernel without waiting; the octets that it took."""
        taken = 0
        for piece in (data,) if self._regular else _whole_lines(data):
            try:
                count = self._write_piece(piece)
            except OSError as error:
                self.reason = error.strerror or str(error)
                break
            taken += count
            if count < len(piece):
                break
        return taken

    def _write_piece(self, piece: bytes) -> int:
        if self._socket:
            with socket.socket(fileno=os.dup(self._fd)) as peer:
                return peer.send(piece, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if self._blocking and not self._regular and not _has_room(self._fd):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(self._fd, piece)

    def reported(self) -> tuple[int, str]:
        """How many lines were lost and why, once writing works again; else nothing is lost yet."""
        if not self.lost or self._rest:
            return 0, ""
        report = self.lost, self.reason
        self.lost, self.reason = 0, ""
        return report

    def reopen(self) -> None:
        """Open a path anew, for log rotation; a failure leaves the log as it was.

        Raises:
            OSError: it cannot be opened.
        """
        if self.target in _STANDARD:
            return
        fd = _open(self.target, self._owner)
        try:
            self.flush()
            # The number stays, so whoever else uses it writes to the new file too.
            os.dup2(fd, self._fd, inheritable=False)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Write what is taken at once, and close."""
        self.flush()
        os.close(self._fd)


def _open(target: str, owner: tuple[int, int] | None) -> int:
    """Open a log so that writing to it never waits, as far as its kind allows."""
    if target in _STANDARD:
        return _open_standard(_STANDARD[target])
    # Not blocking: without a reader, opening a named pipe would wait for one. No link is
    # followed, because what root creates in a directory of others must be what root named.
    flags = (
        os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK
    )
    fd = os.open(target, flags, 0o640)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
        # As nginx does: the workers must be able to open it after a rotation.
        if owner and stat.S_ISREG(status.st_mode) and os.geteuid() == 0 and status.st_uid == 0:
            os.fchown(fd, *owner)
    except OSError:
        os.close(fd)
        raise
    return fd


def _open_standard(fd: int) -> int:
    """Get a descriptor of our own for stdout or stderr.

    A pipe or terminal is opened once more, because only a description of our own may be
    made non-blocking: the other one belongs to the shell as well. A file is not, because
    two descriptions would write over each other.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        with contextlib.suppress(OSError):  # it may belong to another user; poll() must do then
            return os.open(f"/proc/self/fd/{fd}", flags)
    return os.dup(fd)


def _has_room(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in poll.poll(0))


def _whole_lines(data: bytes) -> list[bytes]:
    """Cut data into pieces of whole lines that a pipe takes undivided; a longer line is one piece."""
    pieces = []
    start = 0
    while start < len(data):
        end = len(data)
        if end - start > _PIPE_BUF:
            end = data.rfind(b"\n", start, start + _PIPE_BUF) + 1 or data.find(b"\n", start) + 1 or end
        pieces.append(data[start:end])
        start = end
    return pieces


class ErrorLog:
    """Events: a constant phrase and its facts, one line each.

    ``2026-11-21T01:47:00.123Z info  master worker ready worker=3 gen=2 pid=812``
    """

    def __init__(self, sink: Sink | None, level: str = "info", role: str = "master") -> None:
        """Write to ``sink`` (None: nowhere) what is at least as severe as ``level``."""
        self.sink = sink
        self.level = level
        self.role = role
        self._least = _LEVELS[level]

    def debug(self, event: str, *, detail: str = "", **facts: object) -> None:
        """Say what only its developer wants to know."""
        self._record("debug", event, detail, facts)

    def info(self, event: str, *, detail: str = "", **facts: object) -> None:
        """Say what happened."""
        self._record("info", event, detail, facts)

    def warning(self, event: str, *, detail: str = "", **facts: object) -> None:
        """Say what should be looked at."""
        self._record("warning", event, detail, facts)

    def error(self, event: str, *, detail: str = "", **facts: object) -> None:
        """Say what is broken. ``detail`` (a traceback) follows in lines of its own."""
        self._record("error", event, detail, facts)

    def lost(self, count: int, reason: str) -> None:
        """Say that lines are missing from a log."""
        self._record("warning", "log lines were lost", "", {"lines": count, "reason": reason})

    def flush(self) -> None:
        """Try again what could not be written, and say once what was lost."""
        if self.sink is None:
            return
        self.sink.flush()
        count, reason = self.sink.reported()
        if count:
            self.lost(count, reason)

    def _record(self, level: str, event: str, detail: str, facts: dict[str, object]) -> None:
        if self.sink is None or _LEVELS[level] < self._least:
            return
        line = f"{_utc()} {level:<5} {self.role} {event}"
        for name, value in facts.items():
            if value is not None:
                line += f" {name}={_rendered(value)}"
        if detail:
            shown = _shortened(detail, _DETAIL_SHOWN)
            line += "".join(f"\n  | {_visible(text)}" for text in shown.strip("\n").split("\n"))
        self.sink.put(f"{line}\n".encode("utf-8", "backslashreplace"))
        self.flush()


class AccessLog:
    """One line for each answered request, gathered until ``flush``."""

    def __init__(self, sink: Sink, line: Formatter, errors: ErrorLog) -> None:
        """Render records with ``line`` (see ``compile_format``); tell ``errors`` what was lost."""
        self.sink = sink
        self.line = line
        self.write = sink.put
        self._errors = errors

    def record(self, record: AccessRecord) -> None:
        """Gather the line of one exchange; it never raises."""
        try:
            self.write(self.line(record))
        except Exception as error:  # noqa: BLE001 - a record that an application made odd costs its line only
            self._errors.error("access line failed", problem=error)

    def flush(self) -> None:
        """Write the gathered lines, as far as they are taken at once."""
        self.sink.flush()
        count, reason = self.sink.reported()
        if count:
            self._errors.lost(count, reason)


@dataclass(slots=True)
class Logs:
    """What a process logs to.

    Attributes:
        error: where events go.
        access: where answered requests go; None if nobody wants to know.
    """

    error: ErrorLog
    access: AccessLog | None

    def with_role(self, role: str) -> Logs:
        """Make the logs of a child process, which signs with ``role`` (``worker=3 gen=2 pid=812``)."""
        errors = ErrorLog(self.error.sink.inherited() if self.error.sink else None, self.error.level, role)
        if self.access is None:
            return Logs(errors, None)
        return Logs(errors, AccessLog(self.access.sink.inherited(), self.access.line, errors))

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """What is open."""
        access = self.access.sink if self.access else None
        return tuple(sink for sink in (self.error.sink, access) if sink is not None)

    def flush(self) -> None:
        """Write what is gathered; call it when there is nothing else to do, and before leaving."""
        if self.access:
            self.access.flush()
        self.error.flush()

    def reopen(self) -> bool:
        """Open both files anew; what cannot be opened stays as it is, and the error log says so."""
        done = True
        for sink in self.sinks:
            try:
                sink.reopen()
            except OSError as error:
                self.error.error("log not reopened", path=sink.target, problem=error.strerror)
                done = False
        return done

    def close(self) -> None:
        """Flush and close both."""
        self.flush()
        for sink in self.sinks:
            sink.close()


def open_logs(log: Log, role: str = "master", owner: tuple[int, int] | None = None) -> Logs:
    """Open what the table ``[log]`` names; the standard descriptors must be occupied by then.

    ``owner`` (uid and gid) is who will write once privileges are dropped: a file that
    root creates is given to them, so that they can open it anew after a rotation.

    Raises:
        ConfigError: a file cannot be opened, or the format is none.
    """
    faults = []
    sinks: dict[str, Sink | None] = {}
    for key, target in (("log.error", log.error), ("log.access", log.access)):
        try:
            sinks[key] = None if target == "off" else Sink.open(target, owner)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            faults.append(Fault(key, f"cannot open {target!r}: {reason}"))
    try:
        line = compile_format(log.format)
    except ValueError as error:
        faults.append(Fault("log.format", str(error)))
    if faults:
        for opened in filter(None, sinks.values()):
            opened.close()
        raise ConfigError(faults)
    errors = ErrorLog(sinks["log.error"], log.level, role)
    access = sinks["log.access"]
    return Logs(errors, AccessLog(access, line, errors) if access else None)


@functools.lru_cache(maxsize=1)
def _utc_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _utc() -> str:
    now = time.time()
    return f"{_utc_second(int(now))}.{int(now % 1 * 1000):03d}Z"


def _rendered(value: object) -> str:
    """Render a fact as one word, or quoted."""
    try:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
    except Exception:  # noqa: BLE001 - an application's __str__ may do anything; logging never raises
        text = f"<{type(value).__name__}>"
    if _PLAIN.fullmatch(text) and len(text) <= _VALUE_SHOWN:
        return text
    quoted = _shortened(text, _VALUE_SHOWN).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_visible(quoted)}"'


def _shortened(text: str, shown: int) -> str:
    return text if len(text) <= shown else f"{text[:shown]}..."


def _visible(text: str) -> str:
    """Escape what a terminal or a reader of lines would obey."""
    return text if text.isprintable() else "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
