"""Children that the application forks: they let go of what is their parent's, and never come back.

A descriptor kept open in a child would suppress the parent's FIN, a listener would go on
taking connections after the server's end, and an epoll is shared: a child that came back to
the loop would be a second worker that nobody knows of. Programs that are started through
``subprocess`` inherit nothing anyway.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Hashable

    class Holder(Hashable, Protocol):
        """What holds descriptors that a child must not keep."""

        def forget(self) -> None:
            """Let go of them, in a child."""


#: The loops of this process.
HOLDERS: WeakSet[Holder] = WeakSet()


def _let_go() -> None:
    for holder in HOLDERS:
        holder.forget()


os.register_at_fork(after_in_child=_let_go)


def leave_child(failure: BaseException | None) -> NoReturn:
    """End a child whose code came back to the loop, with the status that a program of its own would have."""
    status = 0 if failure is None else 1
    if isinstance(failure, SystemExit):
        status = failure.code if isinstance(failure.code, int) else int(failure.code is not None)
    elif failure is not None:
        traceback.print_exception(failure)
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full or None
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status & 0xFF)
