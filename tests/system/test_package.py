"""What is shipped: the sdist and the wheel, and a server that runs from nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import urllib.request
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.system.server import Server

ROOT = Path(__file__).parents[2]


def test_the_wheel_in_an_empty_environment_serves(server: Server, tmp_path: Path) -> None:
    out, environment = tmp_path / "dist", tmp_path / "venv"
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], check=True, capture_output=True
    )
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "conf/forkhttp.toml", "forkhttp/__main__.py", "scripts/test"} <= inside
    venv.create(environment, with_pip=True)
    server.python = str(environment / "bin" / "python")
    subprocess.run([server.python, "-m", "pip", "install", "-q", str(wheel)], check=True, capture_output=True)
    (package,) = environment.glob("lib/python3*/site-packages/forkhttp")
    assert {path.name for path in (package / "conf").iterdir()} == {
        path.name for path in (ROOT / "conf").iterdir()
    }
    server.start()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/hello", timeout=10) as answer:
        assert answer.read() == b"hello\n"
