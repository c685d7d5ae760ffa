"""Request heads: each case whole, octet by octet, and with the next request behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import ProtocolError
from forkhttp.wire import CHUNKED, HeadLimits, parse_head
from tests.wire.delivery import FOLLOWER, LIMITS, Seen, head_each_way, head_of

if TYPE_CHECKING:
    from forkhttp.wire import RequestHead


def read(data: bytes, limits: HeadLimits = LIMITS) -> RequestHead:
    """Read a head that must be complete, after it came out the same each way."""
    assert isinstance(head_each_way(data, limits), Seen)
    head = parse_head(data, limits)
    assert head is not None
    return head


def get(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join([line, host, *fields, b"", b""])


def test_a_request_is_read_with_all_its_parts() -> None:
    data = b"POST /a/b?c=d HTTP/1.1\r\nHost: Example.com:8000\r\nContent-Length: 12\r\nX-One:\t 1 2 \r\n\r\n"
    head = read(data)
    assert (head.method, head.target, head.minor) == ("POST", "/a/b?c=d", 1)
    assert head.request_line == "POST /a/b?c=d HTTP/1.1"
    assert (head.octets, head.size) == (data, len(data))
    assert head.length == 12
    assert head.persistent
    assert not head.expects_continue
    assert head.authority == "example.com:8000"
    assert head.fields() == [("Host", "Example.com:8000"), ("Content-Length", "12"), ("X-One", "1 2")]


def test_what_follows_a_head_is_not_touched() -> None:
    data = get()
    head = parse_head(data + FOLLOWER, LIMITS)
    assert head is not None
    assert (head.octets, head.size) == (data, len(data))


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"GET //two/slashes HTTP/1.1",
        b"GET /%00%zz?a|b{c}\"'<> HTTP/1.1",
        b"get / HTTP/1.1",
        b"SPAM / HTTP/1.1",
        b"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1",
        b"M" * 200 + b" / HTTP/1.1",
        b"GET /" + b"a" * 8000 + b" HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"OPTIONS / HTTP/1.1",
    ],
)
def test_request_lines_that_are_read(line: bytes) -> None:
    head = read(get(line=line))
    method, target, _ = line.decode().split(" ")
    assert (head.method, head.target, head.request_line) == (method, target, line.decode())


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (400, b"GET /"),
        (400, b"GET"),
        (400, b"GET  / HTTP/1.1"),
        (400, b"GET /  HTTP/1.1"),
        (400, b"GET / HTTP/1.1 "),
        (400, b" GET / HTTP/1.1"),
        (400, b"\tGET / HTTP/1.1"),
        (400, b"GET\t/ HTTP/1.1"),
        (400, b"GET / / HTTP/1.1"),
        (400, b"GET /a b HTTP/1.1"),
        (400, b"GET /a\x0b HTTP/1.1"),
        (400, b"GET /a\x00 HTTP/1.1"),
        (400, b"GET /a\r HTTP/1.1"),
        (400, b"GET /a\n HTTP/1.1"),
        (400, b"GET /\x7f HTTP/1.1"),
        (400, b"GET /\xc3\xa4 HTTP/1.1"),
        (400, b"GET /a#fragment HTTP/1.1"),
        (400, b"GE(T / HTTP/1.1"),
        (400, b"GET: / HTTP/1.1"),
        (400, b"G\xc3\x84T / HTTP/1.1"),
        (400, b"M" * 100 + b"( / HTTP/1.1"),
        (400, b"GET / http/1.1"),
        (400, b"GET / HTTP/1.01"),
        (400, b"GET / HTTP/01.1"),
        (400, b"GET / HTTP/1"),
        (400, b"GET / HTTP/1.x"),
        (400, b"GET / HTTP/\xd9\xa1.1"),
        (400, b"GET / HTTPS/1.1"),
        (505, b"GET / HTTP/2.0"),
        (505, b"GET / HTTP/0.9"),
        (505, b"PRI * HTTP/2.0"),
        (400, b"GET * HTTP/1.1"),
        (400, b"OPTIONS ** HTTP/1.1"),
        (400, b"GET a HTTP/1.1"),
        (400, b"GET example.com:80 HTTP/1.1"),
        (414, b"GET /" + b"a" * 8180 + b" HTTP/1.1"),
    ],
)
def test_request_lines_that_are_refused(status: int, line: bytes) -> None:
    assert head_each_way(get(line=line)) == status


@pytest.mark.parametrize(("version", "minor"), [(b"1.0", 0), (b"1.1", 1), (b"1.2", 1), (b"1.9", 1)])
def test_a_higher_minor_version_counts_as_one(version: bytes, minor: int) -> None:
    assert read(get(line=b"GET / HTTP/" + version)).minor == minor
    assert read(get(line=b"GET http://b/ HTTP/" + version)).minor == minor


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
        b"\x00",
        b"\x80",
        b"<",
        b"{",
        b" ",
        b"\n",
        b"\rG",
        b"GET(",
        b"GET /\x01",
        b"GET /\n",
        b"GET /\r\r",
        b"GET /a\r\n",  # HTTP/0.9 says no more
        b"GET / HTTP/1.1\r\nHost : a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n",
    ],
)
def test_what_cannot_become_a_head_is_refused_at_once(start: bytes) -> None:
    assert head_each_way(start) == 400


@pytest.mark.parametrize(
    "start", [b"", b"\r", b"\r\n", b"\r\n\r\n", b"G", b"GET", b"GET /", b"GET / HTTP/1.1\r", b"M" * 70]
)
def test_what_may_become_a_head_is_awaited(start: bytes) -> None:
    assert head_each_way(start) is None


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_few_empty_lines_before_a_head_are_skipped(count: int) -> None:
    lines = b"\r\n" * count
    head = read(lines + get())
    assert head.octets == get()
    assert head.request_line == "GET / HTTP/1.1"
    assert head.size == len(lines) + len(get())


@pytest.mark.parametrize(
    "data", [b"\r\n" * 5, b"\r\n" * 5 + get(), b"\r\n" * 5000, b"\n" + get(), b"\r" + get()]
)
def test_many_or_strange_empty_lines_are_refused(data: bytes) -> None:
    assert head_each_way(data) == 400


@pytest.mark.parametrize(
    ("target", "seen", "authority"),
    [
        (b"http://b/p?q", "/p?q", "b"),
        (b"HTTP://User.Example:81/p", "/p", "user.example:81"),
        (b"https://b", "/", "b"),
        (b"http://b?q", "/?q", "b"),
        (b"http://[::1]:8000/", "/", "[::1]:8000"),
        (b"http://b//c", "//c", "b"),
    ],
)
def test_absolute_form_is_reduced_and_its_authority_replaces_host(
    target: bytes, seen: str, authority: str
) -> None:
    head = read(get(b"X: 1", b"host2: x", line=b"GET " + target + b" HTTP/1.1"))
    assert (head.target, head.authority) == (seen, authority)
    assert head.fields() == [("Host", authority), ("X", "1"), ("host2", "x")]
    assert head.field("Host") == authority
    assert head.field("X") == "1"


def test_absolute_form_in_http_1_0_gives_a_host_where_none_was_sent() -> None:
    head = read(b"GET http://b/ HTTP/1.0\r\n\r\n")
    assert head.fields() == [("Host", "b")]


def test_absolute_form_does_not_make_up_for_a_missing_host() -> None:
    assert head_each_way(b"GET http://b/ HTTP/1.1\r\n\r\n") == 400


def test_options_of_a_whole_server_in_absolute_form() -> None:
    assert read(get(line=b"OPTIONS http://b HTTP/1.1")).target == "*"
    assert read(get(line=b"OPTIONS http://b/ HTTP/1.1")).target == "/"


@pytest.mark.parametrize(
    "target",
    [
        b"http://",
        b"http:///p",
        b"http://u@b/",
        b"http://[::1",
        b"http://b:x/",
        b"http:b",
        b"ftp://b/",
        b"://b/",
    ],
)
def test_absolute_forms_that_are_refused(target: bytes) -> None:
    assert head_each_way(get(line=b"GET " + target + b" HTTP/1.1")) == 400


def test_connect_takes_host_and_port() -> None:
    head = read(get(line=b"CONNECT b:443 HTTP/1.1"))
    assert (head.target, head.authority, head.field("host")) == ("b:443", "b:443", "a")


@pytest.mark.parametrize(
    "target", [b"/", b"/a:1", b"*", b"b", b"b:", b"b:0", b"b:65536", b"b:1x", b":1", b"[::1]", b"http://b:1/"]
)
def test_connect_with_anything_else_is_refused(target: bytes) -> None:
    assert head_each_way(get(line=b"CONNECT " + target + b" HTTP/1.1")) == 400


@pytest.mark.parametrize(
    "value",
    [
        b"a",
        b"A-b.c_d~e:0",
        b"127.0.0.1:65535",
        b"[::1]",
        b"[2001:db8::1]:80",
        b"[::ffff:1.2.3.4]",
        b"%41",
        b"a:",
        b"",
        b"a \t",
    ],
)
def test_hosts_that_are_valid(value: bytes) -> None:
    head = read(get(host=b"Host: " + value))
    assert head.authority == value.decode().strip().lower()
    assert head.field("hOST") == value.decode().strip()


@pytest.mark.parametrize(
    "value",
    [
        b"a b",
        b"a, b",
        b"a/b",
        b"u@a",
        b"a:65536",
        b"a:123456",
        b"a:+1",
        b"a:1:2",
        b":80",
        b"::1",
        b"[::1",
        b"[:::]",
        b"[v1.x]",
        b"%4",
        b"\xc3\xa4",
        b"a\xa0",
        b"a\x85",
        b"a" * 300,
        b"http://a",
    ],
)
def test_hosts_that_are_refused(value: bytes) -> None:
    assert head_each_way(get(host=b"Host: " + value)) == 400


def test_http_1_1_needs_exactly_one_host() -> None:
    assert head_each_way(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert head_each_way(get(b"X: 1", b"host: a")) == 400


def test_http_1_0_may_lack_a_host_but_not_repeat_it() -> None:
    head = read(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.authority, head.field("host"), head.fields()) == ("", None, [])
    assert head_each_way(get(b"Host: a", line=b"GET / HTTP/1.0")) == 400


@pytest.mark.parametrize(
    "line",
    [
        b"NoColon",
        b": empty name",
        b"Space : v",
        b"Tab\t: v",
        b" Leading: v",
        b"\tLeading: v",
        b"N\x00ul: v",
        b"Na(me: v",
        b"N\xc3\xa4me: v",
        b"V: a\x00",
        b"V: a\rb",
        b"V: a\nb",
        b"V: a\x0bb",
        b"V: a\x0cb",
        b"V: a\x7f",
        b"V: a\r\n folded",
        b"V: a\r\n\tfolded",
        b"V: a\r\r",
        b"V: a\n",
    ],
)
def test_field_lines_that_are_refused(line: bytes) -> None:
    assert head_each_way(get(line)) == 400
    assert head_each_way(get(b"Expect: 100-continue", line, b"Z: " + b"z" * 2000)) == 400
    assert head_each_way(b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a\r\n\r\n") == 400


def test_field_values_keep_what_is_not_optional_white_space() -> None:
    head = read(get(b"X:\xa0\x85\xe4 ", b"Y:", b"Z:\t \t", b"A:b:c"))
    assert head.fields()[1:] == [("X", "\xa0\x85\xe4"), ("Y", ""), ("Z", ""), ("A", "b:c")]


def test_equal_fields_are_joined_in_order() -> None:
    head = read(get(b"X: 1", b"Y: 2", b"x: 3"))
    assert head.field("X") == "1, 3"
    assert head.field("Nothing") is None


def test_fields_belong_to_who_asked_for_them() -> None:
    head = read(get())
    head.fields().clear()
    assert head.fields() == [("Host", "a")]


@pytest.mark.parametrize(
    ("length", "fields"),
    [
        (0, []),
        (0, [b"Content-Length: 0"]),
        (5, [b"Content-Length: 5"]),
        (5, [b"content-LENGTH:\t5 \t"]),
        (5, [b"Content-Length: 000005"]),
        (10**18 - 1, [b"Content-Length: " + b"9" * 18]),
        (CHUNKED, [b"Transfer-Encoding: chunked"]),
        (CHUNKED, [b"TRANSFER-ENCODING:CHUNKED"]),
        (CHUNKED, [b"Transfer-Encoding: , chunked ,,"]),
    ],
)
def test_framings_that_are_read(length: int, fields: list[bytes]) -> None:
    assert read(get(*fields)).length == length


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"+5",
        b"-5",
        b"-0",
        b"5_0",
        b"0x5",
        b"5.0",
        b"5 5",
        b"5,5",
        b"5, 6",
        b"5;",
        b"five",
        b"\xd9\xa5",
        b"\xa05",
        b"5\x85",
        b"9" * 19,
        b"9" * 5000,
    ],
)
def test_content_lengths_that_are_refused(value: bytes) -> None:
    assert head_each_way(get(b"Content-Length: " + value)) == 400


@pytest.mark.parametrize(
    ("status", "value"),
    [
        (400, b""),
        (400, b","),
        (400, b"identity"),
        (400, b"gzip"),
        (400, b"chunked, gzip"),
        (400, b"chunked, chunked"),
        (400, b"gzip, chunked, chunked"),
        (400, b"xchunked"),
        (400, b"chunkedx"),
        (400, b'"chunked"'),
        (400, b"chunked;a=b"),
        (400, b"chunked identity"),
        (400, b"\xa0chunked"),
        (400, b"\x0bchunked"),
        (501, b"gzip, chunked"),
        (501, b"identity, chunked"),
    ],
)
def test_transfer_encodings_that_are_refused(status: int, value: bytes) -> None:
    assert head_each_way(get(b"Transfer-Encoding: " + value)) == status


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (400, [b"Content-Length: 5", b"Content-Length: 5"]),
        (400, [b"Content-Length: 5", b"X: 1", b"content-length: 6"]),
        (400, [b"Content-Length: 0", b"Transfer-Encoding: chunked"]),
        (400, [b"Transfer-Encoding: chunked", b"Content-Length: 5"]),
        (400, [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"]),
        (400, [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"]),
        (501, [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"]),
    ],
)
def test_framings_that_two_could_read_in_two_ways_are_refused(status: int, fields: list[bytes]) -> None:
    assert head_each_way(get(*fields)) == status


def test_transfer_encoding_in_http_1_0_is_refused() -> None:
    assert head_each_way(get(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0")) == 400


@pytest.mark.parametrize(
    ("fields", "in_1_0", "in_1_1"),
    [
        ([], False, True),
        ([b"Connection: close"], False, False),
        ([b"Connection: CLOSE"], False, False),
        ([b"Connection: keep-alive"], True, True),
        ([b"Connection:"], False, True),
        ([b"Connection: foo, close"], False, False),
        ([b"Connection: ,,close ,"], False, False),
        ([b"Connection: , foo,\tKeep-Alive"], True, True),
        ([b"Connection: keep-alive, close"], False, False),
        ([b"Connection: keep-alive", b"X: 1", b"connection: close"], False, False),
        ([b"Connection: closed"], False, True),
        ([b"Connection: keep-alive\t"], True, True),
    ],
)
def test_persistence_is_what_connection_lists(fields: list[bytes], *, in_1_0: bool, in_1_1: bool) -> None:
    assert read(get(*fields, line=b"GET / HTTP/1.0")).persistent is in_1_0
    assert read(get(*fields, line=b"GET / HTTP/1.1")).persistent is in_1_1


@pytest.mark.parametrize(
    ("value", "expects"),
    [
        (b"100-continue", True),
        (b"100-Continue", True),
        (b"x, 100-continue", True),
        (b"200-ok", False),
        (b"", False),
    ],
)
def test_only_100_continue_is_expected_and_not_in_http_1_0(value: bytes, *, expects: bool) -> None:
    assert read(get(b"Expect: " + value)).expects_continue is expects
    assert not read(get(b"Expect: " + value, line=b"GET / HTTP/1.0")).expects_continue


TIGHT = HeadLimits(request_line=20, field=12, fields=3)


@pytest.mark.parametrize(
    "data",
    [
        get(line=b"GET /" + b"a" * 6 + b" HTTP/1.1"),
        get(b"X: " + b"a" * 9),
        get(b"X: 1", b"Y: 2"),
        b"\r\n\r\n" + get(b"X: 1", b"Y: 2"),
    ],
)
def test_what_reaches_a_limit_is_read(data: bytes) -> None:
    read(data, TIGHT)


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (414, get(line=b"GET /" + b"a" * 7 + b" HTTP/1.1")),
        (414, b"M" * 21),
        (400, b"M" * 20 + b"\r\n"),
        (414, b"\r\n" + b"M" * 21 + b"\x00"),
        (431, get(b"X: " + b"a" * 10)),
        (431, b"GET / HTTP/1.1\r\nX: " + b"a" * 10),
        (431, get(b"X: 1", b"Y: 2", b"Z: 3")),
        (431, b"GET / HTTP/1.1\r\n" + b"X:1\r\n" * 4),
        (431, get(b"X: 1", b"Y: 2", b"Host: a", b"no colon")),  # what comes first on the wire counts
        (400, get(b"X: 1", b"no colon", b"Y: 2", b"Host: a")),
        (400, get(b"X: 1", b"Y: 2", b"\r")),
        (400, get(b"X: \x00" + b"a" * 20)),
        (431, get(b"X: " + b"a" * 20 + b"\x00")),
    ],
)
def test_what_passes_a_limit_is_refused_before_the_head_has_ended(status: int, data: bytes) -> None:
    assert head_each_way(data, TIGHT) == status


def test_more_fields_than_allowed_are_refused_however_short_they_are() -> None:
    assert isinstance(head_each_way(get(b"X:1", b"Y:2"), HeadLimits(8190, 8190, 3)), Seen)
    assert head_each_way(get(b"X:1", b"Y:2", b"Z:3"), HeadLimits(8190, 8190, 3)) == 431


def test_a_head_is_bounded_as_a_whole() -> None:
    line = b"X: " + b"x" * 1000
    wide = HeadLimits(request_line=8190, field=8190, fields=1000)
    steps = range(1000, 80_000, 1000)
    assert isinstance(head_of([66_000], get(*[line] * 64), wide), Seen)
    assert head_of([70_000], get(*[line] * 66), wide) == 431
    assert head_of(steps, get(*[line] * 66), wide) == 431
    assert head_of(steps, b"GET / HTTP/1.1\r\n" + (line + b"\r\n") * 80, wide) == 431


def test_a_long_section_is_read_like_a_short_one() -> None:
    head = read(get(b"Cookie: " + b"c" * 1200))
    assert head.field("cookie") == "c" * 1200


def test_a_large_section_whose_lines_are_short_enough_is_read() -> None:
    data = get(*[b"X: " + b"x" * 2000] * 6)
    assert isinstance(head_of(range(500, len(data) + 500, 500), data), Seen)
    assert isinstance(head_of([len(data)], data), Seen)


def test_a_refusal_does_not_quote_the_peer() -> None:
    with pytest.raises(ProtocolError) as refusal:
        parse_head(get(b"Secret\x00: token"), LIMITS)
    assert "ecret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("fields", "line", "upgrades"),
    [
        ((b"Upgrade: WebSocket", b"Connection: Upgrade"), b"GET / HTTP/1.1", (b"websocket",)),
        ((b"Upgrade: a, b/2", b"Connection: keep-alive, UPGRADE"), b"GET / HTTP/1.1", (b"a", b"b/2")),
        ((b"Upgrade: websocket", b"Connection: keep-alive"), b"GET / HTTP/1.1", ()),
        ((b"Upgrade: websocket",), b"GET / HTTP/1.1", ()),
        ((b"Upgrade: ,", b"Connection: upgrade"), b"GET / HTTP/1.1", ()),
        ((b"Connection: upgrade",), b"GET / HTTP/1.1", ()),
        ((b"Upgrade: websocket", b"Connection: upgrade"), b"GET / HTTP/1.0", ()),
    ],
)
def test_an_upgrade_is_offered_only_hop_by_hop_and_not_in_1_0(
    fields: tuple[bytes, ...], line: bytes, upgrades: tuple[bytes, ...]
) -> None:
    """RFC 9110 sections 7.6.1 and 7.8."""
    assert read(get(*fields, line=line)).upgrades == upgrades
