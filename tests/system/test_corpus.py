"""The corpus against real workers, through sockets; h11 reads what they answer.

The conversations are many and short, so they are held all at once, before the first test;
the tests look at what came of them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import h11
import pytest

from tests.deadline import PATIENCE
from tests.system.server import Server
from tests.wire.corpus import (
    CORPUS,
    Asked,
    Case,
    InvalidRequest,
    InvalidResponse,
    ValidRequest,
    ValidResponse,
    cases,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

WITNESS = Path(__file__).with_name("witness.py")

#: Where the witness does not wait for bodies.
HASTY = "127.0.0.2"

#: Octets at either end of a message that are sent one by one; those between, if there are any, at once.
ONE_BY_ONE = 400

#: Seconds that all conversations may take; those that have not begun by then fail.
AT_MOST = 60.0

#: How each request is sent; a valid one once more so that its body is left unread.
MANNERS = ("whole", "octet-by-octet", "followed")

#: The request behind an answer that the witness was told to write; its answer is one of these, too.
NEXT = b"GET / HTTP/1.1\r\nHost: f\r\nX-Case: responses/valid/status-299\r\nConnection: close\r\n\r\n"

VALID, INVALID = cases(ValidRequest), cases(InvalidRequest)
WRITTEN, SPOILT = cases(ValidResponse), cases(InvalidResponse)


class Key(NamedTuple):
    """A message and how it was sent."""

    folder: str
    name: str
    manner: str = ""


class Answer(NamedTuple):
    """One final answer, as h11 understands it.

    Attributes:
        interim: how many interim answers came before it.
        fields: by name in lower case; of those that are repeated, the last.
        delimiter: what ended it: ``length``, ``chunked``, ``close``, or ``none`` if it can have no body.
    """

    status: int
    interim: int
    fields: dict[str, str]
    body: bytes
    delimiter: str

    @property
    def closes(self) -> bool:
        """Whether it says that it is the last."""
        return "close" in self.fields.get("connection", "").lower()


class Outcome(NamedTuple):
    """What the server sent until it closed.

    Attributes:
        answers: the whole ones.
        rest: octets behind them.
    """

    answers: list[Answer]
    rest: bytes


def understand(octets: bytes, methods: Iterable[str], *, ended: bool) -> Outcome:
    """Read answers to requests with these methods; ``ended``: nothing follows the octets."""
    found = []
    for method in methods:
        answer, left = first_answer(octets, method, ended=ended)
        if answer is None:
            break
        found.append(answer)
        octets = left
    return Outcome(found, octets)


def first_answer(octets: bytes, method: str, *, ended: bool) -> tuple[Answer | None, bytes]:
    """Read one answer; give it, None if there is no whole one, and what is left."""
    if not octets:
        return None, octets
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(octets)
    if ended:
        client.receive_data(b"")
    interim, body, head = 0, b"", None
    while not isinstance(event := next_event(client), h11.EndOfMessage):
        if isinstance(event, h11.InformationalResponse):
            interim += 1
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            return None, octets
    assert head is not None
    fields = {name.decode(): value.decode("latin-1") for name, value in head.headers}
    if method == "HEAD" or head.status_code in (204, 304):
        delimiter = "none"
    elif "transfer-encoding" in fields:
        delimiter = "chunked"
    else:
        delimiter = "length" if "content-length" in fields else "close"
    return Answer(head.status_code, interim, fields, body, delimiter), client.trailing_data[0]


def next_event(client: h11.Connection) -> object:
    """Give h11's next event; None if the server closed in the middle of an answer."""
    try:
        return client.next_event()
    except h11.RemoteProtocolError:
        if client.trailing_data[1]:
            return None
        raise


class Conversation:
    """One connection, on which each octet that the server sends is kept."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        """Connect from ``address``."""
        self.octets = b""
        self.ended = False
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(address, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *pieces: bytes) -> None:
        """Send each piece by itself; a server that has refused need not take them all."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                self._socket.sendall(piece)

    def receive(self, methods: list[str]) -> Outcome:
        """Receive until each method has its answer, or the server closes."""
        while True:
            outcome = understand(self.octets, methods, ended=self.ended)
            if self.ended or len(outcome.answers) == len(methods):
                return outcome
            data = self._socket.recv(1 << 18)
            self.octets += data
            self.ended = not data

    def finish(self, methods: list[str]) -> Outcome:
        """Receive until the server closes; give all that it sent."""
        while not self.ended:
            data = self._socket.recv(1 << 18)
            self.octets += data
            self.ended = not data
        self._socket.close()
        return understand(self.octets, methods, ended=True)


