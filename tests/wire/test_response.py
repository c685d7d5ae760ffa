"""Response heads: what a handler may write, and what must not reach the wire."""

from __future__ import annotations

import pytest

from forkhttp.errors import HandlerError
from forkhttp.wire import ResponseHead, parse_response_head


def read(data: bytes) -> ResponseHead:
    head = parse_response_head(data)
    assert head is not None
    return head


def answer(*fields: bytes, line: bytes = b"HTTP/1.0 200 OK") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


def test_a_head_is_read_with_all_its_parts() -> None:
    data = answer(b"Server: s", b"DATE: d", b"Content-length:\t14 ")
    head = read(data + b"body")
    assert head.octets == b"HTTP/1.1" + data[8:]
    assert head.size == len(data)
    assert (head.status, head.length, head.chunked, head.close) == (200, 14, False, False)
    assert head.has_date


def test_a_head_may_say_nothing() -> None:
    head = read(b"HTTP/1.1 404 Not Found\r\n\r\n")
    assert (head.status, head.length, head.chunked, head.options, head.has_date) == (
        404,
        None,
        False,
        (),
        False,
    )


@pytest.mark.parametrize(
    ("line", "wire", "status"),
    [
        (b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.1 200 ", b"HTTP/1.1 200 ", 200),
        (b"HTTP/1.1 200", b"HTTP/1.1 200 ", 200),
        (b"HTTP/1.9 999 \t\xe4 x", b"HTTP/1.1 999 \t\xe4 x", 999),
        (b"HTTP/1.1 100 Continue", b"HTTP/1.1 100 Continue", 100),
    ],
)
def test_status_lines_are_brought_into_our_version(line: bytes, wire: bytes, status: int) -> None:
    head = read(answer(b"X: 1", line=line))
    assert (head.octets, head.status) == (wire + b"\r\nX: 1\r\n\r\n", status)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 20\xb2 OK",
        b"HTTP/1.1 200 O\nK",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1. 200 OK",
        b"HTTP/2.0 200 OK",
        b"http/1.1 200 OK",
        b"",
    ],
)
def test_status_lines_that_are_refused(line: bytes) -> None:
    with pytest.raises(HandlerError, match="status line"):
        parse_response_head(answer(b"X: 1", line=line))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"X-V: a\nInjected: 1", "a control character in the value of field X-V"),
        (b"X-V: a\rInjected: 1", "a control character in the value of field X-V"),
        (b"X-V: a\x00", "a control character in the value of field X-V"),
        (b"X-V: a\x7f", "a control character in the value of field X-V"),
        (b"X-V : a", "white space after the name of field X-V"),
        (b"X V: a", "a field line does not begin with a name and a colon"),
        (b"X\xe4: a", "a field line does not begin with a name and a colon"),
        (b": a", "a field line does not begin with a name and a colon"),
        (b"a", "a field line does not begin with a name and a colon"),
        (b"A: b\r\n folded", "a field line does not begin with a name and a colon"),
        (b"Content-Length: 5, 5", "the value of field Content-Length is no number"),
        (b"Content-Length: +5", "the value of field Content-Length is no number"),
        (b"Content-Length:", "the value of field Content-Length is no number"),
        (b"Content-Length: None", "the value of field Content-Length is no number"),
        (b"Content-Length: " + b"9" * 19, "the value of field Content-Length is no number"),
        (b"Content-Length: 5\r\nContent-Length: 6", "different values of field Content-Length"),
        (b"Transfer-Encoding: gzip, chunked", "the value of field Transfer-Encoding is not chunked"),
        (b"Transfer-Encoding:", "the value of field Transfer-Encoding is not chunked"),
        (b"Transfer-Encoding: chunked\r\ncontent-length: 5", "both Content-Length and Transfer-Encoding"),
    ],
)
def test_fields_that_are_refused_are_named_without_their_value(line: bytes, fault: str) -> None:
    with pytest.raises(HandlerError) as refusal:
        parse_response_head(answer(b"Server: s", line, b"Y: 1"))
    assert str(refusal.value) == fault


