"""The duties of an HTTP/1.1 server, a test for each row of the table, asked of real workers.

The rows are those of ``tests/wire/test_duties.py``, and share its probes. Each
refusal is looked at whole: one answer with Date and ``Connection: close``, then the end, and
nothing that follows it is served. Each other answer is followed by a request on the same
connection, if it does not say that it closes.

Source: RFC 9110 and RFC 9112; each test names its section.
"""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_from_bytes

import pytest

from tests.server.serving import Client
from tests.system.server import running
from tests.wire.probes import CHUNKS, CODING, HEADS, LENGTH, NO_FIELDS, NO_TEXT, head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.server import Server

APP = Path(__file__).with_name("duties_app.py")

#: Asked behind whatever must be the last: it is served by nobody.
NEVER = head(line=b"GET /never HTTP/1.1")
SEEN = head(line=b"GET /seen HTTP/1.1")
LAST = head(b"Connection: close", line=b"GET /seen HTTP/1.1")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
#: When the file was written: RFC 9110's own example.
WRITTEN = 784111777

#: Octets of a body, and more than there is room for before a handler is entered.
LARGE = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers; whatever was sent behind a last request was never served."""
    directory = tmp_path_factory.mktemp("duties")
    (directory / "root" / "sub").mkdir(parents=True)
    file = directory / "root" / "file"
    file.write_bytes(b"content")
    os.utime(file, (WRITTEN, WRITTEN))
    with running(APP, directory, more=f"[limits]\nbody = {16 * LARGE}") as server:
        server.expected = [" handler fault ", " handler failed "]
        yield server
    assert not [line for line in server.access if "/never" in line]


@pytest.fixture(scope="module")
def port(server: Server) -> int:
    return server.port


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that waits for nobody."""
    more = "[timeouts]\nhead = 0.3\nbody = 0.3\nkeep_alive = 0.3"
    with running(APP, tmp_path_factory.mktemp("hasty"), workers=1, more=more) as server:
        yield server.port


class Heard(NamedTuple):
    """An answer, its fields by their names in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends."""
        return "close" in self.fields.get("connection", "").lower().split(", ")

    @property
    def seen(self) -> Any:  # noqa: ANN401 - what the application saw, as JSON
        """What the application saw of the request."""
        assert self.status == 200, self
        return json.loads(self.body)


def ask(port: int, request: bytes, method: str = "GET") -> Heard:
    """One answer; then the end, if it says so, and else the next request is served as well."""
    with closing(Client(("127.0.0.1", port))) as client:
        heard = Heard(*client.ask(request, method))
        if heard.closes:
            assert client.rest() == b"", request
        else:
            assert client.ask(SEEN)[0] == 200, request
    return heard


def octets(port: int, *requests: bytes) -> bytes:
    """All that is answered, up to the end."""
    with closing(Client(("127.0.0.1", port))) as client:
        client.send(b"".join(requests))
        return client.rest()


def refuse(port: int, status: int, request: bytes) -> None:
    """One refusal is the last thing on its connection."""
    with closing(Client(("127.0.0.1", port))) as client:
        client.send(request + NEVER)
        heard = Heard(*client.expect())
        assert (heard.status, heard.closes) == (status, True), request
        assert DATE.fullmatch(heard.fields["date"]), request
        assert client.rest() == b"", request


def refused(port: int, row: int) -> None:
    """The probes of a row are refused."""
    status, heads = HEADS.get(row, (0, []))
    for each in heads:
        refuse(port, status, each)
    status, bodies = CHUNKS.get(row, (0, []))
    for each in bodies:
        refuse(port, status, head(CODING, line=b"POST /refused HTTP/1.1") + each)
    assert heads or bodies


def say(*pieces: bytes, line: bytes = b"GET / HTTP/1.1", fields: tuple[bytes, ...] = ()) -> bytes:
    """A request to write these pieces, and to flush between them."""
    words = " ".join(quote_from_bytes(piece) for piece in pieces)
    return head(b"X-Say: " + words.encode(), *fields, line=line)


def answer(*lines: bytes, body: bytes = b"") -> bytes:
    """What a handler writes; the status line comes first, without the version."""
    return b"HTTP/1.0 " + b"\r\n".join([*lines, b"", body])


def faulty(port: int, *answers: bytes) -> None:
    """What may not be sent becomes a 500 that shows nothing of it."""
    for each in answers:
        heard = ask(port, say(each))
        assert (heard.status, heard.closes) == (500, True), each
        assert heard.body == b"500 Internal Server Error: the handler failed\n"
        assert DATE.fullmatch(heard.fields["date"])


def post(body: bytes, *fields: bytes, line: bytes = b"POST /seen HTTP/1.1") -> bytes:
    """A request with a body of known length."""
    return head(b"Content-Length: %d" % len(body), *fields, line=line) + body


# -- the head as octets -------------------------------------------------------------------------------


def test_row_1_a_head_is_octets_and_only_ascii_has_a_meaning(port: int) -> None:
    """RFC 9112 section 2.2."""
    refused(port, 1)
    heard = ask(port, head(b"X: \xa0\xe2\x80\xa8\x85", b"Connection: close\xa0", line=b"GET /seen HTTP/1.1"))
    assert ["X", "\xa0\xe2\x80\xa8\x85"] in heard.seen["fields"]
    assert not heard.closes


