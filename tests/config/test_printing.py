"""What is printed is what is in force, as TOML; and the reference says what the code does."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from forkhttp.config import Sources, load
from forkhttp.config.keys import KEYS, LISTENER_KEYS
from forkhttp.config.printing import effective, reference, toml
from forkhttp.settings import Settings

REFERENCE = Path(__file__).parents[2] / "conf" / "forkhttp.toml"


def test_the_reference_is_equal_to_the_code() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), (
        "python -m forkhttp.config.printing > conf/forkhttp.toml"
    )


def test_the_reference_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(RuntimeWarning, match="found in sys.modules"):
        runpy.run_module("forkhttp.config.printing", run_name="__main__")
    assert capsys.readouterr().out == reference()


def test_the_reference_works_as_it_is_and_changes_nothing() -> None:
    assert load(Sources(REFERENCE)).settings == Settings()


def test_the_reference_holds_every_key_with_its_default_and_its_meaning() -> None:
    text = reference()
    values = tomllib.loads(re.sub(r"(?m)^# (?=\w+ = |\[+\w+\]+$)", "", text))
    (listener,) = values.pop("listener")
    for key in KEYS.values():
        place = values[key.table] if key.table else values
        found = place[key.last]
        assert (tuple(found) if isinstance(found, list) else found) == key.default
    assert listener.keys() == LISTENER_KEYS.keys()
    prose = " ".join(re.sub("(?m)^# ?", "", text).split())
    for key in (*KEYS.values(), *LISTENER_KEYS.values()):
        assert key.meaning in prose


def test_what_is_in_force_is_toml_that_gives_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(
        "bind = [':0', '[::1]:0']\nhttp.server_header = 'a \"b\" \\\\'\n"
        "[env]\nA = '''x\ny'''\n'ü b' = '\\'\n'c-' = \"\\u007f\"\n"
        "[[listener]]\nbind = 'unix:@a'\n[[listener]]\nbind = 'unix:@b'\nmode = '0600'\n"
    )
    configuration = load(Sources(path))
    text = effective(configuration)
    assert 'bind = [":0", "[::1]:0"]  # ' + f"{path}:1\n" in text
    assert "\nbacklog = 1024  # default\n" in text
    path.write_text(text)
    assert tomllib.loads(effective(load(Sources()))).keys() == {
        key.table or key.name for key in KEYS.values()
    }
    assert load(Sources(path)).settings == configuration.settings


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (0.5, "0.5"),
        (("a", "b"), '["a", "b"]'),
        ("a\x7f\n", '"a\\u007F\\n"'),
    ],
)
def test_values_are_written_as_toml(value: object, text: str) -> None:
    assert toml(value) == text
    read = tomllib.loads(f"v = {text}")["v"]
    assert (tuple(read) if isinstance(read, list) else read) == value
