"""What is fuzzed: each parser with its promises, and what to begin with.

A new parser is one line in ``TARGETS``; its promises are a function of octets in
``tests/wire/invariants.py`` that raises where they do not hold, and its messages a strategy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings

from tests.wire import messages, proxied
from tests.wire.invariants import check_chunks, check_flood, check_requests, check_response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypothesis.strategies import SearchStrategy

#: Hypothesis must not give up because something is slow.
UNHURRIED = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

CORPUS = Path(__file__).parent.parent / "corpus"

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Target(NamedTuple):
    """One parser under test.

    Attributes:
        check: raises, whatever it is, if a promise is broken for these octets.
        messages: octets that come near to what matters.
        each: messages for each single thing that may go wrong, and for each that is right.
        corpus: the folder of the corpus that these octets are from.
        head: what stands before them in a file of the corpus, for a target that reads a body alone.
    """

    check: Callable[[bytes], None]
    messages: SearchStrategy[bytes]
    each: Sequence[bytes]
    corpus: str
    head: bytes = b""


TARGETS = {
    "requests": Target(check_requests, messages.pipelines, messages.EACH_REQUESTS, "requests"),
    "chunks": Target(check_chunks, messages.chunked_bodies, messages.EACH_CHUNKED, "requests", CHUNKED),
    "responses": Target(check_response, messages.responses, messages.EACH_RESPONSES, "responses"),
    "floods": Target(check_flood, messages.pieces, messages.EACH_FLOOD, "requests"),
    "preambles": Target(proxied.check_preamble, proxied.preambles, proxied.EACH_PREAMBLE, "preambles"),
    "claims": Target(proxied.check_claims, proxied.claims, proxied.EACH_CLAIM, "claims"),
}


def seeds(target: Target) -> list[bytes]:
    """Give what a search begins with: the corpus, what may go wrong alone, and some of what is drawn."""
    found = [path.read_bytes() for path in sorted((CORPUS / target.corpus).rglob("*.http"))]
    if target.head:
        found = [data.partition(b"\r\n\r\n")[2] for data in found if b"chunked" in data]

    @settings(UNHURRIED, max_examples=100, phases=[Phase.generate], derandomize=True)
    @given(target.messages)
    def gather(data: bytes) -> None:
        found.append(data)

    gather()
    return [data for data in dict.fromkeys([*found, *target.each]) if data]
