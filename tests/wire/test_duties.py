"""The duties of an HTTP/1.1 server, a test for each row of the table, as far as octets alone decide it.

The rows are those of ``tests/system/test_duties.py``, which asks the same of real
workers through a socket. What a row leaves to the clock or to the socket is there;
here is what the core, or a handler class driven by hand, says about it.

Source: RFC 9110 and RFC 9112; each test names its section.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import pytest

from forkhttp import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from forkhttp.errors import HandlerError, ProtocolError
from forkhttp.server.connection import NEXT, Event, Phase
from forkhttp.server.timers import TimerWheel
from forkhttp.wire import (
    CHUNKED,
    UNTIL_CLOSE,
    ChunkedBody,
    LengthBody,
    ResponseFraming,
    body_decoder,
    encode_chunk,
    frame_interim,
    frame_response,
    parse_head,
    parse_response_head,
    plain_answer,
)
from tests.handlers.by_hand import answer as by_hand
from tests.wire import probes
from tests.wire.delivery import FOLLOWER, LIMITS, Seen, body_of, head_each_way, head_of, octet_by_octet
from tests.wire.probes import CHUNKS, CODING, HEADS, LENGTH
from tests.wire.test_body import chunked_each_way

if TYPE_CHECKING:
    from pathlib import Path

DATE = b"Sat, 21 Nov 2026 01:47:00 GMT"
IMF_FIXDATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
LAST = b"0\r\n\r\n"


class Quiet(SimpleHTTPRequestHandler):
    """Files, and a method that is known and refused."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Refuse it as RFC 9110 section 15.5.6 says."""
        self.send_response(405)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the documented name
        """Keep quiet."""


class Idle:
    """What a timer wheel keeps."""

    def __init__(self) -> None:
        self.deadline = 75.0
        self.slot = -1


def head(*fields: bytes, line: bytes = b"GET / HTTP/1.1") -> Seen:
    """What is seen of a head that is read."""
    seen = head_each_way(probes.head(*fields, line=line))
    assert isinstance(seen, Seen), (line, fields, seen)
    return seen


def refused(row: int) -> None:
    """The probes of a row are refused, however they arrive."""
    status, heads = HEADS.get(row, (0, []))
    for each in heads:
        assert head_each_way(each) == status, each
    status, bodies = CHUNKS.get(row, (0, []))
    for each in bodies:
        assert chunked_each_way(each) == status, each
    assert heads or bodies


def framed(
    *lines: bytes, method: str = "GET", minor: int = 1, persistent: bool = True, body: int | None = None
) -> ResponseFraming:
    """A handler's head, its status line without the version first, as it goes out."""
    written = parse_response_head(b"HTTP/1.0 " + b"\r\n".join([*lines, b"", b""]))
    assert written is not None
    return frame_response(written, method=method, minor=minor, persistent=persistent, body=body, date=DATE)


def names(framing: ResponseFraming) -> list[bytes]:
    """The names of the fields that go out, in lower case."""
    return [line.partition(b":")[0].lower() for line in framing.octets.split(b"\r\n")[1:-2]]


def closes(framing: ResponseFraming) -> bool:
    """Whether the head announces the close; it must say what the framing says."""
    announced = b"\r\nconnection: close\r\n" in framing.octets.lower()
    assert announced is not framing.persistent, framing
    return announced


def not_sent(*heads: bytes) -> None:
    """None of these, written by a handler, may go out."""
    for each in heads:
        with pytest.raises(HandlerError):
            parse_response_head(each + b"\r\n\r\n")


# -- the head as octets -------------------------------------------------------------------------------


def test_row_1_a_head_is_octets_and_only_ascii_has_a_meaning() -> None:
    """RFC 9112 section 2.2: no digit and no white space but those of ASCII."""
    refused(1)
    assert ("X", "\xa0\xe2\x80\xa8\x85") in head(b"X: \xa0\xe2\x80\xa8\x85").fields
    assert not head(b"Connection: close").persistent
    assert head(b"Connection: close\xa0").persistent, "another word than close"


