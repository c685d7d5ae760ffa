"""What the access log is told of an exchange, and of octets that were none."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from forkhttp.logs import open_logs
from forkhttp.scoreboard import Row
from forkhttp.server.conditions import Conditions
from forkhttp.server.connection import Connection, ConnectionState
from forkhttp.server.record import ExchangeRecord
from forkhttp.settings import Log, Settings
from forkhttp.wire import HeadLimits, parse_head

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Make a connection that nobody serves."""
    ours, theirs = socket.socketpair()
    conditions = Conditions(Settings(), open_logs(Log(access="off", error="off")), Row.private(), alone=False)
    yield Connection(ours, ConnectionState(0, ("192.0.2.7", 4711)), conditions)
    ours.close()
    theirs.close()


def test_a_record_tells_of_request_and_answer(connection: Connection) -> None:
    head = parse_head(b"GET /a?b=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n", HeadLimits(8190, 8190, 100))
    record = ExchangeRecord(connection, head, 200, 12, 0.5)
    assert (record.status, record.octets, record.seconds) == (200, 12, 0.5)
    assert (record.client, record.method, record.target) == ("192.0.2.7", "GET", "/a?b=1")
    assert record.request_line == "GET /a?b=1 HTTP/1.1"
    assert (record.field("x"), record.field("Y")) == ("1", None)


def test_octets_that_were_no_request_have_a_client_and_a_status(connection: Connection) -> None:
    record = ExchangeRecord(connection, None, 400, 0, 0.0)
    assert (record.client, record.status) == ("192.0.2.7", 400)
    assert (record.method, record.target, record.request_line) == ("", "", "")
    assert record.field("Host") is None
