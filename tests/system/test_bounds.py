"""What never ends, or comes a hundred thousand times: memory stays flat, and others are served."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from tests.deadline import until
from tests.system.bystander import Bystander
from tests.system.client import Answer, Client, Lost, get

if TYPE_CHECKING:
    from tests.system.server import Server

#: Octets of a flood: far more than any limit, and than memory may grow by.
FLOOD = 4 << 20

#: Octets by which the worker may grow under all floods: what its allocator and its caches take once.
GROWTH = 3 << 20

LINE = b"GET / HTTP/1.1\r\n"
HOST = LINE + b"Host: a\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Flood(NamedTuple):
    """What is sent until there is enough of it, and the status that answers it."""

    begins: bytes
    repeats: bytes
    status: int


FLOODS = {
    "request line": Flood(b"GET /", b"a", 414),
    "method": Flood(b"", b"G", 414),
    "empty lines": Flood(b"", b"\r\n", 400),
    "noise": Flood(b"", b"\x00\xff", 400),
    "version": Flood(b"GET / HTTP/1.", b"1", 414),
    "field name": Flood(HOST, b"a", 431),
    "field": Flood(HOST + b"X: ", b"a", 431),
    "spaces": Flood(HOST + b"X:", b" ", 431),
    "fields": Flood(HOST, b"a: b\r\n", 431),
    "large fields": Flood(HOST, b"a: " + b"b" * 8000 + b"\r\n", 431),
    "equal fields": Flood(HOST, b"Connection: close\r\n", 431),
    "digits of a length": Flood(POST + b"Content-Length: ", b"1", 431),
    "digits of a port": Flood(LINE + b"Host: a:", b"1", 431),
    "list of options": Flood(HOST + b"Connection: ", b"x,", 431),
    "list of codings": Flood(POST + b"Transfer-Encoding: ", b"chunked,", 431),
    "list of expectations": Flood(POST + b"Expect: ", b",", 431),
    "chunk size": Flood(CHUNKED, b"1", 400),
    "zeros of a chunk size": Flood(CHUNKED, b"0", 400),
    "chunk extension": Flood(CHUNKED + b"1;a=", b"b", 400),
    "chunk extensions": Flood(CHUNKED + b"1", b";a", 400),
    "extensions of small chunks": Flood(CHUNKED, b"1;a=bcdefgh\r\na\r\n", 400),
    "trailer": Flood(CHUNKED + b"0\r\nX: ", b"a", 431),
    "trailers": Flood(CHUNKED + b"0\r\n", b"a: b\r\n", 431),
    "unread body": Flood(POST.replace(b"POST", b"REFUSE") + b"Content-Length: 99999999\r\n\r\n", b"a", 401),
}

#: How a peer sends: all at once, or the first octets of it one by one, which must come to the same.
DRIPPED = 2000


@pytest.fixture
def worker(server: Server) -> psutil.Process:
    """One worker that has served something of each kind."""
    server.configure(workers=1, more="[timeouts]\nsend = 2\nkeep_alive = 20\n")
    server.start(workers=1)
    with Client(server.port) as client:
        client.fetch("/hello")
        client.fetch("/token?value=1")
    (pid,) = server.workers()
    return psutil.Process(pid)


def flooded(port: int, flood: Flood, drip: int = 0) -> Answer | str:
    """Send a flood; the answer, or what came instead of an answer and a close."""
    octets = flood.begins + flood.repeats * (FLOOD // len(flood.repeats))
    with Client(port) as client:
        try:
            for at in range(drip):
                client.send(octets[at : at + 1])
            client.send(memoryview(octets)[drip:])
            answer = client.answer()
            return answer if client.rest() == b"" else "octets after the answer"
        except Lost as lost:
            return str(lost)


@pytest.mark.parametrize("drip", [0, DRIPPED], ids=["at once", "in drops"])
def test_what_never_ends_is_refused_in_flat_memory(server: Server, worker: psutil.Process, drip: int) -> None:
    before = server.memory()
    port = server.port
    wrong = {}
    with Bystander(port) as bystander:
        for name, flood in FLOODS.items():
            answer = flooded(port, flood, drip)
            if not isinstance(answer, Answer) or answer.status != flood.status or not answer.closes:
                wrong[name] = answer
        bystander.goes_on()
    assert wrong == {}
    bystander.check()
    assert server.memory() - before < GROWTH
    until(lambda: server.connections() == 0, "every connection is closed")
    assert worker.is_running()


def test_a_body_of_small_chunks_is_a_body(server: Server, worker: psutil.Process) -> None:
    def seconds(octets: int) -> float:
        begun = cpu(worker)
        with Client(server.port) as client:
            answer = client.ask(CHUNKED + b"1\r\na\r\n" * octets + b"0\r\n\r\n")
        assert answer.body == b"a" * octets
        return cpu(worker) - begun

    before = server.memory()
    short, long = (min(seconds(octets) for _ in range(3)) for octets in (100_000, 200_000))
    assert long < 3 * short + 0.05
    assert server.memory() - before < GROWTH


def cpu(process: psutil.Process) -> float:
    """The seconds that it has computed."""
    times = process.cpu_times()
    return float(times.user + times.system)


def pipelined(port: int, count: int) -> None:
    """Send so many requests without waiting, and see that each is answered in its turn.

    Each thousandth asks for its number, the others for next to nothing.
    """
    requests = [b"SPAM / HTTP/1.1\r\nHost: a\r\n\r\n"] * count
    for number in range(0, count, 1000):
        requests[number] = get(f"/token?value={number}")
    requests[-1] = get("/hello", "Connection: close")
    with Client(port) as client:
        sender = threading.Thread(target=client.send, args=(b"".join(requests),))
        sender.start()
        _, *answers = client.rest().split(b"HTTP/1.1 200 OK\r\n")
        sender.join()
    bodies = [answer.partition(b"\r\n\r\n")[2].split()[0] for answer in answers]
    assert len(bodies) == count
    assert bodies.pop() == b"hello"
    for number, body in enumerate(bodies):
        assert body == (b"spam" if number % 1000 else str(number).encode())


def test_a_hundred_thousand_pipelined_requests_cost_what_they_are(
    server: Server, worker: psutil.Process
) -> None:
    """In order, in flat memory, linear in CPU; and whoever asks meanwhile is answered at once."""
    port = server.port
    begun = cpu(worker)
    pipelined(port, 10_000)
    few = cpu(worker) - begun
    before = server.memory()
    with Bystander(port) as bystander:
        begun = cpu(worker)
        pipelined(port, 100_000)
        many = cpu(worker) - begun
    bystander.check()
    assert many < 20 * few  # the square would be a hundred times
    assert server.memory() - before < GROWTH


def test_who_does_not_read_is_read_no_more(server: Server, worker: psutil.Process) -> None:
    """A peer that asks on and on and takes no answer: its answers do not pile up, and its time is limited."""
    request = get("/block?octets=60000")
    before = server.memory()
    with Bystander(server.port) as bystander, Client(server.port, 0.3) as client:
        with pytest.raises(Lost):
            client.send(request * 500_000)  # 15 MB; what is not read here fills the sockets' buffers
        assert server.memory() - before < GROWTH
        until(lambda: server.connections() <= 2, "it is given up", 6)
    bystander.check()
    assert worker.is_running()
