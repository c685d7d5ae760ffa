"""The corpus in the sans-IO core: each message whole, octet by octet, and with the next one behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import pytest

from forkhttp.errors import HandlerError, ProtocolError
from forkhttp.wire import (
    CHUNKED,
    LAST_CHUNK,
    UNTIL_CLOSE,
    ChunkedBody,
    ResponseHead,
    body_decoder,
    encode_chunk,
    frame_interim,
    frame_response,
    parse_head,
    parse_response_head,
)
from tests.wire.corpus import (
    CORPUS,
    Asked,
    Case,
    CorpusError,
    Expectation,
    InvalidRequest,
    InvalidResponse,
    ValidRequest,
    ValidResponse,
    cases,
)
from tests.wire.delivery import FOLLOWER, LIMITS, Seen, body_of, head_of, octet_by_octet

if TYPE_CHECKING:
    from pathlib import Path

KINDS: tuple[type[Expectation], ...] = (ValidRequest, InvalidRequest, ValidResponse, InvalidResponse)

#: As ``limits.body`` has it.
BODY_LIMIT = 1 << 30

#: As much of an answer as the server gathers before it decides on a framing.
GATHERED = 64 << 10

DATE = b"Sat, 21 Nov 2026 01:47:00 GMT"

#: The classes of attack that other servers were hit by, and the messages that try them.
CLASSES = {
    "CL.TE": ["cl-te", "cl-te-zero", "cl-te-empty", "cl-te-behind-htab", "te-behind-bare-lf-with-length"],
    "TE.CL": ["te-cl", "te-space-before-colon-with-length", "te-folded-with-length"],
    "TE.TE": ["te-te-two-lines", "te-te-twice", "te-te-list", "te-xchunked", "te-with-vt-before"],
    "CL.0": ["cl-0", "expect-with-smuggled-body", "upgrade-with-body"],
    "0.CL": ["0-cl-in-get", "get-with-content-length", "content-length-folded", "vt-before-colon"],
    "TE.0": ["te-0-in-get", "te-0-in-options"],
    "chunk size, sign": ["chunk-size-with-sign", "chunk-size-with-minus", "chunk-size-minus-zero"],
    "chunk size, prefix": ["chunk-size-with-prefix", "chunk-size-in-base-prefix-of-zero"],
    "chunk size, underscore": ["chunk-size-with-underscore"],
    "chunk size, overflow": [
        "chunk-size-of-17-digits",
        "chunk-size-of-64-bits",
        "chunks-add-up-beyond-limit",
    ],
    "chunk size, bare LF": ["chunk-size-line-ends-in-bare-lf", "chunk-data-ends-in-bare-lf"],
    "TERM.EXT": ["chunk-ext-ends-in-bare-lf", "chunk-ext-with-bare-lf", "chunk-ext-with-bare-cr"],
    "EXT.TERM": ["chunk-ext-empty-before-bare-lf", "chunk-ext-with-lf-in-quotes"],
    "spill": ["chunk-data-without-crlf", "chunk-data-longer-than-size", "chunk-data-ends-in-nothing"],
    "chunk-ext flood": ["chunk-ext-too-long", "chunk-ext-flood"],
    "trailer merge": ["chunked-with-trailer", "chunked-trailer-with-framing-names"],
    "obs-fold": ["obs-fold", "obs-fold-with-htab", "obs-fold-in-host", "trailer-folded"],
    "SP before colon": ["space-before-colon", "trailer-with-space-before-colon"],
    "HTAB before colon": ["htab-before-colon"],
    "leading whitespace line": ["line-of-white-space-before-first-field", "space-before-first-name"],
    "duplicate CL": ["content-length-twice", "content-length-twice-and-equal"],
    "list CL": ["content-length-list", "content-length-list-of-equals"],
    "CL +5": ["content-length-with-plus"],
    "CL -0": ["content-length-minus-zero", "content-length-with-minus"],
    "CL 5_0": ["content-length-with-underscore"],
    "U+0665": ["content-length-with-unicode-digit", "chunk-size-with-unicode-digit"],
    "empty CL": ["content-length-empty", "content-length-twice-and-one-empty"],
    "NUL": ["nul-in-name", "nul-in-value", "nul-before-colon", "target-with-nul"],
    "CR": ["cr-in-name", "bare-cr-in-value", "cr-before-colon", "target-with-cr", "field-ends-in-bare-cr"],
    "LF": ["lf-in-name", "bare-lf-in-value", "target-with-lf", "head-in-bare-lf"],
    "VT": ["vt-in-name", "vt-in-value", "vt-before-colon", "target-with-vt", "request-line-parted-by-vt"],
    "FF": ["ff-in-name", "ff-in-value", "ff-before-colon", "target-with-ff", "request-line-parted-by-ff"],
    "0x85": ["0x85-in-name", "0x85-and-0xa0-around-value", "te-with-0x85-behind"],
    "0xA0": ["0xa0-in-name", "0xa0-before-colon", "content-length-with-0xa0-before", "te-with-0xa0-before"],
    "Expect and CL, early answer": ["expect-with-content-length", "expect-with-smuggled-body"],
    "Upgrade body": ["upgrade-with-body", "upgrade-not-accepted"],
    "CONNECT tail": ["connect-authority-form", "connect-refused"],
    "HTTP/1.0 and TE": ["http-1-0-with-te", "http-1-0-with-te-and-length"],
    "HTTP/1.0 keep-alive and CL": ["http-1-0-keep-alive-with-content-length"],
    "response splitting": ["bare-cr-in-value", "bare-lf-in-value", "lf-in-reason", "interim-with-bare-cr"],
}

#: The duties that a single message can show: RFC 9112 sections 2 to 7 and their kin. Row 40, for
#: example, is about time, and row 43 about the connection.
DUTIES = {*range(1, 40), 41, 42, *range(44, 52), *range(53, 62), 64}


def read(data: bytes, *, whole: bool) -> tuple[Seen, bytes, bytes] | tuple[str, int]:
    """Read a request as a connection does.

    Returns:
        Head, payload and what is left over; or where it was refused, and the status.
    """
    head = head_of([len(data)] if whole else range(1, len(data) + 1), data)
    if isinstance(head, int):
        return "head", head
    assert head is not None, "the head has no end"
    parsed = parse_head(data, LIMITS)
    assert parsed is not None
    rest = data[head.size :]
    try:
        body = body_of([rest] if whole else octet_by_octet(rest), body_decoder(parsed, BODY_LIMIT))
    except ProtocolError as error:
        return "body", error.status
    if isinstance(body, int):
        return "body", body
    assert body is not None, "the body has no end"
    return head, *body


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "octet by octet"])
@pytest.mark.parametrize("case", cases(ValidRequest), ids=str)
@pytest.mark.parametrize("behind", [b"", FOLLOWER], ids=["alone", "followed"])
def test_a_valid_request_is_read_up_to_its_end(
    case: Case[ValidRequest], behind: bytes, *, whole: bool
) -> None:
    expected = case.expected
    seen = read(case.octets + behind, whole=whole)
    assert isinstance(seen[0], Seen), seen
    head, payload, left = seen
    assert (head.method, head.target, head.minor) == (expected.method, expected.target, expected.minor)
    assert head.persistent == expected.persistent
    assert expected.fields in (None, head.fields)
    assert expected.is_body(payload)
    assert left == behind


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "octet by octet"])
@pytest.mark.parametrize("behind", [b"", FOLLOWER], ids=["alone", "followed"])
@pytest.mark.parametrize("case", cases(InvalidRequest), ids=str)
def test_an_invalid_request_is_refused_for_the_same_reason_each_way(
    case: Case[InvalidRequest], behind: bytes, *, whole: bool
) -> None:
    assert read(case.octets + behind, whole=whole) == (case.expected.where, case.expected.status)


def heads(data: bytes) -> tuple[list[ResponseHead], bytes]:
    """Read what a handler wrote: interim heads and the final one, and what is behind them."""
    found: list[ResponseHead] = []
    while not found or found[-1].status < 200:
        head = parse_response_head(data)
        assert head is not None, "the head has no end"
        found.append(head)
        data = data[head.size :]
    return found, data


def sent(written: bytes, to: Asked) -> tuple[bytes, bool]:
    """What goes on the wire for what a handler wrote, and whether the connection goes on."""
    (*interim, head), body = heads(written)
    if head.chunked:
        body, _ = ChunkedBody(BODY_LIMIT).decode(body)
    framing = frame_response(
        head,
        method=to.method,
        minor=to.minor,
        persistent=to.persistent,
        body=len(body) if len(body) < GATHERED else None,
        date=DATE,
    )
    before = b"".join(map(frame_interim, interim)) if to.minor else b""
    if framing.length == CHUNKED:
        body = encode_chunk(body) + LAST_CHUNK
    elif framing.length != UNTIL_CLOSE:
        body = body[: framing.length]
    return before + framing.octets + body, framing.persistent


def delimiter(answer: h11.Response | h11.InformationalResponse, method: str) -> str:
    """What ends an answer, as its peer has to see it (RFC 9112 section 6.3)."""
    names = [name for name, _ in answer.headers]
    if method == "HEAD" or answer.status_code in (204, 304):
        return "none"
    if b"transfer-encoding" in names:
        assert b"content-length" not in names
        return "chunked"
    return "length" if b"content-length" in names else "close"


@pytest.mark.parametrize("case", cases(ValidResponse), ids=str)
def test_a_valid_answer_is_what_h11_expects(case: Case[ValidResponse]) -> None:
    expected = case.expected
    first = heads(case.octets)[0][0]
    assert all(parse_response_head(case.octets[:end]) is None for end in range(first.size))
    octets, persistent = sent(case.octets, expected.to)
    assert persistent == expected.persistent
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=expected.to.method, target="a:1", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    behind = b"HTTP/1.1 200 The Next\r\n\r\n" if persistent else b""
    client.receive_data(octets + behind)
    answer = client.next_event()
    while isinstance(answer, h11.InformationalResponse):
        assert delimiter(answer, "GET") == "close"
        answer = client.next_event()
    assert isinstance(answer, h11.Response)
    assert answer.status_code == expected.status
    assert delimiter(answer, expected.to.method) == expected.framing
    assert [name for name, _ in answer.headers].count(b"date") == 1
    payload = b""
    while isinstance(event := client.next_event(), h11.Data):
        payload += bytes(event.data)
    if expected.framing == "close":
        assert event is h11.NEED_DATA
        client.receive_data(b"")
        event = client.next_event()
    assert isinstance(event, h11.EndOfMessage)
    assert expected.is_body(payload)
    assert client.trailing_data[0] == behind
    assert (client.their_state is h11.DONE) == persistent


@pytest.mark.parametrize("case", cases(InvalidResponse), ids=str)
def test_an_invalid_answer_has_no_head_that_could_go_out(case: Case[InvalidResponse]) -> None:
    for end in range(len(case.octets) + 1):
        try:
            head = parse_response_head(case.octets[:end])
        except HandlerError:
            break
        if head is not None:
            assert case.expected.where == "body"
            return
    assert case.expected.where == "head"


def test_every_class_of_attack_has_its_messages() -> None:
    there = {case.name for kind in KINDS for case in cases(kind)}
    named = [name for names in CLASSES.values() for name in names]
    assert sorted(set(named) - there) == []


def test_every_duty_that_a_message_can_show_is_shown() -> None:
    shown = {row for kind in KINDS for case in cases(kind) for row in case.expected.rows}
    assert sorted(DUTIES - shown) == []


def test_the_corpus_is_of_four_kinds() -> None:
    found = {path.parent.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*.*")}
    assert found == {kind.folder for kind in KINDS}


GOOD = 'why = "because"\nrows = [1]\nstatus = 400\nwhere = "head"\n'

#: The expectation beside a message that is refused, spoilt, and what is said of it.
SPOILT = {
    "an unknown key": (GOOD + "color = 1\n", r"one\.toml: unknown key color"),
    "a key that is missing": (GOOD.replace("status = 400\n", ""), r"one\.toml: .*`status`"),
    "a wrong type": (GOOD.replace("400", '"400"'), r"one\.toml: .*\$\.status"),
    "a status of no refusal": (GOOD.replace("400", "200"), r"one\.toml: .*\$\.status"),
    "an unknown word": (GOOD.replace("head", "tail"), r"one\.toml: .*\$\.where"),
    "a row that is none": (GOOD.replace("[1]", "[65]"), r"one\.toml: .*\$\.rows"),
    "no reason": (GOOD.replace("because", ""), r"one\.toml: .*\$\.why"),
    "no TOML": ("why = \n", r"one\.toml: .*line 1"),
    "nothing": (None, r"one: expected \.http and \.toml, found \.http$"),
}


@pytest.mark.parametrize(("text", "says"), SPOILT.values(), ids=SPOILT.keys())
def test_a_file_that_does_not_say_what_it_should_is_an_error(
    tmp_path: Path, text: str | None, says: str
) -> None:
    folder = tmp_path / InvalidRequest.folder
    folder.mkdir(parents=True)
    (folder / "one.http").write_bytes(b"")
    if text is not None:
        (folder / "one.toml").write_text(text)
    with pytest.raises(CorpusError, match=says):
        cases(InvalidRequest, tmp_path)


def test_a_payload_is_given_once(tmp_path: Path) -> None:
    folder = tmp_path / ValidRequest.folder
    folder.mkdir(parents=True)
    (folder / "one.http").write_bytes(b"")
    good = 'why = "because"\nrows = []\nmethod = "GET"\ntarget = "/"\nminor = 1\npersistent = true\n'
    for body in ("", 'body = "a"\nbody_octets = 1\n'):
        (folder / "one.toml").write_text(good + body)
        with pytest.raises(CorpusError, match="either `body` or `body_octets`"):
            cases(ValidRequest, tmp_path)
