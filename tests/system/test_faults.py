"""Faults of workers, peers, applications and machines: each test names its row of the list of faults."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.deadline import until
from tests.system.client import Client, Lost, get, post
from tests.system.load import Load, Trickle

if TYPE_CHECKING:
    from tests.system.server import Server

#: For handlers that never come back: 504 after the first, the end of their worker after the second too.
STALL, KILL = 0.5, 0.5
IMPATIENT = f"[timeouts]\nstall = {STALL}\nkill = {KILL}"


def fetch(server: Server, path: str = "/hello") -> str:
    """Ask on a connection of its own."""
    with Client(server.port) as client:
        return client.fetch(path)


def test_all_workers_are_killed_at_once(server: Server) -> None:
    """FAULTS 2: the port stays open, service is back in less than two seconds."""
    server.kills = True
    server.expected.append("worker died .*SIGKILL")
    server.start()
    port = server.port
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    killed_at = time.monotonic()
    with Client(port) as client:
        assert client.fetch("/hello") == "hello\n"
    assert time.monotonic() - killed_at < 2
    server.await_serving(2)


@pytest.mark.parametrize("path", ["/slow?seconds=60", "/spin"])
def test_a_handler_that_hangs_is_answered_for_and_replaced(server: Server, path: str) -> None:
    """FAULTS 6: 504 and the stack at ``timeouts.stall``, the end at ``timeouts.kill`` after; others go on."""
    server.kills = True
    server.expected += ["handler stalled", r"worker died .*SIGKILL"]
    server.configure(more=IMPATIENT)
    server.start()
    before = server.await_serving(2)
    with Client(server.port) as client:
        client.send(get(path))
        begun = time.monotonic()
        until(lambda: path.partition("?")[0] in server.requests(), "it hangs")
        assert fetch(server) == "hello\n"
        answer = client.answer()
        took = time.monotonic() - begun
        assert (answer.status, answer.closes) == (504, True)
        assert STALL <= took < STALL + 1
        assert fetch(server) == "hello\n"
        until(lambda: len(before & set(server.workers())) == 1, "its worker is gone", STALL + KILL + 2)
        server.says(r"worker died .*SIGKILL")
        server.await_serving(2)
        with contextlib.suppress(Lost):  # by then everything was said
            assert client.rest() == b""
    (stall,) = re.findall(r"handler stalled .*\n((?:  \| .*\n)+)", server.log)
    assert "get_" + re.sub(r"\W.*", "", path[1:]) in stall
    assert server.log.count("worker died") == 1


def test_a_handler_that_hangs_within_its_answer_is_cut_off(server: Server) -> None:
    """FAULTS 6: no second status in a body."""
    server.kills = True
    server.expected += ["handler stalled", r"worker died .*SIGKILL"]
    server.configure(workers=1, more=IMPATIENT)
    server.start(workers=1)
    with Client(server.port) as client:
        client.send(get("/lines?gate=never"))
        received = client.broken()
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"line 0\n\r\n")  # in a chunk, and no last chunk
    assert fetch(server) == "hello\n"


def test_descriptors_run_out(server: Server) -> None:
    """FAULTS 14: one line in the log, no spin, who is there is served, and it recovers by itself."""
    server.expected.append("accept failed .*Too many open files")
    server.start(workers=1)
    (worker,) = (psutil.Process(pid) for pid in server.workers())
    assert fetch(server) == "hello\n"  # what a first request opens is open
    highest = max(int(fd.name) for fd in Path(f"/proc/{worker.pid}/fd").iterdir())
    worker.rlimit(psutil.RLIMIT_NOFILE, (highest + 11, highest + 11))
    free = highest + 11 - worker.num_fds()
    port = server.port
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(2 * free)]
        server.says("accept failed")
        spent_before, begun = sum(worker.cpu_times()[:2]), time.monotonic()
        until(lambda: time.monotonic() > begun + 2.2, "two pauses have passed")
        spent = sum(worker.cpu_times()[:2]) - spent_before
        assert spent / (time.monotonic() - begun) < 0.05
        for client in clients[:free]:
            assert client.fetch("/hello") == "hello\n"
            client.close()
        for client in clients[free:]:
            assert client.fetch("/hello") == "hello\n"
    assert server.log.count("accept failed") == 1
    assert [worker.pid] == server.workers()


def test_peers_that_reset_cost_nothing(server: Server) -> None:
    """FAULTS 16 and 17: before, within and after an answer; no line in the log, no descriptor, no worker."""
    server.start()
    port, workers = server.port, server.workers()
    for _ in range(2):
        assert fetch(server) == "hello\n"
    for number in range(60):
        with Client(port) as client:
            if number % 3:
                client.send(get("/big" if number % 3 == 1 else "/hello"))
                assert client.socket.recv(100)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: not established(server), "their connections are gone")
    assert fetch(server) == "hello\n"
    assert server.workers() == workers


def established(server: Server) -> list[tuple[str, int]]:
    """The peers that the workers still hold a connection with."""
    return [
        (each.raddr.ip, each.raddr.port)
        for pid in server.workers()
        for each in psutil.Process(pid).net_connections("tcp")
        if each.raddr
    ]


def test_the_first_process_of_a_container_reaps_orphans(server: Server) -> None:
    """FAULTS 36: as PID 1 the master gets children it never had; they are reaped, no more."""
    unshare = shutil.which("unshare")
    around = [unshare or "", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not unshare or subprocess.run([*around, "true"], capture_output=True, check=False).returncode:
        pytest.skip("there may be no new namespace here")
    server.around = around
    server.start()
    assert server.pid_file.read_text() == "1\n"
    workers = server.workers()
    for _ in range(5):
        assert fetch(server, "/orphan").strip().isdigit()
    master = psutil.Process(server.pid)
    until(lambda: len(master.children()) > 2, "orphans are adopted")
    until(lambda: [each.pid for each in master.children()] == workers, "orphans are reaped")
    assert fetch(server) == "hello\n"
    server.reload(2)
    assert "died" not in server.log


def test_programs_of_the_application_hold_nothing(server: Server) -> None:
    """FAULTS 37 and 12: exit statuses arrive; what outlives its request keeps no port and no connection."""
    server.start()
    port = server.port
    with Client(port) as idle, Client(port) as asking:
        assert idle.fetch("/hello") == "hello\n"
        pid, status = asking.ask(get("/child", "Connection: close")).body.split()
        child = psutil.Process(int(pid))
        try:
            assert status == b"1"
            assert asking.rest() == b""
            assert sockets_and_pipes(child) == []
            server.signal(signal.SIGTERM)
            assert idle.rest() == b""
            assert server.wait() == 0
            assert not listens(port)
        finally:
            child.kill()


def test_forks_of_the_application_hold_nothing(server: Server) -> None:
    """FAULTS 37: a child forked within a handler has that handler's connection, and nothing else of ours."""
    server.start()
    port = server.port
    with Client(port) as idle, Client(port, seconds=3) as asking:
        assert idle.fetch("/hello") == "hello\n"
        own = asking.socket.getsockname()
        answer = asking.ask(get("/fork", "Connection: close"))
        child = psutil.Process(int(answer.body))
        try:
            assert asking.rest() == b""

            def holds() -> list[tuple[object, ...]]:
                return [tuple(each.raddr) for each in child.net_connections("tcp")]

            # The child lets go on its own time: the answer that names it may be here before.
            until(lambda: holds() in ([], [own]), "the child holds nothing else")
            server.signal(signal.SIGTERM)
            assert idle.rest() == b""
            assert server.wait() == 0
            assert not listens(port)
        finally:
            child.kill()


