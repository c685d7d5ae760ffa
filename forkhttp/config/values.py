"""One value for one key: converted, or refused with what was expected and what was meant."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import tomllib
from typing import TYPE_CHECKING

import msgspec

from forkhttp.settings import MOST, YEAR

if TYPE_CHECKING:
    from forkhttp.config.keys import Key

#: Characters of a value that a fault shows.
SHOWN = 200

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s|sec|m|min|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"([0-9]{1,9})\s*([kmg])i?b?", re.IGNORECASE)
_OCTETS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

#: What no setting may hold: control characters would break a log line or a terminal, and lone surrogates
#: are octets of the environment or the command line that are not UTF-8.
_UNFIT = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")


class Typed(str):
    """A value as somebody typed it into a command line or an environment.

    It is read as TOML where that gives what the key takes, and else as text, so
    neither ``4`` nor ``debug`` needs quotes. Where several are taken, a text may list
    them with commas.
    """

    __slots__ = ()


class UnfitError(ValueError):
    """The value cannot be taken; the message says what was expected, given and meant."""


def convert(key: Key, value: object) -> object:
    """Give the value that ``key`` will have.

    Raises:
        UnfitError: it has another type, or is out of bounds.
    """
    readings = _readings(key, value) if isinstance(value, Typed) else [value]
    for reading in readings:
        if _fits(key, reading):
            converted: object = msgspec.convert(reading, key.type)
            check_text(converted)
            return converted
    problem = f"expected {key.expected}, got {shown(readings[0])}"
    raise UnfitError(problem + _meant(key, readings[0]))


def check_text(value: object) -> None:
    """Refuse text that cannot stand in one line.

    Raises:
        UnfitError: it holds a control character, or octets that are not UTF-8.
    """
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and _UNFIT.search(text):
            raise UnfitError(f"control characters, or octets that are not UTF-8, in {shown(text)}")


def shown(value: object) -> str:
    """Render a value, shortened, on one line, as an operator would call it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        short = value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"
        return json.dumps(short, ensure_ascii=not short.isprintable())
    if isinstance(value, int) and abs(value) > MOST:
        return "an integer of more than 62 bits"
    if isinstance(value, (int, float)):
        return str(value)
    return _kind(value)


def _kind(value: object) -> str:
    """Name what is no scalar."""
    if isinstance(value, (list, tuple)):
        other = next((item for item in value if not isinstance(item, str)), None)
        return "an array" if other is None else f"an array that holds {shown(other)}"
    return "a table" if isinstance(value, dict) else f"the date or time {value}"


def toml_key(name: str) -> str:
    """Write one part of a dotted key, in quotes where it needs them."""
    if re.fullmatch("[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=not name.isprintable())


def read_toml(text: str) -> object:
    """Read one TOML value.

    Raises:
        ValueError: it is none.
    """
    try:
        document = tomllib.loads(f"value = {text}")
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None
    if set(document) != {"value"}:
        raise ValueError("more than one value")
    value: object = document["value"]
    return value


def _readings(key: Key, typed: Typed) -> list[object]:
    """List what a typed value may mean, the likeliest first."""
    text = str(typed)
    readings: list[object] = []
    with contextlib.suppress(ValueError):  # most texts are no TOML: a path, an address, a word
        readings.append(read_toml(text))
    if _fits(key, []) and ("," in text or not _fits(key, "")):
        readings.append([part.strip() for part in text.split(",") if part.strip()])
    return [*readings, text]


def _fits(key: Key, value: object) -> bool:
    """Whether ``key`` takes the value as it is."""
    try:
        msgspec.convert(value, key.type)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter for octets that are not UTF-8
        return False
    return True


def _meant(key: Key, value: object) -> str:
    """Guess what was meant, from what ``key`` would take."""
    guess = ""
    if isinstance(value, str):
        guess = _meant_by_text(key, value)
    elif value is False and _fits(key, 0):
        guess = "0"
    elif isinstance(value, (int, float)):
        if value > YEAR and _fits(key, float(YEAR)):
            return f"; at most {YEAR} (a year)"
        if _fits(key, shown(value)):
            return ask_for_quotes(value)
    return f"; did you mean {guess}?" if guess else ""


def ask_for_quotes(value: object) -> str:
    """End a sentence about a value that should have been a string."""
    if not isinstance(value, (int, float)) or abs(value) > MOST:
        return ""
    return f'; did you mean "{shown(value)}", in quotes?'


def _meant_by_text(key: Key, text: str) -> str:
    """Guess what a text should have been."""
    close = difflib.get_close_matches(text.lower(), key.choices, n=1)
    if close:
        return f'"{close[0]}"'
    number = _in_units(key, text)
    if number is not None and _fits(key, number):
        return f"{number:g}" if isinstance(number, float) else str(number)
    lowered = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}.get(
        text.lower()
    )
    if lowered is not None and _fits(key, lowered):
        return shown(lowered)
    if _fits(key, [text]):
        return f"[{shown(text)}]"
    return ""


def _in_units(key: Key, text: str) -> int | float | None:
    """Read a number that was written as a text or with a unit: "4", "30s", "64KiB"."""
    try:
        plain = read_toml(text)
    except ValueError:
        plain = None
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return plain
    duration, size = _DURATION.fullmatch(text), _SIZE.fullmatch(text)
    if duration and _fits(key, 0.5):
        return float(duration[1]) * _SECONDS[duration[2]]
    if size:
        return int(size[1]) * _OCTETS[size[2].lower()]
    return None
