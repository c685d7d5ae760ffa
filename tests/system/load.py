"""A steady load that notices every loss: many clients, persistent connections, no retry."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

from tests.deadline import until
from tests.system.client import Client, Lost, get, post

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from tests.system.client import Answer

#: Seconds between two requests of a client, by turns: some never pause, so that a request is always on
#: its way, and some do, so that there is always an idle connection.
PAUSES = (0.0, 0.005, 0.010, 0.020)


class Loss(NamedTuple):
    """One request that was not answered as it should have been.

    Attributes:
        client: who asked.
        pid: the worker that answered last on this connection; None if none had.
        what: what came instead of the answer.
    """

    client: int
    pid: int | None
    what: str


class Load:
    """So many clients, each in a thread, from entering to leaving.

    A client opens a new connection only after the server has announced that it closes
    the one before. Every other end of a connection is a loss, also while it is idle.
    GET and POST take turns: a proxy repeats the one by itself, and must not repeat the other.

    Attributes:
        losses: what was lost so far.
        answered: right answers so far, for each client.
        stopping: the server may go: who cannot connect any more leaves without a loss.
    """

    def __init__(self, port: int | str, clients: int = 16) -> None:
        self.losses: list[Loss] = []
        self.answered = [0] * clients
        self.stopping = False
        self._port = port
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.join()

    def goes_on(self, times: int = 3) -> None:
        """Wait until every client has got so many more answers."""
        wanted = [count + times for count in self.answered]
        until(
            lambda: all(count >= more for count, more in zip(self.answered, wanted, strict=True)),
            f"every client is answered; lost: {self.losses[:5]}",
        )

    def join(self) -> None:
        """Wait until every client has left."""
        for number, thread in enumerate(self._threads):
            thread.join(30)
            assert not thread.is_alive(), f"client {number} waits for ever"

    def _run(self, number: int) -> None:
        while not self._ended.is_set():
            try:
                client = Client(self._port)
            except OSError as error:
                if self.stopping:
                    return
                self.losses.append(Loss(number, None, f"connecting: {error!r}"))
                self._ended.wait(0.1)
                continue
            with client:
                self._use(number, client)

    def _use(self, number: int, client: Client) -> None:
        """Ask on one connection until its end."""
        pid: int | None = None
        pause = PAUSES[number % len(PAUSES)]
        before = self.answered[number]
        try:
            while not self._ended.wait(pause):
                answer = _exchange(client, f"{number}-{self.answered[number]}")
                self.answered[number] += 1
                _, _, who = answer.body.partition(b" ")
                pid = int(who) if who else pid
                if answer.closes:
                    return
        except Lost as lost:
            # A connection that nobody accepted is nobody's word broken once the listener is closed.
            if not (self.stopping and self.answered[number] == before):
                self.losses.append(Loss(number, pid, str(lost)))


def _exchange(client: Client, token: str) -> Answer:
    """Ask for a token, by GET or POST, and get it, and that before anything else.

    Raises:
        Lost: something else came.
    """
    if ended := client.closed_meanwhile():
        raise Lost(f"closed while idle: {ended}")
    by_post = token[-1] in "13579"
    answer = client.ask(post("/echo", token.encode()) if by_post else get(f"/token?value={token}"))
    if answer.status != 200 or answer.body.partition(b" ")[0] != token.encode():
        raise Lost(f"{token}: {answer.status} {answer.body[:100]!r}")
    return answer


class Trickle:
    """Clients that send one octet each, every tenth of a second, until they are sent away.

    Attributes:
        sent: octets that each of them has sent.
    """

    def __init__(self, clients: Sequence[tuple[Client, bytes]]) -> None:
        """Take each client with what it sends."""
        self.sent = 0
        self._clients = list(clients)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            for client, octets in self._clients:
                with contextlib.suppress(Lost):  # what it was answered is for the test to read
                    client.send(octets[self.sent : self.sent + 1])
            self.sent += 1