def sockets_and_pipes(process: psutil.Process) -> list[str]:
    """What a process has open beside files."""
    targets = []
    for fd in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a file that it had open for a moment
            targets.append(str(fd.readlink()))
    return [each for each in targets if each.startswith(("socket:", "pipe:", "anon_inode:", "/memfd:"))]


def listens(port: int) -> bool:
    """Whether somebody accepts there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_slow_peers_are_sent_away_and_disturb_nobody(server: Server) -> None:
    """FAULTS 42: heads and bodies that trickle get 408, who says nothing an end; memory stays flat."""
    server.configure(workers=1, more="[timeouts]\nhead = 0.7\nbody = 0.7\nkeep_alive = 0.7")
    server.start(workers=1)
    (worker,) = (psutil.Process(pid) for pid in server.workers())
    port, memory = server.port, worker.memory_full_info().uss
    head, body = get("/hello", "X-Slow: " + "x" * 1000), bytes(1000)
    begin = post("/echo", body).removesuffix(body)
    with contextlib.ExitStack() as stack:
        heads, bodies, idles = ([stack.enter_context(Client(port)) for _ in range(100)] for _ in range(3))
        for client in bodies:
            client.send(begin)
        with Trickle([(client, head) for client in heads]), Load(port, clients=2) as load:
            for client in (*heads, *bodies):
                answer = client.answer()
                assert (answer.status, answer.closes) == (408, True)
            for client in idles:
                assert client.rest() == b""
            load.goes_on()
        assert load.losses == []
        assert worker.memory_full_info().uss - memory < 8 << 20


def test_a_peer_that_does_not_read_is_sent_away(server: Server) -> None:
    """FAULTS 42: it holds its worker no longer than ``timeouts.send``, and the others serve meanwhile."""
    server.configure(more="[timeouts]\nsend = 0.7")
    server.start()
    workers = server.workers()
    with Client(server.port) as slow:
        slow.send(get("/big"))
        assert slow.socket.recv(100)
        for _ in range(5):
            assert fetch(server) == "hello\n"
        until(lambda: not established(server), "its connection is gone", 5)
    assert server.workers() == workers
    assert fetch(server) == "hello\n"


def test_a_half_closed_peer_gets_everything(server: Server) -> None:
    """FAULTS 44."""
    server.start()
    body = os.urandom(100_000)
    for request, length in ((get("/hello"), 6), (get("/big"), 20_000_000), (post("/echo", body), len(body))):
        with Client(server.port) as client:
            client.send(request)
            client.socket.shutdown(socket.SHUT_WR)
            answer = client.answer()
            assert answer.status == 200
            assert len(answer.body) == length
            assert client.rest() == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post("/upload", bytes(10_000_000), method="PUT"), 413),
        (post("/", bytes(4_000_000), method="REFUSE"), 401),
        (post("/", bytes(4_000_000), method="NOBODYKNOWS"), 501),
        (b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"x" * 10_000_000, 431),
        (
            b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"400000\r\n%b\r\n" % bytes(0x400000) * 3,
            413,
        ),
    ],
    ids=["too long", "unread", "unknown", "endless field", "too many chunks"],
)
def test_a_peer_that_still_sends_can_read_the_answer(server: Server, request_: bytes, status: int) -> None:
    """FAULTS 45: it sends everything before it reads anything, and meets no reset."""
    server.configure(more="[limits]\nbody = 5000000")
    server.start()
    with Client(server.port) as client:
        client.send(request_)
        answer = client.answer()
        assert (answer.status, answer.closes) == (status, True)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""


@pytest.mark.parametrize("how", ["error", "exit", "interrupt", "stop"])
def test_a_handler_that_fails_ends_its_exchange_only(served: Server, how: str) -> None:
    """FAULTS 46: 500 if nothing has left, else an end that is no answer's; the worker stays."""
    served.expected += ["handler failed", "on purpose"]
    workers = served.workers()
    for _ in range(2):
        with Client(served.port) as client:
            answer = client.ask(get(f"/fail?how={how}"))
            assert answer.status == 500
            assert answer.closes
            assert client.rest() == b""
        with Client(served.port) as client:
            client.send(get(f"/fail?how={how}&when=after"))
            octets = client.broken()
            assert octets.startswith(b"HTTP/1.1 200 ")
            assert octets.endswith(b"\r\n\r\nthe beginning")
    assert fetch(served) == "hello\n"
    assert served.workers() == workers
    served.says("handler failed", 4)
    assert served.log.count("Traceback") == 4


def test_a_thread_that_exits_ends_nothing(server: Server) -> None:
    """FAULTS 46."""
    server.start(workers=1)
    workers = server.workers()
    with Client(server.port) as client:
        for _ in range(3):
            assert client.fetch("/thread") == "joined\n"
    assert server.workers() == workers
