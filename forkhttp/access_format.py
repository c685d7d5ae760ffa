r"""How one answered request becomes one line of the access log.

A format is ``combined``, ``json``, or a pattern in the letters of Apache
(``%h %{Referer}i``) or gunicorn (``%(h)s %({referer}i)s``). It is compiled once;
the configuration compiles it to check it, the log to use it. What a peer sent is
octets and not text, so everything but printable ASCII leaves as ``\xHH``: one
record is one line, and no terminal obeys it.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The format that log analysers know: Apache's "combined".
COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'

#: Octets that need no escape: printable ASCII but the quote and the backslash.
_SAFE = bytes(octet for octet in range(0x20, 0x7F) if octet not in b'"\\')
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_DIRECTIVE = re.compile(
    r"%(?:(?P<percent>%)"
    r"|>?(?P<letter>[A-Za-z])"
    r"|\{(?P<name>[!#-'*+.^_`|~0-9A-Za-z-]+)\}i"
    r"|\((?P<word>[A-Za-z])\)s"
    r"|\(\{(?P<header>[!#-'*+.^_`|~0-9A-Za-z-]+)\}i\)s)"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class AccessRecord(Protocol):
    """What a line can tell of one exchange."""

    @property
    def client(self) -> str:
        """The client's address; empty for a peer without one (unix sockets)."""

    @property
    def method(self) -> str:
        """The method, as it was sent."""

    @property
    def target(self) -> str:
        """The request target with its query."""

    @property
    def request_line(self) -> str:
        """The request line, as it was sent; empty if none arrived."""

    @property
    def status(self) -> int:
        """The status of the answer."""

    @property
    def octets(self) -> int:
        """The body octets of the answer."""

    @property
    def seconds(self) -> float:
        """From the request's head to the answer's end."""

    def field(self, name: str) -> str | None:
        """Give the value of a field of the request, or None."""


if TYPE_CHECKING:
    Part = Callable[[AccessRecord], str]
    Formatter = Callable[[AccessRecord], bytes]


def compile_format(pattern: str, now: Callable[[], float] = time.time) -> Formatter:
    """Make the function that renders a record as one line, newline included.

    Raises:
        ValueError: the pattern has a letter that means nothing here, a control
            character, or no letter at all; the message names the column.
    """
    if pattern == "json":
        return _json_lines(now)
    template, parts = _compile(COMBINED if pattern == "combined" else pattern, now)
    # One look at the whole line: what is unsafe in it must be the pattern's own quotes.
    # A look at each value costs twice as much as all the rest of the line.
    own = (template % (("",) * len(parts))).encode().translate(None, _SAFE)

    def line(record: AccessRecord) -> bytes:
        data = (template % tuple([part(record) for part in parts])).encode("utf-8", "backslashreplace")
        if data.translate(None, _SAFE) == own:
            return data
        return (template % tuple([escaped(part(record)) for part in parts])).encode()

    return line


