"""The master's signals, from a stop under load to a log rotation, and what its listeners leave behind."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.deadline import until
from tests.referee import connect
from tests.system.client import Client, Lost, get
from tests.system.load import Load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.server import Server

#: A server whose patience with running requests is shorter than theirs.
IMPATIENT = "[timeouts]\nkill = 0.5"

SLOW_IMPORT = '"""Takes its time."""\n\nimport time\n\ntime.sleep(60)\n'


def refuses(port: int) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_stop_under_load_answers_everybody(server: Server) -> None:
    """FAULTS 32: every request on a connection that was accepted, a slow one too; then exit 0."""
    server.start()
    with Client(server.port) as slow, Load(server.port) as load:
        slow.send(get("/slow?seconds=0.5"))
        until(lambda: "/slow" in server.requests(), "it runs")
        load.stopping = True
        server.signal(signal.SIGTERM)
        assert slow.answer().body == b"at last\n"
        assert slow.rest() == b""
        assert server.wait() == 0
        load.join()
    assert load.losses == []


def test_a_stop_answers_those_that_wait_to_be_accepted(server: Server) -> None:
    """FAULTS 32: who had connected and asked before the stop is answered, also out of the backlog."""
    server.start(workers=1)
    port = server.port
    with Client(port) as slow, contextlib.ExitStack() as stack:
        slow.send(get("/slow?seconds=0.5"))
        until(lambda: "/slow" in server.requests(), "it runs")
        waiting = [stack.enter_context(Client(port)) for _ in range(20)]
        for client in waiting:
            client.send(get("/hello"))
        server.signal(signal.SIGTERM)
        assert slow.answer().body == b"at last\n"
        for client in waiting:
            assert client.answer().body == b"hello\n"
        for client in (slow, *waiting):
            assert client.rest() == b""
    assert server.wait() == 0


def test_a_stop_gives_idle_connections_a_moment(server: Server) -> None:
    """FAULTS 31: a request that races with the stop is answered; who asks nothing gets an end, no reset."""
    server.start()
    port = server.port
    with Client(port) as idle, Client(port) as racing, Client(port) as silent:
        for client in (idle, racing):
            assert client.fetch("/hello") == "hello\n"
        until(lambda: not silent.closed_meanwhile(), "it is accepted")
        server.signal(signal.SIGTERM)
        until(lambda: refuses(port), "the listener is closed")
        answer = racing.ask(get("/hello"))
        assert (answer.body, answer.closes) == (b"hello\n", True)
        for client in (idle, racing, silent):
            assert client.rest() == b""
    assert server.wait() == 0


def test_a_stop_while_the_first_generation_boots(server: Server) -> None:
    """FAULTS 33."""
    server.kills = True
    (server.directory / "slow.py").write_text(SLOW_IMPORT)
    server.configure("slow.py:Handler")
    server.launch("-c", str(server.config))
    server.says("worker forked worker=1 ")
    server.signal(signal.SIGTERM)
    assert server.wait(5) == 0


def test_a_stop_while_a_reload_boots(server: Server) -> None:
    """FAULTS 33: the reload is given up, what runs is finished."""
    server.kills = True
    server.expected.append("reload refused")
    server.start()
    (server.directory / "slow.py").write_text(SLOW_IMPORT)
    server.configure("slow.py:Handler")
    with Client(server.port) as client:
        client.send(get("/slow?seconds=0.5"))
        until(lambda: "/slow" in server.requests(), "it runs")
        server.signal(signal.SIGHUP)
        server.says("worker forked worker=1 gen=2")
        server.signal(signal.SIGTERM)
        assert client.answer().body == b"at last\n"
    assert server.wait(5) == 0


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT,),
    ],
)
def test_a_quick_stop_waits_for_nobody(server: Server, signals: tuple[signal.Signals, ...]) -> None:
    """FAULTS 33: a handler that stays in its request gets ``timeouts.kill``, its stack is logged."""
    server.kills = True
    server.expected.append("worker died .*SIGKILL")
    server.configure(more=IMPATIENT)
    server.start()
    with Client(server.port) as client:
        client.send(get("/slow?seconds=60"))
        until(lambda: "/slow" in server.requests(), "it runs")
        for number, each in enumerate(signals, 1):
            server.signal(each)
            server.says("stop begins", number)
        assert server.wait(5) == 0
        with pytest.raises(Lost):
            client.answer()
    assert "get_slow" in server.log


def test_two_interrupts_kill(server: Server) -> None:
    """FAULTS 33: no patience at all is left."""
    server.kills = True
    server.configure(more="[timeouts]\nkill = 60")
    server.start()
    with Client(server.port) as client:
        client.send(get("/slow?seconds=60"))
        until(lambda: "/slow" in server.requests(), "it runs")
        server.signal(signal.SIGINT)
        server.says("stop begins how=quit")
        server.signal(signal.SIGINT)
        assert server.wait(2) == 0


def test_a_storm_of_stops_is_a_stop(server: Server) -> None:
    """FAULTS 33: a further signal must not hit a master that is about to leave with a good status."""
    server.start()
    process = server.process
    assert process is not None
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    assert server.wait() == 0


def test_an_idle_server_quits_at_once(server: Server) -> None:
    server.start()
    with Client(server.port) as client:
        assert client.fetch("/hello") == "hello\n"
        server.signal(signal.SIGINT)
        assert server.wait(2) == 0
        assert client.rest() == b""


def test_workers_do_not_outlive_their_master(server: Server) -> None:
    """FAULTS 10: they stop accepting at once, finish what runs, and leave; then the port is free."""
    server.expected.append("the master died")
    server.kills = True
    server.start()
    port = server.port
    with Client(port) as idle, Client(port) as running:
        assert idle.fetch("/hello") == "hello\n"
        running.send(get("/slow?seconds=0.5"))
        until(lambda: "/slow" in server.requests(), "it runs")
        os.kill(server.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        assert server.wait() == -signal.SIGKILL
        assert running.answer().body == b"at last\n"
        until(lambda: refuses(port), "nobody accepts")
        for client in (idle, running):
            assert client.rest() == b""
        until(lambda: not server.survivors(), "the workers have left")
        assert time.monotonic() - killed_at < 0.5 + 2
    with socket.create_server(("127.0.0.1", port)):  # as the next master binds it
        assert server.left_behind() == [server.pid_file.name]
    (server.directory / "stderr").rename(server.directory / "stderr.first")
    server.start()  # which takes the PID file over
    assert server.pid_file.read_text() == f"{server.pid}\n"


def test_a_late_handler_keeps_no_port_from_the_next_master(server: Server) -> None:
    """Its worker lets go of the listeners at once, and ends itself when its time is up: nobody else would."""
    server.expected += ["the master died", "the handler outlived its master"]
    server.kills = True
    server.configure(workers=1, more="[timeouts]\nstop_drain = 1")
    server.start(workers=1)
    port = server.port
    with Client(port) as running:
        running.send(get("/slow?seconds=60"))
        until(lambda: "/slow" in server.requests(), "it runs")
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        until(lambda: refuses(port), "nobody accepts", 1)
        assert server.survivors(), "the handler still runs"
        until(lambda: not server.survivors(), "the worker has ended itself")
    server.pid_file.unlink()


def test_every_kind_of_listener_serves(server: Server) -> None:
    """A unix socket, IPv6 and an inherited descriptor, before and after a reload."""
    path = str(server.directory / "http.sock")
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        number = inherited.fileno()
        server.configure(bind=(f"unix:{path}", "[::1]:0", f"fd:{number}"))
        server.start(pass_fds=[number])
        own = inherited.getsockname()[1]
        (six,) = (port for port in server.ports() if port != own)
        for generation in (1, 2):
            if generation > 1:
                server.reload(generation)
            for place in (path, own):
                with Client(place) as client:
                    assert client.fetch("/hello") == "hello\n"
            connection = http.client.HTTPConnection("::1", six)
            connection.sock = connect(("::1", six))
            connection.request("GET", "/hello")
            assert connection.getresponse().read() == b"hello\n"
            connection.close()
        server.stop()
        assert not os.path.lexists(path)
        assert not refuses(own)  # it is ours, and was only lent


def test_workers_come_and_go_by_signal(server: Server) -> None:
    server.start()
    with Load(server.port, clients=8) as load:
        server.signal(signal.SIGTTIN)
        server.await_serving(3)
        load.goes_on()
        for number in range(1, 4):  # one at a time: the kernel keeps no two signals of a kind
            server.signal(signal.SIGTTOU)
            server.says("number of workers changed", 1 + number)
        until(lambda: len(server.serving()) == len(server.workers()) == 1, "the last one stays")
        load.goes_on()
        server.reload(2)
        server.await_serving(2, generation=2)
        until(lambda: len(server.workers()) == 2, "a reload returns to the configured number")
    assert load.losses == []


def test_logs_are_rotated_under_load(server: Server, directory: Path) -> None:
    """FAULTS 20: master and workers open both files anew; no line is lost, none is torn."""
    error, access = directory / "error.log", directory / "access.log"
    server.error_log = error
    server.configure(more=f'[log]\nerror = "{error}"\naccess = "{access}"')
    server.start()
    with Load(server.port, clients=4) as load:
        for log in (error, access):
            log.rename(log.with_suffix(".old"))
        load.goes_on()
        old_access = access.with_suffix(".old")
        assert not access.exists()
        server.signal(signal.SIGUSR1)
        until(lambda: error.exists() and "logs reopened" in error.read_text(), "the error log is there")
        until(access.exists, "the access log is there")
        load.goes_on(10)
        until(lambda: not server.holders(old_access), "nobody writes to the old file")
        load.goes_on()
    server.stop()
    assert load.losses == []
    lines = old_access.read_text().splitlines() + access.read_text().splitlines()
    served = [line for line in lines if '"GET /token?' in line or '"POST /echo ' in line]
    assert len(served) == len(lines) == sum(load.answered)
    assert "generation serves" in error.with_suffix(".old").read_text()


def test_a_log_that_cannot_be_opened_anew_goes_on_where_it_was(server: Server, directory: Path) -> None:
    """FAULTS 20."""
    logs = directory / "logs"
    logs.mkdir()
    error = logs / "error.log"
    server.error_log = error
    server.configure(more=f'[log]\nerror = "{error}"')
    server.start()
    server.error_log = directory / "moved" / "error.log"
    logs.rename(directory / "moved")
    server.expected.append("reopen")
    server.signal(signal.SIGUSR1)
    server.says("error.*(reopen|open)")
    with Client(server.port) as client:
        assert client.fetch("/hello") == "hello\n"
