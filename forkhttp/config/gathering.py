"""What each source says, key by key: values that fit, faults for those that do not.

A source that comes later overrides. Every value is converted where it is found, so
its fault has its own place, also when another source overrides it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from forkhttp.config.document import read_document
from forkhttp.config.keys import (
    ENV,
    ENVIRONMENT_PREFIX,
    FILE_VARIABLE,
    KEYS,
    LISTENER,
    LISTENER_KEYS,
    TABLES,
    VARIABLES,
    Key,
)
from forkhttp.config.suggestions import TABLE_AS_KEY, suggest_key, suggest_listener_key, suggest_variable
from forkhttp.config.values import Typed, UnfitError, ask_for_quotes, convert, read_toml, shown, toml_key
from forkhttp.errors import Fault
from forkhttp.settings import Listener, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from forkhttp.config.document import Place

#: The origin of a value that nobody gave.
DEFAULT = "default"


class Option(NamedTuple):
    """A key that the command line sets.

    Attributes:
        key: dotted name.
        value: ``Typed`` text, or a value of the key's own type.
        origin: the option as the operator knows it: ``--set``, ``-w``.
    """

    key: str
    value: object
    origin: str


@dataclass(slots=True)
class Gathered:
    """What the sources said so far; a later one overrides."""

    values: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    listeners: list[dict[str, Any]] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    faulty: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def where(self, name: str) -> str:
        """Give the place of a key; empty for a default."""
        return self.origins.get(name, "")

    def refuse(self, name: str, problem: str, where: str) -> None:
        """Add a fault that one source has."""
        self.faults.append(Fault(name, problem, where))
        self.faulty.add(name)

    def refuse_checked(self, name: str, problem: str) -> None:
        """Add a fault of the whole, unless the key is known to be wrong: then its value is not its own."""
        if name not in self.faulty:
            self.faults.append(Fault(name, problem, self.where(name)))

    def settings(self) -> tuple[Settings, dict[str, Listener]]:
        """Put the values that are good together, the defaults for the others."""
        if "bind" in self.faulty:  # else its default could conflict with a listener
            self.values["bind"] = ()
        kwargs: dict[str, dict[str, Any]] = {name: {} for name in ("", *TABLES)}
        for name, value in self.values.items():
            kwargs[KEYS[name].table][KEYS[name].last] = value
        top = kwargs.pop("")
        tables: dict[str, Any] = {name: TABLES[name](**values) for name, values in kwargs.items()}
        listeners = {
            f"{LISTENER}[{index}]": Listener(**values)
            for index, values in enumerate(self.listeners)
            if "bind" in values
        }
        return (
            Settings(**top, **tables, env=self.env, listener=tuple(listeners.values())),
            listeners,
        )

    def all_origins(self) -> dict[str, str]:
        """Give the origin of every key, those of defaults included."""
        known = {name: self.origins.pop(name, DEFAULT) for name in KEYS}
        for index, _ in enumerate(self.listeners):
            for last in LISTENER_KEYS:
                name = f"{LISTENER}[{index}].{last}"
                known[name] = self.origins.pop(name, DEFAULT)
        return {**known, **self.origins}


def gather_file(gathered: Gathered, file: Path) -> None:
    """Take what a file says."""
    try:
        document = read_document(file)
    except Fault as fault:
        gathered.faults.append(fault)
    else:
        _gather_table(gathered, (), document.values, document.where)


def gather_environment(gathered: Gathered, environ: Mapping[str, str]) -> None:
    """Take what the environment says."""
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == FILE_VARIABLE:
            continue
        key = VARIABLES.get(variable)
        if key is None:
            name = shown(variable)[1:-1]
            gathered.warnings.append(f"{name}: unknown name{suggest_variable(variable)}")
        elif text:
            _gather_value(gathered, key.name, key, Typed(text), variable)


def gather_option(gathered: Gathered, option: Option) -> None:
    """Take what the command line says about one key, or one table."""
    place: Place = tuple(option.key.split("."))
    value = option.value
    if place[0] == ENV and len(place) > 1:
        # The name of a variable may hold dots, and its value is a string whatever it looks like.
        place = (ENV, option.key.partition(".")[2])
        read = _read_typed(value)
        value = read if isinstance(read, str) else value
    elif option.key not in KEYS:
        value = _read_typed(value)
    table: dict[Any, Any] = {place[-1]: value}
    for part in reversed(place[:-1]):
        table = {part: table}
    _gather_table(gathered, (), table, lambda _: option.origin)


def _read_typed(value: object) -> object:
    """Read what was typed for something that is not a key with a type, where it is TOML."""
    if isinstance(value, Typed):
        with contextlib.suppress(ValueError):
            return read_toml(str(value))
    return value


def _gather_table(
    gathered: Gathered, at: Place, table: Mapping[str, Any], where: Callable[[Place], str]
) -> None:
    """Take the keys of a table, those of the tables in it included."""
    for part, value in table.items():
        place = (*at, part)
        name, origin = _dotted(place), where(place)
        if len(place) == 1 and part in TABLES:
            if isinstance(value, dict):
                _gather_table(gathered, place, value, where)
            else:
                gathered.refuse(
                    name, f"expected a table, got {shown(value)}{_key_for_table(part, value)}", origin
                )
        elif place == (ENV,):
            _gather_env(gathered, value, where)
        elif place == (LISTENER,):
            _gather_listeners(gathered, value, where)
        elif name in KEYS:
            _gather_value(gathered, name, KEYS[name], value, origin)
        else:
            gathered.refuse(name, f"unknown key{suggest_key(name, value)}", origin)


def _key_for_table(name: str, value: object) -> str:
    """Ask whether a key of the table was meant: ``workers = 4``."""
    key = KEYS.get(TABLE_AS_KEY.get(name, ""))
    try:
        return "" if key is None else f"; did you mean {key.name} = {shown(convert(key, value))}?"
    except UnfitError:
        return ""


def _gather_value(gathered: Gathered, name: str, key: Key, value: object, origin: str) -> None:
    """Take one value, or its fault."""
    try:
        gathered.values[name] = convert(key, value)
    except UnfitError as error:
        gathered.refuse(name, str(error), origin)
    else:
        gathered.origins[name] = origin


def _gather_env(gathered: Gathered, value: object, where: Callable[[Place], str]) -> None:
    """Take environment variables for the workers."""
    if not isinstance(value, dict):
        gathered.refuse(ENV, f"expected a table, got {shown(value)}", where((ENV,)))
        return
    for variable, text in value.items():
        name, origin = _dotted((ENV, variable)), where((ENV, variable))
        if not isinstance(text, str):
            gathered.refuse(name, f"expected a string, got {shown(text)}{ask_for_quotes(text)}", origin)
        elif not variable or "=" in variable:
            gathered.refuse(name, "an environment variable has a name without =", origin)
        elif not _can_be_inherited(variable) or not _can_be_inherited(text):
            gathered.refuse(name, "an environment variable cannot hold a NUL, nor what is not UTF-8", origin)
        else:
            gathered.env[variable] = str(text)
            gathered.origins[name] = origin


def _can_be_inherited(text: str) -> bool:
    """Whether text can be in an environment: a value may have several lines, as keys in PEM have."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _gather_listeners(gathered: Gathered, value: object, where: Callable[[Place], str]) -> None:
    """Take all listeners; they replace those of a source before."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        hint = "; write [[listener]], in double brackets" if isinstance(value, dict) else ""
        gathered.refuse(LISTENER, f"expected tables, got {shown(value)}{hint}", where((LISTENER,)))
        return
    gathered.listeners = [{} for _ in value]
    for index, item in enumerate(value):
        at: Place = (LISTENER, index)
        for part, given in item.items():
            name, origin = _dotted((*at, part)), where((*at, part))
            if part not in LISTENER_KEYS:
                gathered.refuse(name, f"unknown key{suggest_listener_key(part)}", origin)
                continue
            try:
                gathered.listeners[index][part] = convert(LISTENER_KEYS[part], given)
            except UnfitError as error:
                gathered.refuse(name, str(error), origin)
            else:
                gathered.origins[name] = origin
        if "bind" not in item:
            gathered.refuse(_dotted((*at, "bind")), "missing; a listener needs an address", where(at))


def _dotted(place: Place) -> str:
    """Write a place as TOML writes a dotted key, with ``[index]`` for items of arrays."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{toml_key(part)}" for part in place)
    return "".join(parts).removeprefix(".")