def test_row_2_a_bare_cr_is_refused(port: int) -> None:
    """RFC 9112 section 2.2."""
    refused(port, 2)


def test_row_3_white_space_before_the_first_field_is_refused(port: int) -> None:
    """RFC 9112 section 2.2."""
    refused(port, 3)


def test_row_4_some_empty_lines_before_the_request_line_are_skipped_and_no_more(port: int) -> None:
    """RFC 9112 section 2.2: old clients send one after a body."""
    refused(port, 4)
    assert ask(port, b"\r\n\r\n" + SEEN).seen["path"] == "/seen"
    sent = octets(port, post(b"old"), b"\r\n", SEEN, b"\r\n\r\n", LAST)
    assert sent.count(b"HTTP/1.1 200 ") == sent.count(b"HTTP/1.1 ") == 3


def test_row_5_octets_of_another_protocol_are_refused(port: int) -> None:
    """RFC 9112 section 2.2; with a status line, and not as to HTTP/0.9."""
    refused(port, 5)
    assert octets(port, b"GET /never\r\n").startswith(b"HTTP/1.1 400 ")


def test_row_6_the_version_is_exactly_that(port: int) -> None:
    """RFC 9112 section 2.3."""
    refused(port, 6)
    assert ask(port, head(line=b"GET /seen HTTP/1.7")).seen["version"] == "HTTP/1.1"


def test_row_7_a_target_that_is_too_long_is_414(port: int) -> None:
    """RFC 9112 section 3."""
    refused(port, 7)


def test_row_8_a_request_line_of_8000_octets_is_served(port: int) -> None:
    """RFC 9112 section 3."""
    target = b"/seen?" + b"a" * 7980
    assert ask(port, head(line=b"GET " + target + b" HTTP/1.1")).seen["path"] == target.decode()


def test_row_9_an_invalid_request_line_is_refused_and_not_mended(port: int) -> None:
    """RFC 9112 section 3."""
    refused(port, 9)


def test_row_10_an_unknown_method_is_501_and_one_that_is_refused_405(port: int) -> None:
    """RFC 9110 section 9.1."""
    assert ask(port, head(line=b"SPAM /seen HTTP/1.1")).seen["method"] == "SPAM"
    for method in ("BREW", "get", "__init__", "DELETE", "M" * 70):
        assert ask(port, head(line=f"{method} /seen HTTP/1.1".encode())).status == 501, method
    assert ask(port, post(b"body", line=b"PUT /seen HTTP/1.1")).status == 405


def test_row_11_http_1_1_needs_a_host(port: int) -> None:
    """RFC 9112 section 3.2."""
    refused(port, 11)
    assert ask(port, b"GET /seen HTTP/1.0\r\n\r\n").seen["fields"] == []
    assert ask(port, b"GET /seen HTTP/1.1\r\nHost:\r\n\r\n").seen["fields"] == [["Host", ""]]


def test_row_12_more_than_one_host_is_refused(port: int) -> None:
    """RFC 9112 section 3.2."""
    refused(port, 12)


def test_row_13_an_invalid_host_is_refused(port: int) -> None:
    """RFC 9112 section 3.2."""
    refused(port, 13)
    for host in (b"a.example:8000", b"192.0.2.1", b"[2001:db8::1]:80", b"xn--a_b", b"a:"):
        assert ask(port, b"GET /seen HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").status == 200


def test_row_14_the_authority_of_an_absolute_target_replaces_host(port: int) -> None:
    """RFC 9112 section 3.2.2."""
    refused(port, 14)
    for target in (b"http://b:8/seen?c", b"HTTPS://B:8/seen?c"):
        seen = ask(port, head(b"X: 1", line=b"GET " + target + b" HTTP/1.1")).seen
        assert seen["path"] == "/seen?c"
        assert seen["fields"] == [["Host", "b:8"], ["X", "1"]]


def test_row_15_an_asterisk_is_a_target_of_options_alone(port: int) -> None:
    """RFC 9112 section 3.2.4."""
    refused(port, 15)
    for target in (b"*", b"http://a"):
        assert ask(port, head(line=b"OPTIONS " + target + b" HTTP/1.1")).seen["path"] == "*"


def test_row_16_connect_names_host_and_port_and_nothing_else_does(port: int) -> None:
    """RFC 9112 section 3.2.3, RFC 9110 section 9.3.6; one that is refused switches nothing."""
    refused(port, 16)
    connect = say(answer(b"403 No", LENGTH, body=b"sorry"), line=b"CONNECT b:443 HTTP/1.1")
    assert ask(port, connect).status == 403


def test_row_17_a_status_line_without_a_reason_keeps_its_space(port: int) -> None:
    """RFC 9112 section 4."""
    for line in (b"299", b"299 "):
        assert octets(port, say(answer(line)), LAST).startswith(b"HTTP/1.1 299 \r\n")


# -- fields -----------------------------------------------------------------------------------------------


