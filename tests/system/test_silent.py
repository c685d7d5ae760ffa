"""An idle, silent or trickling connection costs no worker."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.deadline import until
from tests.system.client import Client, get, post
from tests.system.load import Trickle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.system.server import Server

SILENT, IDLE, TRICKLING = 200, 200, 50

#: Seconds that an answer may take; the median of so many tries counts.
PROMPT, TRIES = 0.05, 15

#: Half of those that trickle never end their head, half never end their body.
HEAD = get("/hello", *(f"X-Trickle-{number}: {number}" for number in range(50)))
BODY = bytes(10_000)
BODY_HEAD = post("/echo", BODY).removesuffix(BODY)


@pytest.fixture
def crowd(server: Server) -> Iterator[list[Client]]:
    """One worker, and everybody who wants nothing from it; at the end nobody was sent away."""
    server.start(workers=1)
    port = server.port
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(SILENT + IDLE + TRICKLING)]
        for client in clients[SILENT : SILENT + IDLE]:
            assert client.fetch("/hello") == "hello\n"
        tricklers = [(client, (HEAD, BODY)[number % 2]) for number, client in enumerate(clients[-TRICKLING:])]
        for client, _ in tricklers[1::2]:
            client.send(BODY_HEAD)
        with Trickle(tricklers) as trickle:
            until(lambda: trickle.sent >= 3, "they trickle")
            yield clients
            sent = trickle.sent
            until(lambda: trickle.sent > sent, "they still trickle")
        assert [ended for client in clients if (ended := client.closed_meanwhile())] == []


def median(exchange: Callable[[], object]) -> float:
    """The seconds that most exchanges take at most."""
    took = []
    for _ in range(TRIES):
        begun = time.monotonic()
        exchange()
        took.append(time.monotonic() - begun)
    return sorted(took)[TRIES // 2]


@pytest.mark.usefixtures("crowd")
def test_a_fresh_connection_is_answered_at_once(server: Server) -> None:
    def exchange() -> None:
        with Client(port) as client:
            assert client.fetch("/hello") == "hello\n"

    port = server.port
    assert median(exchange) < PROMPT


@pytest.mark.usefixtures("crowd")
def test_a_persistent_connection_is_answered_at_once(server: Server) -> None:
    with Client(server.port) as client:
        assert median(lambda: client.fetch("/hello")) < PROMPT


def test_those_that_were_idle_are_answered_at_once(crowd: list[Client]) -> None:
    idle = iter(crowd[SILENT : SILENT + IDLE])
    assert median(lambda: next(idle).fetch("/hello")) < PROMPT
