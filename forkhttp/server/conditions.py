"""What holds for all connections of a loop, as each of them sees it."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from forkhttp.handlers.base import http_date
from forkhttp.scoreboard import PROGRESS

if TYPE_CHECKING:
    from forkhttp.logs import Logs
    from forkhttp.scoreboard import Row
    from forkhttp.settings import Settings
    from forkhttp.wire import RequestHead

_LOOP = str(Path(__file__).with_name("loop.py"))
#: The threads that run; active_count() would take a lock to count them.
_THREADS: dict[int, threading.Thread] = vars(threading)["_active"]

_PACKAGE = str(Path(__file__).parent.parent) + os.sep


class Conditions:
    """Settings, the time of day, the logs, and whether the process is about to leave.

    Attributes:
        records: the access log is the server's, so handlers need not log requests.
        always_persistent: connections persist whatever a class declares.
        leaving: no connection goes on after its current exchange.
        cells: of this process's row; the master's order stands there before the loop has looked.
        alone: there is no master: the documents' defaults hold to the letter.
    """

    def __init__(self, settings: Settings, logs: Logs, row: Row, *, alone: bool) -> None:
        """Hold for one process."""
        self.settings = settings
        self.logs = logs
        self.alone = alone
        self.records = not alone
        self.always_persistent = settings.http.persistent == "always" and not alone
        self.leaving = False
        self.cells = row.cells
        self._known_threads = 0
        self._date_second = 0
        self._date = b""

    def count_threads(self) -> None:
        """Take those that run now for known: they were there before the first request."""
        self._known_threads = len(_THREADS)

    @property
    def crowded(self) -> bool:
        """Whether there are threads that were started since: one may outlive the exchange it belongs to."""
        return len(_THREADS) > self._known_threads

    def date(self) -> bytes:
        """Give the value of the Date field."""
        second = int(time.time())
        if second != self._date_second:
            self._date = http_date(second).encode("ascii")
            self._date_second = second
        return self._date

    def moved(self) -> None:
        """Note that an exchange made progress, from whichever thread runs it."""
        self.cells[PROGRESS] = time.monotonic_ns()

    def log(self, line: str) -> None:
        """Write a line of a handler's to the error log; alone, to standard error, as documented."""
        if self.alone:
            sys.stderr.write(line + "\n")
        else:
            self.logs.error.info("handler says", line=line)

    def complain(self, head: RequestHead, fault: str, detail: str = "") -> None:
        """Log what a handler did wrong."""
        self.logs.error.error("handler fault", problem=fault, request=head.request_line, detail=detail)

    def log_failure(self, head: RequestHead, error: BaseException) -> None:
        """Log the exception that ended an exchange, with the application's part of its traceback."""
        trace = traceback.TracebackException.from_exception(error)
        trace.stack = application_frames(trace.stack)
        self.logs.error.error("handler failed", request=head.request_line, detail="".join(trace.format()))


def application_frames(stack: traceback.StackSummary) -> traceback.StackSummary:
    """Leave out what led from the loop to the application; all of it stays if there is nothing else."""
    entry = max((number for number, frame in enumerate(stack) if frame.filename == _LOOP), default=-1)
    rest = range(entry + 1, len(stack))
    first = next((number for number in rest if not stack[number].filename.startswith(_PACKAGE)), entry + 1)
    return traceback.StackSummary.from_list(stack[first:] or list(stack))
