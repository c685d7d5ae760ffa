"""Bad input at start: one clear message each, the documented exit status, and nothing half-started."""

from __future__ import annotations

import os
import re
import signal
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.deadline import until
from tests.system.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.server import Server

#: A file with two classes that could be meant, one whose import fails, one with none.
FILES = {
    "two.py": (
        "from http.server import BaseHTTPRequestHandler\n"
        "class One(BaseHTTPRequestHandler): ...\n"
        "class Other(BaseHTTPRequestHandler): ...\n"
    ),
    "broken.py": "import nothing_of_this_name\n",
    "leaves.py": "import sys\nsys.exit('no licence')\n",
    "none.py": "answer = 42\n",
}

GOOD = """\
target = "app.py:Handler"
bind = ["127.0.0.1:0", "unix:{directory}/http.sock"]
pid_file = "{directory}/forkhttp.pid"
[workers]
count = 2
"""


class Bad(NamedTuple):
    """One bad start.

    Attributes:
        says: one regular expression for each message; no other message may come.
        status: the exit status.
        replace: what of the good configuration becomes what.
        arguments: of ``forkhttp run``, beside the configuration file.
    """

    says: tuple[str, ...]
    status: int = 2
    replace: tuple[str, str] = ("", "")
    arguments: tuple[str, ...] = ()


#: What is wrong before there is a master.
BAD = {
    "syntax": Bad((r"forkhttp\.toml:5: .*TOML",), replace=("count = 2", "count = [")),
    "unknown key": Bad(
        (r"forkhttp\.toml:5: workers\.cuont: unknown key; did you mean workers\.count\?",),
        replace=("count", "cuont"),
    ),
    "wrong type": Bad(
        (r'forkhttp\.toml:5: workers\.count: expected an integer .*, got "many"',),
        replace=("count = 2", 'count = "many"'),
    ),
    "several faults": Bad(
        (
            r"forkhttp\.toml:5: workers\.count: expected",
            r"forkhttp\.toml:6: workers\.ocunt: unknown key",
            r"forkhttp\.toml:8: timeouts\.head: expected seconds",
            r"forkhttp\.toml:9: timeouts\.stop_drian: unknown key; did you mean timeouts\.stop_drain\?",
        ),
        replace=("count = 2", "count = -2\nocunt = 1\n[timeouts]\nhead = 0\nstop_drian = 3"),
    ),
    "no such file": Bad((r'"nowhere\.py" does not exist',), replace=("app.py", "nowhere.py")),
    "unresolvable address": Bad(
        (r"nowhere\.example:80\b.*host names are not looked up",),
        replace=("127.0.0.1:0", "nowhere.example:80"),
    ),
    "a port out of range": Bad((r"127\.0\.0\.1:70000\b.*65535",), replace=("127.0.0.1:0", "127.0.0.1:70000")),
    "unknown option": Bad((r"unrecognized arguments: --nonsense",), arguments=("--nonsense",)),
    "bad option": Bad((r"-w: workers\.count: expected .*, got",), arguments=("-w", "many")),
    "address in use": Bad(
        (r"cannot listen on 127\.0\.0\.1:{taken}: Address already in use",),
        status=1,
        replace=("127.0.0.1:0", "127.0.0.1:{taken}"),
    ),
    "not our address": Bad(
        (r"cannot listen on 192\.0\.2\.1:80: Cannot assign requested address",),
        status=1,
        replace=("127.0.0.1:0", "192.0.2.1:80"),
    ),
    "no place for the PID file": Bad(
        (r"forkhttp\.toml:3: pid_file: the directory .* does not exist",),
        replace=("/forkhttp.pid", "/nowhere/forkhttp.pid"),
    ),
    "no PID file": Bad(
        (r"cannot use the PID file .*/app\.py: it holds something else than a pid",),
        status=1,
        replace=("forkhttp.pid", "app.py"),
    ),
    "no place for the log": Bad(
        (r'forkhttp\.toml:5: log\.error: the directory "/nowhere" does not exist',),
        replace=("[workers]", '[log]\nerror = "/nowhere/log"\n[workers]'),
    ),
}

