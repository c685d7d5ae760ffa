"""Messages as clients and handlers write them, right ones and nearly right ones, for Hypothesis.

A message has no faults or few, so that each of them gets past whatever stands before it. Last, a
few octets may be changed anywhere.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from forkhttp.wire import encode_chunk
from tests.wire.places import CHUNK_PLACES, REQUEST_PLACES, RESPONSE_PLACES, Place, one_by_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hypothesis.strategies import DrawFn

#: Lines that the server acts on, beside those of a message's length.
_CONNECTION = st.sampled_from(
    [
        b"",
        b"",
        b"close",
        b"keep-alive",
        b"Close",
        b"foo, close",
        b"keep-alive, foo",
        b",, close ,",
        b"close, keep-alive",
    ]
).map(lambda options: b"Connection: %b\r\n" % options if options else b"")
_UPGRADE = st.sampled_from(
    [b"", b"", b"Expect: 100-continue\r\n", b"Upgrade: x\r\n", b"Upgrade: x\r\nConnection: Upgrade\r\n"]
)
_DATES = st.sampled_from([b"", b"", b"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n"])

#: Octets that other parsers took for something else.
_DOUBTFUL = b'\x00\x01\t\n\x0b\x0c\r "#%+,-/0159:;=\\_aAf\x7f\x80\x85\xa0\xff'


def _fill(draw: DrawFn, places: Mapping[str, Place]) -> dict[str, bytes]:
    """Choose what stands at each place; at most places what is right."""
    faulty = draw(st.just([]) | st.lists(st.sampled_from(sorted(places)), max_size=2))
    return {
        name: draw(st.sampled_from(place.wrong if name in faulty else place.right))
        for name, place in places.items()
    }


@st.composite
def _changed(draw: DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Change a few octets of a message, of most none."""
    data = draw(messages)
    for _ in range(max(0, draw(st.integers(-4, 2)))):
        at = draw(st.integers(0, len(data)))
        new = draw(st.sampled_from(_DOUBTFUL)).to_bytes(1, "big") * draw(st.integers(0, 1))
        data = data[:at] + new + data[at + draw(st.integers(0, 1)) :]
    return data


def chunked_body(part: Mapping[str, bytes], count: int = 1) -> bytes:
    """Put a body together, with its chunk ``count`` times."""
    chunk = part["size"] + part["extension"] + part["size end"] + part["payload"] + part["chunk end"]
    return chunk * count + part["last chunk"] + part["last end"] + part["trailer"] + part["body end"]


@st.composite
def _chunked_bodies(draw: DrawFn) -> bytes:
    before = b"".join(map(encode_chunk, draw(st.lists(st.binary(max_size=20), max_size=2))))
    return before + chunked_body(_fill(draw, CHUNK_PLACES), draw(st.integers(0, 2)))


#: A chunked body, up to its end.
chunked_bodies = _changed(_chunked_bodies())

#: What a request is framed by, and its body.
_FRAMINGS = {"none": b"", "length": b"Content-Length", "chunked": b"Transfer-Encoding"}
_USUAL_BODIES = {"none": b"", "length": b"hello", "chunked": b"5\r\nhello\r\n0\r\n\r\n"}


def request(
    part: Mapping[str, bytes], framing: str = "none", body: bytes | None = None
) -> tuple[bytes, list[bytes], bytes]:
    """Put a request together: what comes before its fields, those in any order, and what comes behind."""
    before = part["before"] + part["method"] + part["first space"] + part["target"] + part["second space"]
    fields = [part["host"] + part["line end"] if part["host"] else b"", part["framing twice"]]
    fields.append(part["name"] + part["colon"] + part["value"] + part["padding"] + b"\r\n")
    if framing != "none":
        value = part["length" if framing == "length" else "coding"]
        fields.append(_FRAMINGS[framing] + part["colon"] + value + part["padding"] + b"\r\n")
    if body is None:
        body = _USUAL_BODIES[framing]
    return before + part["version"] + part["line end"], fields, part["folded"] + part["head end"] + body


@st.composite
def _requests(draw: DrawFn) -> bytes:
    part = _fill(draw, REQUEST_PLACES)
    if part["target"] == b"*" and draw(st.booleans()):
        part["method"] = b"OPTIONS"
    if part["method"] == b"CONNECT" and draw(st.booleans()):
        part["target"] = b"b:80"
    framing = draw(st.sampled_from(sorted(_FRAMINGS)))
    body = None
    if framing == "chunked":
        body = draw(_chunked_bodies())
    elif framing == "length" and part["length"] == b"0":
        body = b""
    before, fields, behind = request(part, framing, body)
    lines = draw(st.permutations([*fields, draw(_CONNECTION), draw(_UPGRADE)]))
    return before + b"".join(lines) + behind


#: One request, head and body.
requests = _changed(_requests())

#: Requests one behind the other, as on a connection.
pipelines = st.lists(requests, min_size=1, max_size=3).map(b"".join)


#: What may be repeated without end.
pieces = requests | chunked_bodies


def response_head(part: Mapping[str, bytes], framing: str = "none") -> tuple[bytes, list[bytes], bytes]:
    """Put a handler's head together: its status line, its fields in any order, and its end."""
    line = part["version"] + part["space"] + part["status"] + part["reason"] + part["line end"]
    fields = [part["name"] + part["colon"] + part["value"] + b"\r\n"]
    if framing == "length":
        fields += [b"Content-Length: " + part["length"] + b"\r\n", part["framing twice"]]
    elif framing == "chunked":
        fields.append(b"Transfer-Encoding: chunked\r\n")
    return line, fields, part["head end"]


@st.composite
def _response_heads(draw: DrawFn) -> bytes:
    part = _fill(draw, RESPONSE_PLACES)
    line, fields, end = response_head(part, draw(st.sampled_from(sorted(_FRAMINGS))))
    return line + b"".join(draw(st.permutations([*fields, draw(_CONNECTION), draw(_DATES)]))) + end


#: What a handler writes first: a head.
response_heads = _changed(_response_heads())

#: The body of an answer.
bodies = st.binary(max_size=20) | st.sampled_from([b"hello", b"0\r\n\r\n"])

#: What a handler writes in all.
responses = st.builds(bytes.__add__, response_heads, bodies)


def _joined(parts: tuple[bytes, Sequence[bytes], bytes]) -> bytes:
    return parts[0] + b"".join(parts[1]) + parts[2]


#: What has been sent without end.
EACH_FLOOD = [
    b"G",
    b"\r\n",
    b"GET /a",
    b"GET / HTTP/1.1\r\nX",
    b"GET / HTTP/1.1\r\nX: 1",
    b"GET / HTTP/1.1\r\nX: 1\r\n",
    b"0",
    b"1;a",
    b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=b\r\nx\r\n",
    b"000000000000001\r\nx\r\n",
    b"0\r\nX: 1",
    b"0\r\nX: 1\r\n",
]

_USUAL_REQUEST = {name: place.right[0] for name, place in REQUEST_PLACES.items()}

#: Each word of each place in a message that is right otherwise: what the classes of attack consist of.
EACH_CHUNKED = one_by_one(CHUNK_PLACES, chunked_body)
EACH_REQUESTS = [_joined(request(_USUAL_REQUEST, "chunked", body)) for body in EACH_CHUNKED]
EACH_RESPONSES: list[bytes] = []
for _framing in _FRAMINGS:
    EACH_REQUESTS += map(_joined, one_by_one(REQUEST_PLACES, partial(request, framing=_framing)))
    EACH_RESPONSES += map(_joined, one_by_one(RESPONSE_PLACES, partial(response_head, framing=_framing)))
