"""The phases of a connection, and its socket."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from forkhttp.logs import open_logs
from forkhttp.scoreboard import Row
from forkhttp.server.conditions import Conditions
from forkhttp.server.connection import NEXT, Connection, ConnectionState, Event, Phase
from forkhttp.settings import Limits, Log, Settings, Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What cannot happen, and why: NEXT has no entry for it.
IMPOSSIBLE = {
    Phase.PREAMBLE: set(Event) - {Event.INTRODUCED, Event.REFUSED, Event.OVER},  # it is no HTTP yet
    Phase.PARKED: {  # nothing has been asked
        Event.INTRODUCED,
        Event.ANSWERED,
        Event.UNSENT,
        Event.LAST,
    },
    Phase.HEAD: {  # nothing has been asked; who began a request is not dismissed as idle
        Event.INTRODUCED,
        Event.ANSWERED,
        Event.UNSENT,
        Event.LAST,
    },
    Phase.BODY: {  # the head is complete, but nothing has been asked
        Event.INTRODUCED,
        Event.SOME_HEAD,
        Event.ANSWERED,
        Event.UNSENT,
        Event.LAST,
    },
    Phase.BUSY: {  # the loop does not read while a handler runs
        Event.INTRODUCED,
        Event.SOME_HEAD,
        Event.SOME_BODY,
        Event.REQUEST,
        Event.REFUSED,
    },
    Phase.SENDING: {  # nor while an answer has not left
        Event.INTRODUCED,
        Event.SOME_HEAD,
        Event.SOME_BODY,
        Event.REQUEST,
        Event.REFUSED,
    },
    Phase.LINGERING: set(Event) - {Event.OVER},  # what still comes is thrown away
    Phase.CLOSED: set(Event),
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_each_event_leads_somewhere_or_is_impossible(phase: Phase, event: Event) -> None:
    assert ((phase, event) in NEXT) != (event in IMPOSSIBLE[phase])


def test_every_phase_is_reached_and_left() -> None:
    reached = {Phase.PREAMBLE}
    while more := {after for (phase, _), after in NEXT.items() if phase in reached} - reached:
        reached |= more
    assert reached == set(Phase)
    assert all((phase, Event.OVER) in NEXT for phase in Phase if phase is not Phase.CLOSED)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make two connected sockets."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003
    yield ours, theirs
    ours.close()
    theirs.close()


def connection_on(request: socket.socket, settings: Settings | None = None) -> Connection:
    """Make a connection that nobody serves."""
    logs = open_logs(Log(access="off", error="off"))
    conditions = Conditions(settings or Settings(), logs, Row.private(), alone=False)
    return Connection(request, ConnectionState(0, ("", 0)), conditions)


def test_taking_gives_what_is_there_nothing_or_the_end(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    connection = connection_on(ours)
    assert connection.take() is None
    theirs.send(b"abc")
    assert connection.take() == b"abc"
    theirs.close()
    assert connection.take() == b""
    ours.close()
    assert connection.take() == b""


def test_a_half_close_is_seen_and_one_too_late_is_no_error(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    connection = connection_on(ours)
    connection.half_close()
    assert theirs.recv(1) == b""
    ours.close()
    connection.half_close()
    connection.prepare_reset()


def test_a_body_may_stall_for_its_timeout_and_must_keep_its_rate(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    now = time.monotonic()
    settings = Settings(timeouts=Timeouts(body=30), limits=Limits(min_rate=100))
    connection = connection_on(ends[0], settings)
    connection.body_began = now - 60
    connection.body_octets = 5000
    assert connection.body_deadline() == pytest.approx(now - 60 + 30 + 50)
    connection.body_octets = 1 << 30
    assert connection.body_deadline() == pytest.approx(now + 30, abs=1)
    connection.set_timeout(5)
    assert connection.body_deadline() == pytest.approx(now + 5, abs=1)
    assert connection.send_timeout == 5


def test_any_rate_will_do_if_none_is_asked_for(ends: tuple[socket.socket, socket.socket]) -> None:
    connection = connection_on(ends[0], Settings(limits=Limits(min_rate=0)))
    assert connection.body_deadline() == pytest.approx(time.monotonic() + 30, abs=1)