def test_row_2_a_bare_cr_is_refused() -> None:
    """RFC 9112 section 2.2."""
    refused(2)


def test_row_3_white_space_before_the_first_field_is_refused() -> None:
    """RFC 9112 section 2.2."""
    refused(3)


def test_row_4_some_empty_lines_before_the_request_line_are_skipped_and_no_more() -> None:
    """RFC 9112 section 2.2."""
    for count in (1, 2, 4):
        seen = head_each_way(b"\r\n" * count + probes.head())
        assert isinstance(seen, Seen)
        assert seen.request_line == "GET / HTTP/1.1"
    refused(4)


def test_row_5_octets_of_another_protocol_are_refused_before_a_head_has_ended() -> None:
    """RFC 9112 section 2.2."""
    refused(5)


def test_row_6_the_version_is_exactly_that() -> None:
    """RFC 9112 section 2.3."""
    refused(6)


def test_row_7_a_target_that_is_too_long_is_414() -> None:
    """RFC 9112 section 3, as soon as it is too long."""
    refused(7)


@pytest.mark.parametrize("length", [8000, 8190])
def test_row_8_a_request_line_of_8000_octets_is_read(length: int) -> None:
    """RFC 9112 section 3."""
    line = b"GET /" + b"a" * (length - 14) + b" HTTP/1.1"
    assert len(line) == length
    assert head(line=line).request_line == line.decode()


def test_row_9_an_invalid_request_line_is_refused_and_not_mended() -> None:
    """RFC 9112 section 3."""
    refused(9)


def test_row_10_any_token_is_a_method_and_one_without_its_do_method_is_501() -> None:
    """RFC 9110 section 9.1."""
    for method in ("SPAM", "get", "M" * 70, "!#$%&'*+-.^_`|~9"):
        assert head(line=f"{method} / HTTP/1.1".encode()).method == method
    for unknown in (b"BREW", b"get", b"__init__", b"handle", b"GET_"):
        assert by_hand(Quiet, unknown + b" / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 501 ")
    assert by_hand(Quiet, b"PUT / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")


def test_row_11_http_1_1_needs_a_host() -> None:
    """RFC 9112 section 3.2; an absolute target does not stand in for it."""
    refused(11)
    assert isinstance(head_each_way(b"GET / HTTP/1.0\r\n\r\n"), Seen)
    assert isinstance(head_each_way(b"GET / HTTP/1.1\r\nHost:\r\n\r\n"), Seen), "an empty one is one"


def test_row_12_more_than_one_host_is_refused() -> None:
    """RFC 9112 section 3.2; in HTTP/1.0 too, and equal ones too."""
    refused(12)


def test_row_13_an_invalid_host_is_refused() -> None:
    """RFC 9112 section 3.2."""
    refused(13)


def test_row_14_the_authority_of_an_absolute_target_replaces_host() -> None:
    """RFC 9112 section 3.2.2."""
    for line, target in (
        (b"GET http://b:8/c?d HTTP/1.1", "/c?d"),
        (b"GET HTTPS://B:8 HTTP/1.1", "/"),
        (b"GET http://b:8?d HTTP/1.1", "/?d"),
        (b"GET http://b:8//e/ HTTP/1.0", "//e/"),
    ):
        seen = head(b"X: 1", line=line)
        assert (seen.target, seen.authority) == (target, "b:8")
        assert seen.fields == [("Host", "b:8"), ("X", "1")]
    refused(14)


def test_row_15_an_asterisk_is_a_target_of_options_alone() -> None:
    """RFC 9112 section 3.2.4."""
    assert head(line=b"OPTIONS * HTTP/1.1").target == "*"
    assert head(line=b"OPTIONS http://a HTTP/1.1").target == "*"
    refused(15)


