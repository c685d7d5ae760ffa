"""The search itself: what it finds it shows, in few octets, and keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from tests.fuzz import __main__ as search
from tests.fuzz import drawn
from tests.fuzz.shrinking import shrink
from tests.fuzz.targets import TARGETS, Target

if TYPE_CHECKING:
    from pathlib import Path


def no_five(data: bytes) -> None:
    """Promise something that does not hold."""
    if b"5" in data:
        raise ValueError("five")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a target whose promise is broken by a 5."""
    drawn_from = st.sampled_from([b"4", b"45", b"6"])
    monkeypatch.setitem(TARGETS, "toy", Target(no_five, drawn_from, (), "requests", b"head "))
    return "toy"


def test_what_shows_a_fault_is_made_small() -> None:
    assert shrink(b"xxAyyyByzzz", lambda data: b"A" in data and b"B" in data) == b"AB"
    assert shrink(b"A", lambda data: b"A" in data) == b"A"
    assert shrink(b"", lambda data: data == b"") == b""


def test_properties_find_a_broken_promise(toy: str, tmp_path: Path) -> None:
    assert drawn.main(toy, 60, tmp_path / "found") == drawn.FOUND
    assert (tmp_path / "found").read_bytes() == b"45"


def test_properties_end_in_time_where_all_promises_are_kept(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert drawn.main("chunks", 0.2, tmp_path / "found") == 0
    assert "number_of_executed_units: " in capfd.readouterr().err
    assert not (tmp_path / "found").exists()


def test_a_broken_promise_is_shown_and_kept(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "FOUND", tmp_path / "kept")
    (tmp_path / "log").write_text("")
    (tmp_path / "found-1").write_bytes(b"1234567")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(77)"])
    process.wait()
    assert not search.report(search.Search(toy, process, tmp_path))
    said = capfd.readouterr().out
    assert "ValueError: five\n\nb'head 5'" in said
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == b"head 5"
    assert str(kept) in said


def test_the_command_searches_and_says_how_much() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "1", "chunks"]
    done = subprocess.run(
        command,
        cwd=search.ROOT,
        env=os.environ | {"FUZZ_SEED": "1"},  # what chance finds is for the long search
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("fuzz: ")
    assert second.startswith("chunks: ")
    assert " executions, " in second


def test_the_command_refuses_a_target_that_is_none() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "1", "chunk"]
    done = subprocess.run(command, cwd=search.ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no such target: chunk; there are requests, " in done.stderr
