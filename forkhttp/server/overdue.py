"""What becomes of a late handler: all that cannot wait for its return.

Everything here runs on the lookout's thread, for as long as the handler holds its own.
Without progress for ``timeouts.stall`` its stack is logged, its client is answered with
a 504, and its process is replaced. If its master died, it keeps the listeners from nobody.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING

from forkhttp.errors import PeerGone
from forkhttp.scoreboard import PROGRESS, State
from forkhttp.server.conditions import application_frames

if TYPE_CHECKING:
    from forkhttp.scoreboard import Row
    from forkhttp.server.acceptor import Acceptor
    from forkhttp.server.conditions import Conditions
    from forkhttp.server.connection import Connection
    from forkhttp.server.lookout import Late


class Overdue:
    """Looks after the late handlers of one loop, which runs on the thread that makes this.

    Attributes:
        busy: the connection whose handler runs; set by the loop.
        stalled: a handler made no progress for too long; the process should be replaced.
        orphaned: the master died while a handler ran, and the listeners are gone.
    """

    def __init__(self, conditions: Conditions, row: Row, acceptor: Acceptor) -> None:
        """Begin with nobody late."""
        self._conditions = conditions
        self._row = row
        self._acceptor = acceptor
        self._thread = threading.get_ident()
        self._lifeline: select.poll | None = None
        self._give_up_at = 0.0
        self.busy: Connection | None = None
        self.stalled = False
        self.orphaned = False

    def watch_lifeline(self, fd: int) -> None:
        """Know by the end of ``fd`` that the master died."""
        self._lifeline = select.poll()
        self._lifeline.register(fd, select.POLLIN)

    def look(self, late: Late) -> None:
        """Look at a late handler's exchange; called at each tick."""
        connection = self.busy
        if connection is None or late is not connection.wfile or self._conditions.alone:
            return
        self._look_at_lifeline()
        if connection.wfile.is_tunnel:
            # Both ends may be silent for as long as they like; the master, who watches too, is to know.
            self._conditions.moved()
            return
        stall = self._conditions.settings.timeouts.stall
        still = time.monotonic_ns() - self._row.cells[PROGRESS]
        if stall and still >= stall * 1e9 and not self.stalled:
            self.stalled = True
            self._end_exchange(connection, still / 1e9)

    def _end_exchange(self, connection: Connection, seconds: float) -> None:
        # The master need not wait for the handler to see to a replacement.
        self._row.state = State.RETIRING
        frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
        stack = application_frames(traceback.extract_stack(frames[self._thread]))
        self._conditions.logs.error.error(
            "handler stalled",
            request=connection.head.request_line,
            seconds=round(seconds, 1),
            detail="".join(stack.format()),
        )
        with contextlib.suppress(PeerGone):
            connection.wfile.substitute(
                HTTPStatus.GATEWAY_TIMEOUT, "the handler took too long", connection.head.method
            )

    def _look_at_lifeline(self) -> None:
        """Let go of the listeners of a master that is dead.

        Nobody is left to end a handler that hangs, so the process ends itself when its time is up.
        """
        if self._lifeline is None:
            return
        errors = self._conditions.logs.error
        if not self.orphaned:
            if self._lifeline.poll(0):
                self.orphaned = True
                self._give_up_at = time.monotonic() + self._conditions.settings.timeouts.stop_drain
                self._acceptor.close()
                self._acceptor.forget()
                errors.error("the master died", running=self._row.request)
        elif time.monotonic() >= self._give_up_at:
            errors.error("the handler outlived its master for too long", running=self._row.request)
            os._exit(1)