def test_row_16_connect_names_host_and_port_and_nothing_else_does() -> None:
    """RFC 9112 section 3.2.3, RFC 9110 section 9.3.6."""
    for target in ("b:443", "[::1]:8", "b.example:65535"):
        assert head(line=f"CONNECT {target} HTTP/1.1".encode()).target == target
    refused(16)


def test_row_17_a_status_line_without_a_reason_keeps_its_space() -> None:
    """RFC 9112 section 4."""
    for line in (b"200", b"200 "):
        assert framed(line, LENGTH).octets.startswith(b"HTTP/1.1 200 \r\n")


# -- fields -----------------------------------------------------------------------------------------------


def test_row_18_white_space_before_the_colon_is_refused() -> None:
    """RFC 9112 section 5.1; a handler's is not sent either."""
    refused(18)
    not_sent(b"HTTP/1.0 200 OK\r\nX : 1", b"HTTP/1.0 200 OK\r\nX\t: 1")


def test_row_19_a_folded_field_line_is_refused_and_none_is_made() -> None:
    """RFC 9112 section 5.2."""
    refused(19)
    not_sent(b"HTTP/1.0 200 OK\r\nX: a\r\n b", b"HTTP/1.0 200 OK\r\n X: a")


def test_row_20_a_field_line_is_a_token_and_a_colon() -> None:
    """RFC 9112 section 5, RFC 9110 section 5.1."""
    refused(20)
    not_sent(*[b"HTTP/1.0 200 OK\r\n" + line for line in probes.NO_FIELDS])
    assert ("!#$%&'*+-.^_`|~9aZ", "") in head(b"!#$%&'*+-.^_`|~9aZ:").fields


def test_row_21_control_characters_in_values_are_refused() -> None:
    """RFC 9110 section 5.5; those of handlers are not sent."""
    refused(21)
    not_sent(*[b"HTTP/1.0 200 OK\r\nX: a" + octet + b"b" for octet in probes.NO_TEXT])


def test_row_22_only_sp_and_htab_are_optional_white_space() -> None:
    """RFC 9110 section 5.5."""
    seen = head(b"A: \t b \t", b"B:\xa0c\x85", b"C:d", b"D:\t")
    assert seen.fields[1:] == [("A", "b"), ("B", "\xa0c\x85"), ("C", "d"), ("D", "")]
    assert head(b"Content-Length:\t5 \t").length == 5


def test_row_23_nothing_is_a_request_before_its_whole_head_is_there() -> None:
    """RFC 9110 section 5.3."""
    whole = probes.head(b"Content-Length: 0", b"Connection: close")
    for size in range(len(whole)):
        assert head_of([size], whole) is None


def test_row_24_an_oversized_field_or_field_section_is_431() -> None:
    """RFC 9110 section 5.4, as soon as it is too large."""
    refused(24)
    assert head_of(range(0, 90_000, 4000), probes.head(*[b"X: " + b"a" * 8000] * 10)) == 431
    assert len(head(*[b"X: 1"] * 99).fields) == 100


def test_row_25_empty_list_elements_are_ignored_within_bounds() -> None:
    """RFC 9110 section 5.6.1.2."""
    assert not head(b"Connection: ,\t, close ,,").persistent
    assert head(b"Transfer-Encoding: , ,chunked,").length == CHUNKED
    assert head(b"Expect: ,,100-continue").expects_continue
    assert not head(b"Connection: " + b"," * 8000 + b"close").persistent
    refused(25)


# -- framing ------------------------------------------------------------------------------------------------


def test_row_26_a_chunked_body_is_decoded() -> None:
    """RFC 9112 sections 6.1 and 7.1; the name of the coding has no case."""
    assert head(b"Transfer-Encoding: ChunKed").length == CHUNKED
    assert chunked_each_way(b"5\r\nhello\r\n006\r\n world\r\nA\r\n0123456789\r\n0\r\n\r\n") == (
        b"hello world0123456789"
    )


