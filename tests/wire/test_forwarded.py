"""For whom a proxy speaks: what is shown, what is believed, and from whom."""

from __future__ import annotations

import pytest

from forkhttp.wire import Client, Family, RequestHead, TrustedPeers, claimed_client, parse_head
from tests.wire.delivery import LIMITS

PEER = Client(("10.0.0.1", 4711), "http")
PROXIES = TrustedPeers(["10.0.0.0/8", "2001:db8::1"])


def head_with(*lines: str) -> RequestHead:
    head = parse_head("\r\n".join(("GET / HTTP/1.1", "Host: a", *lines, "", "")).encode("latin-1"), LIMITS)
    assert head is not None
    return head


def client(family: Family, *lines: str) -> Client:
    head = head_with(*lines)
    head.believed = family
    return claimed_client(head, family, PEER, PROXIES.includes)


def x_forwarded(*lines: str) -> Client:
    return client(Family.X_FORWARDED, *lines)


def forwarded(*lines: str) -> Client:
    return client(Family.FORWARDED, *(f"Forwarded: {line}" for line in lines))


EVERYTHING = (
    "X-Forwarded-For: 1.1.1.1",
    "Accept: a",
    "x-forwarded-proto: https",
    "X-Real-IP: 2.2.2.2",
    "FORWARDED: for=3.3.3.3",
)


@pytest.mark.parametrize(
    ("believed", "shown"),
    [
        (Family.NONE, ["Host", "Accept"]),
        (Family.X_FORWARDED, ["Host", "X-Forwarded-For", "Accept", "x-forwarded-proto", "X-Real-IP"]),
        (Family.FORWARDED, ["Host", "Accept", "FORWARDED"]),
        (
            Family.ANY,
            ["Host", "X-Forwarded-For", "Accept", "x-forwarded-proto", "X-Real-IP", "FORWARDED"],
        ),
    ],
)
def test_a_head_shows_the_family_that_is_believed(believed: Family, shown: list[str]) -> None:
    head = head_with(*EVERYTHING)
    head.believed = believed
    assert [name for name, _ in head.fields()] == shown
    for name in ("Host", "X-Forwarded-For", "Accept", "X-Forwarded-Proto", "X-Real-IP", "Forwarded"):
        assert (head.field(name) is not None) == (name.lower() in map(str.lower, shown))
    lines = head.shown_octets.decode().split("\r\n")
    assert lines[0] == "GET / HTTP/1.1"
    assert [line.partition(":")[0] for line in lines[1:-2]] == shown
    assert lines[-2:] == ["", ""]


def test_nothing_is_shown_of_a_family_unless_somebody_says_so() -> None:
    assert head_with(*EVERYTHING).believed is Family.NONE


def test_a_head_that_hides_nothing_is_shown_as_it_was_sent() -> None:
    head = head_with("Accept: a", "X-Forwarded: no family of its own")
    assert head.shown_octets is head.octets


def test_the_authority_of_the_target_and_hidden_fields_go_together() -> None:
    head = parse_head(b"GET http://b/ HTTP/1.1\r\nHost: a\r\nForwarded: for=1.1.1.1\r\nA: 1\r\n\r\n", LIMITS)
    assert head is not None
    assert head.fields() == [("Host", "b"), ("A", "1")]


@pytest.mark.parametrize(
    ("lines", "address", "scheme"),
    [
        ((), PEER.address, "http"),
        (("X-Forwarded-For: 1.1.1.1",), ("1.1.1.1", 0), "http"),
        (("X-Forwarded-For: 1.1.1.1:80",), ("1.1.1.1", 80), "http"),
        (("X-Forwarded-For: 2001:db8::7",), ("2001:db8::7", 0), "http"),
        (("X-Forwarded-For: [2001:DB8::7]",), ("2001:db8::7", 0), "http"),
        (("X-Forwarded-For: [2001:db8::7]:443",), ("2001:db8::7", 443), "http"),
        (("X-Forwarded-For: ::ffff:1.1.1.1",), ("1.1.1.1", 0), "http"),
        # The nearest speaker that is no proxy of ours is the client, whatever it claims itself.
        (("X-Forwarded-For: 9.9.9.9, 1.1.1.1",), ("1.1.1.1", 0), "http"),
        (("X-Forwarded-For: 9.9.9.9, 1.1.1.1, 10.1.1.1",), ("1.1.1.1", 0), "http"),
        (("X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 1.1.1.1\t,10.1.1.1"), ("1.1.1.1", 0), "http"),
        (("X-Forwarded-For: 1.1.1.1, 2001:db8::1",), ("1.1.1.1", 0), "http"),
        # All of them are proxies: the request began at the first.
        (("X-Forwarded-For: 10.2.2.2, 10.1.1.1",), ("10.2.2.2", 0), "http"),
        # An entry that names nobody ends the search.
        (("X-Forwarded-For: 1.1.1.1, unknown",), PEER.address, "http"),
        (("X-Forwarded-For: 1.1.1.1, , 10.1.1.1",), ("10.1.1.1", 0), "http"),
        (("X-Forwarded-For: 1.1.1.1, 10.1.1.1:99999",), PEER.address, "http"),
        (("X-Forwarded-For: 1.1.1.1:",), PEER.address, "http"),
        (("X-Forwarded-For: 1.1.1.1:x",), PEER.address, "http"),
        (("X-Forwarded-For: [1.1.1.1]",), PEER.address, "http"),
        (("X-Forwarded-For: [2001:db8::7",), PEER.address, "http"),
        (("X-Forwarded-For: [2001:db8::7]443",), PEER.address, "http"),
        (("X-Forwarded-For: 1.1.1.01",), PEER.address, "http"),
        (("X-Forwarded-For: \xb2.1.1.1",), PEER.address, "http"),
        # The scheme: one for all, or one a hop.
        (("X-Forwarded-Proto: https",), PEER.address, "https"),
        (("X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: HTTPS"), ("1.1.1.1", 0), "https"),
        (("X-Forwarded-For: 1.1.1.1, 10.1.1.1", "X-Forwarded-Proto: https"), ("1.1.1.1", 0), "https"),
        (("X-Forwarded-For: 1.1.1.1, 10.1.1.1", "X-Forwarded-Proto: https, http"), ("1.1.1.1", 0), "https"),
        (("X-Forwarded-For: 9.9.9.9, 1.1.1.1", "X-Forwarded-Proto: https, http"), ("1.1.1.1", 0), "http"),
        (("X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https, http"), ("1.1.1.1", 0), "http"),
        (("X-Forwarded-For: 1.1.1.1, unknown", "X-Forwarded-Proto: https"), PEER.address, "https"),
        (("X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: gopher"), ("1.1.1.1", 0), "http"),
        # The other family is what a client wrote.
        (("Forwarded: for=1.1.1.1;proto=https",), PEER.address, "http"),
        (("X-Real-IP: 1.1.1.1",), PEER.address, "http"),
    ],
)
def test_who_asks_by_x_forwarded(lines: tuple[str, ...], address: tuple[str, int], scheme: str) -> None:
    assert x_forwarded(*lines) == Client(address, scheme)


