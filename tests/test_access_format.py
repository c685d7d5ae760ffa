"""Access lines: what each letter gives, what is refused, what is escaped."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkhttp.access_format import compile_format, escaped

INSTANT = 1_795_225_620.25


@dataclass
class Exchange:
    """One answered request, as the server would tell it."""

    client: str = "192.0.2.7"
    method: str = "GET"
    target: str = "/path?x=1"
    request_line: str = "GET /path?x=1 HTTP/1.1"
    status: int = 200
    octets: int = 14
    seconds: float = 1.25
    fields: dict[str, str] = field(default_factory=dict)

    def field(self, name: str) -> str | None:
        """Look it up as the server does, in any case."""
        return self.fields.get(name.lower())


def line_of(pattern: str, exchange: Exchange | None = None) -> str:
    return compile_format(pattern, lambda: INSTANT)(exchange or Exchange()).decode()


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-02:30")
    time.tzset()


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%h", "192.0.2.7"),
        ("%s %l %u", "200 - -"),
        ("%t", "[21/Nov/2026:04:17:00 +0230]"),
        ("%r", "GET /path?x=1 HTTP/1.1"),
        ("%m %U %q %H", "GET /path ?x=1 HTTP/1.1"),
        ("%s %>s", "200 200"),
        ("%b %B", "14 14"),
        ("%T %M %D %L", "1 1250 1250000 1.250000"),
        ("%p %P", f"{os.getpid()} {os.getpid()}"),
        ("%{X-Request-Id}i %{Missing}i", "abc -"),
        ("100%% %h", "100% 192.0.2.7"),
        (
            '%(h)s %(l)s %(u)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
            '192.0.2.7 - - "GET /path?x=1 HTTP/1.1" 200 14 "-" "curl"',
        ),
        ("%({x-request-id}i)s", "abc"),
        ("naïve %s", "naïve 200"),
    ],
)
def test_a_letter_gives_its_fact(pattern: str, text: str) -> None:
    exchange = Exchange(fields={"x-request-id": "abc", "user-agent": "curl"})
    assert line_of(pattern, exchange) == text + "\n"


def test_combined_is_the_line_that_analysers_know() -> None:
    exchange = Exchange(fields={"referer": "http://a/", "user-agent": "curl/8"})
    assert line_of("combined", exchange) == (
        '192.0.2.7 - - [21/Nov/2026:04:17:00 +0230] "GET /path?x=1 HTTP/1.1" 200 14 "http://a/" "curl/8"\n'
    )


def test_what_is_missing_is_a_dash() -> None:
    empty = Exchange(client="", method="", target="", request_line="", octets=0)
    assert line_of("%h %m %U %r %H %b %B %q", empty) == "- - - - - - 0 \n"


@pytest.mark.parametrize(
    ("pattern", "column"),
    [
        ("%h %z", 4),
        ("%", 1),
        ("%h %{}i", 4),
        ("%{Name}o", 1),
        ("%(h)", 1),
        ("%(z)s", 1),
        ("%>b", 1),
        ("%a %f", 1),
    ],
)
def test_an_unknown_letter_is_refused_at_its_column(pattern: str, column: int) -> None:
    with pytest.raises(ValueError, match=f"unknown directive .* at column {column}; known are %l"):
        compile_format(pattern)


@pytest.mark.parametrize("pattern", ["", "conbined", "two\nlines %h", "100%%"])
def test_a_pattern_must_say_something_in_one_line(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"neither combined nor json|control characters"):
        compile_format(pattern)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\nb", r"a\x0ab"),
        ("\x00\x1b[2J", r"\x00\x1b[2J"),
        ("\x7f", r"\x7f"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\xe4\xff", r"\xe4\xff"),
        ('"', r"\""),
        ("\\", r"\\"),
        ("\u2028\udc80", r"\u2028\udc80"),
        ("plain ~!", "plain ~!"),
    ],
)
def test_what_a_peer_sent_is_escaped(raw: str, shown: str) -> None:
    assert escaped(raw) == shown
    assert line_of('"%r" é %{A}i', Exchange(request_line=raw, fields={"a": raw})) == f'"{shown}" é {shown}\n'


@given(st.text(), st.text())
def test_any_values_stay_one_line_of_visible_text(target: str, agent: str) -> None:
    exchange = Exchange(request_line=target, target=target, fields={"user-agent": agent})
    line = line_of('"%r" %U "%{User-Agent}i"', exchange)
    assert re.fullmatch(r'"(?:[^"\\]|\\.)*" [!-~ ]* "(?:[^"\\]|\\.)*"\n', line)
    assert line[:-1].isascii()
    assert line[:-1].isprintable()


@given(st.text())
def test_a_json_line_gives_back_what_was_sent(text: str) -> None:
    line = line_of("json", Exchange(target=text, fields={"user-agent": text}))
    value = json.loads(line)
    assert value["target"] == value["user_agent"] == text
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()


def test_a_json_line_is_typed() -> None:
    assert json.loads(line_of("json")) == {
        "time": "2026-11-21T01:47:00.250Z",
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/path?x=1",
        "protocol": "HTTP/1.1",
        "status": 200,
        "octets": 14,
        "seconds": 1.25,
        "referer": None,
        "user_agent": None,
        "pid": os.getpid(),
    }


def test_the_time_follows_the_clock() -> None:
    instants = iter([INSTANT, INSTANT + 0.5, INSTANT + 1])
    line = compile_format("%t", lambda: next(instants))
    assert [line(Exchange())[-10:-8] for _ in range(3)] == [b"00", b"00", b"01"]