def follower(name: str) -> bytes:
    """Give a request that is the last one of its connection, and that can be told from all others."""
    return f"GET /follower/{name} HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n".encode()


def one_by_one(octets: bytes) -> list[bytes]:
    """Cut a message into octets; a long one has a piece in the middle."""
    if len(octets) <= 2 * ONE_BY_ONE:
        return [octets[at : at + 1] for at in range(len(octets))]
    begin, middle, end = octets[:ONE_BY_ONE], octets[ONE_BY_ONE:-ONE_BY_ONE], octets[-ONE_BY_ONE:]
    return [*one_by_one(begin), middle, *one_by_one(end)]


def each_by_itself(port: int, name: str, pieces: list[bytes], method: str) -> Outcome:
    """Send a message, read its answer, and only then ask for more, if that is allowed."""
    conversation = Conversation(port)
    conversation.send(*pieces)
    outcome = conversation.receive([method])
    if outcome.answers and not outcome.answers[0].closes:
        conversation.send(follower(name))
    return conversation.finish([method, "GET"])


def both_at_once(port: int, name: str, octets: bytes, method: str, address: str = "127.0.0.1") -> Outcome:
    """Send a message and the next request in one piece."""
    conversation = Conversation(port, address)
    conversation.send(octets + follower(name))
    return conversation.finish([method, "GET"])


def written(port: int, folder: str, name: str, asked: Asked) -> Outcome:
    """Let the witness write an answer, read it, and then ask for another, if that is allowed."""
    target = "a:1" if asked.method == "CONNECT" else "/"
    wish = {(0, True): "keep-alive", (1, False): "close"}.get((asked.minor, asked.persistent), "TE")
    conversation = Conversation(port)
    conversation.send(
        f"{asked.method} {target} HTTP/1.{asked.minor}\r\n"
        f"Host: a\r\nX-Case: {folder}/{name}\r\nConnection: {wish}\r\n\r\n".encode()
    )
    outcome = conversation.receive([asked.method])
    if outcome.answers and not outcome.answers[0].closes:
        conversation.send(NEXT)
    return conversation.finish([asked.method, "GET"])


def written_in_time(port: int, case: Case[ValidResponse]) -> Outcome:
    """The same, again if it was framed in another way.

    On a busy machine the server may take the witness for slow, and send on what it has before
    the length is known.
    """
    for _ in range(5):
        outcome = written(port, case.expected.folder, case.name, case.expected.to)
        if outcome.answers and outcome.answers[0].delimiter == case.expected.framing:
            break
    return outcome


def conversations(port: int) -> Iterator[tuple[Key, Callable[[], Outcome]]]:
    """All that are to be held."""
    requests: list[Case[ValidRequest] | Case[InvalidRequest]] = [*VALID, *INVALID]
    for case in requests:
        octets, folder = case.octets, case.expected.folder
        method = case.expected.method if isinstance(case.expected, ValidRequest) else "GET"
        for manner in MANNERS:
            name = f"{folder}/{case.name}/{manner}"
            if manner == "followed":
                talk = partial(both_at_once, port, name, octets, method)
            else:
                pieces = [octets] if manner == "whole" else one_by_one(octets)
                talk = partial(each_by_itself, port, name, pieces, method)
            yield Key(folder, case.name, manner), talk
        if folder == ValidRequest.folder:
            name = f"{folder}/{case.name}/unread"
            yield Key(folder, case.name, "unread"), partial(both_at_once, port, name, octets, method, HASTY)
    for answer in WRITTEN:
        yield Key(ValidResponse.folder, answer.name), partial(written_in_time, port, answer)
    folder = InvalidResponse.folder
    for each in SPOILT:
        yield Key(folder, each.name), partial(written, port, folder, each.name, Asked())