@pytest.mark.parametrize(
    ("lines", "address", "scheme"),
    [
        (("for=1.1.1.1",), ("1.1.1.1", 0), "http"),
        (("FOR=1.1.1.1;Proto=HTTPS;by=10.0.0.1;host=a",), ("1.1.1.1", 0), "https"),
        (('for="1.1.1.1:80"',), ("1.1.1.1", 80), "http"),
        (('for="[2001:db8::7]:443" ; proto="https"',), ("2001:db8::7", 443), "https"),
        (('for="1\\.1.1.1"',), ("1.1.1.1", 0), "http"),
        (("for=9.9.9.9, for=1.1.1.1;proto=https, for=10.1.1.1;proto=http",), ("1.1.1.1", 0), "https"),
        (("for=9.9.9.9", "for=1.1.1.1", ", for=10.1.1.1,;,"), ("1.1.1.1", 0), "http"),
        (("for=1.1.1.1, proto=https",), PEER.address, "https"),
        (("for=1.1.1.1, for=_hidden;proto=https",), PEER.address, "https"),
        (("for=1.1.1.1, for=unknown",), PEER.address, "http"),
        (("for=1.1.1.1;for=2.2.2.2",), PEER.address, "http"),
        (("for=1.1.1.1 proto=https",), PEER.address, "http"),
        (("for",), PEER.address, "http"),
        (("for = 1.1.1.1",), PEER.address, "http"),
        ((";;",), PEER.address, "http"),
        # A quote that a client leaves open does not swallow what the proxy adds, nor end well.
        (('for=9.9.9.9;x=", for=1.1.1.1',), PEER.address, "http"),
        (('for=9.9.9.9;x=", for="[2001:db8::7]"',), PEER.address, "http"),
        (('for=9.9.9.9;x="', "for=10.1.1.1"), ("10.1.1.1", 0), "http"),
    ],
)
def test_who_asks_by_forwarded(lines: tuple[str, ...], address: tuple[str, int], scheme: str) -> None:
    assert forwarded(*lines) == Client(address, scheme)


@pytest.mark.parametrize("family", [Family.NONE, Family.ANY])
def test_without_a_family_the_peer_is_who_asks(family: Family) -> None:
    assert client(family, *EVERYTHING) == PEER


def test_networks_addresses_and_peers_of_unix_sockets_are_trusted() -> None:
    peers = TrustedPeers(["10.0.0.0/8", "::1", "unix"])
    for host in ("10.9.8.7", "::1", "::ffff:10.1.1.1"):
        assert peers.includes(host)
    for host in ("11.0.0.1", "::2", "name", "", "fe80::1%eth0"):
        assert not peers.includes(host)
    assert peers.unix
    assert not TrustedPeers(["0.0.0.0/0"]).unix
    assert not TrustedPeers([]).includes("127.0.0.1")
    assert TrustedPeers(["fe80::/10"]).includes("fe80::1%eth0")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("proxy.example", '"proxy.example" is no numeric address or network, and not "unix"'),
        ("*", '"\\*" is no numeric address'),
        ("10.0.0.1/8", '"10.0.0.1/8" has bits beyond its mask; did you mean "10.0.0.0/8"?'),
        ("", '"" is no numeric address'),
        ("::ffff:10.0.0.0/104", 'IPv4 mapped into IPv6; did you mean "10.0.0.0/8"?'),
        ("::ffff:10.0.0.1", 'did you mean "10.0.0.1/32"?'),
    ],
)
def test_what_is_no_network_is_refused(entry: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("?", r"\?")):
        TrustedPeers([entry])
