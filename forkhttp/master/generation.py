"""A generation: everything that one successful load of the configuration brings with it.

It is made aside. Until it supersedes the one before, it can be discarded, and
nothing has changed; what both have in common is shared, not opened twice.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forkhttp.logs import open_logs
from forkhttp.master.listeners import Binding, bind
from forkhttp.master.pid_file import PidFile
from forkhttp.process import cpu_count, resolve_identity

if TYPE_CHECKING:
    from forkhttp.logs import Logs
    from forkhttp.master.listeners import Inherited
    from forkhttp.settings import Settings


@dataclass(slots=True)
class Generation:
    """What its workers are born with, and what the master holds for it.

    Attributes:
        count: how many workers it has at first.
    """

    settings: Settings
    binding: Binding
    logs: Logs
    pid_file: PidFile | None
    count: int

    def discard(self, before: Generation | None) -> None:
        """Take back what was opened for it alone; ``before`` goes on."""
        self.binding.close_unless_in(before.binding if before else Binding())
        if self.pid_file and not (before and self.pid_file is before.pid_file):
            self.pid_file.remove()
        if not (before and self.logs is before.logs):
            self.logs.close()

    def supersede(self, before: Generation | None) -> None:
        """Go on in the place of ``before``.

        Raises:
            ListenError: a kept socket did not take its new properties; all else is done.
        """
        if before:
            before.discard(self)
        if self.settings.umask:
            os.umask(int(self.settings.umask, 8))
        self.binding.adjust(self.settings.backlog)


def prepare(settings: Settings, inherited: Inherited, before: Generation | None) -> Generation:
    """Open everything that the settings name: listeners, logs, PID file.

    Raises:
        ConfigError: a user, a group or a log is none.
        ListenError, PidFileError: the system or another server is in the way.
            In each case nothing is left of what was opened here.
    """
    with contextlib.ExitStack() as undo:
        identity = resolve_identity(settings.user, settings.group)
        if settings.umask and not before:
            os.umask(int(settings.umask, 8))
        binding = bind(settings, inherited, before.binding if before else Binding())
        undo.callback(binding.close_unless_in, before.binding if before else Binding())
        if before and before.settings.log == settings.log and _same_owner(before.settings, settings):
            logs = before.logs
        else:
            logs = open_logs(settings.log, "master", (identity.uid, identity.gid) if identity else None)
            undo.callback(logs.close)
        pid_file = _pid_file(settings, before)
        undo.pop_all()
    count = settings.workers.count
    return Generation(settings, binding, logs, pid_file, cpu_count() if count == "auto" else count)


def _same_owner(one: Settings, other: Settings) -> bool:
    return (one.user, one.group) == (other.user, other.group)


def _pid_file(settings: Settings, before: Generation | None) -> PidFile | None:
    if not settings.pid_file:
        return None
    pid_file = PidFile(Path(settings.pid_file), os.getpid())
    if before and before.pid_file and before.pid_file.path == pid_file.path:
        return before.pid_file
    pid_file.write()
    return pid_file