class Held(NamedTuple):
    """What came of all conversations.

    Attributes:
        outcomes: of each one; its result raises what went wrong with it.
        seen: methods and targets that the witness was asked for, in any order.
    """

    outcomes: dict[Key, Future[Outcome]]
    seen: list[str]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """All conversations, held with one server."""
    directory = tmp_path_factory.mktemp("corpus")
    shutil.copy(WITNESS, directory)
    server = Server(directory)
    server.configure("witness.py:Handler", more=f"[env]\nCORPUS = {json.dumps(str(CORPUS))}\n")
    server.expected.append("handler fault problem=")
    try:
        server.start()
        with ThreadPoolExecutor(16) as pool:
            outcomes = {key: pool.submit(talk) for key, talk in conversations(server.port)}
            for late in wait(outcomes.values(), AT_MOST).not_done:
                late.cancel()
        yield Held(outcomes, (directory / "seen").read_text().splitlines())
    except BaseException:
        server.end()
        raise
    server.close()


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("case", VALID, ids=str)
def test_a_valid_request_is_served_as_it_is_meant(held: Held, case: Case[ValidRequest], manner: str) -> None:
    expected = case.expected
    outcome = held.outcomes[Key(expected.folder, case.name, manner)].result()
    first = outcome.answers[0]
    if expected.method == "CONNECT":
        assert (first.status, first.closes) == (405, True)
    else:
        assert (first.status, first.closes) == (200, not expected.persistent)
    if expected.method != "HEAD":
        told = json.loads(first.body)
        assert told["method"] == expected.method
        assert told["target"] == path_of(expected.target)
        assert told["version"] == f"HTTP/1.{expected.minor}"
        assert expected.is_body(told["body"].encode("latin-1"))
        if expected.fields is not None:
            assert [tuple(pair) for pair in told["fields"]] == expected.fields
    assert "date" in first.fields
    assert first.interim == 0 or expected.minor == 1
    assert_only_the_follower_follows(outcome, Key(expected.folder, case.name, manner))


@pytest.mark.parametrize("case", VALID, ids=str)
def test_a_body_that_nobody_read_is_not_the_next_request(held: Held, case: Case[ValidRequest]) -> None:
    key = Key(case.expected.folder, case.name, "unread")
    outcome = held.outcomes[key].result()
    assert outcome.answers[0].status in (200, 405)
    assert_only_the_follower_follows(outcome, key)


def path_of(target: str) -> str:
    """What the documented class makes of a target (CVE-2021-28861)."""
    return "/" + target.lstrip("/") if target.startswith("//") else target


def assert_only_the_follower_follows(outcome: Outcome, key: Key) -> None:
    """A connection that goes on has the follower's answer, its last; one that was said to close has none."""
    assert outcome.rest == b""
    first, *others = outcome.answers
    assert len(others) == (0 if first.closes else 1)
    for answer in others:
        assert (answer.status, answer.closes) == (200, True)
        assert json.loads(answer.body)["target"] == f"/follower/{'/'.join(key)}"


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("case", INVALID, ids=str)
def test_an_invalid_request_is_refused_and_is_the_last(
    held: Held, case: Case[InvalidRequest], manner: str
) -> None:
    outcome = held.outcomes[Key(case.expected.folder, case.name, manner)].result()
    (answer,) = outcome.answers
    assert answer.status == case.expected.status
    assert answer.closes
    assert "date" in answer.fields
    assert outcome.rest == b""


def test_the_witness_saw_what_was_valid_and_nothing_else(held: Held) -> None:
    expected: Counter[str] = Counter()
    for key, future in held.outcomes.items():
        if key.folder == ValidRequest.folder:
            case = next(case for case in VALID if case.name == key.name)
            expected[f"{case.expected.method} {path_of(case.expected.target)}"] += 1
            if not future.result().answers[0].closes:
                expected[f"GET /follower/{'/'.join(key)}"] += 1
    assert Counter(held.seen) == expected


@pytest.mark.parametrize("case", WRITTEN, ids=str)
def test_a_valid_answer_goes_out_in_one_framing(held: Held, case: Case[ValidResponse]) -> None:
    expected = case.expected
    outcome = held.outcomes[Key(expected.folder, case.name)].result()
    answer, *others = outcome.answers
    assert (answer.status, answer.delimiter) == (expected.status, expected.framing)
    assert expected.is_body(answer.body)
    assert "date" in answer.fields
    assert answer.interim == 0 or expected.to.minor == 1
    # HTTP/1.0 takes an answer for the last that does not say keep-alive.
    persists = not answer.closes and (expected.to.minor or "keep-alive" in answer.fields["connection"])
    assert persists == expected.persistent
    assert [other.status for other in others] == ([299] if persists else [])
    assert outcome.rest == b""


@pytest.mark.parametrize("case", SPOILT, ids=str)
def test_an_invalid_answer_becomes_500_or_none(held: Held, case: Case[InvalidResponse]) -> None:
    """None is left only where a head had gone out before the fault came to light."""
    outcome = held.outcomes[Key(case.expected.folder, case.name)].result()
    statuses = [answer.status for answer in outcome.answers]
    assert statuses == [500] or (case.expected.where == "body" and not statuses)
    if outcome.answers:
        assert outcome.answers[0].closes
        assert outcome.rest == b""
    assert b"njected" not in outcome.rest