def test_row_18_white_space_before_the_colon_is_refused(port: int) -> None:
    """RFC 9112 section 5.1; a handler's is not sent either."""
    refused(port, 18)
    faulty(port, answer(b"200 OK", b"X : 1"), answer(b"200 OK", b"X\t: 1"))


def test_row_19_a_folded_field_line_is_refused_and_none_is_sent(port: int) -> None:
    """RFC 9112 section 5.2."""
    refused(port, 19)
    faulty(port, answer(b"200 OK", b"X: a", b" b"), answer(b"200 OK", b"\tX: 1"))


def test_row_20_a_field_line_is_a_token_and_a_colon(port: int) -> None:
    """RFC 9112 section 5, RFC 9110 section 5.1."""
    refused(port, 20)
    faulty(port, *[answer(b"200 OK", line) for line in NO_FIELDS])


def test_row_21_control_characters_in_values_are_refused(port: int) -> None:
    """RFC 9110 section 5.5."""
    refused(port, 21)
    faulty(port, *[answer(b"200 OK", b"X: a" + octet + b"b") for octet in NO_TEXT])


def test_row_22_only_sp_and_htab_are_optional_white_space(port: int) -> None:
    """RFC 9110 section 5.5."""
    heard = ask(port, head(b"A: \t b \t", b"B:\xa0c\x85", b"C:d", b"D:\t", line=b"GET /seen HTTP/1.1"))
    assert heard.seen["fields"][1:] == [["A", "b"], ["B", "\xa0c\x85"], ["C", "d"], ["D", ""]]


def test_row_23_nothing_is_done_before_the_whole_head_is_there(port: int, server: Server) -> None:
    """RFC 9110 section 5.3."""
    request = head(line=b"GET /seen?23 HTTP/1.1")
    with closing(Client(("127.0.0.1", port))) as client:
        for at in range(len(request) - 1):
            client.send(request[at : at + 1])
        for _ in range(8):  # either worker has looked since
            ask(port, SEEN)
        client.socket.setblocking(False)  # noqa: FBT003
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        assert "/seen?23" not in "".join(server.access)
        client.socket.settimeout(15)
        assert client.ask(request[-1:])[0] == 200


def test_row_24_an_oversized_field_or_field_section_is_431(port: int) -> None:
    """RFC 9110 section 5.4."""
    refused(port, 24)
    refuse(port, 431, head(*[b"X: " + b"a" * 8000] * 10))


def test_row_25_empty_list_elements_are_ignored_within_bounds(port: int) -> None:
    """RFC 9110 section 5.6.1.2."""
    refused(port, 25)
    assert ask(port, head(b"Connection: ,\t, close ,,", line=b"GET /seen HTTP/1.1")).closes
    assert ask(port, head(b"Connection: " + b"," * 8000 + b"close", line=b"GET /seen HTTP/1.1")).closes
    chunked = head(b"Transfer-Encoding: , ,chunked,", line=b"POST /seen HTTP/1.1") + b"1\r\nx\r\n0\r\n\r\n"
    assert ask(port, chunked).seen["body"] == "x"


# -- framing ------------------------------------------------------------------------------------------------


def test_row_26_a_chunked_body_is_decoded(port: int) -> None:
    """RFC 9112 sections 6.1 and 7.1; also one that streams."""
    line = b"POST /seen HTTP/1.1"
    body = b"5\r\nhello\r\n006\r\n world\r\nA\r\n0123456789\r\n0\r\n\r\n"
    assert ask(port, head(b"Transfer-Encoding: ChunKed", line=line) + body).seen["body"] == (
        "hello world0123456789"
    )
    large = head(CODING, line=line) + b"%x\r\n%b\r\n" % (LARGE, b"x" * LARGE) + b"2\r\nyz\r\n0\r\n\r\n"
    assert ask(port, large).seen["body"] == "x" * LARGE + "yz"


def test_row_27_an_unknown_coding_is_501(port: int) -> None:
    """RFC 9112 section 6.1."""
    refused(port, 27)


def test_row_28_transfer_encoding_in_http_1_0_is_faulty_framing(port: int) -> None:
    """RFC 9112 section 6.1."""
    refused(port, 28)


def test_row_29_both_ways_of_framing_are_refused(port: int) -> None:
    """RFC 9112 section 6.1: CL.TE and TE.CL."""
    refused(port, 29)
    for fields in ((LENGTH, CODING), (CODING, LENGTH)):
        refuse(port, 400, head(*fields, line=b"POST /refused HTTP/1.1") + b"0\r\n\r\n")


def test_row_30_what_does_not_end_in_one_chunked_is_refused(port: int) -> None:
    """RFC 9112 section 6.3."""
    refused(port, 30)


def test_row_31_an_invalid_content_length_is_refused(port: int) -> None:
    """RFC 9112 section 6.3."""
    refused(port, 31)


