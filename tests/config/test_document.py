"""The file: every key keeps its line, whatever stands around it; whatever is no TOML says where."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkhttp.config.document import MOST_OCTETS, key_lines, read_document
from forkhttp.errors import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from forkhttp.config.document import Place

TRICKY = '''\
# [not.a.table]
top = 1 # [nor.this]
"quoted.key" = "a # b ] \\" ["
'literal' = 'c " #'
multi = """
[no.table]
key = 1 ""
\\""" [[x]] """""
raw = \'\'\'
inner = 2 \'\'
\'\'\'\'
empty = """"""
array = [
  "]", # ]
  [ 1, 2 ],
  { a = "}" },
]
after . "the array" = true

  [ table . "a.b" ]
  x = { y = [
    1 ], z = 2 }
[[list]]
k = 1
[[list]]
[list.sub]
k = 2
[[list.deep]]
k = 3
'''


def test_nothing_confuses_the_scanner() -> None:
    lines = key_lines(TRICKY)
    assert lines == {
        ("top",): 2,
        ("quoted.key",): 3,
        ("literal",): 4,
        ("multi",): 5,
        ("raw",): 9,
        ("empty",): 12,
        ("array",): 13,
        ("after",): 18,
        ("after", "the array"): 18,
        ("table",): 20,
        ("table", "a.b"): 20,
        ("table", "a.b", "x"): 21,
        ("list",): 23,
        ("list", 0): 23,
        ("list", 0, "k"): 24,
        ("list", 1): 25,
        ("list", 1, "sub"): 26,
        ("list", 1, "sub", "k"): 27,
        ("list", 1, "deep"): 28,
        ("list", 1, "deep", 0): 28,
        ("list", 1, "deep", 0, "k"): 29,
    }
    for place in lines:
        assert _reached(tomllib.loads(TRICKY), place)


def _reached(value: Any, place: Place) -> bool:  # noqa: ANN401 - a TOML value of any depth
    for part in place:
        value = value[part]
    return value is not None


values = st.sampled_from(
    [
        '"""\n[a]\n"""',
        "'''\n#'''",
        "[\n1,\n# ]\n2]",
        "{ a = '}' }",
        '"\\"#["',
        "''",
        "1 # x",
        "2021-01-01 00:00:00",
    ]
)
names = st.sampled_from(["a", '"a.b"', "'#'", "d-_1", '"\\u005d"'])
statements = st.one_of(
    st.tuples(st.just("#"), st.just("x = [ ''' \"")),
    st.tuples(st.just("table"), names),
    st.tuples(st.just("key"), st.tuples(names, values)),
)


@given(st.lists(statements), st.sampled_from(["\n", "\r\n"]))
def test_every_key_has_the_line_where_it_was_written(parts: list[tuple[str, Any]], end: str) -> None:
    text, table, line = "", "", 1
    wanted: dict[tuple[str, ...], int] = {}
    for number, (kind, what) in enumerate(parts):
        if kind == "#":
            piece = f"# {what}\n"
        elif kind == "table":
            table = f"t{number}"
            piece = f" [{table}.{what}]\n"
            wanted[table, _read(what)] = line
            table = f"{table}.{what}"
        else:
            name, value = what
            piece = f"\n{name}.k{number} = {value}\n"
            prefix = (table.partition(".")[0], _read(table.partition(".")[2])) if table else ()
            wanted[(*prefix, _read(name), f"k{number}")] = line + 1
        text += piece
        line += piece.count("\n")
    tomllib.loads(text)
    found = key_lines(text.replace("\n", end).replace("\r\n", "\n"))
    assert {place: found.get(place) for place in wanted} == wanted


def _read(name: str) -> str:
    (key,) = tomllib.loads(f"{name} = 0")
    return key


@pytest.mark.parametrize(
    ("octets", "where", "said"),
    [
        (b"a = 1\nb = ?\n", ":2", "not TOML: Invalid value at column 5"),
        (b"a = 1\nb = '''\n\n", ":2", "not TOML: Expected \"'''\""),
        (b"a = 1\na = 2\n", ":2", "not TOML: Cannot overwrite a value"),
        (b"a = 1\nb = '\xff'\n", ":2", "not TOML: expected UTF-8"),
        (b"a = " + b"[" * 5000, "", "not TOML: brackets are nested too deeply"),
        (b"a = " + b"1" * 5000, "", "not TOML: Exceeds the limit"),
        (b"#" * (MOST_OCTETS + 1), "", "not a configuration file: it has more than"),
    ],
)
def test_what_is_no_toml_says_where(tmp_path: Path, octets: bytes, where: str, said: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(octets)
    with pytest.raises(Fault) as caught:
        read_document(path)
    assert caught.value.where == f"{path}{where}"
    assert said in caught.value.problem


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, said in (
        ("none", "cannot be read: No such file or directory"),
        (".", "not a regular file"),
        ("fifo", "not a regular file"),
        ("a\0b", "cannot be read: .*embedded null (byte|character)"),
    ):
        with pytest.raises(Fault, match=said):
            read_document(tmp_path / name)


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a\n.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb.c = 2\r\n")
    document = read_document(path)
    assert document.values == {"a": 1, "b": {"c": 2}}
    assert document.where(("b", "c", 3)).endswith('a\\n.toml":2')
    assert document.where(("z",)) == document.path
