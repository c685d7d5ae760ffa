"""From a file, an environment and a command line to checked ``Settings``.

Precedence: the command line, then the environment, then the file, then the
default. Every value is checked, also one that another overrides, and all faults
are told at once. A reload calls ``load`` again with the same ``Sources``.

* The environment names a key ``workers.count`` as ``FORKHTTP_WORKERS_COUNT``.
  ``FORKHTTP_CONFIG`` names the file, unless the command line does. ``env`` and
  ``[[listener]]`` have no form there. An empty variable counts as not set.
  An unknown one is only a warning: Kubernetes sets ``FORKHTTP_PORT`` and others
  for a service that is called forkhttp.
* A relative path is relative to the directory where forkhttp was started,
  wherever it is written; ``Settings`` hold it absolute. Only the path in ``target`` is
  resolved by the workers, in their own directory (``chdir``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forkhttp.config import checking
from forkhttp.config.gathering import Gathered, Option, gather_environment, gather_file, gather_option
from forkhttp.config.keys import FILE_VARIABLE
from forkhttp.errors import ConfigError, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forkhttp.settings import Settings

#: Keys that are paths.
PATHS = (
    "chdir",
    "directory",
    "pythonpath",
    "pid_file",
    "log.error",
    "log.access",
    "tls.certificate",
    "tls.key",
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration comes from, kept for reloads."""

    file: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[Option | tuple[str, object, str]] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was loaded.

    Attributes:
        settings: complete and checked.
        origins: of each dotted name: ``default``, ``file.toml:12``, ``FORKHTTP_…``, ``--set``.
        warnings: sentences about what is strange but no fault.
    """

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]


def load(sources: Sources) -> Configuration:
    """Read, merge and check everything.

    Raises:
        ConfigError: with every fault that was found.
    """
    gathered = _gather(sources)
    settings, listeners = gathered.settings()
    for name, problem in checking.problems(settings, listeners):
        gathered.refuse_checked(name, problem)
    if gathered.faults:
        raise ConfigError(gathered.faults)
    for name, problem in checking.warnings(settings):
        gathered.warnings.append(str(Fault(name, problem, gathered.where(name))))
    return Configuration(settings, gathered.all_origins(), gathered.warnings)


def named_pid_file(sources: Sources) -> Path | None:
    """Give the PID file that the sources name, whatever else is wrong with them.

    Who wants to stop a server must be able to, also when its configuration was broken since.

    Raises:
        ConfigError: none is named where faults may have hidden it.
    """
    gathered = _gather(sources)
    path = gathered.values.get("pid_file")
    if not path and gathered.faults:
        raise ConfigError(gathered.faults)
    return Path(path) if path else None


def _gather(sources: Sources) -> Gathered:
    """Read everything, the least important source first."""
    gathered = Gathered()
    file = sources.file or _named_file(sources.environ)
    if file is not None:
        gather_file(gathered, file)
    gather_environment(gathered, sources.environ)
    for key, value, origin in sources.options:
        gather_option(gathered, Option(key, value, origin))
    _make_absolute(gathered)
    return gathered


def _named_file(environ: Mapping[str, str]) -> Path | None:
    """Give the file that the environment names, if it does."""
    name = environ.get(FILE_VARIABLE)
    return Path(name) if name else None


def _make_absolute(gathered: Gathered) -> None:
    """Make paths independent of the directories that workers change to."""
    for name in PATHS:
        value = gathered.values.get(name)
        if not value or (name.startswith("log.") and "/" not in value):
            continue
        try:
            if isinstance(value, tuple):
                gathered.values[name] = tuple(os.path.abspath(path) for path in value)  # noqa: PTH100
            else:
                gathered.values[name] = os.path.abspath(value)  # noqa: PTH100 - resolve() would follow links
        except OSError as error:
            reason = f"relative to a current directory that is gone: {error.strerror}"
            gathered.refuse(name, reason, gathered.where(name))
