"""Whoever shares a connection with an attacker gets an answer of their own, and nobody gets two.

A proxy keeps one connection to the server for all of its clients. If the server takes a part of the
attacker's request for another one, the next client is told what the attacker asked for. Tried
through nginx and HAProxy with one connection each, and without a proxy as a naive one
would use the connection; on the standard library's server, where it works, and on forkhttp.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.deadline import PATIENCE
from tests.referee import Referee
from tests.system import careless
from tests.system.client import Client, Lost, get
from tests.system.conftest import program
from tests.system.front import CONFIGURATIONS, HAProxy, Nginx
from tests.system.smuggling import attacks

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from tests.referee import Verdict
    from tests.system.front import Front
    from tests.system.server import Server
    from tests.system.smuggling import Payload

#: Seconds that an attacker waits for an answer which may never come.
PAUSE = 0.1

_ONE_WORKER = {
    "worker_processes auto;": "worker_processes 1;",
    "keepalive 32;": "keepalive 1;",
    "proxy_set_header Host $http_host;": (
        "proxy_set_header Host $http_host; proxy_set_header X-Request-Id $request_id;"
    ),
}

#: The proxies, each with one connection to the server, and numbers on the requests.
PROXIES: dict[str, tuple[type[Front], Mapping[str, str]]] = {
    "nginx": (Nginx, _ONE_WORKER),
    "nginx, bodies stream": (
        Nginx,
        {**_ONE_WORKER, "proxy_request_buffering on;": "proxy_request_buffering off;"},
    ),
    "haproxy": (
        HAProxy,
        {
            "maxconn 1024": "maxconn 1024\n    nbthread 1",
            "pool-max-conn 32 pool-purge-delay 5s": "maxconn 1 pool-max-conn 1 pool-purge-delay 60s",
            "default_backend forkhttp": (
                "http-request set-header X-Request-Id %[uuid()]\n    default_backend forkhttp"
            ),
        },
    ),
}


class Naive:
    """A connection as a naive proxy uses it: a request, whatever it holds, and one answer; h11 judges it.

    Attributes:
        octets: all that was received.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._referee = Referee()
        self.octets = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, method: str, octets: bytes, seconds: float = PAUSE) -> Verdict | None:
        """Send a request and read one answer; None if there is none.

        Raises:
            AssertionError: there is something else.
        """
        self._referee.expect(method)
        self.send(octets)
        return self.answer(seconds)

    def answer(self, seconds: float) -> Verdict | None:
        """Read an answer, if one comes in that time."""
        self._socket.settimeout(seconds)
        with contextlib.suppress(OSError):
            while received := self._socket.recv(1 << 16):
                self.octets += received
                self._referee.heard(received)
                while self._referee.verdicts:
                    verdict = self._referee.verdicts.popleft()
                    if verdict.status >= 200:
                        return verdict
        return None

    def send(self, octets: bytes) -> None:
        """Send what the peer still takes."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(PATIENCE)
            self._socket.sendall(octets)

    def values(self, name: str) -> list[str]:
        """Give what was received in a field, in whichever answer."""
        return re.findall(rf"(?im)^{name}: *(\S+)\r$", self.octets.decode("latin-1"))


class Victims:
    """A client of a proxy that asks for its own tokens, each another one.

    Attributes:
        peer: the port from which the server was asked last.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._count = 0
        self._client = Client(port)
        self.peer = ""

    def ask(self) -> str:
        """Ask a few times in a row; what was wrong, empty if nothing."""
        for _ in range(3):
            self._count += 1
            token = f"victim-{self._count}"
            try:
                answer = self._client.ask(get(f"/token/{token}"))
            except (Lost, AssertionError) as error:
                self._renew()
                return f"{token}: {error}"
            (self.peer,) = re.findall(r"(?im)^x-peer: *(\d+)", answer.head.decode()) or [""]
            if answer.closes:
                self._renew()
            if (answer.status, answer.body) != (200, token.encode()):
                return f"{token}: {answer.status} {answer.body[:100]!r}"
        return ""

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _renew(self) -> None:
        self._client.close()
        self._client = Client(self._port)


