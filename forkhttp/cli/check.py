"""``forkhttp check``: everything that ``run`` would refuse, and nothing started.

The target is imported, in this process, as a worker would import it.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from forkhttp.config import load
from forkhttp.config.printing import effective
from forkhttp.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forkhttp.cli.arguments import Arguments
    from forkhttp.settings import Settings


def check(arguments: Arguments) -> int:
    """Check, and write what is in force if that is wanted.

    Raises:
        ConfigError: with every fault.
        TargetError: the target cannot be served.
    """
    configuration = load(arguments.sources())
    for warning in configuration.warnings:
        sys.stderr.write(f"forkhttp: warning: {warning}\n")
    if arguments.print:
        sys.stdout.write(effective(configuration))
        sys.stdout.flush()
    _resolve(configuration.settings)
    if not arguments.print:
        sys.stdout.write("forkhttp: the configuration is good\n")
    return 0


def _resolve(settings: Settings) -> None:
    """Import the target and the server class where a worker would.

    Raises:
        TargetError: one of them cannot be found, loaded or told apart.
    """
    if not settings.target and not settings.server_class:
        return
    # Not above: only a target needs it.
    from forkhttp.handlers.target import prepare, resolve, resolve_class  # noqa: PLC0415

    prepare(settings)
    for name, function in ((settings.target, resolve), (settings.server_class, resolve_class)):
        if name:
            _import(name, function)


def _import(name: str, function: Callable[[str], object]) -> None:
    """Resolve one name; what the application raises meanwhile is shown whole, and is its fault.

    Raises:
        TargetError: it cannot be found, loaded or told apart.
    """
    try:
        function(name)
    except TargetError:
        raise
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise TargetError(f"{name}: importing it raised {type(error).__name__}: {error}") from error
