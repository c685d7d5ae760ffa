"""The command line: ``forkhttp run|check|reload|stop|reopen``.

Exit statuses: 0 done; 1 failed at run time, or the reload was refused; 2 bad
configuration, target or usage; 3 the first generation could not boot; 4 no
running master found. What is wrong goes to stderr, one line for each fault.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from forkhttp.cli.arguments import parse
from forkhttp.cli.control import ControlError
from forkhttp.errors import ConfigError, TargetError
from forkhttp.process import occupy_standard_descriptors

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Exit status of bad configuration, target or usage.
MISCONFIGURED = 2
#: What a shell reports for a command that SIGINT ended: 128 + 2.
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Obey a command line, that of the process by default; give the exit status.

    Raises:
        SystemExit: argparse's own: wrong usage (status 2), ``--help`` and ``--version`` (0).
    """
    # First of all: the next descriptor that is opened must not become standard output.
    occupy_standard_descriptors()
    arguments = parse(argv)
    try:
        return arguments.command(arguments)
    except ConfigError as error:
        for fault in error.faults:
            complain(str(fault))
    except TargetError as error:
        complain(str(error))
    except ControlError as error:
        complain(str(error))
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    return MISCONFIGURED


def complain(text: str) -> None:
    """Tell the operator what is wrong."""
    sys.stderr.write(f"forkhttp: {text}\n")