def test_row_32_a_number_of_any_length_overflows_nothing(port: int) -> None:
    """RFC 9110 section 8.6; a number that is one is too large a body."""
    refused(port, 32)
    line = b"POST /refused HTTP/1.1"
    for count in (9, 12, 18):
        refuse(port, 413, head(b"Content-Length: " + b"9" * count, line=line))
    for size in (b"7fffffffffffffff", b"fffffffffffffffe", b"ffffffffffffffff", b"80000000", b"100000001"):
        refuse(port, 413, head(CODING, line=line) + size + b"\r\n")
    faulty(port, answer(b"200 OK", b"Content-Length: " + b"9" * 1000))


SHORT = [
    head(b"Content-Length: 20", line=b"POST /refused HTTP/1.1") + b"short",
    head(CODING, line=b"POST /refused HTTP/1.1") + b"5\r\nhello\r\n0\r\n",
]


@pytest.mark.parametrize("request_", SHORT, ids=["length", "chunked"])
def test_row_33_a_short_body_is_not_complete(port: int, hasty: int, request_: bytes) -> None:
    """RFC 9112 sections 6.3 and 8: ended by the peer, or by the clock."""
    with closing(Client(("127.0.0.1", port))) as client:
        client.send(request_)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
    with closing(Client(("127.0.0.1", hasty))) as client:
        heard = Heard(*client.ask(request_))
        assert (heard.status, heard.closes, client.rest()) == (408, True, b"")


def test_row_34_chunk_extensions_are_ignored_and_limited(port: int) -> None:
    """RFC 9112 section 7.1.1."""
    refused(port, 34)
    body = b'1;a;b=c\r\nx\r\n1 ;d = "e; \\" f"\r\ny\r\n0;g\r\n\r\n'
    assert ask(port, head(CODING, line=b"POST /seen HTTP/1.1") + body).seen["body"] == "xy"


def test_row_35_trailers_are_consumed_and_change_no_head(port: int) -> None:
    """RFC 9112 section 7.1.2, RFC 9110 section 6.5.1; what follows them is the next request."""
    trailers = b"X: 1\r\nHost: evil\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nConnection: close\r\n\r\n"
    heard = ask(port, head(CODING, line=b"POST /seen HTTP/1.1") + b"1\r\nx\r\n0\r\n" + trailers)
    assert heard.seen["fields"] == [["Host", "a"], ["Transfer-Encoding", "chunked"]]
    assert not heard.closes


def test_row_36_the_lines_of_chunks_end_in_crlf_only(port: int) -> None:
    """RFC 9112 section 7.1, erratum 7633: the peer's, the handler's and our own."""
    refused(port, 36)
    faulty(port, *[answer(b"200 OK", CODING, body=body) for body in CHUNKS[36][1]])
    sent = octets(port, say(answer(b"200 OK", b"Connection: close"), b"x\ny", b"z"))
    assert sent.endswith(b"\r\n\r\n3\r\nx\ny\r\n1\r\nz\r\n0\r\n\r\n")


# -- connections --------------------------------------------------------------------------------------------


UNREAD = (200, 301, 401, 403, 404, 405, 411, 413, 417, 500)


@pytest.mark.parametrize("size", [0, LARGE], ids=["small", "large"])
def test_row_37_an_unread_body_is_never_a_request(port: int, size: int) -> None:
    """RFC 9112 section 9.3: it is drained, or the connection closes; with every status."""
    body = NEVER + b"x" * size + NEVER
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for status in UNREAD:
        request = say(answer(b"%d Told" % status, LENGTH, body=b"12345"), line=b"POST / HTTP/1.1")
        lines = request.removesuffix(b"\r\n")
        for framed in (
            lines + b"Content-Length: %d\r\n\r\n" % len(body) + body,
            lines + CODING + b"\r\n\r\n" + chunked,
        ):
            assert ask(port, framed).status == status
    for line, expected in ((b"BREW /", 501), (b"PUT /", 405), (b"POST /none", 404), (b"POST /raise", 500)):
        assert ask(port, post(body, line=line + b" HTTP/1.1")).status == expected


def test_row_38_a_connection_persists_unless_somebody_says_close(port: int) -> None:
    """RFC 9112 section 9.3; whoever does not keep it says so in each answer."""
    for line, fields, closes in (
        (b"GET /seen HTTP/1.1", (), False),
        (b"GET /seen HTTP/1.9", (), False),
        (b"GET /seen HTTP/1.1", (b"Connection: close",), True),
        (b"GET /seen HTTP/1.0", (), True),
        (b"GET /seen HTTP/1.0", (b"Connection: keep-alive",), False),
        (b"GET /none HTTP/1.1", (b"Connection: close",), True),
        (b"GET /sub HTTP/1.1", (b"Connection: close",), True),
        (b"PUT / HTTP/1.1", (b"Connection: close",), True),
        (b"BREW / HTTP/1.1", (b"Connection: close",), True),
    ):
        assert ask(port, head(*fields, line=line)).closes is closes, (line, fields)
    for status in (b"200 OK", b"204 No", b"301 Moved", b"304 No", b"404 No", b"500 No"):
        assert not ask(port, say(answer(status))).closes
        assert ask(port, say(answer(status), fields=(b"Connection: close",))).closes