def test_row_27_an_unknown_coding_is_501() -> None:
    """RFC 9112 section 6.1."""
    refused(27)


def test_row_28_transfer_encoding_in_http_1_0_is_faulty_framing() -> None:
    """RFC 9112 section 6.1."""
    refused(28)


def test_row_29_both_ways_of_framing_are_refused() -> None:
    """RFC 9112 section 6.1."""
    refused(29)


def test_row_30_what_does_not_end_in_one_chunked_is_refused() -> None:
    """RFC 9112 section 6.3."""
    refused(30)


def test_row_31_an_invalid_content_length_is_refused() -> None:
    """RFC 9112 section 6.3; so are two, of equal value too."""
    refused(31)


def test_row_32_a_number_of_any_length_overflows_nothing() -> None:
    """RFC 9110 section 8.6."""
    refused(32)
    assert head(b"Content-Length: " + b"9" * 18).length == 10**18 - 1
    for size in (b"fffffffffffffffe", b"ffffffffffffffff", b"7fffffffffffffff"):
        assert chunked_each_way(size + b"\r\n") == 413
    not_sent(b"HTTP/1.0 200 OK\r\nContent-Length: " + b"9" * 5000)


def test_row_33_a_short_body_is_not_complete() -> None:
    """RFC 9112 section 6.3."""
    assert body_of([b"hell"], LengthBody(5)) is None
    whole = b"5\r\nhello\r\n0\r\n\r\n"
    for size in range(len(whole)):
        assert chunked_each_way(whole[:size]) is None


def test_row_34_chunk_extensions_are_ignored_and_limited() -> None:
    """RFC 9112 section 7.1.1."""
    assert chunked_each_way(b'1;a;b=c\r\nx\r\n1 ;d = "e; \\" f"\r\ny\r\n0;g\r\n\r\n') == b"xy"
    refused(34)


def test_row_35_trailers_are_consumed_and_change_no_head() -> None:
    """RFC 9112 section 7.1.2, RFC 9110 section 6.5.1."""
    whole = probes.head(CODING, line=b"POST / HTTP/1.1")
    seen = parse_head(whole, LIMITS)
    assert seen is not None
    body = body_decoder(seen, 1 << 20)
    trailers = b"X: 1\r\nHost: evil\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n"
    data = b"1\r\nx\r\n0\r\n" + trailers
    assert body.decode(data + FOLLOWER) == (b"x", len(data))
    assert body.complete
    assert [name for name, _ in seen.fields()] == ["Host", "Transfer-Encoding"]


def test_row_36_the_lines_of_chunks_end_in_crlf_only() -> None:
    """RFC 9112 section 7.1, erratum 7633; the chunks that are sent do as well."""
    refused(36)
    assert body_of([encode_chunk(b"\n" * 18), LAST], ChunkedBody(99)) == (b"\n" * 18, b"")
    assert encode_chunk(b"\n" * 18) == b"12\r\n" + b"\n" * 18 + b"\r\n"


# -- connections --------------------------------------------------------------------------------------------


def test_row_37_a_body_ends_where_the_next_request_begins() -> None:
    """RFC 9112 section 9.3: whoever reads it all reads nothing of what follows."""
    inner = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
    assert body_of([inner + FOLLOWER], LengthBody(len(inner))) == (inner, FOLLOWER)
    assert body_of(octet_by_octet(inner + FOLLOWER), LengthBody(len(inner))) == (inner, FOLLOWER)
    assert chunked_each_way(encode_chunk(inner) + LAST) == inner
    assert closes(framed(b"200 OK", LENGTH, persistent=False)), "or the connection ends, and is told so"


