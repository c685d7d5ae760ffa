"""What must hold, for any octets, of what is believed of proxies; shared by properties and fuzzing.

The attacker is a proxy's client: it writes fields, or octets behind a preamble, and wants to
be taken for somebody else. The proxy adds its own line or list entry behind them.
"""

from __future__ import annotations

import ipaddress
import struct
from contextlib import suppress

from hypothesis import strategies as st

from forkhttp.errors import ProtocolError
from forkhttp.wire import (
    Client,
    Family,
    RequestHead,
    TrustedPeers,
    claimed_client,
    parse_head,
    parse_preamble,
)
from tests.wire.delivery import LIMITS
from tests.wire.invariants import octets

PEER = Client(("10.0.0.1", 4711), "http")
PROXIES = TrustedPeers(["10.0.0.0/8"])

#: Whom the proxy was asked by.
TRUTH = "192.0.2.1"

#: The longest preamble of each version.
LONGEST = {"v1": 107, "v2": 16 + 4096}

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LINES = (
    b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
    b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
    b"PROXY UNKNOWN\r\n",
)
_ITEMS = (b"", b"\x20\x00\x01\x01", b"\x20\x00\x00", b"\x04\x00\x02xx", b"\x20", b"\x20\xff\xff\x01")


def _binary(command: int, family: int, rest: bytes) -> bytes:
    return _SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


EACH_PREAMBLE = [
    *_LINES,
    *(_binary(command, 0x11, b"\x00" * 12 + item) for command in (0x20, 0x21) for item in _ITEMS),
    *(_binary(0x21, family, b"\x01" * 36) for family in (0x00, 0x12, 0x21, 0x31)),
    _binary(0x21, 0x31, b"\x01" * 216),
]

preambles = st.one_of(
    st.sampled_from(EACH_PREAMBLE),
    st.binary(max_size=40).map(lambda rest: _SIGNATURE + rest),
    st.tuples(st.sampled_from(_LINES), st.integers(0, 40), st.binary(max_size=2)).map(
        lambda part: part[0][: part[1]] + part[2] + part[0][part[1] :]
    ),
)

#: Pieces of the values that a client may write into forwarded fields.
_PIECES = (
    b"for=9.9.9.9",
    b"9.9.9.9",
    b"10.1.1.1",
    b"[2001:db8::9]:1",
    b'"',
    b"\\",
    b";",
    b",",
    b"=",
    b" ",
    b"\t",
    b"proto=https",
    b"unknown",
    b"_x",
    b":",
    b"\r\nX-Forwarded-For: 9.9.9.9",
    b"\r\nForwarded: for=9.9.9.9",
    b"\r\nX-Forwarded-Proto: https",
    b"\xff",
)

EACH_CLAIM = [*_PIECES, b"\r\n", b"\r\nForwardedo:"]

claims = st.lists(st.sampled_from(_PIECES), max_size=12).map(b"".join)


def check_preamble(data: bytes) -> None:
    """Hold the parser of preambles to its promises: one verdict, however the octets come, within bounds."""
    for version, longest in LONGEST.items():
        whole = _verdict(data, version)
        if isinstance(whole, int):
            assert whole < longest, "it asks for more than there may be"
        growing = b""
        verdict: object = 0
        for octet in octets(data):
            growing += octet
            verdict = _verdict(growing, version)
            if not isinstance(verdict, int):
                break
        assert verdict == whole


def _verdict(data: bytes, version: str) -> object:
    """Give what was read, or how much there is while more is needed, or the refusal."""
    try:
        preamble = parse_preamble(data, version)
    except ProtocolError as error:
        return f"refused with {error.status}"
    if preamble is None:
        return len(data)
    assert preamble.size <= min(len(data), LONGEST[version])
    if preamble.source is not None:
        _judge_address(preamble.source)
    return preamble


def check_claims(data: bytes) -> None:
    """Hold what is believed to its promises: a client cannot be taken for anybody else."""
    for family, line in (
        (Family.X_FORWARDED, b"X-Forwarded-For: "),
        (Family.FORWARDED, b"Forwarded: "),
    ):
        told = TRUTH.encode() if family is Family.X_FORWARDED else b"for=%b;proto=http" % TRUTH.encode()
        for proxys in (b"\r\n" + line + told, b", " + told):
            if proxys.startswith(b",") and b"\n" in data:
                continue  # a proxy that goes on with a line goes on with that of its family
            client = _client(line + data + proxys, family)
            if client is None:
                continue
            _judge_address(client.address)
            same_line = proxys.startswith(b",") and family is Family.FORWARDED
            believed = {(TRUTH, 0), PEER.address} if same_line else {(TRUTH, 0)}
            assert client.address in believed, client
        for other in (
            Family.NONE,
            *(each for each in (Family.X_FORWARDED, Family.FORWARDED) if each != family),
        ):
            _judge_hiding(line + data, other)


def _client(lines: bytes, family: Family) -> Client | None:
    head = _head_with(lines, family)
    return None if head is None else claimed_client(head, family, PEER, PROXIES.includes)


def _head_with(lines: bytes, family: Family) -> RequestHead | None:
    """A head with these lines; None if they are refused, or end it: no proxy passes that on as a line."""
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n"
    with suppress(ProtocolError):
        head = parse_head(data, LIMITS)
        assert head is not None
        head.believed = family
        return head if head.size == len(data) else None
    return None


def _judge_hiding(lines: bytes, family: Family) -> None:
    """What is shown as octets is what is shown as fields, and nothing of it is of another family."""
    head = _head_with(lines, family)
    if head is None:
        return
    again = parse_head(head.shown_octets, LIMITS)
    assert again is not None
    again.believed = Family.ANY
    assert again.fields() == head.fields()
    assert again.shown_octets == head.shown_octets
    names = [name.lower() for name, _ in head.fields()]
    if family is not Family.FORWARDED:
        assert "forwarded" not in names
    if family is not Family.X_FORWARDED:
        assert not [name for name in names if name.startswith("x-forwarded-") or name == "x-real-ip"]


def _judge_address(address: tuple[str, int]) -> None:
    host, port = address
    ipaddress.ip_address(host)
    assert 0 <= port <= 0xFFFF
