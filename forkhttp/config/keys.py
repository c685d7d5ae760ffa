"""The keys that exist, read off the classes of ``forkhttp.settings``.

Each key is known by its dotted name. The keys of ``[[listener]]`` are apart,
because they exist once for each listener; the names in ``env`` are the operator's.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT

from forkhttp.settings import MOST, YEAR, Listener, Settings, Table

if TYPE_CHECKING:
    from collections.abc import Container

#: Keys of ``Settings`` that are neither tables nor keys with one value.
ENV = "env"
LISTENER = "listener"

#: The first part of a key's name in the environment; the file itself is named there too.
ENVIRONMENT_PREFIX = "FORKHTTP_"
FILE_VARIABLE = "FORKHTTP_CONFIG"

#: How the two kinds of numbers are called.
_NUMBERS = {int: "an integer", float: "a number"}

#: What is read from the ``Meta`` of a type.
_SAID = ("ge", "gt", "le", "description", "examples", "extra")


class Key(NamedTuple):
    """A key of the configuration.

    Attributes:
        name: dotted, as in ``workers.count``.
        type: what ``msgspec`` converts its value to, with its bounds.
        default: its value when nothing is said; None for one that must be given.
        meaning: a sentence for the operator.
        expected: the values that it takes, as a phrase.
        choices: the words that it takes, where it takes words.
    """

    name: str
    type: Any
    default: Any
    meaning: str
    expected: str
    choices: tuple[str, ...]

    @property
    def table(self) -> str:
        """Name its table; empty at the top."""
        return self.name.rpartition(".")[0]

    @property
    def last(self) -> str:
        """Name it within its table."""
        return self.name.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """Name it as in the environment."""
        return ENVIRONMENT_PREFIX + self.name.replace(".", "_").upper()


def expected(annotation: object) -> str:
    """Say which values an annotation takes, as a phrase that follows "expected"."""
    base, meta = _unwrap(annotation)
    if get_origin(base) is Literal:
        *most, last = (f'"{choice}"' for choice in get_args(base))
        return f"{', '.join(most)} or {last}" if most else last
    if get_origin(base) in (Union, types.UnionType):
        return " or ".join(expected(part) for part in get_args(base))
    if get_origin(base) is tuple:
        return "an array of strings"
    if base in (int, float):
        unit = meta.get("extra", {}).get("unit", "")
        return f"{unit}, {_NUMBERS[base]} {_bounds(meta)}" if unit else f"{_NUMBERS[base]} {_bounds(meta)}"
    if base is bool:
        return "true or false"
    return f'a string such as "{meta["examples"][0]}"' if "examples" in meta else "a string"


def _unwrap(annotation: object) -> tuple[Any, dict[str, Any]]:
    """Take an annotation apart: the type, and what its ``Meta`` say, the outermost last."""
    if get_origin(annotation) is not Annotated:
        return annotation, {}
    base, *notes = get_args(annotation)
    said: dict[str, Any] = {}
    for note in notes:
        said.update({name: getattr(note, name) for name in _SAID if getattr(note, name) is not None})
    return base, said


def _bounds(meta: dict[str, Any]) -> str:
    """Give the bounds; those that only keep sums from overflowing are left out."""
    least, above, most = meta.get("ge"), meta.get("gt"), meta.get("le")
    if most is not None and most not in (MOST, YEAR):
        return f"from {least} to {most}"
    return f"above {above}" if above is not None else f"of at least {least}"


def _choices(annotation: object) -> tuple[str, ...]:
    """List the words that an annotation takes."""
    base, _ = _unwrap(annotation)
    if get_origin(base) is Literal:
        return get_args(base)
    if get_origin(base) in (Union, types.UnionType):
        return tuple(word for part in get_args(base) for word in _choices(part))
    return ()


def _keys(table: type[Table], prefix: str, apart: Container[str] = ()) -> dict[str, Key]:
    """List the keys of one class that hold one value, all but those that are ``apart``."""
    return {
        prefix + field.name: Key(
            name=prefix + field.name,
            type=field.type,
            default=None if field.default is NODEFAULT else field.default,
            meaning=_unwrap(field.type)[1]["description"],
            expected=expected(field.type),
            choices=_choices(field.type),
        )
        for field in msgspec.structs.fields(table)
        if field.name not in apart
    }


#: The tables by name, in the order of the reference.
TABLES: dict[str, type[Table]] = {
    field.name: type(field.default)
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.default, Table)
}

#: Every key with one value, by its dotted name.
KEYS: dict[str, Key] = _keys(Settings, "", apart=(*TABLES, ENV, LISTENER))
for _name, _table in TABLES.items():
    KEYS.update(_keys(_table, f"{_name}."))

#: The keys of a listener, by their names in its table.
LISTENER_KEYS: dict[str, Key] = _keys(Listener, "")

#: The keys by their names in the environment.
VARIABLES: dict[str, Key] = {key.variable: key for key in KEYS.values()}