def test_row_38_http_1_1_persists_unless_somebody_says_close() -> None:
    """RFC 9112 section 9.3."""
    assert head().persistent
    assert head(line=b"GET / HTTP/1.9").persistent
    assert not head(line=b"GET / HTTP/1.0").persistent
    assert head(b"Connection: Keep-Alive", line=b"GET / HTTP/1.0").persistent
    assert not head(b"Connection: close").persistent
    for status in (b"200 OK", b"204 No", b"304 No", b"404 No", b"500 No"):
        assert not closes(framed(status, LENGTH))
        assert closes(framed(status, LENGTH, persistent=False))
        assert closes(framed(status, LENGTH, b"Connection: close"))
    assert b"connection" in names(framed(b"200 OK", LENGTH, minor=0)), "HTTP/1.0 is told that it persists"


def test_row_39_pipelined_heads_come_in_the_order_of_the_wire() -> None:
    """RFC 9112 section 9.3.2."""
    data = b"".join(probes.head(line=b"GET /%d HTTP/1.1" % number) for number in range(5))
    targets = []
    while data and (seen := parse_head(data, LIMITS)):
        targets.append(seen.target)
        data = data[seen.size :]
    assert targets == ["/0", "/1", "/2", "/3", "/4"]


def test_row_40_an_idle_connection_is_due_at_its_deadline_and_closes() -> None:
    """RFC 9112 section 9.5: silence is no request; the clock decides, and nothing is answered."""
    assert head_each_way(b"") is None
    wheel: TimerWheel[Idle] = TimerWheel()
    idle = Idle()
    wheel.add(idle)
    assert wheel.expired(idle.deadline - 0.5) == []
    assert wheel.expired(idle.deadline + 0.5) == [idle]
    assert NEXT[Phase.PARKED, Event.OVER] is Phase.CLOSED


@pytest.mark.parametrize(
    "fields",
    [
        [b"Connection: close"],
        [b"Connection: foo, close"],
        [b"Connection: close, foo"],
        [b"Connection: foo,\tCLOSE"],
        [b"Connection: keep-alive, close"],
        [b"Connection: foo", b"Connection: close"],
        [b"Connection: close", b"Connection: keep-alive"],
    ],
)
def test_row_41_close_is_found_wherever_it_is_listed(fields: list[bytes]) -> None:
    """RFC 9112 section 9.6; quoted it is not the option, and part of a word neither."""
    assert not head(*fields).persistent
    assert not head(*fields, line=b"GET / HTTP/1.0").persistent
    assert head(b"Connection: closed, x-close").persistent


def test_row_42_every_answer_before_a_close_says_close() -> None:
    """RFC 9112 section 9.6."""
    for minor in (0, 1):
        assert closes(framed(b"200 OK", minor=minor, persistent=False))
        assert closes(framed(b"200 OK", b"Connection: keep-alive", LENGTH, minor=minor, persistent=False))
        assert closes(framed(b"200 OK", LENGTH, minor=minor, body=4)), "too short to go on"
    assert closes(framed(b"200 OK", minor=0)), "the close ends the body"
    for status in (400, 408, 413, 414, 431, 500, 501, 504, 505):
        assert b"\r\nConnection: close\r\n" in plain_answer(status, "why", DATE)


def test_row_43_the_last_answer_leads_to_a_linger_and_not_to_the_close() -> None:
    """RFC 9112 section 9.6."""
    for phase in (Phase.BUSY, Phase.SENDING):
        assert NEXT[phase, Event.LAST] is Phase.LINGERING
    assert [event for phase, event in NEXT if phase is Phase.LINGERING] == [Event.OVER]


# -- what is sent -------------------------------------------------------------------------------------------


