"""The crew: the processes behind the roster's records, with their rows and descriptors.

It does to processes what the master decided, and writes into the roster what it
did and what it saw. It decides nothing.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from typing import TYPE_CHECKING

from forkhttp.context import LOOK, READY_OCTET
from forkhttp.master.deaths import Obituary, OutOfMemory, death_of
from forkhttp.master.roster import Child, Sight
from forkhttp.master.spawn import Birth, spawn

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable

    from forkhttp.context import WorkerMain
    from forkhttp.logs import ErrorLog
    from forkhttp.master.generation import Generation
    from forkhttp.master.roster import Roster
    from forkhttp.master.spawn import Worker
    from forkhttp.scoreboard import Order, Scoreboard


class Crew:
    """All children of the master.

    Attributes:
        parting_words: the last words of whoever made the rising generation fail by its death.
    """

    def __init__(
        self, main: WorkerMain, roster: Roster, board: Scoreboard, selector: selectors.BaseSelector
    ) -> None:
        """Have nobody yet; readiness pipes are registered with ``selector``, with their pid."""
        self.parting_words = ""
        self._main = main
        self._roster = roster
        self._board = board
        self._selector = selector
        self._workers: dict[int, Worker] = {}
        self._out_of_memory = OutOfMemory()
        # A pipe that nobody writes to: whoever reads end-of-file knows that the master died.
        self._lifeline, self._life = os.pipe2(os.O_CLOEXEC)

    def close(self) -> None:
        """Close all descriptors; whoever is still there reads the end of the lifeline."""
        self._let_go()
        os.close(self._lifeline)

    def _let_go(self) -> None:
        """Close what a child of the master must not hold."""
        os.close(self._life)
        for worker in self._workers.values():
            worker.release()

    # What the master decided.

    def spawn(
        self, slot: int, number: int, generation: Generation, log: ErrorLog, let_go: Callable[[], None]
    ) -> None:
        """Fork a worker; ``let_go`` closes in it what else is the master's alone. A failure is noted."""

        def let_all_go() -> None:
            self._let_go()
            let_go()

        birth = Birth(
            main=self._main,
            settings=generation.settings,
            generation=number,
            slot=slot,
            board=self._board,
            listeners=generation.binding.listeners,
            lifeline=self._lifeline,
            logs=generation.logs,
            let_go=let_all_go,
            born=time.monotonic_ns(),
        )
        try:
            worker = spawn(birth)
        except OSError as error:
            self._could_not_fork(birth, error, log)
            return
        child = Child(worker.pid, slot, number, birth.born / 1e9, generation.settings.timeouts)
        self._roster.spawned(child)
        self._workers[worker.pid] = worker
        self._selector.register(worker.ready, selectors.EVENT_READ, worker.pid)
        log.info("worker forked", worker=slot, gen=number, pid=worker.pid)

    def _could_not_fork(self, birth: Birth, error: OSError, log: ErrorLog) -> None:
        slot, number = birth.slot, birth.generation
        reason = f"cannot fork worker {slot}: {error.strerror or error}"
        delay = self._roster.fork_failed(number, reason, time.monotonic())
        log.error("worker not forked", worker=slot, gen=number, problem=error, retry_in=delay or None)

    def give(self, pid: int, order: Order) -> None:
        """Order one child."""
        self._workers[pid].row.order = order
        self._roster.gave(pid, order, time.monotonic())
        os.kill(pid, LOOK)

    def commit(self) -> None:
        """Order the rising generation to serve: all rows are written before anybody is woken."""
        self._roster.commit(time.monotonic())
        members = [child for child in self._roster.of(self._roster.generation) if not child.killed]
        for child in members:
            self._workers[child.pid].row.order = child.order
        for child in members:
            os.kill(child.pid, LOOK)

    def abandon(self, reason: str) -> None:
        """Kill the rising generation."""
        for child in self._roster.abandon(reason):
            os.kill(child.pid, signal.SIGKILL)

    def dump(self, pid: int) -> None:
        """Ask one child, which is about to be killed, for its stacks."""
        self._roster.children[pid].dumped = time.monotonic()
        os.kill(pid, signal.SIGQUIT)

    def kill(self, pid: int, reason: str) -> None:
        """Kill one child."""
        self._roster.children[pid].killed = reason
        os.kill(pid, signal.SIGKILL)

    # What the operator asked for.

    def ask_for_stacks(self) -> None:
        """Ask everybody; see ``collect_stacks``."""
        for pid in self._workers:
            os.kill(pid, signal.SIGQUIT)

    def collect_stacks(self, log: ErrorLog) -> None:
        """Log what everybody answered meanwhile."""
        for pid, worker in self._workers.items():
            child = self._roster.children[pid]
            stacks = worker.last_words.take() or "(it did not answer)"
            log.info("stacks", worker=child.slot, gen=child.generation, pid=pid, detail=stacks)

    def reopen_logs(self) -> None:
        """Tell everybody to open the log files anew."""
        for pid, worker in self._workers.items():
            worker.row.reopen += 1
            os.kill(pid, LOOK)

    # What happened.

    def look(self) -> None:
        """Note what the rows show."""
        for pid, worker in self._workers.items():
            row = worker.row
            self._roster.children[pid].seen = Sight(
                row.state, row.beat / 1e9, row.began / 1e9, row.progress / 1e9
            )

    def words_of(self, pid: int) -> str:
        """What a living child said so far, or the one that made the rising generation fail."""
        worker = self._workers.get(pid)
        return worker.last_words.read() if worker else self.parting_words

    def hear(self, pid: int) -> None:
        """Note that a child is ready, or closed its pipe without a word."""
        worker = self._workers.get(pid)
        if worker is None:
            return
        try:
            said = os.read(worker.ready, 16)
        except BlockingIOError:
            return
        self._selector.unregister(worker.ready)
        if said.startswith(READY_OCTET):
            self._roster.became_ready(pid, time.monotonic())

    def reap(self, log: ErrorLog) -> None:
        """Take leave of every child that ended, strangers included: we may be PID 1."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._workers:
                self._bury(pid, status, usage, log)

    def _bury(self, pid: int, status: int, usage: resource.struct_rusage, log: ErrorLog) -> None:
        if self._workers[pid].ready in self._selector.get_map():
            self.hear(pid)  # it may have become ready since the last wait
        worker = self._workers.pop(pid)
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.ready)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        ours = self._roster.children[pid].killed
        death = death_of(status, out_of_memory=killed and not ours and self._out_of_memory.happened())
        words = worker.last_words.read()
        now = time.monotonic()
        child = self._roster.died(pid, death, now)
        if child:
            retry_at = self._roster.not_before(child.slot)
            Obituary(child, death, worker.row, usage.ru_maxrss << 10, words, retry_at, now).write(log)
        if self._roster.rising and self._roster.rising.culprit == pid:
            self.parting_words = words
        self._board.release(worker.row)
        worker.release()