def escaped(text: str) -> str:
    r"""Render what a peer sent as printable ASCII, ``"`` and ``\`` escaped as well."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return f"\\{character}"
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _compile(pattern: str, now: Callable[[], float]) -> tuple[str, tuple[Part, ...]]:
    """Split a pattern into a template of ``%s`` and the functions that fill it."""
    if not pattern.isprintable():
        raise ValueError("a log format is one line without control characters")
    template: list[str] = []
    parts: list[Part] = []
    for piece, column in _pieces(pattern):
        if not piece.startswith("%") or piece == "%%":
            template.append(piece)
        elif piece in _NOTHING:
            template.append("-")
        else:
            template.append("%s")
            parts.append(_part(piece, column, now))
    if not parts:
        raise ValueError(f"{pattern!r} is neither combined nor json nor a pattern with letters such as %h")
    return "".join(template) + "\n", tuple(parts)


def _pieces(pattern: str) -> Iterator[tuple[str, int]]:
    """Cut a pattern into literal texts and directives, each with its column (from 1)."""
    at = 0
    while at < len(pattern):
        if pattern[at] == "%":
            match = _DIRECTIVE.match(pattern, at)
            if match is None:
                raise ValueError(f"unknown directive {pattern[at : at + 12]!r} at column {at + 1}; {_KNOWN}")
            end = match.end()
        else:
            end = pattern.find("%", at)
            end = len(pattern) if end < 0 else end
        yield pattern[at:end], at + 1
        at = end


def _part(piece: str, column: int, now: Callable[[], float]) -> Part:
    match = _DIRECTIVE.fullmatch(piece)
    name = match and (match["name"] or match["header"])
    if name:
        return _field(name)
    letter = match and (match["letter"] or match["word"])
    if letter == "t":
        return _apache_time(now)
    part = _GUNICORN.get(piece) or _LETTERS.get(letter or "")
    if part is None or (piece.startswith("%>") and letter != "s"):
        raise ValueError(f"unknown directive {piece!r} at column {column}; {_KNOWN}")
    return part


def _field(name: str) -> Part:
    def value(record: AccessRecord) -> str:
        return record.field(name) or "-"

    return value


def _apache_time(now: Callable[[], float]) -> Part:
    """Give ``[21/Nov/2026:01:47:00 +0000]``, local time, rendered once a second."""
    second, text = -1, ""

    def stamp(_record: AccessRecord) -> str:
        nonlocal second, text
        current = int(now())
        if current != second:
            at = time.localtime(current)
            # Not strftime("%b"): the month's name must not follow the application's locale.
            month = _MONTHS[at.tm_mon - 1]
            text = time.strftime(f"[%d/{month}/%Y:%H:%M:%S %z]", at)
            second = current
        return text

    return stamp


#: The identity and the user: nobody has verified what an Authorization field claims.
_NOTHING = ("%l", "%u", "%(l)s", "%(u)s")
_LETTERS: dict[str, Part] = {
    "h": lambda record: record.client or "-",
    "r": lambda record: record.request_line or "-",
    "m": lambda record: record.method or "-",
    "U": lambda record: record.target.partition("?")[0] or "-",
    "q": lambda record: "".join(record.target.partition("?")[1:]),
    "H": lambda record: record.request_line.rpartition(" ")[2] or "-",
    "s": lambda record: str(record.status),
    "b": lambda record: str(record.octets or "-"),
    "B": lambda record: str(record.octets),
    "T": lambda record: str(int(record.seconds)),
    "D": lambda record: str(int(record.seconds * 1_000_000)),
    "M": lambda record: str(int(record.seconds * 1_000)),
    "L": lambda record: f"{record.seconds:.6f}",
    "p": lambda _record: str(os.getpid()),
    "P": lambda _record: str(os.getpid()),
}
#: Two letters that mean other things to Apache, so they exist in gunicorn's spelling only.
_GUNICORN: dict[str, Part] = {"%(f)s": _field("Referer"), "%(a)s": _field("User-Agent")}
_KNOWN = "known are " + " ".join(f"%{letter}" for letter in ("l", "u", "t", *_LETTERS)) + " %{Name}i %%"


class _JsonLine(msgspec.Struct):
    time: str
    client: str
    method: str
    target: str
    protocol: str
    status: int
    octets: int
    seconds: float
    referer: str | None
    user_agent: str | None
    pid: int


def _json_lines(now: Callable[[], float]) -> Formatter:
    encode = msgspec.json.Encoder().encode
    second, text = -1, ""

    def line(record: AccessRecord) -> bytes:
        nonlocal second, text
        instant = now()
        current = int(instant)
        if current != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(current))
            second = current
        value = _JsonLine(
            time=f"{text}.{int((instant - current) * 1000):03d}Z",
            client=record.client,
            method=record.method,
            target=record.target,
            protocol=record.request_line.rpartition(" ")[2],
            status=record.status,
            octets=record.octets,
            seconds=round(record.seconds, 6),
            referer=record.field("Referer"),
            user_agent=record.field("User-Agent"),
            pid=os.getpid(),
        )
        try:
            encoded = encode(value)
        except UnicodeEncodeError:  # a lone surrogate, from a path that was no UTF-8
            return _json_ascii(value)
        if encoded.isascii() and b"\x7f" not in encoded:
            return encoded + b"\n"
        return _json_ascii(value)

    return line


def _json_ascii(value: _JsonLine) -> bytes:
    """Encode what holds C1 controls or DEL, which JSON allows and terminals obey."""
    text = json.dumps(msgspec.structs.asdict(value), separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode() + b"\n"