def test_row_39_pipelined_answers_come_in_order(port: int) -> None:
    """RFC 9112 section 9.3.2; with bodies between them, and heads cut anywhere."""
    requests = [post(b"x" * number, line=b"POST /seen?%d HTTP/1.1" % number) for number in range(20)]
    sent = octets(port, *requests, LAST)
    assert re.findall(rb'"path": "/seen\?(\d+)"', sent) == [b"%d" % number for number in range(20)]


def test_row_40_an_idle_connection_is_closed_gracefully(hasty: int) -> None:
    """RFC 9112 section 9.5: end-of-file and nothing before it, neither an answer nor a reset."""
    with closing(Client(("127.0.0.1", hasty))) as client:
        assert client.rest() == b""
    with closing(Client(("127.0.0.1", hasty))) as client:
        assert not Heard(*client.ask(SEEN)).closes
        assert client.rest() == b""


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: close",
        b"Connection: foo, close",
        b"Connection: close, foo",
        b"Connection: foo,\tCLOSE",
        b"Connection: keep-alive, close",
        b"Connection: foo\r\nConnection: close",
        b"Connection: close\r\nConnection: keep-alive",
    ],
)
def test_row_41_what_follows_a_request_with_close_is_ignored(port: int, fields: bytes) -> None:
    """RFC 9112 section 9.6."""
    for line in (b"GET /seen HTTP/1.1", b"GET /seen HTTP/1.0", b"GET /none HTTP/1.1"):
        sent = octets(port, head(fields, line=line), NEVER, NEVER)
        assert sent.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in sent
    assert not ask(port, head(b"Connection: closed, x-close", line=b"GET /seen HTTP/1.1")).closes


def test_row_42_every_close_is_announced(port: int) -> None:
    """RFC 9112 section 9.6: the handler's, the server's and the one that ends a body."""
    assert ask(port, head(line=b"GET /close HTTP/1.1")).closes
    assert ask(port, head(line=b"GET /none HTTP/1.1")).closes, "send_error closes, as documented"
    assert ask(port, head(line=b"GET /raise HTTP/1.1")).closes
    assert ask(port, say(answer(b"200 OK", b"Connection: close", LENGTH, body=b"12345"))).closes
    assert ask(port, say(answer(b"200 OK", b"Connection: x, close", LENGTH, body=b"12345"))).status == 200
    assert ask(port, say(answer(b"200 OK"), b"x", b"y", line=b"GET / HTTP/1.0")).closes
    assert ask(port, head(line=b"GET /file HTTP/1.0")).closes


