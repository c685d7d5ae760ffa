"""The configuration file: its values, and the line of each key.

``tomllib`` reads the values, but keeps no lines. A scanner finds them in a text
that ``tomllib`` has accepted, so it need not judge: it knows comments, strings
and brackets just well enough to tell where a statement begins. A key inside
an inline table or array has the line of the statement that it is part of.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from forkhttp.config.values import toml_key
from forkhttp.errors import Fault

if TYPE_CHECKING:
    from pathlib import Path

#: Where something stands in a document: keys, and indexes of arrays.
Place = tuple[str | int, ...]

#: Octets of a configuration file; a larger one is some other file.
MOST_OCTETS = 1 << 20

#: A token of TOML 1.0, the longest kinds first; the last alternative is everything that needs no look.
_TOKEN = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'''
    r"""|'''(?:[^']|'(?!''))*'{3,5}"""
    r'''|"(?:[^"\\\n]|\\.)*"'''
    r"""|'[^'\n]*+'"""
    r"""|\#[^\n]*+"""
    r"""|[\[\]{}=\n]"""
    r"""|[^"'\#\[\]{}=\n]++""",
    re.DOTALL,
)


class Document(NamedTuple):
    """A configuration file that was read.

    Attributes:
        path: as the operator named it.
        values: what ``tomllib`` made of it.
        lines: the line where a key or table is first written, from 1.
    """

    path: str
    values: dict[str, Any]
    lines: dict[Place, int]

    def where(self, place: Place) -> str:
        """Give ``file:line`` of a place, or of the nearest statement that holds it."""
        for length in range(len(place), 0, -1):
            line = self.lines.get(place[:length])
            if line is not None:
                return f"{self.path}:{line}"
        return self.path


def read_document(path: Path) -> Document:
    """Read a configuration file.

    Raises:
        Fault: it cannot be read, or is not TOML; with the line, where one is known.
    """
    name = str(path) if str(path).isprintable() else toml_key(str(path))
    octets = _read(path, name)
    try:
        # Some editors begin a file with a byte order mark; it says nothing here.
        text = octets.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise Fault("", "not TOML: expected UTF-8", f"{name}:{line}") from None
    try:
        return Document(name, tomllib.loads(text), key_lines(text))
    except tomllib.TOMLDecodeError as error:
        line, reason = _syntax_fault(str(error), text)
        raise Fault("", f"not TOML: {reason}", f"{name}:{line}") from None
    except ValueError as error:  # a number of thousands of digits, whose line nobody tells
        raise Fault("", f"not TOML: {str(error).partition(';')[0]}", name) from None
    except RecursionError:
        raise Fault("", "not TOML: brackets are nested too deeply", name) from None


def key_lines(text: str) -> dict[Place, int]:
    """Find the line of each key and table of a valid TOML text."""
    lines: dict[Place, int] = {}
    arrays: dict[Place, int] = {}
    table: Place = ()
    line = 1
    for statement in _statements(text):
        head = statement.lstrip()
        if head.startswith("["):
            place = table = _table(head, arrays)
        elif head and not head.startswith("#"):
            place = table + _key(head)
        else:
            place = ()
        for length in range(1, len(place) + 1):
            lines.setdefault(place[:length], line)
        line += statement.count("\n")
    return lines


def _read(path: Path, name: str) -> bytes:
    """Read a regular file whole; anything else could block, and a reload could not read it again."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Fault("", "not a regular file, which a reload could read again", name)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                octets = file.read(MOST_OCTETS + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Fault("", f"cannot be read: {reason}", name) from None
    if len(octets) > MOST_OCTETS:
        raise Fault("", f"not a configuration file: it has more than {MOST_OCTETS} octets", name)
    return octets


def _syntax_fault(message: str, text: str) -> tuple[int, str]:
    """Take the line out of what ``tomllib`` says: "Invalid value (at line 2, column 5)"."""
    reason, _, place = message.rpartition(" (at ")
    found = re.match(r"line (\d+), column (\d+)\)", place)
    if found:
        return int(found[1]), f"{reason} at column {found[2]}"
    return text.rstrip("\n").count("\n") + 1, reason


def _statements(text: str) -> list[str]:
    """Split a text at the line ends that end statements; what is split off is the line end alone."""
    statements = []
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == "\n" and depth == 0:
            statements.append(text[begin : token.end()])
            begin = token.end()
    statements.append(text[begin:])
    return statements


def _table(header: str, arrays: dict[Place, int]) -> Place:
    """Give the place that a header opens; ``arrays`` counts the tables of each array so far."""
    repeated = header.startswith("[[")
    keys = _key(header.lstrip("["), end="]")
    place: Place = ()
    for key in keys[:-1]:
        place = _in_array((*place, key), arrays)
    place = (*place, keys[-1])
    if not repeated:
        return _in_array(place, arrays)
    arrays[place] = arrays.get(place, -1) + 1
    return (*place, arrays[place])


def _in_array(place: Place, arrays: dict[Place, int]) -> Place:
    """Where ``place`` is an array of tables, a header means the last of them."""
    return (*place, arrays[place]) if place in arrays else place


def _key(text: str, end: str = "=") -> Place:
    """Read the dotted key that ``text`` begins with, up to ``end``."""
    tokens = (token[0] for token in _TOKEN.finditer(text))
    dotted = "".join(takewhile(lambda token: token != end, tokens))
    # Quotes, escapes and blanks between the dots: tomllib reads them better than another pattern.
    value: Any = tomllib.loads(f"{dotted} = 0")
    keys = []
    while isinstance(value, dict):
        ((key, value),) = value.items()
        keys.append(key)
    return tuple(keys)
