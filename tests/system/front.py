"""A real nginx with ``conf/nginx.conf``, its two ports changed and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.deadline import PATIENCE, until

CONFIGURATION = Path(__file__).parent.parent.parent / "conf" / "nginx.conf"


class Front:
    """One nginx.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, nginx: str, directory: Path, upstream: int) -> None:
        """Start it in front of the port ``upstream``, and wait until it listens."""
        directory.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        text = CONFIGURATION.read_text()
        for before, after in (
            ("server 127.0.0.1:8000;", f"server 127.0.0.1:{upstream};"),
            ("listen 8080;", f"listen 127.0.0.1:{self.port};"),
        ):
            assert text.count(before) == 1
            text = text.replace(before, after)
        (directory / "nginx.conf").write_text(text)
        # Started by root, nginx gives its workers to another user, who cannot enter a test's directory.
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        self.errors = directory / "stderr"
        with self.errors.open("wb") as err:
            self.process = subprocess.Popen(
                [nginx, "-c", str(directory / "nginx.conf"), "-p", str(directory), *user],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )
        until(self.listens, "nginx listens")

    def listens(self) -> bool:
        """Whether it accepts."""
        assert self.process.poll() is None, self.errors.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        """Stop it."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0
