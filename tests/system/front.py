"""Real proxies with the files of ``conf/``: their two addresses changed, and what a test asks for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.deadline import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIGURATIONS = Path(__file__).parent.parent.parent / "conf"


class Front:
    """One proxy; a child of this class says which.

    Attributes:
        name: of the program.
        file: its configuration, below ``conf``.
        listen: what the file says of its clients' address, before the address.
        upstream: the same of forkhttp.
        stopped: its exit status after SIGTERM.
        port: where it listens, on 127.0.0.1.
        errors: the file with what it says on standard error.
    """

    name: str
    file: str
    listen: tuple[str, str]
    upstream: str
    stopped: int

    def __init__(
        self, program: str, directory: Path, upstream: int, changes: Mapping[str, str] | None = None
    ) -> None:
        """Start it in front of the port ``upstream``, and wait until it listens.

        Args:
            program: its path.
            directory: for its files; made here.
            upstream: forkhttp's port.
            changes: what else of the configuration becomes what; each stands there once.
        """
        directory.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        before, after = self.listen
        text = (CONFIGURATIONS / self.file).read_text()
        for old, new in {
            f"{self.upstream}:8000": f"{self.upstream}:{upstream}",
            before: after.format(self.port),
            **(changes or {}),
        }.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        configuration = directory / self.file
        configuration.write_text(text)
        self.errors = directory / "stderr"
        with self.errors.open("wb") as err:
            self.process = subprocess.Popen(
                self.command(program, configuration),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )
        until(self.listens, f"{self.name} listens")

    def command(self, program: str, configuration: Path) -> Sequence[str]:
        """How it is started, in the foreground."""
        raise NotImplementedError

    def listens(self) -> bool:
        """Whether it accepts."""
        assert self.process.poll() is None, self.errors.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        """Stop it."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == self.stopped


class Nginx(Front):
    """nginx, with ``conf/nginx.conf``."""

    name = "nginx"
    file = "nginx.conf"
    listen = ("listen 8080;", "listen 127.0.0.1:{};")
    upstream = "server 127.0.0.1"
    stopped = 0

    def command(self, program: str, configuration: Path) -> Sequence[str]:
        """Started by root, it gives its workers to another user, who cannot enter a test's directory."""
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        return [program, "-c", str(configuration), "-p", str(configuration.parent), *user]


class HAProxy(Front):
    """HAProxy, with ``conf/haproxy.cfg``."""

    name = "haproxy"
    file = "haproxy.cfg"
    listen = ("bind :8080", "bind 127.0.0.1:{}")
    upstream = "server forkhttp 127.0.0.1"
    stopped = -signal.SIGTERM

    def command(self, program: str, configuration: Path) -> Sequence[str]:
        """Without -D it stays in the foreground."""
        return [program, "-f", str(configuration)]
