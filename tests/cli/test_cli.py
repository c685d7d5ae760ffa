"""The command line: what it makes of its words, what it says, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forkhttp.cli import main
from forkhttp.cli.arguments import parse
from forkhttp.config import Option, Typed
from forkhttp.errors import TargetError
from forkhttp.handlers import target

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in os.environ if name.startswith("FORKHTTP_")]:
        monkeypatch.delenv(name)


def resolved_by(monkeypatch: pytest.MonkeyPatch, resolve: Callable[[str], object]) -> None:
    """Let targets and server classes be resolved by a function of the test."""
    monkeypatch.setattr(target, "resolve", resolve)
    monkeypatch.setattr(target, "resolve_class", resolve)


def test_options_are_sources_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORKHTTP_TITLE", "x")
    sources = parse(
        [
            "run",
            "app:H",
            "-c",
            "f.toml",
            "-b",
            ":1",
            "-b",
            ":2",
            "-w",
            "auto",
            "-t",
            "1",
            "-d",
            "src",
            "--set",
            "a.b=c=d",
            "--set",
            "e=",
        ]
    ).sources()
    assert sources.file == Path("f.toml")
    assert sources.environ["FORKHTTP_TITLE"] == "x"
    assert sources.options == (
        Option("target", "app:H", "TARGET"),
        Option("bind", (":1", ":2"), "-b"),
        Option("workers.count", Typed("auto"), "-w"),
        Option("workers.threads", Typed("1"), "-t"),
        Option("directory", "src", "-d"),
        Option("a.b", Typed("c=d"), "--set"),
        Option("e", Typed(""), "--set"),
    )
    assert parse(["check"]).sources().options == ()


@pytest.mark.parametrize(
    "words",
    [
        "",
        "serve",
        "run --set x",
        "run --set =x",
        "run a b",
        "stop --pid 0",
        "stop --pid x",
        "stop --pid 1 -c f",
        "run --wor 4",
    ],
)
def test_wrong_usage_is_status_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("forkhttp ")


@pytest.mark.parametrize("command", ["run", "check"])
def test_every_fault_is_one_line_and_the_status_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("f.toml").write_text("workers.cuont = 4\n\ntitle = 5\n")
    assert main([command, "-c", "f.toml", "-b", "localhost"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "forkhttp: f.toml:1: workers.cuont: unknown key; did you mean workers.count?",
        'forkhttp: f.toml:3: title: expected a string, got 5; did you mean "5", in quotes?',
        'forkhttp: -b: bind: "localhost" is no address: no port; write localhost:8000',
    ]


def test_check_says_that_all_is_good(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKHTTP_PORT", "tcp://10.0.0.1:8000")
    assert main(["check"]) == 0
    out, err = capsys.readouterr()
    assert out == "forkhttp: the configuration is good\n"
    assert err == "forkhttp: warning: FORKHTTP_PORT: unknown name\n"


def test_check_prints_what_is_in_force_with_origins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-w", "3", "--print"]) == 0
    out, err = capsys.readouterr()
    assert tomllib.loads(out)["workers"]["count"] == 3
    assert "\ncount = 3  # -w\n" in out
    assert "\nbacklog = 1024  # default\n" in out
    assert err == ""


def test_check_resolves_names_where_a_worker_would(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.setattr(os, "environ", dict(os.environ))
    seen = []

    def resolve(name: str) -> None:
        seen.append((name, Path.cwd(), sys.path[0], os.environ["A"]))

    resolved_by(monkeypatch, resolve)
    words = "check app:H --set server_class=a.B --set chdir=sub --set pythonpath=/ --set env.A=x"
    assert main(words.split()) == 0
    sub = tmp_path / "sub"
    assert main(["check", "--set", "server_class=a.C", "--set", "env.A=y"]) == 0
    assert seen.pop()[0] == "a.C"
    assert seen == [("app:H", sub, "/", "x"), ("a.B", sub, "/", "x")]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (TargetError("there is no H"), "forkhttp: there is no H\n"),
        (ZeroDivisionError("by 0"), "forkhttp: app:H: importing it raised ZeroDivisionError: by 0\n"),
        (SystemExit(0), "forkhttp: app:H: importing it raised SystemExit: 0\n"),
    ],
)
def test_a_target_that_cannot_be_served_is_status_2(
    raised: BaseException, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def resolve(_: str) -> None:
        raise raised

    resolved_by(monkeypatch, resolve)
    assert main(["check", "app:H"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(said)
    assert ("Traceback" in err) is not isinstance(raised, TargetError)


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(_: str) -> None:
        raise KeyboardInterrupt

    resolved_by(monkeypatch, resolve)
    assert main(["check", "app:H"]) == 130


def test_check_starts_no_master() -> None:
    code = (
        "import sys; from forkhttp.cli import main; main(['check']); print('forkhttp.master' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert shown.stdout.endswith("\nFalse\n"), shown
    assert shown.stderr == ""
