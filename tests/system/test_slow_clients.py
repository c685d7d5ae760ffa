"""A thousand clients that are slow on purpose: others are served, they are sent away, memory is flat.

The attacks are those of Debian's ``slowhttptest`` and a flood of connections that say nothing.
"""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.deadline import PATIENCE, until
from tests.system.bystander import Bystander
from tests.system.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from tests.system.server import Server

CROWD = 1000

#: Connections of the bystander and of the probe that slowhttptest makes beside its attack.
OTHERS = 5

#: Of every timeout, in seconds, and how much later the last of the crowd may be gone.
TIMEOUT, SLACK = 3.0, 4.0

#: Octets that an answer leaves in memory for a peer that does not read: a socket's buffers take a few KiB.
BLOCK = 64 << 10

#: Octets of memory that a connection may take beside what waits for its peer. Measured: 3 KiB for one that is
#: silent, 4 for half a head, 5 for half a body, 8 for an answer that waits.
EACH = 16 << 10

#: Octets that a second attack may add to what the first one left and the allocator did not give back; and of
#: what waited then half, because the crowd spreads otherwise over the workers.
LEFT = 4 << 20

SETTINGS = f"""
[timeouts]
head = {TIMEOUT}
body = {TIMEOUT}
send = {TIMEOUT}
keep_alive = {TIMEOUT}
"""


class Attack(NamedTuple):
    """One mode of ``slowhttptest``.

    Attributes:
        mode: its arguments.
        path: what is asked for.
        told: the status that each of the crowd is sent away with; 0 if it is none.
        waits: octets that wait in memory for each of them.
    """

    mode: tuple[str, ...]
    path: str = "/hello"
    told: int = 0
    waits: int = 0


ATTACKS = {
    "slow heads": Attack(("-H", "-i", "1"), told=408),
    "slow bodies": Attack(("-B", "-i", "1"), told=408),
    "slow readers": Attack(
        ("-X", "-w", "1", "-y", "16", "-n", "1", "-z", "5"), f"/block?octets={BLOCK}", waits=BLOCK
    ),
}


@pytest.fixture
def busy(server: Server, descriptors: None) -> Server:
    """Two workers with little patience, which have served something."""
    del descriptors
    server.configure(more=SETTINGS)
    server.start()
    for _ in range(10):
        with Client(server.port) as client:
            client.fetch("/hello")
    return server


@contextlib.contextmanager
def slowly(program: str, attack: Attack, port: int) -> Iterator[None]:
    """Attack, for the time of a block; at its end the attacker has seen that it is sent away, if it reads."""
    size = ("-c", str(CROWD), "-r", str(CROWD), "-l", "20")
    url = ("-u", f"http://127.0.0.1:{port}{attack.path}")
    with subprocess.Popen(
        [program, *attack.mode, *size, *url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        try:
            yield
            if attack.told:
                said, _ = process.communicate(timeout=PATIENCE)
                assert b"No open connections left" in said, said[-2000:].decode()
        finally:
            process.kill()


@contextlib.contextmanager
def silently(port: int) -> Iterator[None]:
    """Connect and say nothing; at the end of the block each was closed in silence."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(CROWD)]
        yield
        assert {client.closed_meanwhile() for client in clients} == {"end-of-file"}


def endure(server: Server, crowd: AbstractContextManager[None], waits: int = 0) -> int:
    """See one attack through; give the memory that the workers have when it is over."""
    before = server.memory()
    with Bystander(server.port) as bystander:
        with crowd:
            until(lambda: server.connections() >= CROWD // 2, "the crowd is there")
            peak = server.memory()
            held = server.connections()
            until(lambda: server.connections() <= OTHERS, "the crowd is gone", TIMEOUT + SLACK)
        bystander.goes_on()
    bystander.check()
    assert peak - before < held * (EACH + waits)
    return server.memory()


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_crowd_of_slow_clients_costs_nobody_else(busy: Server, slowhttptest: str, attack: Attack) -> None:
    once, twice = (endure(busy, slowly(slowhttptest, attack, busy.port), attack.waits) for _ in range(2))
    assert twice - once < LEFT + CROWD * attack.waits // 2
    told = sum(f'" {attack.told} ' in line for line in busy.access)
    assert told == (2 * CROWD if attack.told else 0)


def test_a_crowd_of_silent_clients_costs_nobody_else(busy: Server) -> None:
    once, twice = (endure(busy, silently(busy.port)) for _ in range(2))
    assert twice - once < LEFT
    assert not any(f'" {status} ' in line for line in busy.access for status in (400, 408))
