"""A reload that cannot be done changes nothing, says why, and the next good one works."""

from __future__ import annotations

import re
import signal
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.deadline import until
from tests.system.client import Client
from tests.system.load import Load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.server import Server


class Broken(NamedTuple):
    """One way to break a configuration.

    Attributes:
        replace: what of the configuration file becomes what.
        log: regular expressions that the log must match: the key, the place, the reason.
    """

    replace: tuple[str, str]
    log: tuple[str, ...]


BROKEN = {
    "syntax": Broken(("count = 2", "count = = 2"), (r"forkhttp\.toml:5: .*TOML",)),
    "unknown key": Broken(
        ("count = 2", "cuont = 2"), (r"forkhttp\.toml:5: workers\.cuont: .*did you mean workers\.count",)
    ),
    "wrong type": Broken(("count = 2", 'count = "two"'), (r"forkhttp\.toml:5: workers\.count: .*\\?\"two",)),
    "missing module": Broken(("app.py:Handler", "nowhere:Handler"), (r"refused.*no module named 'nowhere'",)),
    "import error": Broken(
        ("app.py:Handler", "broken.py:Handler"),
        (
            r"Traceback \(most recent call last\)",
            r"broken\.py.*, line 3\b",
            r"refused.*RuntimeError: not today",
        ),
    ),
    "address": Broken(("127.0.0.1:0", "127.0.0.1:{taken}"), (r"refused.*127\.0\.0\.1:{taken}: .*in use",)),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_reload_changes_nothing(server: Server, directory: Path, broken: Broken) -> None:
    """FAULTS 4 and 28."""
    server.expected += ["reload refused", r"worker died .*gen=2 .*phase=booting"]
    server.kills = True  # of the generation that is given up
    (directory / "broken.py").write_text('"""No application."""\n\nraise RuntimeError("not today")\n')
    server.start()
    good = server.config.read_text()
    workers = server.workers()
    with socket.create_server(("127.0.0.1", 0)) as other, Load(server.port, clients=8) as load:
        taken = str(other.getsockname()[1])
        before, after = (text.replace("{taken}", taken) for text in broken.replace)
        assert good.count(before) == 1
        server.config.write_text(good.replace(before, after))
        server.signal(signal.SIGHUP)
        server.says("reload refused")
        load.goes_on()
        assert server.workers() == workers
        for pattern in broken.log:
            assert re.search(pattern.replace("{taken}", taken), server.log), server.log
        server.config.write_text(good + '[env]\nVERSION = "good"\n')
        server.reload(2)
        load.goes_on()
        with Client(server.port) as client:
            version, pid = client.fetch("/version").split()
        assert version == "good"
        assert int(pid) not in workers
        until(lambda: len(server.workers()) == 2, "the old workers have left")
    assert load.losses == []