def test_row_44_no_transfer_encoding_where_there_is_no_content() -> None:
    """RFC 9112 section 6.1."""
    for status in (b"204 No", b"101 Switch"):
        assert b"transfer-encoding" not in names(framed(status, CODING))
        assert b"transfer-encoding" not in names(framed(status))
    assert b"transfer-encoding" not in names(framed(b"200 OK", CODING, method="CONNECT"))
    interim = parse_response_head(b"HTTP/1.0 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert interim is not None
    assert frame_interim(interim) == b"HTTP/1.1 103 Hints\r\n\r\n"


@pytest.mark.parametrize("fields", [[], [CODING]])
def test_row_45_nothing_is_chunked_to_an_http_1_0_client(fields: list[bytes]) -> None:
    """RFC 9112 section 6.1."""
    framing = framed(b"200 OK", *fields, minor=0)
    assert b"transfer-encoding" not in names(framing)
    assert framing.length == UNTIL_CLOSE
    assert closes(framing)
    assert framed(b"200 OK", *fields, minor=0, body=5).length == 5


def test_row_46_no_answer_has_both_framings() -> None:
    """RFC 9112 section 6.2."""
    not_sent(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked")
    for fields in ([], [CODING], [LENGTH]):
        for body in (None, 5):
            sent = names(framed(b"200 OK", *fields, body=body))
            assert (b"content-length" in sent) is not (b"transfer-encoding" in sent)


def test_row_47_no_content_length_where_there_is_no_content() -> None:
    """RFC 9110 section 8.6."""
    for status in (b"204 No", b"101 Switch"):
        assert b"content-length" not in names(framed(status, LENGTH))
        assert b"content-length" not in names(framed(status, body=0))
    assert b"content-length" not in names(framed(b"200 OK", LENGTH, method="CONNECT"))
    # What only a GET could tell is not made up.
    assert b"content-length" not in names(framed(b"200 OK", method="HEAD", body=0))
    assert b"content-length" not in names(framed(b"304 No", body=0))
    assert b"content-length" in names(framed(b"200 OK", LENGTH, method="HEAD", body=0))
    interim = parse_response_head(b"HTTP/1.0 100 Go\r\nContent-Length: 0\r\n\r\n")
    assert interim is not None
    assert frame_interim(interim) == b"HTTP/1.1 100 Go\r\n\r\n"


def test_row_48_an_answer_to_head_has_no_content() -> None:
    """RFC 9110 section 9.3.2."""
    for fields in ([], [LENGTH], [CODING]):
        for status in (b"200 OK", b"404 No", b"500 No"):
            framing = framed(status, *fields, method="HEAD")
            assert (framing.length, framing.persistent) == (0, True)


@pytest.mark.parametrize("status", [b"204 No", b"205 Reset", b"304 No"])
def test_row_49_statuses_without_content_have_none(status: bytes) -> None:
    """RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5."""
    for fields in ([], [LENGTH], [CODING]):
        for body in (None, 0, 5):
            framing = framed(status, *fields, body=body)
            assert (framing.length, framing.persistent) == (0, True)


def test_row_50_an_answer_without_a_length_is_framed_by_the_server() -> None:
    """RFC 9112 section 6.3."""
    assert framed(b"200 OK").length == CHUNKED
    assert framed(b"200 OK", minor=0).length == UNTIL_CLOSE
    assert b"\r\nContent-Length: 5\r\n" in framed(b"200 OK", body=5).octets
    assert b"\r\nContent-Length: 0\r\n" in framed(b"404 No", body=0).octets


def test_row_51_date_stands_in_each_answer_once() -> None:
    """RFC 9110 section 6.6.1."""
    for status in (b"200 OK", b"204 No", b"301 Moved", b"304 No", b"404 No", b"500 No"):
        for fields in ([], [b"Date: d"], [b"Date: d", b"DATE: e"]):
            assert names(framed(status, *fields)).count(b"date") == 1
    for ours in (400, 408, 413, 414, 431, 500, 501, 504, 505):
        assert plain_answer(ours, "why", DATE).count(b"\r\nDate: " + DATE + b"\r\n") == 1


def test_row_52_dates_are_sent_in_one_form_and_read_in_three(tmp_path: Path) -> None:
    """RFC 9110 section 5.6.7."""
    (tmp_path / "file").write_bytes(b"x")
    handler = functools.partial(Quiet, directory=tmp_path)
    sent = by_hand(handler, b"GET /file HTTP/1.1\r\n\r\n")
    assert re.search(rb"\r\nLast-Modified: " + IMF_FIXDATE.encode() + rb"\r\n", sent)
    assert re.fullmatch(IMF_FIXDATE, Quiet.__new__(Quiet).date_time_string())
    for date in (
        "Fri, 31 Dec 2066 23:59:59 GMT",
        "Friday, 31-Dec-66 23:59:59 GMT",
        "Fri Dec 31 23:59:59 2066",
    ):
        asked = f"GET /file HTTP/1.1\r\nIf-Modified-Since: {date}\r\n\r\n".encode()
        assert by_hand(handler, asked).startswith(b"HTTP/1.1 304 "), date


def test_row_53_who_awaits_a_100_is_known_before_the_body() -> None:
    """RFC 9110 section 10.1.1."""
    for value in (b"100-continue", b"100-CONTINUE", b"x, 100-continue"):
        assert head(b"Expect: " + value, LENGTH).expects_continue
    assert not head(LENGTH).expects_continue
    sent = by_hand(Quiet, b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert sent.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 405 ")


def test_row_54_expect_means_nothing_in_http_1_0() -> None:
    """RFC 9110 section 10.1.1."""
    assert not head(b"Expect: 100-continue", LENGTH, line=b"POST / HTTP/1.0").expects_continue
    sent = by_hand(Quiet, b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert sent.startswith(b"HTTP/1.1 405 ")


def test_row_55_an_early_final_status_says_whether_the_connection_closes() -> None:
    """RFC 9110 section 10.1.1."""
    assert closes(framed(b"417 No", LENGTH, persistent=False))
    assert not closes(framed(b"417 No", LENGTH, persistent=True))


def test_row_56_an_http_1_0_client_gets_no_interim_answer() -> None:
    """RFC 9110 section 15.2."""
    for version in (b"1.0", b"1.1"):
        sent = by_hand(Quiet, b"PUT / HTTP/" + version + b"\r\nExpect: 100-continue\r\n\r\n")
        assert (b" 100 Continue" in sent) is (version == b"1.1")


def test_row_57_a_switch_keeps_its_own_options_and_frames_nothing() -> None:
    """RFC 9110 section 7.8: who switches is the handler; who may is shown through a socket."""
    fields = [b"Connection: upgrade", b"Upgrade: echo", LENGTH]
    framing = framed(b"101 Switching", *fields)
    assert framing.length == UNTIL_CLOSE
    assert names(framing) == [b"connection", b"upgrade", b"date"]
    assert head(b"Connection: upgrade", b"Upgrade: h2c", line=b"GET / HTTP/1.0").length == 0


def test_row_58_options_of_connection_are_this_connections_own() -> None:
    """RFC 9110 section 7.6.1."""
    seen = head(b"Connection: X-Secret, TE, close", b"X-Secret: 1", b"TE: trailers, deflate")
    assert (seen.persistent, seen.length) == (False, 0)
    assert names(framed(b"200 OK", LENGTH)) == [b"content-length", b"date"], "nothing follows from them"
    assert (
        b"\r\nConnection: x, close\r\n"
        in framed(b"200 OK", LENGTH, b"Connection: X", persistent=False).octets
    )


def test_row_59_a_405_carries_its_allow() -> None:
    """RFC 9110 sections 10.2.1 and 15.5.6."""
    assert b"\r\nAllow: GET, HEAD\r\n" in by_hand(Quiet, b"PUT / HTTP/1.1\r\n\r\n")
    assert b"\r\nAllow: GET\r\n" in framed(b"405 No", b"Allow: GET", LENGTH).octets


def test_row_60_another_major_version_is_505_with_a_status_line() -> None:
    """RFC 9110 section 15.6.6."""
    refused(60)
    assert plain_answer(505, "why", DATE).startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")


def test_row_61_only_valid_messages_of_our_version_go_out() -> None:
    """RFC 9110 sections 2.2 and 6.2."""
    not_sent(
        b"HTTP/1.0 20 OK",
        b"HTTP/1.0 2000 OK",
        b"HTTP/1.0 099 OK",
        b"HTTP/1.0 200 O\rK",
        b"HTTP/1.0 200 O\x00K",
        b"HTTP/2 200 OK",
        b"http/1.0 200 OK",
        b"200 OK",
        b"HTTP/1.0 200 OK\r\nX: a\nInjected: 1",
        b"HTTP/1.0 200 OK\r\nX y: 1",
    )
    for version in (b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.9"):
        written = parse_response_head(version + b" 299 \xe4 \tx\r\nX: \xe4\r\n\r\n")
        assert written is not None
        assert written.octets == b"HTTP/1.1 299 \xe4 \tx\r\nX: \xe4\r\n\r\n"


# -- what handler classes decide ----------------------------------------------------------------------------


def test_row_62_range_is_ignored_for_other_methods_and_units(tmp_path: Path) -> None:
    """RFC 9110 section 14.2."""
    (tmp_path / "file").write_bytes(b"content")
    handler = functools.partial(Quiet, directory=tmp_path)
    for method, value in ((b"HEAD", b"bytes=0-1"), (b"GET", b"lines=0-1"), (b"GET", b"bytes"), (b"GET", b"")):
        sent = by_hand(handler, method + b" /file HTTP/1.1\r\nRange: " + value + b"\r\n\r\n")
        assert sent.startswith(b"HTTP/1.1 200 ")
        assert b"Content-Range" not in sent
        assert sent.endswith(b"\r\n\r\n" if method == b"HEAD" else b"\r\n\r\ncontent")
    assert by_hand(handler, b"POST /file HTTP/1.1\r\nRange: bytes=0-1\r\n\r\n").startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize(
    "condition",
    (
        b'If-Modified-Since: Fri, 31 Dec 2066 23:59:59 GMT|If-None-Match: *|If-Match: "x"|'
        b"If-Match: *|If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"
    ).split(b"|"),
)
def test_row_63_conditions_do_not_hide_what_the_answer_would_be_without(
    tmp_path: Path, condition: bytes
) -> None:
    """RFC 9110 section 13.2.1."""
    (tmp_path / "sub").mkdir()
    handler = functools.partial(Quiet, directory=tmp_path)
    for line, status in (
        (b"GET /none", b"404"),
        (b"GET /sub", b"301"),
        (b"BREW /", b"501"),
        (b"PUT /", b"405"),
    ):
        sent = by_hand(handler, line + b" HTTP/1.1\r\n" + condition + b"\r\n\r\n")
        assert sent.startswith(b"HTTP/1.1 " + status + b" "), condition


def test_row_64_trace_reflects_nothing() -> None:
    """RFC 9110 sections 9.3.7 and 9.3.8."""
    fields = b"Cookie: secret\r\nAuthorization: Basic secret\r\nX-Field: secret\r\n"
    for handler in (Quiet, BaseHTTPRequestHandler):
        sent = by_hand(handler, b"TRACE /secret HTTP/1.1\r\n" + fields + b"\r\n")
        assert b" 501 " in sent
        assert b"secret" not in sent


def test_a_refusal_parses_nothing_behind_it() -> None:
    """What comes behind a fault may be meant for somebody else."""
    for fault in (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", probes.head(LENGTH, LENGTH)):
        with pytest.raises(ProtocolError):
            parse_head(fault + FOLLOWER, LIMITS)


def test_every_row_has_its_test() -> None:
    numbers = [int(match[1]) for name in globals() if (match := re.match(r"test_row_(\d+)_", name))]
    assert sorted(numbers) == list(range(1, 65))
