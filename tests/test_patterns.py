"""Regular expressions mean the same on every Python that is supported."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import forkhttp

#: A character class, with what may stand in it; brackets of groups are looked for outside of them.
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")


def patterns() -> list[str]:
    """Find the patterns that stand in the package's modules."""
    found = []
    for module in pkgutil.walk_packages(forkhttp.__path__, "forkhttp."):
        if module.name == "forkhttp.__main__":
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, re.Pattern):
                text = value.pattern
                found.append(text if isinstance(text, str) else text.decode("latin-1"))
    return sorted(set(found))


@pytest.mark.parametrize("pattern", patterns())
def test_no_group_is_possessive(pattern: str) -> None:
    """Python before 3.11.5 matches a possessive group wrongly where it holds a choice (gh-106052)."""
    without_classes = _CLASS.sub("x", re.sub(r"\\\\|\\[()\[\]]", "x", pattern))
    assert not re.search(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>", without_classes)


def test_the_patterns_are_found() -> None:
    assert len(patterns()) > 20