def hurt_behind(port: int, shared: list[str]) -> Generator[str]:
    """Attack through a proxy; give what went wrong, and in ``shared`` who shared a victim's connection."""
    with contextlib.closing(Victims(port)) as victims:
        assert victims.ask() == ""
        for attack in attacks():
            yield from _hurt_by(attack, port, victims, shared)


def _hurt_by(
    attack: tuple[str, str, Payload], port: int, victims: Victims, shared: list[str]
) -> Iterator[str]:
    name, method, payload = attack
    before = victims.peer
    with Naive(port) as attacker:
        with contextlib.suppress(AssertionError):  # h11 may not like what a proxy says of its own accord
            answered = attacker.ask(method, payload.octets)
            attacker.send(payload.later)
            # One who owes octets of a body may hold the only connection, until it leaves.
            if answered is not None and payload.whole and (wrong := victims.ask()):
                yield f"{name}: {wrong}"
            attacker.answer(0)
        numbers = attacker.values("X-Seen")
        if len(set(numbers)) < len(numbers):
            yield f"{name}: two answers to one request"
        if before in attacker.values("X-Peer"):
            shared.append(name)
    if wrong := victims.ask():
        yield f"{name}, the attacker left: {wrong}"


def hurt_beside(port: int) -> Generator[str]:
    """Attack without a proxy, ask on the same connection if it is to persist; give what went wrong."""
    for name, method, payload in attacks():
        with Naive(port) as connection:
            try:
                if wrong := _second(connection, method, payload):
                    yield f"{name}: {wrong}"
            except AssertionError as error:
                yield f"{name}: {error}"


def _second(connection: Naive, method: str, payload: Payload) -> str:
    first = connection.ask(method, payload.octets)
    if first is None or first.last:
        return ""
    connection.send(payload.later)
    victim = connection.ask("GET", get("/token/victim"), PATIENCE)
    if victim is None:
        return "no answer on a connection that was said to persist"
    if (victim.status, victim.body) != (200, b"victim"):
        return f"{victim.status} {victim.body[:100]!r}"
    return ""


@pytest.fixture
def upstream(server: Server) -> int:
    """The port of a forkhttp with one worker and careless handlers."""
    server.expected += ["handler failed", "on purpose"]
    server.configure(str(Path(careless.__file__)) + ":Handler", workers=1)
    return server.start(workers=1).port


@pytest.fixture
def standard() -> Iterator[int]:
    """The port of the standard library's server with the same handlers."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), careless.Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def proxied(name: str, directory: Path, upstream: int) -> Iterator[int]:
    """Give the port of a proxy with one connection to ``upstream``."""
    kind, changes = PROXIES[name]
    front = kind(program(kind.name), directory / kind.name, upstream, changes)
    try:
        yield front.port
    finally:
        front.close()


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_next_client_of_a_proxy_gets_its_own_answer(proxy: str, tmp_path: Path, upstream: int) -> None:
    shared: list[str] = []
    with proxied(proxy, tmp_path, upstream) as port:
        assert list(hurt_behind(port, shared)) == []
    assert len(shared) > 50, "the proxy's clients share a connection"


def test_the_next_request_on_a_shared_connection_gets_its_own_answer(upstream: int) -> None:
    assert list(hurt_beside(upstream)) == []


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_attack_works_on_the_standard_library_behind_a_proxy(
    proxy: str, tmp_path: Path, standard: int
) -> None:
    with proxied(proxy, tmp_path, standard) as port, contextlib.closing(hurt_behind(port, [])) as hurt:
        assert next(hurt, None) is not None


def test_the_attack_works_on_the_standard_library(standard: int) -> None:
    with contextlib.closing(hurt_beside(standard)) as hurt:
        assert len([next(hurt, "") for _ in range(5)]) == 5


def test_the_configuration_of_haproxy_is_valid() -> None:
    done = subprocess.run(
        [program("haproxy"), "-c", "-f", str(CONFIGURATIONS / "haproxy.cfg")],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr
