"""Servers for the system tests; each is checked after its test for what it left behind."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.front import HAProxy, Nginx
from tests.system.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = Path(__file__).with_name("app.py")


def program(name: str) -> str:
    """Find a program; without it the test is skipped, or fails where CI says that all are there."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is missing; scripts/test installs it as root")
    if path is None:
        pytest.skip(f"{name} is missing")
    return path


@pytest.fixture
def curl() -> str:
    return program("curl")


@pytest.fixture
def slowhttptest() -> str:
    return program("slowhttptest")


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Enough of them for a crowd of connections, in this process and in those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=["classic", "native"])
def kind(request: pytest.FixtureRequest) -> str:
    """Whether the application is written against ``http.server`` or against ``forkhttp``."""
    return str(request.param)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the application in it, as it stands."""
    shutil.copy(APP, tmp_path / "app.py")
    return tmp_path


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    """A server that is not started yet."""
    server = Server(directory)
    try:
        yield server
    except BaseException:
        server.end()
        raise
    server.close()


@pytest.fixture
def served(server: Server, kind: str) -> Server:
    """The application on two workers, classic and native."""
    if kind == "native":
        app = server.directory / "app.py"
        classic = app.read_text()
        app.write_text(classic.replace("from http.server import", "from forkhttp import"))
        assert app.read_text() != classic
    return server.start()


@pytest.fixture
def front(served: Server) -> Iterator[Nginx]:
    """A running nginx in front of it."""
    front = Nginx(program(Nginx.name), served.directory / "nginx", served.port)
    yield front
    front.close()


@pytest.fixture
def haproxy(served: Server) -> Iterator[HAProxy]:
    """A running HAProxy in front of it."""
    front = HAProxy(program(HAProxy.name), served.directory / "haproxy", served.port)
    yield front
    front.close()
