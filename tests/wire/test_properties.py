"""What holds for any octets in any pieces."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkhttp.errors import HandlerError
from forkhttp.wire import (
    LAST_CHUNK,
    ChunkedBody,
    HeadLimits,
    encode_chunk,
    frame_response,
    parse_head,
    parse_response_head,
)
from tests.fuzz.targets import TARGETS, Target
from tests.wire.delivery import LIMITS, Seen, body_of, few, head_of

#: Pieces of heads, right and wrong; strung together they come near to what matters.
SHARDS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /x HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET http://b/ HTTP/1.1\r\n",
    b"CONNECT b:1 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n",
    b"Host: a\r\n",
    b"Host:\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Connection: foo, close\r\n",
    b"Expect: 100-continue\r\n",
    b"X: \xe4\t \r\n",
    b"No colon\r\n",
    b"X : 1\r\n",
    b" folded\r\n",
    b"X: " + b"x" * 30 + b"\r\n",
    b"G",
    b"\x00",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"5\r\nhello\r\n",
    b"5;a=b\r\n",
    b"0\r\n\r\n",
]
shards = st.lists(st.sampled_from(SHARDS) | st.binary(max_size=3), max_size=12).map(b"".join)
#: Half of all heads begin well: otherwise hardly one of them would be read.
heads = shards | shards.map(lambda data: b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n")
limits = st.sampled_from([LIMITS, HeadLimits(20, 20, 3), HeadLimits(8, 8, 1)])
cuts = st.lists(st.integers(1, 40), max_size=40)


def sizes(data: bytes, steps: list[int]) -> list[int]:
    """Make a growing sequence of sizes of ``data`` that ends with all of it."""
    return [*(size for size in accumulate(steps) if size < len(data)), len(data)]


@few
@given(heads, limits, cuts)
def test_any_split_of_the_octets_of_a_head_gives_the_same(
    data: bytes, bounds: HeadLimits, steps: list[int]
) -> None:
    whole = head_of([len(data)], data, bounds)
    assert head_of(range(len(data) + 1), data, bounds) == whole
    assert head_of(sizes(data, steps), data, bounds) == whole


@few
@given(st.binary(max_size=200) | shards, limits)
def test_any_octets_are_a_head_or_need_more_or_are_refused(data: bytes, bounds: HeadLimits) -> None:
    seen = head_of([len(data)], data, bounds)
    assert seen is None or isinstance(seen, Seen) or seen in {400, 414, 431, 501, 505}


@few
@given(heads, shards)
def test_the_left_over_of_a_head_begins_what_follows(data: bytes, behind: bytes) -> None:
    seen = head_of([len(data)], data)
    if isinstance(seen, Seen):
        assert head_of([seen.size], data) == seen
        assert head_of([len(data + behind)], data + behind) == seen
        assert data[: seen.size].endswith(seen.octets)


@few
@given(st.lists(shards | st.binary(max_size=30), max_size=6), cuts, shards)
def test_what_is_encoded_in_chunks_is_decoded_to_the_same(
    parts: list[bytes], steps: list[int], behind: bytes
) -> None:
    data = b"".join(map(encode_chunk, parts)) + LAST_CHUNK + behind
    ends = sizes(data, steps)
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert body_of(pieces, ChunkedBody(1 << 20)) == (b"".join(parts), behind)


@few
@given(shards | st.binary(max_size=60).map(lambda data: b"5\r\n" + data), st.integers(0, 20))
def test_any_split_of_the_octets_of_a_chunked_body_gives_the_same(data: bytes, limit: int) -> None:
    pieces = [data[at : at + 1] for at in range(len(data))]
    assert body_of(pieces, ChunkedBody(limit)) == body_of([data], ChunkedBody(limit))


@few
@given(
    shards.map(lambda data: b"HTTP/1.0 200 OK\r\n" + data + b"\r\n\r\n"),
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["GET", "HEAD", "CONNECT"]),
            "minor": st.integers(0, 1),
            "persistent": st.booleans(),
            "body": st.none() | st.integers(0, 9),
            "date": st.just(b"d"),
        }
    ),
)
def test_what_is_framed_is_valid_and_needs_nothing_more(data: bytes, asked: dict[str, Any]) -> None:
    try:
        head = parse_response_head(data)
    except HandlerError:
        return
    assert head is not None
    first = frame_response(head, **asked)
    again = parse_response_head(first.octets)
    assert again is not None
    assert again.has_date
    assert again.close is not first.persistent
    second = frame_response(again, **asked)
    assert (second.length, second.persistent) == (first.length, first.persistent)
    assert sorted(second.octets.split(b"\r\n")) == sorted(first.octets.split(b"\r\n"))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_is_fuzzed_holds_for_messages_that_are_nearly_right(target: Target) -> None:
    """Any split gives the same, the left-over begins the next request, encoding is undone by decoding."""
    few(given(target.messages)(target.check))()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_is_fuzzed_holds_for_each_thing_that_may_go_wrong(target: Target) -> None:
    for data in target.each:
        target.check(data)


def test_a_drip_of_a_long_head_costs_what_its_octets_cost() -> None:
    """The octets looked at, not the time: a head is searched from where it was left."""

    class Counting(bytes):
        """Octets that count how many of them were searched for the end of a head."""

        searched = 0

        def find(self, needle: bytes, start: int = 0, stop: int | None = None) -> int:  # type: ignore[override]
            if needle == b"\r\n\r\n":
                Counting.searched += len(self) - start
            return bytes.find(self, needle, start, stop)

    data = b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 8000
    for size in range(1, len(data)):
        assert parse_head(Counting(data[:size]), LIMITS, size - 1) is None
    assert Counting.searched < 16 * len(data)
