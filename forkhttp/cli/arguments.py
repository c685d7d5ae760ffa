"""The words of the command line, and the sources of configuration that they make."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from forkhttp.cli import check, control, run
from forkhttp.config import Option, Sources, Typed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Arguments(Namespace):
    """A parsed command line; each command has those of its own."""

    command: Callable[[Arguments], int]
    target: str | None = None
    file: Path | None = None
    bind: Sequence[str] = ()
    workers: str | None = None
    threads: str | None = None
    directory: str | None = None
    set: Sequence[Option] = ()
    print: bool = False
    pid: int | None = None

    def sources(self) -> Sources:
        """Say where the configuration comes from, for this process as it was started."""
        given = (
            ("target", self.target, "TARGET"),
            ("bind", tuple(self.bind) or None, "-b"),
            ("workers.count", None if self.workers is None else Typed(self.workers), "-w"),
            ("workers.threads", None if self.threads is None else Typed(self.threads), "-t"),
            ("directory", self.directory, "-d"),
        )
        options = [Option(key, value, origin) for key, value, origin in given if value is not None]
        return Sources(self.file, dict(os.environ), (*options, *self.set))


def parse(argv: Sequence[str] | None) -> Arguments:
    """Read a command line.

    Raises:
        SystemExit: wrong usage, ``--help`` or ``--version``.
    """
    return _parser().parse_args(argv, Arguments())


def _parser() -> ArgumentParser:
    """Describe the commands."""
    parser = ArgumentParser(prog="forkhttp", description="A pre-fork HTTP server.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"forkhttp {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("run", run.run, "serve a handler class, an application or a directory"),
        ("check", check.check, "check the configuration and the target; start nothing"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(command=function)
        _add_configuration(command)
        if function is check.check:
            command.add_argument("--print", action="store_true", help="write what is in force, with origins")
    for name, function, text in (
        ("reload", control.reload, "reload configuration and code; wait for the outcome"),
        ("stop", control.stop, "let running requests end, and stop; wait until it is gone"),
        ("reopen", control.reopen, "open the log files anew"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(command=function)
        which = command.add_mutually_exclusive_group()
        which.add_argument("-c", dest="file", type=Path, metavar="FILE", help="whose pid_file says which")
        which.add_argument("--pid", type=_pid, metavar="N", help="pid of the master")
    return parser


def _add_configuration(command: ArgumentParser) -> None:
    """Add what says how to serve."""
    add = command.add_argument
    add("target", nargs="?", metavar="TARGET", help="module:attribute or file.py:attribute; none: files")
    add("-c", dest="file", type=Path, metavar="FILE", help="configuration file, TOML")
    add("-b", dest="bind", action="append", default=[], metavar="ADDRESS", help="where to listen; repeatable")
    add("-w", dest="workers", metavar="N", help='processes, or "auto"')
    add("-t", dest="threads", metavar="N", help="threads of each worker")
    add("-d", dest="directory", metavar="DIR", help="the directory to serve without a target")
    add(
        "--set",
        action="append",
        default=[],
        type=_option,
        metavar="KEY=VALUE",
        help="any key of the configuration; repeatable",
    )


def _option(text: str) -> Option:
    """Read ``key=value``; what the value means is up to its key."""
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        raise ArgumentTypeError(f"expected KEY=VALUE, got {text!a}")
    return Option(key.strip(), Typed(value.strip()), "--set")


def _pid(text: str) -> int:
    """Read a pid; 1 is possible, in a container."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise ArgumentTypeError(f"expected the pid of a master, got {text!a}")
    return int(text)


def _version() -> str:
    """Give the version that is installed."""
    try:
        return metadata.version("forkhttp")
    except metadata.PackageNotFoundError:
        return "(not installed)"
