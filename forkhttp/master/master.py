"""The master: one wait, and what follows from it.

A turn: ask the policy what is to be done, do it, write it down in the roster, ask
again until there is nothing left but to wait; wait for a signal, a worker's
readiness or an instant; note what happened. Nothing else blocks, no thread runs,
no name is resolved, and the application is not here.

A reload prepares and boots a generation aside, and then commits it in one moment
or takes it back. Asked for again meanwhile, it is done once more afterwards. It
returns to the configured number of workers, whatever ``SIGTTIN`` and ``SIGTTOU`` made of it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import time
import traceback
from typing import TYPE_CHECKING, assert_never

from forkhttp.context import MISCONFIGURED
from forkhttp.errors import ConfigError, ForkhttpError
from forkhttp.logs import ErrorLog
from forkhttp.master.crew import Crew
from forkhttp.master.generation import prepare
from forkhttp.master.listeners import Inherited, ListenError
from forkhttp.master.policy import (
    Commit,
    Dump,
    Finish,
    Give,
    Goal,
    Kill,
    Refuse,
    Spawn,
    WaitUntil,
    Wanted,
    decide,
)
from forkhttp.master.roster import Roster
from forkhttp.master.signals import Command, Inbox
from forkhttp.process import set_title
from forkhttp.scoreboard import Outcome, Scoreboard

if TYPE_CHECKING:
    from collections.abc import Callable

    from forkhttp.config import Configuration
    from forkhttp.context import WorkerMain
    from forkhttp.master.generation import Generation
    from forkhttp.master.policy import Action

#: Exit statuses of the command line.
DONE, FAILED, NOT_BOOTED = 0, 1, 3

#: A wait or a turn that took so many seconds more than it should: the master was stopped, or the machine.
OVERSLEPT = 1.0
#: Between the request for everybody's stacks and their collection.
COLLECT_MOMENT = 0.5

#: Where events go before the logs are open: what is wrong then is said on stderr.
_NOWHERE = ErrorLog(None)

#: What a second request to end means, by what is under way.
_NEXT_GOAL = {
    (Goal.RUN, Command.STOP): Goal.DRAIN,
    (Goal.RUN, Command.QUIT): Goal.QUIT,
    (Goal.DRAIN, Command.STOP): Goal.QUIT,
    (Goal.DRAIN, Command.QUIT): Goal.QUIT,
    (Goal.QUIT, Command.STOP): Goal.QUIT,
    (Goal.QUIT, Command.QUIT): Goal.KILL,
    (Goal.KILL, Command.STOP): Goal.KILL,
    (Goal.KILL, Command.QUIT): Goal.KILL,
}


class Master:
    """The parent of the workers.

    Its state is the roster (facts), ``wanted`` (the operator's wish), the crew (the
    processes) and at most two generations: the one that serves, and one that rises.
    """

    def __init__(self, load: Callable[[], Configuration], worker: WorkerMain) -> None:
        """Take how to read the configuration, again for each reload, and what a worker does."""
        self._load = load
        self._worker = worker
        self._roster = Roster()
        self._wanted = Wanted(count=0)
        self._current: Generation | None = None
        self._rising: Generation | None = None
        self._reload_wanted = False
        self._collect_at: float | None = None
        self._status: int | None = None
        self._awake = time.monotonic()

    def run(self) -> int:
        """Start, serve and stop; the exit status of the command line.

        0: stopped as asked. 1: an address, the PID file or the system is in the
        way. 2: the configuration or the target is wrong. 3: the first generation could not boot.
        """
        try:
            self._open()
        except OSError as error:  # no descriptor, or no memory, is left
            self._fail(FAILED, f"cannot start: {error}")
            return FAILED
        try:
            self._crew.reap(self._log)  # who was a child before this program was executed
            self._start()
            self._awake = time.monotonic()
            while self._status is None or self._roster.children:
                self._turn()
        except Exception:  # noqa: BLE001 - the last record of a master that fails is its own
            self._fail(FAILED, f"the master failed\n{traceback.format_exc()}")
        finally:
            self._end()
        return DONE if self._status is None else self._status

    # Start, reload, stop.

    def _open(self) -> None:
        self._inbox = Inbox()
        self._board = Scoreboard.create()
        self._board.header.pid = os.getpid()
        self._board.header.started = time.monotonic_ns()
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(self._worker, self._roster, self._board, self._selector)
        self._selector.register(self._inbox.fd, selectors.EVENT_READ)
        self._inherited = Inherited(os.environ, os.getpid())
        self._inbox.open()

    def _start(self) -> None:
        try:
            self._rise()
        except ConfigError as error:
            self._fail(MISCONFIGURED, str(error))
        except ForkhttpError as error:
            self._fail(FAILED, str(error))

    def _rise(self) -> None:
        """Load and open a generation aside, and let it boot.

        Raises:
            ForkhttpError: it cannot even be tried; nothing has changed.
        """
        self._crew.parting_words = ""
        configuration = self._load()
        rising = prepare(configuration.settings, self._inherited, self._current)
        self._rising = rising
        number = self._roster.begin(rising.count)
        if self._current is None:
            set_title(rising.settings.title, "master")
        for warning in configuration.warnings:
            self._log.warning("configuration", problem=warning)
        self._log.info("generation boots", gen=number, workers=rising.count, pid=os.getpid())

    def _reload(self) -> None:
        self._reload_wanted = False
        header = self._board.header
        header.conclude(Outcome.RUNNING)
        header.reloads += 1
        try:
            self._rise()
        except ForkhttpError as error:
            self._refused(str(error))
        except Exception:  # noqa: BLE001 - a defect in the checks must not take the service down
            self._refused("the reload failed", traceback.format_exc())

    def _refused(self, reason: str, words: str = "") -> None:
        self._log.error("reload refused; nothing has changed", reason=reason, detail=words)
        self._board.header.conclude(Outcome.REFUSED, f"{reason}\n{words}".strip())

    def _commit(self) -> None:
        """Let the rising generation serve, all of it in one moment."""
        rising, before = self._rising, self._current
        if rising is None:
            return
        self._crew.commit()
        self._current, self._rising = rising, None
        self._wanted = Wanted(count=rising.count)
        number = self._roster.generation
        try:
            rising.supersede(before)
        except ListenError as error:
            self._log.warning("listener not adjusted", problem=error)
        set_title(rising.settings.title, f"master gen={number}")
        self._board.header.generation = number
        text = f"generation {number} serves with {rising.count} workers"
        if before:
            self._board.header.conclude(Outcome.DONE, text)
        addresses = ", ".join(str(listener.name) for listener in rising.binding.listeners)
        self._log.info("generation serves", gen=number, workers=rising.count, listeners=addresses)

    def _refuse(self, reason: str, culprit: int) -> None:
        """Give the rising generation up, with the reason."""
        # A traceback ends with what went wrong; stacks that were asked for do not.
        cause = self._crew.parting_words.rpartition("\n")[2]
        reason = f"{reason}: {cause}" if cause else reason
        words = self._crew.words_of(culprit)
        rising = self._roster.rising
        no_target = rising is not None and rising.status == MISCONFIGURED
        self._crew.abandon("its generation was refused")
        if self._current is None:
            status = MISCONFIGURED if no_target else NOT_BOOTED
            self._fail(status, f"the first generation could not boot: {reason}", words)
            return
        if self._rising:
            self._rising.discard(self._current)
            self._rising = None
        self._board.header.conclude(Outcome.REFUSED, f"{reason}\n{words}".strip())
        self._log.error("reload refused; nothing has changed", reason=reason)

    def _fail(self, status: int, reason: str, words: str = "") -> None:
        """End the master because of something; say why where a person looks."""
        self._status = status
        self._wanted = Wanted(0, Goal.KILL, time.monotonic())
        generation = self._current or self._rising
        if generation:
            self._log.error("failed", status=status, detail=reason)
        if generation is None or generation.settings.log.error != "stderr":
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full or None
                sys.stderr.write(f"forkhttp: {reason}\n{words}".strip() + "\n")
                sys.stderr.flush()

    def _stop(self, command: Command) -> None:
        before = self._wanted.goal
        goal = _NEXT_GOAL[before, command]
        if goal is before:
            return
        self._log.info("stop begins", how=goal.name.lower(), workers=len(self._roster.children))
        if before is Goal.RUN:
            # Before the workers are told: the last one to close its copy then knows that no
            # connection can come after it has accepted until there was none.
            if self._roster.rising and self._current:
                self._refuse("the server is being stopped", 0)
            for generation in self._generations:
                generation.binding.close()
        self._wanted = Wanted(self._wanted.count, goal, time.monotonic())

    def _end(self) -> None:
        """Leave nothing behind; workers that are still there read the end of their lifeline."""
        for generation in self._generations:
            generation.binding.close()
            if generation.pid_file:
                generation.pid_file.remove()
        if self._current or self._rising:
            self._log.info("ended", status=self._status or DONE)
        for generation in self._generations:
            generation.logs.flush()
        self._crew.close()
        self._selector.close()
        self._inbox.close()
        self._board.close()

    # One turn.

    def _turn(self) -> None:
        instant = self._settle()
        if self._status is None or self._roster.children:
            self._wait(instant)

    def _settle(self) -> float | None:
        """Do all that is to be done; the instant until which there is nothing more."""
        while True:
            if self._reload_wanted and not self._roster.rising and self._wanted.goal is Goal.RUN:
                self._reload()
            self._crew.look()
            actions = decide(self._roster, self._wanted, time.monotonic())
            instants = [action.instant for action in actions if isinstance(action, WaitUntil)]
            actions = [action for action in actions if not isinstance(action, WaitUntil)]
            if not actions:
                return min(instants, default=None)
            for action in actions:
                self._perform(action)
            if self._status is not None and not self._roster.children:
                return None

    def _wait(self, instant: float | None) -> None:
        """The one wait."""
        if self._collect_at is not None:
            instant = self._collect_at if instant is None else min(instant, self._collect_at)
        now = time.monotonic()
        self._notice_sleep(now - self._awake)
        timeout = None if instant is None else max(instant - now, 0.0)
        events = self._selector.select(timeout)
        self._awake = time.monotonic()
        if timeout is not None:
            self._notice_sleep(self._awake - now - timeout)
        for key, _ in events:
            if key.data is not None:
                self._crew.hear(key.data)
        for command in self._inbox.take():
            self._obey(command)
        if self._collect_at is not None and time.monotonic() >= self._collect_at:
            self._collect_at = None
            self._crew.collect_stacks(self._log)

    def _notice_sleep(self, lost: float) -> None:
        if lost > OVERSLEPT:
            self._roster.awake_since = time.monotonic()
            self._log.warning("held up; no worker is blamed for it", seconds=round(lost, 1))

    def _obey(self, command: Command) -> None:
        match command:
            case Command.REAP:
                self._crew.reap(self._log)
            case Command.STOP | Command.QUIT:
                self._stop(command)
            case Command.RELOAD:
                self._reload_wanted = True
            case Command.DUMP:
                self._crew.ask_for_stacks()
                self._collect_at = time.monotonic() + COLLECT_MOMENT
            case Command.REOPEN:
                self._reopen()
            case Command.UPGRADE:
                self._log.warning("SIGUSR2 ignored: there is no upgrade yet")
            case Command.MORE | Command.FEWER:
                self._resize(1 if command is Command.MORE else -1)
            case _:
                assert_never(command)

    # What the policy asks for.

    def _perform(self, action: Action) -> None:
        match action:
            case Spawn(slot, number):
                self._spawn(slot, number)
            case Give(pid, order):
                self._crew.give(pid, order)
            case Dump(pid):
                self._crew.dump(pid)
            case Kill(pid, reason):
                self._crew.kill(pid, reason)
            case Commit():
                self._commit()
            case Refuse(reason, culprit):
                self._refuse(reason, culprit)
            case Finish():
                self._status = DONE if self._status is None else self._status
            case WaitUntil():
                pass
            case _:
                assert_never(action)

    def _spawn(self, slot: int, number: int) -> None:
        if number == self._roster.generation:
            generation = self._current
            skip = time.monotonic() < self._roster.not_before(slot)
        else:
            generation = self._rising
            skip = self._roster.rising is None or bool(self._roster.rising.failure)
        if generation is None or skip:  # one that was decided on together with this one has failed
            return
        self._crew.spawn(slot, number, generation, self._log, lambda: self._let_go(generation))

    def _let_go(self, generation: Generation) -> None:
        """In a child: close what is the master's alone, and what is other generations'."""
        self._selector.close()
        self._inbox.release()
        kept = {id(bound.socket) for bound in generation.binding.bound}
        for other in self._generations:
            for bound in other.binding.bound:
                if id(bound.socket) not in kept:
                    bound.socket.close()

    def _reopen(self) -> None:
        opened = {id(generation.logs): generation.logs for generation in self._generations}
        done = [logs.reopen() for logs in opened.values()]
        self._crew.reopen_logs()
        if all(done):
            self._log.info("logs reopened")

    def _resize(self, step: int) -> None:
        count = max(self._wanted.count + step, 1)
        self._wanted = Wanted(count, self._wanted.goal, self._wanted.since)
        self._log.info("number of workers changed", workers=count)

    @property
    def _generations(self) -> tuple[Generation, ...]:
        """What the master holds descriptors for; retiring workers have their own."""
        return tuple(filter(None, (self._current, self._rising)))

    @property
    def _log(self) -> ErrorLog:
        generation = self._current or self._rising
        return generation.logs.error if generation else _NOWHERE