#: What only a worker finds out, when it loads the target: the log says it.
UNLOADABLE = {
    "missing module": Bad((r"no module named 'nowhere'",), replace=("app.py", "nowhere")),
    "missing attribute": Bad((r"app\.py has no attribute 'Handel'",), replace=("Handler", "Handel")),
    "several handlers": Bad(
        (r"two\.py defines several that could be served: One, Other; name one, as two\.py:One",),
        replace=("app.py:Handler", "two.py"),
    ),
    "no handler": Bad((r"none\.py defines no handler class",), replace=("app.py:Handler", "none.py")),
    "no class at all": Bad(
        (r"'none\.py:answer' is of type int",), replace=("app.py:Handler", "none.py:answer")
    ),
    "import error": Bad(
        (r"ModuleNotFoundError: No module named 'nothing_of_this_name'",),
        status=3,
        replace=("app.py", "broken.py"),
    ),
    "exit at import": Bad((r"SystemExit: no licence",), status=3, replace=("app.py", "leaves.py")),
}


@pytest.fixture
def taken() -> Iterator[str]:
    """A port of somebody else."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield str(other.getsockname()[1])


def run(server: Server, bad: Bad, taken: str = "") -> str:
    """Start it; what it says on standard error, when it and all of its processes have ended."""
    directory = server.directory
    for name, text in FILES.items():
        (directory / name).write_text(text)
    before, after = bad.replace
    assert before in GOOD
    text = GOOD.replace(before, after, 1).replace("{taken}", taken).replace("{directory}", str(directory))
    server.config.write_text(text)
    server.launch("-c", str(server.config), *bad.arguments)
    status = server.wait()
    server.expected.append("")  # each line is looked at here
    assert status == bad.status, server.log
    assert server.survivors() == []
    assert server.left_behind() == []
    assert (directory / "stdout").read_text() == ""
    return server.log


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said_once(server: Server, taken: str, bad: Bad) -> None:
    said = run(server, bad, taken)
    messages = [line for line in said.splitlines() if not line.startswith("usage: ")]
    assert len(messages) == len(bad.says), said
    for message, pattern in zip(messages, bad.says, strict=True):
        assert message.startswith("forkhttp: ")
        assert re.search(pattern.replace("{taken}", taken), message), said


@pytest.mark.parametrize("bad", UNLOADABLE.values(), ids=UNLOADABLE.keys())
def test_what_cannot_be_loaded_is_said_once(server: Server, bad: Bad) -> None:
    said = run(server, bad)
    (verdict,) = re.findall(r"error +master failed status=(\d+)\n((?:  \| .*\n)+)", said)
    assert int(verdict[0]) == bad.status
    (pattern,) = bad.says
    assert re.search(pattern, verdict[1]), said
    assert ("Traceback" in said) == (bad.status == 3), said


def test_the_place_of_an_import_error_is_in_the_traceback(server: Server) -> None:
    said = run(server, UNLOADABLE["import error"])
    assert re.search(r'File ".*/broken\.py", line 1, in <module>', said)
    assert "import nothing_of_this_name" in said


def test_a_second_master_leaves_the_first_alone(server: Server) -> None:
    """FAULTS 38: the PID file, the port and the unix socket of a running server."""
    text = GOOD.replace("{directory}", str(server.directory))
    server.config.write_text(text)
    server.start()
    first, pid, port = server.process, server.pid, server.port
    assert first is not None
    attempts = {
        "PID file": text,
        "port": text.replace("127.0.0.1:0", f"127.0.0.1:{port}").replace("forkhttp.pid", "other.pid"),
        "unix socket": text.replace("forkhttp.pid", "other.pid"),
    }
    says = {
        "PID file": rf"forkhttp\.pid belongs to a running master, pid {pid}|another server answers there",
        "port": rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use",
        "unix socket": r"cannot listen on unix:.*: another server answers there",
    }
    for what, attempt in attempts.items():
        server.config.write_text(attempt)
        server.error_log = server.directory / "second"
        begun = len((server.directory / "stderr").read_text())
        server.launch("-c", str(server.config))
        assert server.wait() == 1
        said = (server.directory / "stderr").read_text()[begun:]
        assert len(said.splitlines()) == 1, said
        assert re.search(says[what], said), said
        server.expected.append(says[what])
    server.process, server.error_log = first, server.directory / "stderr"
    assert server.pid_file.read_text() == f"{pid}\n"
    for place in (port, f"{server.directory}/http.sock"):
        with Client(place) as client:
            assert client.fetch("/hello") == "hello\n"
    assert os.path.lexists(server.directory / "http.sock")


def test_a_worker_that_dies_at_boot_is_a_failed_start(server: Server) -> None:
    """FAULTS 23 and 4: a signal at import time, such as that of the kernel's memory killer."""
    (server.directory / "dies.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    said = run(server, Bad((), status=3, replace=("app.py", "dies.py")))
    assert re.search(rf"failed status=3\n  \| .*{signal.SIGKILL.name}", said), said
    until(lambda: not server.survivors(), "nothing is left")
