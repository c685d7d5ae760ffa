"""The PROXY protocol: each case whole and octet by octet, with HTTP behind it."""

from __future__ import annotations

import struct

import pytest

from forkhttp.errors import ProtocolError
from forkhttp.wire import Preamble, parse_preamble
from tests.wire.delivery import FOLLOWER

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES_4 = bytes([1, 2, 3, 4, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 80)
ADDRESSES_6 = bytes.fromhex("20010db8" + "00" * 11 + "07" + "00" * 15 + "01") + struct.pack("!HH", 4711, 80)


def binary(rest: bytes = b"", command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def item(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def read(data: bytes, version: str) -> Preamble:
    """Read a preamble that must be complete, after it came out the same octet by octet."""
    found = parse_preamble(data + FOLLOWER, version)
    assert found is not None
    assert found.size == len(data)
    for size in range(len(data)):
        assert parse_preamble(data[:size], version) is None
    assert parse_preamble(data, version) == found
    return found


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (b"PROXY TCP4 1.2.3.4 10.0.0.1 4711 80", ("1.2.3.4", 4711)),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", ("255.255.255.255", 65535)),
        (b"PROXY TCP6 2001:DB8::7 ::1 4711 80", ("2001:db8::7", 4711)),
        (
            (
                b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
                b" 65535 65535"
            ),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
        ),
        (b"PROXY TCP6 ::ffff:1.2.3.4 ::1 4711 80", ("1.2.3.4", 4711)),
        (b"PROXY UNKNOWN", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2", None),
    ],
)
def test_version_1(line: bytes, source: tuple[str, int] | None) -> None:
    assert read(line + b"\r\n", "v1")[1:] == (source, False, False)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\r\nPROXY UNKNOWN\r\n",
        b"proxy UNKNOWN\r\n",
        b"PROXY  UNKNOWN\r\n",
        b"PROXY UNKNOWN\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN a\rb\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 4711\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 4711 80 \r\n",
        b"PROXY TCP4 1.2.3.4  10.0.0.1 4711 80\r\n",
        b"PROXY TCP4 1.2.3.256 10.0.0.1 4711 80\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0 4711 80\r\n",
        b"PROXY TCP4 ::1 ::1 4711 80\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 4711 80\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 65536 80\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 4711 99999\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 +711 80\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 4711 \xd9\xa5\r\n",
        b"PROXY UDP4 1.2.3.4 10.0.0.1 4711 80\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",  # 108 octets
        binary(ADDRESSES_4),
    ],
)
def test_what_is_no_version_1_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError) as refusal:
        parse_preamble(data, "v1")
    assert refusal.value.status == 400


def test_a_line_without_end_is_refused_when_it_is_too_long_and_not_before() -> None:
    line = b"PROXY UNKNOWN " + b"x" * 92
    assert parse_preamble(line, "v1") is None
    with pytest.raises(ProtocolError):
        parse_preamble(line + b"x", "v1")


@pytest.mark.parametrize(
    ("data", "source", "tls"),
    [
        (binary(ADDRESSES_4), ("1.2.3.4", 4711), False),
        (binary(ADDRESSES_6, family=0x21), ("2001:db8::7", 4711), False),
        (binary(ADDRESSES_4 + item(0x20, b"\x01\0\0\0\0")), ("1.2.3.4", 4711), True),
        (binary(ADDRESSES_4 + item(0x20, b"\x02\0\0\0\0")), ("1.2.3.4", 4711), False),
        (binary(ADDRESSES_4 + item(4, b"") + item(0x20, b"")), ("1.2.3.4", 4711), False),
        (binary(ADDRESSES_4 + item(3, b"abcd") + item(0x20, b"\x05\0\0\0\0")), ("1.2.3.4", 4711), True),
        (binary(b"\0" * 216, family=0x31), None, False),
        (binary(b"", family=0x00), None, False),
        (binary(item(0x20, b"\x01\0\0\0\0"), family=0x00), None, True),
        # A proxy that asks for itself, such as a health check: addresses are not looked at.
        (binary(b"", command=0x20, family=0x00), None, False),
        (binary(b"anything", command=0x20, family=0x11), None, False),
    ],
)
def test_version_2(data: bytes, source: tuple[str, int] | None, tls: bool) -> None:  # noqa: FBT001 - a parameter of the cases
    assert read(data, "v2")[1:] == (source, data[12] == 0x20, tls)


@pytest.mark.parametrize(
    "data",
    [
        b"GET",
        b"PROXY UNKNOWN\r\n",
        SIGNATURE[:-1] + b"\r",
        binary(ADDRESSES_4, command=0x11),
        binary(ADDRESSES_4, command=0x22),
        binary(ADDRESSES_4, family=0x12),
        binary(ADDRESSES_4, family=0x41),
        binary(ADDRESSES_4[:-1]),
        binary(ADDRESSES_6[:-1], family=0x21),
        binary(ADDRESSES_4 + b"\x20"),
        binary(ADDRESSES_4 + b"\x20\x00\x05\x01"),
        binary(ADDRESSES_4 + b"x" * 4085),
    ],
)
def test_what_is_no_version_2_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError) as refusal:
        parse_preamble(data, "v2")
    assert refusal.value.status == 400


def test_a_length_that_is_too_long_is_refused_before_its_octets_come() -> None:
    with pytest.raises(ProtocolError):
        parse_preamble(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4097), "v2")