@pytest.mark.parametrize(("size", "status"), [(8 * LARGE, 200), (20 * LARGE, 413)])
def test_row_43_a_client_that_still_sends_gets_the_whole_answer(port: int, size: int, status: int) -> None:
    """RFC 9112 section 9.6: the server closes its side, drains, and closes then; no reset comes between."""
    with closing(Client(("127.0.0.1", port))) as client:
        client.send(head(b"Content-Length: %d" % size, line=b"POST /big HTTP/1.1"))
        for _ in range(size // LARGE):
            client.send(b"x" * LARGE)
        heard = Heard(*client.expect())
        assert (heard.status, heard.closes) == (status, True)
        assert client.rest() == b""


# -- what is sent -------------------------------------------------------------------------------------------


def sent_head(port: int, request: bytes) -> tuple[bytes, bytes]:
    """The head of the only answer on a connection, in lower case, and all that follows it."""
    found, _, rest = octets(port, request).partition(b"\r\n\r\n")
    return found.lower() + b"\r\n", rest


def test_row_44_no_transfer_encoding_where_there_is_no_content(port: int) -> None:
    """RFC 9112 section 6.1."""
    last = (b"Connection: close",)
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    for status in (b"204 No", b"304 No"):
        for fields in ((), (CODING,)):
            found, rest = sent_head(port, say(answer(status, *fields), chunks, fields=last))
            assert (b"transfer-encoding" in found, rest) == (False, b"")
    connect = say(answer(b"200 OK", CODING), line=b"CONNECT b:1 HTTP/1.1")
    assert b"transfer-encoding" not in sent_head(port, connect)[0]
    interim = answer(b"103 Hints", b"Link: </s>", CODING) + answer(b"200 OK")
    found, rest = sent_head(port, say(interim, fields=last))
    assert found == b"http/1.1 103 hints\r\nlink: </s>\r\n"
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


def test_row_45_nothing_is_chunked_to_an_http_1_0_client(port: int) -> None:
    """RFC 9112 section 6.1; nor to one that keeps its connection otherwise."""
    for fields in ((), (b"Connection: keep-alive",)):
        for told in (answer(b"200 OK"), answer(b"200 OK", CODING)):
            body = b"5\r\nhello\r\n0\r\n\r\n" if CODING in told else b"hello"
            found, rest = sent_head(port, say(told, body, line=b"GET / HTTP/1.0", fields=fields))
            assert b"transfer-encoding" not in found
            assert b"\r\nconnection: close\r\n" in found
            assert rest == b"hello"


def test_row_46_no_answer_has_both_framings(port: int) -> None:
    """RFC 9112 section 6.2."""
    faulty(port, answer(b"200 OK", CODING, LENGTH, body=b"hello"), answer(b"200 OK", LENGTH, CODING))
    for told in (answer(b"200 OK"), answer(b"200 OK", CODING), answer(b"200 OK", LENGTH)):
        body = b"5\r\nhello\r\n0\r\n\r\n" if CODING in told else b"hello"
        for pieces in ((told + body,), (told, body)):
            fields = ask(port, say(*pieces)).fields
            assert ("content-length" in fields) is not ("transfer-encoding" in fields)


def test_row_47_no_content_length_where_there_is_no_content(port: int) -> None:
    """RFC 9110 section 8.6; to HEAD and with 304 only what the handler knows of a GET."""
    for fields in ((), (LENGTH,)):
        assert "content-length" not in ask(port, say(answer(b"204 No", *fields))).fields
        unchanged = ask(port, say(answer(b"304 No", *fields))).fields
        assert unchanged.get("content-length") == ("5" if fields else None)
        described = ask(port, say(answer(b"200 OK", *fields), line=b"HEAD / HTTP/1.1"), "HEAD").fields
        assert described.get("content-length") == ("5" if fields else None)
        connect = say(answer(b"200 OK", *fields), line=b"CONNECT b:1 HTTP/1.1")
        assert b"content-length" not in sent_head(port, connect)[0]
        interim = answer(b"103 Hints", *fields) + answer(b"200 OK")
        found, _ = sent_head(port, say(interim, fields=(b"Connection: close",)))
        assert found == b"http/1.1 103 hints\r\n"
    assert ask(port, head(line=b"HEAD /file HTTP/1.1"), "HEAD").fields["content-length"] == "7"


def test_row_48_an_answer_to_head_has_no_content(port: int) -> None:
    """RFC 9110 section 9.3.2: whatever the handler writes; the next answer stands right behind the head."""
    for told in (answer(b"200 OK"), answer(b"200 OK", LENGTH), answer(b"404 No", LENGTH)):
        for pieces in ((told + b"hello",), (told, b"hello"), (told, b"hel", b"lo")):
            assert ask(port, say(*pieces, line=b"HEAD / HTTP/1.1"), "HEAD").body == b""
    chunks = say(answer(b"200 OK", CODING), b"5\r\nhello\r\n0\r\n\r\n", line=b"HEAD / HTTP/1.1")
    assert ask(port, chunks, "HEAD").body == b""
    for path in (b"/seen", b"/file", b"/none", b"/sub", b"/sub/"):
        assert ask(port, head(line=b"HEAD " + path + b" HTTP/1.1"), "HEAD").body == b""


@pytest.mark.parametrize("status", [b"204 No", b"205 Reset", b"304 No"])
def test_row_49_statuses_without_content_have_none(port: int, status: bytes) -> None:
    """RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5."""
    for told in (answer(status), answer(status, LENGTH)):
        for pieces in ((told,), (told + b"hello",), (told, b"hello"), (told, b"hel", b"lo")):
            heard = ask(port, say(*pieces))
            assert (heard.status, heard.body, heard.closes) == (int(status[:3]), b"", False)


def test_row_50_an_answer_without_a_length_is_framed_by_the_server(port: int) -> None:
    """RFC 9112 section 6.3."""
    told = answer(b"200 OK")
    for pieces, field in (
        ((told,), "content-length"),
        ((told + b"hello",), "content-length"),
        ((told, b"hello"), "transfer-encoding"),
    ):
        heard = ask(port, say(*pieces))
        assert heard.body == b"hello"[: len(b"".join(pieces)) - len(told)]
        assert field in heard.fields
        assert not heard.closes
    assert ask(port, say(told, b"hello", line=b"GET / HTTP/1.0")).closes


def test_row_51_date_stands_in_each_answer_once(port: int) -> None:
    """RFC 9110 section 6.6.1."""
    last = b"Connection: close"
    paths = (b"/seen", b"/file", b"/sub", b"/sub/", b"/none", b"/raise")
    requests = [
        b"no request\r\n",
        *[head(last, line=b"GET " + path + b" HTTP/1.1") for path in paths],
        *[say(answer(b"200 OK", *dates), fields=(last,)) for dates in ([], [b"Date: d"], [b"Date: d"] * 2)],
    ]
    for request in requests:
        found, _ = sent_head(port, request)
        assert found.count(b"\r\ndate: ") == 1, request


def test_row_52_dates_are_sent_in_one_form_and_read_in_three(port: int) -> None:
    """RFC 9110 section 5.6.7."""
    heard = ask(port, head(line=b"GET /file HTTP/1.1"))
    assert heard.fields["last-modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert DATE.fullmatch(heard.fields["date"])
    for date in (
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
    ):
        condition = b"If-Modified-Since: " + date
        assert ask(port, head(condition, line=b"GET /file HTTP/1.1")).status == 304


EXPECTING = (b"Expect: 100-continue", b"Content-Length: 4")


def test_row_53_a_100_or_the_final_status_comes_without_waiting_for_the_body(port: int) -> None:
    """RFC 9110 section 10.1.1; ultimately a final status."""
    with closing(Client(("127.0.0.1", port))) as client:
        client.send(head(*EXPECTING, line=b"POST /seen HTTP/1.1"))
        assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert Heard(*client.ask(b"body")).seen["body"] == "body"
    for line, status in ((b"POST /none", 404), (b"BREW /", 501), (b"PUT /", 405)):
        with closing(Client(("127.0.0.1", port))) as client:
            client.send(head(*EXPECTING, line=line + b" HTTP/1.1"))
            assert client.socket.recv(12) == b"HTTP/1.1 %d" % status


def test_row_54_expect_means_nothing_in_http_1_0(port: int) -> None:
    """RFC 9110 section 10.1.1."""
    with closing(Client(("127.0.0.1", port))) as client:
        client.send(head(*EXPECTING, line=b"POST /seen HTTP/1.0"))
        ask(port, SEEN)
        client.send(b"body")
        assert client.rest().startswith(b"HTTP/1.1 200 ")


def test_row_55_an_early_final_status_says_whether_the_connection_closes(port: int) -> None:
    """RFC 9110 section 10.1.1: it does; what is sent then is no request."""
    for line in (b"PUT /", b"POST /none", b"BREW /"):
        heard = ask(port, head(b"Expect: 100-continue", b"Content-Length: 9999", line=line + b" HTTP/1.1"))
        assert heard.closes
    sent = octets(port, head(*EXPECTING, line=b"PUT / HTTP/1.1"), NEVER)
    assert sent.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in sent


def test_row_56_an_http_1_0_client_gets_no_interim_answer(port: int) -> None:
    """RFC 9110 section 15.2."""
    hints = answer(b"103 Hints", b"Link: </s>") + answer(b"200 OK", b"Content-Length: 0")
    for version, times in ((b"1.0", 0), (b"1.1", 1)):
        line = b"GET / HTTP/" + version
        sent = octets(port, say(hints, line=line, fields=(b"Connection: close",)))
        assert sent.count(b" 103 ") == times
        assert sent.count(b"HTTP/1.1 200 OK\r\n") == 1


def test_row_57_upgrade_is_ignored_by_whoever_does_not_switch(port: int) -> None:
    """RFC 9110 section 7.8: also with a body, in HTTP/1.0, or for the version that is spoken already."""
    for protocol in (b"h2c", b"websocket", b"HTTP/2.0", b"TLS/1.0, HTTP/1.1"):
        for line in (b"POST /seen HTTP/1.1", b"POST /seen HTTP/1.0"):
            fields = (b"Upgrade: " + protocol, b"Connection: Upgrade, HTTP2-Settings, close")
            heard = ask(port, post(b"body", *fields, b"HTTP2-Settings: AAMA", line=line))
            assert heard.seen["body"] == "body"
            assert "upgrade" not in heard.fields


SWITCH = (b"Connection: Upgrade", b"Upgrade: echo")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n"


def test_row_57_a_switch_that_was_asked_for_ends_http_on_the_connection(port: int) -> None:
    """RFC 9110 section 7.8: what follows is the other protocol's, requests and all."""
    for fields in (SWITCH, (b"upgrade: other, Echo", b"connection: keep-alive, upgrade")):
        with closing(Client(("127.0.0.1", port))) as client:
            client.send(head(*fields, line=b"GET /switch HTTP/1.1") + NEVER)
            client.socket.shutdown(socket.SHUT_WR)
            found, _, rest = client.rest().partition(b"\r\n\r\n")
            assert (found + b"\r\n").startswith(SWITCHED)
            assert rest == NEVER


def test_row_57_a_switch_that_nobody_asked_for_is_a_500(port: int) -> None:
    """RFC 9110 section 7.8: Upgrade, listed in Connection, in HTTP/1.1."""
    for line, fields in (
        (b"GET /switch HTTP/1.1", ()),
        (b"GET /switch HTTP/1.1", (b"Upgrade: echo",)),
        (b"GET /switch HTTP/1.1", (b"Upgrade: echo", b"Connection: keep-alive")),
        (b"GET /switch HTTP/1.1", (b"Connection: Upgrade",)),
        (b"GET /switch HTTP/1.1", (b"Upgrade: , ,", b"Connection: Upgrade")),
        (b"GET /switch HTTP/1.1", (b"Upgrade: other, echo/2", b"Connection: Upgrade")),
        (b"GET /switch HTTP/1.0", SWITCH),
    ):
        heard = ask(port, head(*fields, line=line))
        assert (heard.status, heard.closes) == (500, True), (line, fields)
    for told in (answer(b"101 Switching"), answer(b"101 Switching", b"Upgrade:", b"Connection: upgrade")):
        assert ask(port, say(told, fields=SWITCH)).status == 500, "it does not say to what it switches"


def test_row_57_a_100_that_is_awaited_comes_before_the_101(port: int) -> None:
    """RFC 9110 section 7.8; the body is read as HTTP, and what follows it is not."""
    with closing(Client(("127.0.0.1", port))) as client:
        client.send(head(*SWITCH, b"Expect: 100-continue", line=b"GET /switch HTTP/1.1"))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest().startswith(b"HTTP/1.1 100 Continue\r\n\r\n" + SWITCHED)


def test_row_58_options_of_connection_are_this_connections_own(port: int) -> None:
    """RFC 9110 section 7.6.1: nothing of them comes back, and none of them undoes the framing."""
    fields = (b"Connection: X-Secret, TE, close", b"X-Secret: 1", b"TE: trailers, deflate;q=0.5")
    heard = ask(port, head(*fields, line=b"GET /seen HTTP/1.1"))
    assert ["X-Secret", "1"] in heard.seen["fields"]
    assert heard.closes
    assert not {"te", "upgrade", "trailer", "x-secret", "keep-alive"} & set(heard.fields)
    for option in (b"Content-Length", b"Host", b"Transfer-Encoding", b"Connection"):
        assert ask(port, post(b"body", b"Connection: " + option)).seen["body"] == "body"
    chunked = head(b"Connection: Transfer-Encoding", b"TE: trailers", CODING, line=b"POST /seen HTTP/1.1")
    assert ask(port, chunked + b"4\r\nbody\r\n0\r\n\r\n").seen["body"] == "body"
    # Nobody asked for trailers, or could.
    streamed = octets(port, say(answer(b"200 OK"), b"x", fields=(b"TE: trailers", b"Connection: TE, close")))
    assert streamed.endswith(b"\r\n\r\n1\r\nx\r\n0\r\n\r\n")


def test_row_59_a_405_carries_its_allow(port: int) -> None:
    """RFC 9110 sections 10.2.1 and 15.5.6."""
    heard = ask(port, post(b"body", line=b"PUT /file HTTP/1.1"))
    assert (heard.status, heard.fields["allow"]) == (405, "GET, HEAD, POST")


def test_row_60_another_major_version_is_505_with_a_status_line(port: int) -> None:
    """RFC 9110 section 15.6.6."""
    refused(port, 60)


def test_row_61_only_valid_messages_of_our_version_go_out(port: int) -> None:
    """RFC 9110 sections 2.2 and 6.2."""
    faulty(port, *[answer(line) for line in b"20 OK|2000 OK|099 OK|200 O\rK|200 O\0K|2x0 OK|".split(b"|")])
    for version in (b"HTTP/0.9", b"HTTP/2.0", b"http/1.1", b"HTTP/1.", b"Status:", b"", b"\r\nHTTP/1.0"):
        faulty(port, version + b" 200 OK\r\nX: 1\r\n\r\n")
    faulty(port, b"HTTP/1.0 200 OK\nX: 1\r\n\r\n", b"<html>no head", answer(b"200 OK", b"X: a\nInjected: 1"))
    request = say(b"HTTP/1.9 299 \xe4\r\n\r\n", fields=(b"Connection: close",))
    assert octets(port, request).startswith(b"HTTP/1.1 299 \xe4\r\n")


# -- what handler classes decide ----------------------------------------------------------------------------


def test_row_62_range_is_ignored_for_other_methods_and_units(port: int) -> None:
    """RFC 9110 section 14.2."""
    for method, value in (("HEAD", b"bytes=0-1"), ("GET", b"lines=0-1"), ("GET", b"bytes"), ("GET", b"")):
        request = head(b"Range: " + value, line=method.encode() + b" /file HTTP/1.1")
        heard = ask(port, request, method)
        assert (heard.status, heard.body) == (200, b"" if method == "HEAD" else b"content")
        assert "content-range" not in heard.fields
    assert ask(port, head(b"Range: bytes=0-1", line=b"POST /file HTTP/1.1")).status == 404
    assert ask(port, head(b"Range: bytes=0-1", line=b"GET /none HTTP/1.1")).status == 404


@pytest.mark.parametrize(
    "condition",
    [
        b"If-Modified-Since: Fri, 31 Dec 2066 23:59:59 GMT",
        b"If-None-Match: *",
        b'If-Match: "x"',
        b"If-Match: *",
        b"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
    ],
)
def test_row_63_conditions_do_not_hide_what_the_answer_would_be_without(port: int, condition: bytes) -> None:
    """RFC 9110 section 13.2.1."""
    for line, status in (
        (b"GET /none", 404),
        (b"HEAD /none", 404),
        (b"GET /sub", 301),
        (b"PUT /file", 405),
        (b"BREW /file", 501),
    ):
        assert ask(port, head(condition, line=line + b" HTTP/1.1"), line.split()[0].decode()).status == status


def test_row_64_trace_reflects_nothing(port: int) -> None:
    """RFC 9110 sections 9.3.7 and 9.3.8."""
    fields = (b"Cookie: secret", b"Authorization: Basic secret", b"X-Field: secret", b"Max-Forwards: 0")
    for request in (
        head(*fields, line=b"TRACE /secret HTTP/1.1"),
        post(b"secret", *fields, line=b"TRACE /secret HTTP/1.1"),
        head(*fields, line=b"TRACK /secret HTTP/1.1"),
    ):
        heard = ask(port, request)
        assert heard.status == 501
        assert b"secret" not in heard.body
        assert "secret" not in str(heard.fields)


def test_every_row_has_its_test() -> None:
    numbers = {int(match[1]) for name in globals() if (match := re.match(r"test_row_(\d+)_", name))}
    assert numbers == set(range(1, 65))
