"""Descriptors 0, 1 and 2 closed at the start: nothing of ours may take their numbers (FAULTS row 19)."""

from __future__ import annotations

import contextlib
import urllib.request
from itertools import product
from typing import TYPE_CHECKING

import pytest

from forkhttp.scoreboard import Scoreboard
from tests.deadline import until

if TYPE_CHECKING:
    from tests.system.server import Server

COMBINATIONS = ["".join(way) for way in product(*((" 0<&-", ""), (" 1>&-", ""), (" 2>&-", "")))]


@pytest.mark.parametrize("closed", [each for each in COMBINATIONS if each])
def test_closed_streams_are_nobodys(server: Server, closed: str) -> None:
    server.error_log = server.directory / "error.log"
    server.configure(workers=1, more=f'[log]\nerror = "{server.error_log}"\naccess = "stdout"')
    server.around = ("sh", "-c", f'exec "$@"{closed}', "sh")
    server.launch("-c", str(server.config))
    server.around = ()  # the shell has become the master
    server.await_generation(1)
    for _ in range(3):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/hello", timeout=10) as answer:
            assert answer.status == 200
    board = Scoreboard.of_process(server.pid)
    assert board is not None, "the log has written over the scoreboard"
    with contextlib.closing(board):
        until(lambda: sum(row.requests for row in board.rows()) == 3, "the requests are counted")