def test_obs_text_and_tabs_may_stand_in_values() -> None:
    data = answer(b"X: \xe4\x80\xff\ta", b"Y:")
    assert read(data).octets == b"HTTP/1.1" + data[8:]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ([b"Content-Length: 5", b"X: 1", b"content-length:5"], [b"Content-Length: 5", b"X: 1"]),
        ([b"Date: a", b"Date: b", b"X: 1"], [b"Date: a", b"X: 1"]),
    ],
)
def test_what_may_stand_once_is_brought_to_one(fields: list[bytes], kept: list[bytes]) -> None:
    data = answer(*fields)
    head = read(data)
    assert head.octets == answer(*kept, line=b"HTTP/1.1 200 OK")
    assert head.size == len(data)


@pytest.mark.parametrize(
    ("value", "close"),
    [(b"close", True), (b"Close", True), (b"x, close", True), (b"keep-alive", False), (b"", False)],
)
def test_connection_is_read_as_a_list(value: bytes, *, close: bool) -> None:
    assert read(answer(b"Connection: " + value)).close is close


def test_a_handler_may_say_that_it_writes_chunks() -> None:
    assert read(answer(b"Transfer-Encoding: Chunked")).chunked


@pytest.mark.parametrize(
    "data", [b"", b"H", b"HTTP/1.", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\nX: 1\r\n"]
)
def test_a_head_that_has_not_ended_is_awaited(data: bytes) -> None:
    assert parse_response_head(data) is None


@pytest.mark.parametrize("data", [b"hello", b"HTML", b"\r\n", b"HTTP/2"])
def test_an_answer_without_a_status_line_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(HandlerError, match="begin with a status line"):
        parse_response_head(data)


def test_a_head_is_bounded() -> None:
    large = answer(*[b"X: " + b"x" * 1000] * 60)
    assert read(large).size == len(large)
    with pytest.raises(HandlerError, match="no end"):
        parse_response_head(answer(*[b"X: " + b"x" * 1000] * 70))
    with pytest.raises(HandlerError, match="no end"):
        parse_response_head(b"HTTP/1.0 200 OK\r\n" + b"x" * 70_000)


@pytest.mark.parametrize("behind", [b"", b"body", b"\n\n", b"\r\n\r\n", b"a\r\nb"])
def test_a_head_that_was_written_without_cr_is_understood(behind: bytes) -> None:
    written = b"HTTP/1.0 200 OK\nA: 1\n\n"
    for size in range(len(written)):
        assert parse_response_head(written[:size]) is None
    head = parse_response_head(written + behind)
    assert head is not None
    assert head.octets == b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n"
    assert head.size == len(written)


@pytest.mark.parametrize(
    "written",
    [
        b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\n\nbody\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: 1\r\nB: 2\n\n",
        b"HTTP/1.1 200 OK\nA 1\n\n",
    ],
)
def test_a_bare_lf_and_a_cr_in_one_head_are_not(written: bytes) -> None:
    with pytest.raises(HandlerError):
        parse_response_head(written)


@pytest.mark.parametrize(
    ("named", "offered", "switches"),
    [
        (b"Upgrade: WebSocket\r\n", [b"websocket"], True),
        (b"Upgrade: b\r\nUpgrade: a\r\n", [b"a", b"b", b"c"], True),
        (b"Upgrade: b, x\r\n", [b"a", b"b"], False),
        (b"", [b"a"], False),
        (b"Upgrade: a\r\n", [], False),
    ],
)
def test_a_switch_names_what_was_offered(named: bytes, offered: list[bytes], *, switches: bool) -> None:
    head = parse_response_head(b"HTTP/1.1 101 Switching Protocols\r\n" + named + b"\r\n")
    assert head is not None
    assert head.switches_to(offered) is switches
