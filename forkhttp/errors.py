"""The errors of forkhttp, one family for each culprit.

Whoever catches one knows from its family whose fault it is and what to answer:
the peer gets a status, the operator gets the key, the application gets a
traceback in the log. ``OSError`` is translated where it arises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ForkhttpError(Exception):
    """Whatever forkhttp itself raises."""


class ProtocolError(ForkhttpError):
    """The peer broke the rules of HTTP: answer ``status``, close, parse nothing more.

    Attributes:
        status: the HTTP status code of the answer, 400 to 599.
        detail: a constant phrase for the log; it never holds what the peer sent.
    """

    def __init__(self, status: int, detail: str) -> None:
        """Keep the answer beside the reason."""
        super().__init__(f"{status} {detail}")
        self.status = status
        self.detail = detail


class HandlerError(ForkhttpError):
    """The application's answer cannot be put on the wire: 500 if nothing left, else a close."""


class PeerGone(ForkhttpError, ConnectionError):  # noqa: N818 - an event of the connection, not a fault of anybody
    """The peer closed or reset the connection.

    A ``ConnectionError`` too, because that is what handler code expects of a socket.
    """


class PeerStalled(PeerGone, TimeoutError):  # noqa: N818 - the same
    """The peer stopped taking part: no octet came, or none was taken, for longer than it may be.

    A ``TimeoutError`` too, because that is what handler code expects of a socket.
    """


class Fault(ForkhttpError):  # noqa: N818 - one line of a ConfigError, which is the error
    """One thing that is wrong in the configuration.

    Attributes:
        key: dotted name of the key (``workers.count``), or the option that was given.
        where: file and line, environment name or command line option; empty if nowhere.
        problem: what is wrong, what was expected and what was probably meant.
    """

    def __init__(self, key: str, problem: str, where: str = "") -> None:
        """Name the key, the place and the problem."""
        super().__init__(key, problem, where)
        self.key = key
        self.problem = problem
        self.where = where

    def __str__(self) -> str:
        """Render it as an operator reads it: place, key, problem."""
        return ": ".join(part for part in (self.where, self.key, self.problem) if part)


class ConfigError(ForkhttpError):
    """The operator's configuration cannot be used; every fault that was found is listed."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep all faults: an operator mends them in one go."""
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class TargetError(ForkhttpError):
    """What should be served cannot be found, loaded or told apart."""


class BootError(ForkhttpError):
    """A generation could not be started; the message is the reason for the operator."""
