"""``forkhttp run``: check the configuration, then be the master."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from forkhttp.config import load

if TYPE_CHECKING:
    from forkhttp.cli.arguments import Arguments


def run(arguments: Arguments) -> int:
    """Serve until told to stop.

    Raises:
        ConfigError: nothing was started.
    """
    sources = arguments.sources()
    # Once before there is a master: its faults are told as those of `forkhttp check` are.
    load(sources)
    # Not above: `forkhttp check` needs no master.
    from forkhttp.master import Master  # noqa: PLC0415
    from forkhttp.worker import main as worker  # noqa: PLC0415

    return Master(partial(load, sources), worker=worker).run()
