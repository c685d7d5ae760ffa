"""Both pollers keep the same promises."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest

from forkhttp.server.poller import READ, WRITE, EpollPoller, Poller, SelectorPoller, new_poller

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[EpollPoller, SelectorPoller])
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    """Make one of each."""
    made: Poller = request.param()
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make two connected sockets."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_nothing_watched_is_nothing_ready(poller: Poller) -> None:
    assert list(poller.poll(0)) == []


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_readable_is_said_for_as_long_as_it_is(
    poller: Poller, ends: tuple[socket.socket, socket.socket], *, shared: bool
) -> None:
    ours, theirs = ends
    poller.add(ours.fileno(), READ, shared=shared)
    assert list(poller.poll(0)) == []
    theirs.send(b"a")
    for _ in range(2):
        assert list(poller.poll(1)) == [(ours.fileno(), READ)]
    ours.recv(1)
    assert list(poller.poll(0)) == []


def test_interest_may_change(poller: Poller, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.send(b"a")
    poller.add(ours.fileno(), WRITE)
    assert list(poller.poll(1)) == [(ours.fileno(), WRITE)]
    poller.change(ours.fileno(), READ)
    assert list(poller.poll(1)) == [(ours.fileno(), READ)]


def test_the_end_is_readable(poller: Poller, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    poller.add(ours.fileno(), READ)
    theirs.close()
    ((fd, ready),) = poller.poll(1)
    assert fd == ours.fileno()
    assert ready & READ


def test_what_is_removed_is_silent_and_may_come_back(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    theirs.send(b"a")
    poller.add(ours.fileno(), READ)
    poller.remove(ours.fileno())
    assert list(poller.poll(0)) == []
    with pytest.raises((OSError, KeyError)):
        poller.remove(ours.fileno())
    poller.add(ours.fileno(), READ)
    assert list(poller.poll(1)) == [(ours.fileno(), READ)]


def test_epoll_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_poller()
    assert isinstance(made, EpollPoller)
    made.close()
    monkeypatch.delattr(select, "epoll")
    made = new_poller()
    assert isinstance(made, SelectorPoller)
    made.close()
