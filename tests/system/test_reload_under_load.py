"""A reload is invisible, and a killed worker costs what it had in hand."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.deadline import until
from tests.system.app import BIG
from tests.system.client import Client, get
from tests.system.conftest import program
from tests.system.front import Nginx
from tests.system.load import Load
from tests.system.test_main_job import BIG_DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.server import Server

#: The number of workers that each of ten reloads asks for; the first generation has two.
COUNTS = (4, 1, 2, 4, 1, 2, 4, 1, 2, 4)

#: Octets of a big body that pass between two reloads.
PART = BIG // 5


@pytest.fixture
def running(server: Server) -> Server:
    """The application on two workers."""
    return server.start()


@pytest.fixture
def front(running: Server) -> Iterator[Nginx]:
    """A running nginx in front of it."""
    front = Nginx(program(Nginx.name), running.directory / "nginx", running.port)
    yield front
    front.close()


@pytest.fixture(params=["direct", "nginx"])
def port(request: pytest.FixtureRequest, running: Server) -> int:
    if request.param == "direct":
        return running.port
    front = request.getfixturevalue("front")
    assert isinstance(front, Nginx)
    return front.port


def test_ten_reloads_lose_no_request(running: Server, port: int, request: pytest.FixtureRequest) -> None:
    """FAULTS 26 and 29: the number of workers changes under a steady load of persistent connections."""
    with Load(port) as load:
        for number, count in enumerate(COUNTS, 2):
            running.configure(workers=count)
            running.reload(number)
            load.goes_on()
            running.await_serving(count, generation=number)
            assert load.losses == []
        if port == running.port:
            # Each client has been told by now; nginx keeps connections that it does not use.
            until(lambda: len(running.workers()) == COUNTS[-1], "the old workers have left")
    assert load.losses == []
    if port != running.port:
        # nginx repeats what it may by itself; that it had to would be a loss all the same.
        assert request.getfixturevalue("front").errors.read_text() == ""


def test_a_killed_worker_costs_what_it_had_in_hand(running: Server, port: int) -> None:
    """FAULTS 1: everybody else goes on, and another worker serves in its place in less than a second."""
    running.kills = True
    took = []
    with Load(port) as load:
        for kill in range(1, 4):
            before = running.await_serving(2)
            victim = min(before)
            seen = len(load.losses)
            running.expected.append(rf"worker died .*pid={victim} .*SIGKILL")
            os.kill(victim, signal.SIGSTOP)  # so that what it has in hand can be counted
            held = [each.raddr for each in psutil.Process(victim).net_connections("tcp") if each.raddr]
            killed_at = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            _await_replacement(running, before)
            took.append(time.monotonic() - killed_at)
            load.goes_on()
            losses = load.losses[seen:]
            assert len(losses) <= len(held), losses
            if port == running.port:
                assert len({loss.client for loss in losses}) == len(losses), losses
                assert {loss.pid for loss in losses} <= {victim, None}, losses
            else:  # nginx may choose another connection of the dead one for the next request
                assert all(": 502 " in loss.what for loss in losses), losses
            assert len(running.workers()) == 2, f"after kill {kill}"
            running.says(rf"error +master worker died .*pid={victim} .*SIGKILL")
    assert min(took) < 1.0, took


def test_big_bodies_pass_through_reloads(running: Server) -> None:
    """Workers of two generations back still read and write what they began, while the new ones serve."""
    upload = os.urandom(BIG)
    octets = memoryview(upload)
    # Each in a generation of its own: while a worker's only thread streams, its other connections wait.
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(Client(running.port))
        sender.send(f"PUT /upload HTTP/1.1\r\nHost: test\r\nContent-Length: {BIG}\r\n\r\n".encode())
        sender.send(octets[:PART])
        running.reload(2)
        receiver = stack.enter_context(Client(running.port))
        receiver.send(get("/big?length=1"))
        arrived = receiver.read(PART)
        running.reload(3)
        chunked = stack.enter_context(Client(running.port))
        chunked.send(get("/big"))
        assert chunked.socket.recv(1, socket.MSG_PEEK)
        for part in range(1, 5):
            sender.send(octets[part * PART : (part + 1) * PART])
            running.reload(3 + part)
            arrived += receiver.read(PART // 2)
            with Client(running.port) as other:
                assert other.fetch("/hello") == "hello\n"
        assert sender.answer().body == f"{BIG} {hashlib.sha256(upload).hexdigest()}\n".encode()
        receiver.unread = arrived + receiver.unread
        for client in (receiver, chunked):
            assert hashlib.sha256(client.answer().body).hexdigest() == BIG_DIGEST


def test_a_storm_of_reloads_converges(running: Server) -> None:
    """FAULTS 27: 200 in a second, under load; at the end N workers of the newest generation, and no loss."""
    with Load(running.port) as load:
        begun = time.monotonic()
        for number in range(200):
            if number in (50, 199):
                running.configure(workers=3, more=f'[env]\nVERSION = "{number}"')
            running.signal(signal.SIGHUP)
            time.sleep(max(begun + number / 200 - time.monotonic(), 0.0))
        until(lambda: _versions(running) == {"199"}, "the newest configuration serves")
        until(lambda: len(running.workers()) == 3, "the old workers have left")
        load.goes_on()
        serving = running.serving()
        assert len(serving) == 3
        assert len(set(serving.values())) == 1
        assert psutil.pid_exists(running.pid)
    assert load.losses == []


def _versions(server: Server) -> set[str]:
    """What a few fresh connections are told; the old workers accept no more."""
    versions = set()
    for _ in range(8):
        with Client(server.port) as client:
            versions.add(client.fetch("/version").split()[0])
    return versions


def _await_replacement(server: Server, before: set[int]) -> None:
    until(lambda: len(server.serving().keys() - before) == 1, "there is another worker")
