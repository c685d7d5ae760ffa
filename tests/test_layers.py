"""The shape of the code, enforced: who may import whom, where a process may fork, who may see a clock.

An import counts wherever it stands: at the top, inside a function, or under
``TYPE_CHECKING``, because whoever names a type of a layer depends on that layer.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import forkhttp

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(forkhttp.__file__).parent

#: From the bottom up. A layer may import those above it in this list; names in one line are strangers.
LAYERS = (
    ("settings", "errors"),
    ("wire", "access_format"),
    ("config", "logs", "scoreboard", "last_words", "process"),
    ("context",),
    ("handlers",),
    ("server",),
    ("master", "worker"),
    ("admin",),
    ("cli",),
    ("__init__", "__main__"),
)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}

#: What a part of the code may not import, beside what its layer forbids.
BLIND = {
    "wire/": {"time", "datetime", "socket", "select", "selectors", "logging", "os", "threading", "random"},
    "master/policy.py": {"time", "datetime", "os", "random", "secrets"},
    "master/": {"threading", "concurrent", "asyncio", "http"},
}
#: Modules that start processes, and who may use them.
FORKING = {"master/spawn.py"}
STARTING = {"handlers/cgi.py"}

MEANINGLESS = {"util", "utils", "common", "helper", "helpers", "misc"}


def breaches(path: str, source: str) -> Iterator[str]:
    """Say what is wrong in a module, named by its path below the package."""
    parts = path.removesuffix(".py").split("/")
    if MEANINGLESS & set(parts):
        yield "its name says nothing"
    tree = ast.parse(source)
    if tree.body and not parts[-1].startswith("_") and not ast.get_docstring(tree):
        yield "it does not open with a docstring"
    if parts[0] not in HEIGHT:
        yield f"{parts[0]} belongs to no layer"
        return
    for name in imported(tree, parts):
        yield from _import_breaches(path, parts[0], name)
    if path not in FORKING:
        yield from _forks(tree)


def imported(tree: ast.Module, parts: list[str]) -> Iterator[str]:
    """Give the dotted name of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ["forkhttp", *parts][: -node.level] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def _import_breaches(path: str, unit: str, name: str) -> Iterator[str]:
    first, *rest = name.split(".")
    if first != "forkhttp":
        for part, forbidden in BLIND.items():
            if path.startswith(part) and first in forbidden:
                yield f"{part} must not import {first}"
        if first in {"subprocess", "multiprocessing", "pty"} and path not in STARTING:
            yield f"it must not import {first}"
        return
    other = rest[0] if rest and rest[0] in HEIGHT else "__init__"
    if other != unit and HEIGHT[other] >= HEIGHT[unit]:
        relation = "is a stranger to" if HEIGHT[other] == HEIGHT[unit] else "is below"
        yield f"{unit} {relation} {other}, and imports {name}"


def _forks(tree: ast.Module) -> Iterator[str]:
    """Find what makes a process: only one place may."""
    forbidden = {"fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            found = {node.attr} & forbidden
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            found = {alias.name for alias in node.names} & forbidden
        else:
            continue
        yield from (f"it must not use os.{name}" for name in found)


@pytest.mark.parametrize("path", sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")))
def test_a_module_keeps_the_shape(path: str) -> None:
    assert list(breaches(path, (PACKAGE / path).read_text())) == []


def test_every_layer_that_is_named_once_is_named_once() -> None:
    assert len(HEIGHT) == sum(map(len, LAYERS))


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        (
            "wire/head.py",
            "from forkhttp.server import x",
            "wire is below server, and imports forkhttp.server.x",
        ),
        (
            "wire/head.py",
            "import forkhttp.server.pool",
            "wire is below server, and imports forkhttp.server.pool",
        ),
        ("wire/head.py", "from forkhttp import server", "wire is below server, and imports forkhttp.server"),
        ("wire/head.py", "from forkhttp import HTTPServer", "wire is below __init__"),
        ("wire/head.py", "from ..master import x", "wire is below master"),
        ("master/spawn.py", "def f():\n import forkhttp.worker", "master is a stranger to worker"),
        (
            "logs.py",
            "if TYPE_CHECKING:\n from forkhttp.scoreboard import Row",
            "logs is a stranger to scoreboard",
        ),
        ("settings.py", "from .errors import Fault", "settings is a stranger to errors"),
        ("wire/head.py", "import time", "wire/ must not import time"),
        ("wire/head.py", "from os.path import join", "wire/ must not import os"),
        ("wire/head.py", "def f():\n import socket", "wire/ must not import socket"),
        ("master/policy.py", "from time import monotonic", "master/policy.py must not import time"),
        ("master/pool.py", "import threading", "master/ must not import threading"),
        ("server/loop.py", "pid = os.fork()", "it must not use os.fork"),
        ("server/loop.py", "from os import fork", "it must not use os.fork"),
        ("handlers/cgi.py", "os.system('ls')", "it must not use os.system"),
        ("handlers/files.py", "import subprocess", "it must not import subprocess"),
        ("server/loop.py", "import multiprocessing.pool", "it must not import multiprocessing"),
        ("server/helpers.py", "", "its name says nothing"),
        ("server/util/text.py", "", "its name says nothing"),
        ("novelty.py", "", "novelty belongs to no layer"),
        ("logs.py", "x = 1", "it does not open with a docstring"),
    ],
)
def test_a_broken_shape_is_seen(path: str, source: str, breach: str) -> None:
    if "docstring" not in breach and source:
        source = f'"""What it is for."""\n{source}'
    found = list(breaches(path, source))
    assert len(found) == 1
    assert found[0].startswith(breach)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "server/loop.py",
            "import time\nfrom forkhttp.wire import CHUNKED\nfrom . import pool\nos.register_at_fork()",
        ),
        ("master/spawn.py", "pid = os.fork()"),
        ("handlers/cgi.py", "import subprocess"),
        ("__init__.py", "from forkhttp.server import HTTPServer"),
        ("server/__init__.py", ""),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert list(breaches(path, source and f'"""What it is for."""\n{source}')) == []
