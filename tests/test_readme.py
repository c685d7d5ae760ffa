"""What the README says, compared with the code, and its commands, run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from forkhttp import cli, context
from forkhttp.access_format import compile_format
from forkhttp.cli import control
from forkhttp.master import master
from forkhttp.master.signals import TABLE, Command
from forkhttp.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def table(heading: str) -> list[tuple[str, str]]:
    """Read the first table whose first row is ``heading``: its two columns."""
    rows = README[README.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    cells = [row.strip("|").split("|") for row in rows]
    return [(first.strip().strip("`"), second.strip()) for first, second in cells]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_signals_are_those_of_the_master() -> None:
    obeyed = [meaning for meaning in TABLE if meaning.command is not Command.REAP]
    assert sorted(table("signal")) == sorted(
        (meaning.signal.name.removeprefix("SIG"), meaning.description) for meaning in obeyed
    )


def test_the_exit_statuses_are_those_of_the_command_line() -> None:
    told = re.sub(r"\s+", " ", cli.__doc__ or "")
    statuses = table("exit status")
    assert re.findall(r"(\d) ([^;.]+)[;.]", told) == statuses
    assert [int(status) for status, _ in statuses] == [
        master.DONE,
        master.FAILED,
        context.MISCONFIGURED,
        master.NOT_BOOTED,
        control.NOT_FOUND,
    ]


def test_the_dependencies_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"\W", dependency)[0] for dependency in project["dependencies"]]
    assert [name for name, _ in table("package")] == names


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)]+)\)", README))
def test_a_linked_file_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("command", ["serve", "test", "check", "fuzz"])
def test_a_named_script_can_be_run(command: str) -> None:
    assert f"scripts/{command}" in README
    assert (ROOT / "scripts" / command).stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("example", blocks("toml"))
def test_the_example_configurations_are_valid(example: str) -> None:
    assert msgspec.convert(tomllib.loads(example), Settings) != Settings()


def test_the_named_pattern_of_the_access_log_is_one() -> None:
    (pattern,) = re.findall(r"a pattern such as\n`([^`]+)`", README)
    assert "%" in pattern
    compile_format(pattern)


def test_the_example_handler_can_be_served(tmp_path: Path) -> None:
    (example,) = blocks("python")
    (tmp_path / "hello.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "-m", "forkhttp", "check", "hello.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_options_are_those_of_the_command_line() -> None:
    usage = blocks("text")[0]
    for line in usage.splitlines():
        words = line.split()
        done = subprocess.run(
            [sys.executable, "-m", *words[:2], "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        for option in re.findall(r"-{1,2}[a-z]+", line):
            assert re.search(rf"(?m)(^|[\s\[,]){option}\b", done.stdout), option
