"""The configuration as TOML: what is in force and why, and the annotated reference.

``python -m forkhttp.config.printing`` writes ``conf/forkhttp.toml``; a test keeps that file
equal to what this gives.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from typing import TYPE_CHECKING

import msgspec

from forkhttp.config.keys import ENV, KEYS, LISTENER, LISTENER_KEYS, TABLES, Key
from forkhttp.config.unavailable import UNAVAILABLE
from forkhttp.config.values import toml_key
from forkhttp.settings import Listener, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forkhttp.config.loading import Configuration

_WIDTH = 100

_PREAMBLE = """\
The reference of forkhttp's configuration: every key, with its default value.

It works as it stands, and serves the current directory:

    forkhttp run -c conf/forkhttp.toml

What is commented out is empty by default, or has no other value in this version. An unknown key
is an error.

The command line overrides the environment, which overrides this file: workers.count is
-w or --set workers.count=4, then FORKHTTP_WORKERS_COUNT=4, then what stands here. Lists are
written with commas in the environment: FORKHTTP_BIND=127.0.0.1:8000,unix:/run/app.sock.
[env] and [[listener]] have no form in the environment.

A relative path is relative to the directory where forkhttp was started; only a file named in
target is relative to chdir. What is in force, and where it was set: forkhttp check -c FILE --print.
"""

#: An address for the one key that has no default.
_EXAMPLE_ADDRESS = "unix:/run/forkhttp.sock"
_EXAMPLE_VARIABLE = ("MODE", "production")


def toml(value: object) -> str:
    """Write a value of a setting as TOML."""
    if isinstance(value, str):
        # A JSON string is a TOML string but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(toml(item) for item in value)}]"
    return repr(value)


def effective(configuration: Configuration) -> str:
    """Write everything that is in force as a TOML file, each key with its origin."""
    settings, origins = configuration.settings, configuration.origins
    lines = [_line(key, getattr(settings, key.name), origins[key.name]) for key in _keys_of("")]
    for table in TABLES:
        lines += ["", f"[{table}]"]
        lines += [
            _line(key, getattr(getattr(settings, table), key.last), origins[key.name])
            for key in _keys_of(table)
        ]
    if settings.env:
        lines += ["", f"[{ENV}]"]
        lines += [
            f"{toml_key(name)} = {toml(text)}  # {origins[f'{ENV}.{toml_key(name)}']}"
            for name, text in settings.env.items()
        ]
    for index, listener in enumerate(settings.listener):
        lines += ["", f"[[{LISTENER}]]"]
        lines += [
            _line(key, getattr(listener, last), origins[f"{LISTENER}[{index}].{last}"])
            for last, key in LISTENER_KEYS.items()
        ]
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Write the annotated reference."""
    lines = [*_comment(_PREAMBLE), ""]
    for key in _keys_of(""):
        lines += _entry(key)
    for name, table in TABLES.items():
        lines += ["", *_comment(inspect.getdoc(table) or ""), f"[{name}]", ""]
        for key in _keys_of(name):
            lines += _entry(key)
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    meaning = msgspec.json.schema(fields[ENV].type)["description"]
    variable, text = _EXAMPLE_VARIABLE
    lines += ["", *_comment(meaning), f"# [{ENV}]", f"# {variable} = {toml(text)}", ""]
    lines += ["", *_comment(inspect.getdoc(Listener) or ""), f"# [[{LISTENER}]]", ""]
    for key in LISTENER_KEYS.values():
        lines += _entry(key)
    return "\n".join(lines).rstrip("\n") + "\n"


def _keys_of(table: str) -> Iterator[Key]:
    """List the keys of a table, in the order of its class."""
    return (key for key in KEYS.values() if key.table == table)


def _line(key: Key, value: object, origin: str) -> str:
    """Write a key with its origin."""
    return f"{key.last} = {toml(value)}  # {origin}"


def _entry(key: Key) -> list[str]:
    """Write a key with its meaning, the values that it takes, and its default."""
    in_listener = key is LISTENER_KEYS.get(key.name)
    name = f"{LISTENER}.{key.name}" if in_listener else key.name
    note = " Not available in this version." if name in UNAVAILABLE else ""
    value = _EXAMPLE_ADDRESS if key.default is None else key.default
    commented = "# " if in_listener or name in UNAVAILABLE or key.default in ("", ()) else ""
    takes = "" if key.expected == "a string" else f" {key.expected[0].upper()}{key.expected[1:]}."
    return [*_comment(key.meaning + note + takes), f"{commented}{key.last} = {toml(value)}", ""]


def _comment(text: str) -> list[str]:
    """Write text as comment lines; paragraphs and indented lines stay."""
    lines: list[str] = []
    for paragraph in text.strip("\n").split("\n\n"):
        wrapped = (
            [paragraph]
            if paragraph.startswith(" ")
            else textwrap.wrap(" ".join(paragraph.split()), _WIDTH - 2, break_on_hyphens=False)
        )
        lines += [*(f"# {line}" for line in wrapped), "#"]
    return lines[:-1]


if __name__ == "__main__":
    sys.stdout.write(reference())
