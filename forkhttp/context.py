"""What a worker is born with: all that passes from the master to a child through the fork.

The master fills a ``WorkerContext`` in, and gives it to the worker's main
function, which it knows by this type alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

    from forkhttp.last_words import LastWords
    from forkhttp.logs import Logs
    from forkhttp.scoreboard import Row, Scoreboard
    from forkhttp.settings import Settings

#: Exit status of a worker whose application could not be loaded; its last words say why.
BOOT_FAILED = 3

#: Exit status of a worker that found no such target; the same for the command that asked for it.
MISCONFIGURED = 2

#: The signal that only says "look at your row". By default it is ignored, so it
#: never kills whoever takes its handler away.
LOOK = signal.SIGURG

#: The octet that a worker writes when it is ready.
READY_OCTET = b"\0"


@dataclass(slots=True)
class Listener:
    """A bound socket that listens.

    Attributes:
        name: the address as the configuration writes it.
        socket: non-blocking, not inheritable by programs.
        address: what it is bound to, as ``getsockname`` says.
        tls: whether connections begin with a TLS handshake.
    """

    name: str
    socket: socket.socket
    tls: bool = False
    address: Any = field(init=False)

    def __post_init__(self) -> None:
        """Ask the socket once."""
        self.address = self.socket.getsockname()


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """One worker's birth.

    Attributes:
        settings: of its generation.
        row: its own row of ``board``; the master wrote its own cells of it already.
        listeners: to be registered once its order says ``SERVE``.
        lifeline: reading end of a pipe that nobody writes to; end-of-file: the master died.
        ready: writing end of a pipe; one ``READY_OCTET`` says ready, then it is closed.
        last_words: where it says why it dies.
        logs: opened by the master, with its rights.
    """

    settings: Settings
    generation: int
    slot: int
    row: Row
    board: Scoreboard
    listeners: tuple[Listener, ...]
    lifeline: int
    ready: int
    last_words: LastWords
    logs: Logs


#: The body of a worker: takes its birth, gives its exit status.
WorkerMain = Callable[[WorkerContext], int]
