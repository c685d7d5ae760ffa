"""Addresses: what each form means, and what is said about those that are none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkhttp.config.addresses import (
    Address,
    DescriptorAddress,
    SystemdAddress,
    TcpAddress,
    UnixAddress,
    conflict,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
        ("localhost:0", TcpAddress("127.0.0.1", 0)),
        (":8000", TcpAddress("0.0.0.0", 8000)),  # noqa: S104 - not bound
        ("[::1]:65535", TcpAddress("::1", 65535, v6=True)),
        ("[0:0::1]:80", TcpAddress("::1", 80, v6=True)),
        ("[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80, v6=True)),
        ("unix:/run/a.sock", UnixAddress("/run/a.sock")),
        ("unix:///run/a.sock", UnixAddress("/run/a.sock")),
        ("unix:run/a.sock", UnixAddress("run/a.sock")),
        ("unix:@a", UnixAddress("\0a")),
        ("fd:3", DescriptorAddress(3)),
        ("systemd", SystemdAddress()),
    ],
)
def test_each_form_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8000", "a port alone; write 127.0.0.1:8000, or :8000"),
        ("localhost", "no port; write localhost:8000"),
        ("127.0.0.1", "no port; write 127.0.0.1:8000"),
        ("[::1]", r"no port; write \[::1\]:8000"),
        ("127.0.0.1:", "a port from 0 to 65535"),
        ("127.0.0.1:65536", "a port from 0 to 65535"),
        ("127.0.0.1:٣", "a port from 0 to 65535"),
        (":http", "a port from 0 to 65535"),
        ("example.org:80", "host names are not looked up; .* of example.org"),
        ("1.2.3:80", "1.2.3 is no IPv4 address"),
        ("1.2.3.400:80", "1.2.3.400 is no IPv4 address"),
        ("01.2.3.4:80", "01.2.3.4 is no IPv4 address"),
        ("::1:80", "stands in brackets"),
        ("[::1:80", "stands in brackets"),
        ("[::g]:80", "'::g' is no IPv6 address"),
        ("[::ffff:1.2.3.4]:80", "written as such: 1.2.3.4:80"),
        ("*:80", r"write :80 for every IPv4 address, \[::\]:80"),
        ("http://127.0.0.1:80", "a URL is none"),
        ("/run/a.sock", "write unix:/run/a.sock"),
        ("unix:", "needs a path"),
        ("unix:@", "needs a path"),
        ("unix:/a\0b", "NUL"),
        ("unix:/" + "é" * 54, "at most 107 octets, this one 109"),
        ("fd:2", "3 or more"),
        ("fd:", "3 or more"),
        ("fd:99999999999", "3 or more"),
        ("fd:4294967296", "3 or more"),
        ("", "expected host:port"),
        ("a b:80", "expected host:port"),
    ],
)
def test_what_is_no_address_is_told_what_it_should_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_address(text)


@given(st.text(alphabet=st.one_of(st.sampled_from("[]:.%*@/0123456789abcdfixnu"), st.characters())))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        address = parse_address(text)
        assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("first", "second", "conflicting"),
    [
        (":80", "127.0.0.1:80", True),
        ("127.0.0.1:80", ":80", True),
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("[::]:80", ":80", False),
        ("[::]:80", "[::1]:80", True),
        (":80", ":81", False),
        (":0", ":0", False),
        ("unix:/a", "unix:///a", True),
        ("unix:/a", "unix:/b", False),
        ("systemd", "systemd", True),
        ("fd:3", "fd:4", False),
        ("fd:3", ":80", False),
    ],
)
def test_addresses_that_cannot_both_be_bound_conflict(first: str, second: str, conflicting: bool) -> None:  # noqa: FBT001 - a case of the table
    other = parse_address(first)
    assert conflict(parse_address(second), [SystemdAddress()] if other != SystemdAddress() else []) is None
    assert (conflict(parse_address(second), [other]) == other) is conflicting
