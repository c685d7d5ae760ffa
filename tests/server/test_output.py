"""What is owed to a peer: in order, as the socket takes it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from forkhttp.errors import PeerGone
from forkhttp.server.output import FileSegment, Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ends:
    """Two connected sockets: ours writes what does not fit, theirs reads when the test says so."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)  # noqa: FBT003
        self.theirs.setblocking(False)  # noqa: FBT003
        self.output = Output(self.ours.fileno())
        self.received = b""

    def read(self) -> None:
        """Read all that is there."""
        try:
            while data := self.theirs.recv(1 << 20):
                self.received += data
        except BlockingIOError:
            pass

    def read_all(self) -> bytes:
        """Read and drain until nothing is owed."""
        while self.output.pending:
            self.read()
            self.output.drain()
        self.read()
        return self.received

    def close(self) -> None:
        """Close both."""
        self.output.drop()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Make them."""
    made = Ends()
    yield made
    made.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough


BIG = bytes(range(256)) * 8192


def test_what_fits_leaves_at_once(ends: Ends) -> None:
    ends.output.put(b"abc")
    ends.output.put(b"")
    assert (ends.output.pending, ends.output.sent) == (0, 3)
    ends.read()
    assert ends.received == b"abc"


def test_what_does_not_fit_is_kept_in_order(ends: Ends) -> None:
    ends.output.put(BIG)
    assert 0 < ends.output.pending < len(BIG)
    ends.output.put(b"then this")
    assert ends.read_all() == BIG + b"then this"
    assert ends.output.sent == len(BIG) + 9


def test_draining_says_how_much_left(ends: Ends) -> None:
    ends.output.put(BIG)
    assert ends.output.drain() == 0
    owed = ends.output.pending
    ends.read()
    moved = ends.output.drain()
    assert moved > 0
    assert ends.output.pending == owed - moved


def test_files_and_octets_leave_in_order(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG * 2)
    before = open_descriptors()
    with (tmp_path / "file").open("rb") as file:
        ends.output.put(b"first")
        ends.output.put_file(FileSegment(file.fileno(), 7, len(BIG)))
        ends.output.put(b"last")
        ends.output.put_file(FileSegment(file.fileno(), 0, 3))
    assert ends.output.pending == len(BIG) + 7
    assert ends.read_all() == b"first" + (BIG * 2)[7 : len(BIG) + 7] + b"last" + BIG[:3]
    assert open_descriptors() == before


def test_a_file_that_became_shorter_ends_the_connection(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    with (tmp_path / "file").open("rb") as file:
        ends.output.put_file(FileSegment(file.fileno(), 0, 5))
    assert ends.output.drain() == 3
    with pytest.raises(PeerGone, match="shorter"):
        ends.output.drain()


def test_a_peer_that_left_is_gone_for_octets_and_files(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    ends.theirs.close()
    with pytest.raises(PeerGone):
        ends.output.put(b"abc")
    with (tmp_path / "file").open("rb") as file:
        ends.output.put_file(FileSegment(file.fileno(), 0, 3))
    with pytest.raises(PeerGone):
        ends.output.drain()


def test_what_is_dropped_is_forgotten_and_closed(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG)
    before = open_descriptors()
    with (tmp_path / "file").open("rb") as file:
        ends.output.put(BIG)
        ends.output.put_file(FileSegment(file.fileno(), 0, 5))
    ends.output.drop()
    assert (ends.output.pending, ends.output.drain()) == (0, 0)
    assert open_descriptors() == before


def test_after_a_drop_nothing_reaches_whoever_has_the_number_next(ends: Ends) -> None:
    ends.output.drop()
    with pytest.raises(PeerGone):
        ends.output.put(b"late")
    ends.read()
    assert ends.received == b""


def test_waiting_ends_when_there_is_room(ends: Ends) -> None:
    assert ends.output.wait(0)
    ends.output.put(BIG)
    assert not ends.output.wait(0)
    ends.read()
    assert ends.output.wait(0)
