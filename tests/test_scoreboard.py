"""The scoreboard and the last words: what passes between processes that share memory only."""

from __future__ import annotations

import faulthandler
import fcntl
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkhttp import scoreboard
from forkhttp.last_words import SIZE, LastWords
from forkhttp.scoreboard import (
    BUCKETS,
    ORDER,
    REQUEST_TEXT,
    REQUESTS,
    ROWS,
    STATE,
    NotAScoreboardError,
    Order,
    Outcome,
    Scoreboard,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard.create()
    yield board
    board.close()


@pytest.fixture
def words() -> Iterator[LastWords]:
    words = LastWords.create()
    yield words
    words.close()


def test_a_claimed_row_is_clear_and_says_whose_it_is(board: Scoreboard) -> None:
    row = board.claim(3, 2, 77)
    assert row
    facts = (row.slot, row.generation, row.born, row.order, row.state, row.requests, row.request)
    assert facts == (3, 2, 77, Order.BOOT, State.BOOTING, 0, "")
    assert [found.index for found in board.rows()] == [row.index]


def test_a_released_row_is_free_and_clear(board: Scoreboard) -> None:
    row = board.claim(0, 1, 1)
    assert row
    row.cells[REQUESTS] += 5
    row.request = b"GET /secret"
    row.order = Order.QUIT
    board.release(row)
    assert list(board.rows()) == []
    assert (row.state, row.order, row.requests, row.request) == (State.FREE, Order.BOOT, 0, "")


def test_there_are_so_many_rows_and_then_none(board: Scoreboard) -> None:
    claimed = [board.claim(slot, 1, 1) for slot in range(ROWS)]
    assert len({row.index for row in claimed if row}) == ROWS
    assert board.claim(0, 1, 1) is None
    assert claimed[7]
    board.release(claimed[7])
    again = board.claim(0, 2, 1)
    assert again
    assert again.index == 7


def test_no_two_numbers_share_a_cell(board: Scoreboard) -> None:
    row = board.claim(0, 1, 1)
    neighbour = board.claim(1, 1, 1)
    assert row
    assert neighbour
    for cell in range(len(row.cells)):
        row.cells[cell] = cell
    facts = (row.reopen, row.slot, row.generation, row.pid, row.born, row.beat, row.errors, row.busy)
    assert facts == (1, 2, 3, 4, 5, 9, 11, 12)
    assert (row.parked, row.connections, row.memory, row.began, row.progress) == (13, 14, 15, 16, 17)
    assert (neighbour.slot, neighbour.requests) == (1, 0)


def test_an_empty_board_takes_little_memory(board: Scoreboard) -> None:
    row = board.claim(0, 1, 1)
    assert row
    row.request = b"GET /"
    assert list(board.rows())
    assert os.fstat(board.fd).st_blocks * 512 <= 4 * 4096


def test_a_forked_child_writes_what_its_parent_reads(board: Scoreboard) -> None:
    row = board.claim(0, 1, 1)
    assert row
    pid = os.fork()
    if pid == 0:
        row.state = State.SERVING
        row.request = b"GET /child"
        os._exit(0)
    os.waitpid(pid, 0)
    assert (row.state, row.request) == (State.SERVING, "GET /child")


def test_an_onlooker_reads_and_cannot_write(board: Scoreboard) -> None:
    row = board.claim(4, 1, 9)
    assert row
    row.order = Order.SERVE
    board.header.pid = os.getpid()
    board.header.conclude(Outcome.REFUSED, "because")
    seen = Scoreboard.attach(os.dup(board.fd), writable=False)
    assert [(found.slot, found.order) for found in seen.rows()] == [(4, Order.SERVE)]
    header = seen.header
    assert (header.pid, header.outcome, header.reason) == (os.getpid(), Outcome.REFUSED, "because")
    with pytest.raises(TypeError):
        header.generation = 3
    seen.close()


def test_the_board_of_a_process_is_found(board: Scoreboard) -> None:
    board.header.started = 42
    found = Scoreboard.of_process(os.getpid())
    assert found
    assert found.header.started == 42
    found.close()


def test_a_process_without_a_board_has_none() -> None:
    assert Scoreboard.of_process(os.getppid()) is None
    assert Scoreboard.of_process(2**22 + 1) is None


def test_the_board_cannot_be_resized_or_unsealed(board: Scoreboard) -> None:
    size = os.fstat(board.fd).st_size
    for other in (0, size - 1, size + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(board.fd, other)
    with pytest.raises(PermissionError):
        fcntl.fcntl(board.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert not os.get_inheritable(board.fd)


def test_what_is_no_board_is_refused(board: Scoreboard) -> None:
    pipe, other_end = os.pipe()
    unsealed = os.memfd_create("x")
    os.ftruncate(unsealed, os.fstat(board.fd).st_size)
    board.header.cells[1] = scoreboard.VERSION + 1
    for fd in (pipe, unsealed, board.fd):
        with pytest.raises(NotAScoreboardError):
            Scoreboard.attach(fd, writable=False)
    for fd in (pipe, other_end, unsealed):
        os.close(fd)


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_any_octets_read_as_something(number: int) -> None:
    board = Scoreboard.create()
    row = board.claim(0, 1, 1)
    assert row
    for cell in range(len(row.cells)):
        row.cells[cell] = number
    assert row.order in Order
    assert row.state in State
    assert isinstance(row.request, str)
    for cell in range(2, len(board.header.cells)):
        board.header.cells[cell] = number
    assert board.header.outcome in Outcome
    assert isinstance(board.header.reason, str)
    assert len(list(board.rows())) <= ROWS
    board.close()


@pytest.mark.parametrize(("cell", "value"), [(ORDER, 5), (ORDER, -1)])
def test_an_unknown_order_reads_as_the_last(board: Scoreboard, cell: int, value: int) -> None:
    row = board.claim(0, 1, 1)
    assert row
    row.cells[cell] = value
    assert row.order is Order.QUIT
    row.cells[STATE] = value + 100
    assert row.state is State.GONE


@given(texts=st.lists(st.binary(max_size=2 * REQUEST_TEXT), min_size=1, max_size=4))
def test_the_last_text_is_read_as_far_as_it_fits(texts: list[bytes]) -> None:
    board = Scoreboard.create()
    row = board.claim(0, 1, 1)
    assert row
    for text in texts:
        row.request = text
    assert row.request == texts[-1][:REQUEST_TEXT].decode("utf-8", "backslashreplace")
    board.close()


def test_a_text_whose_writer_died_writing_is_still_read(board: Scoreboard) -> None:
    row = board.claim(0, 1, 1)
    assert row
    row.request = b"GET /last"
    row.cells[scoreboard.REQUEST_SEQUENCE] += 1
    assert row.request == "GET /last"


@pytest.mark.parametrize(
    ("nanoseconds", "bucket"),
    [(0, 0), (1023, 0), (1024, 1), (2047, 1), (2048, 2), (10**9, 20), (2**62, BUCKETS - 1)],
)
def test_a_latency_falls_into_its_bucket(board: Scoreboard, nanoseconds: int, bucket: int) -> None:
    row = board.claim(0, 1, 1)
    assert row
    row.observe(nanoseconds)
    assert [n for n, count in enumerate(row.histogram) if count] == [bucket]


def test_last_words_are_read_in_lines_and_escaped(words: LastWords) -> None:
    words.write("Traceback\n  \x1b[31mred\r\x9b\n")
    assert words.read() == "Traceback\n  \\x1b[31mred\\x0d\\x9b"


def test_a_child_and_faulthandler_write_one_after_the_other(words: LastWords) -> None:
    pid = os.fork()
    if pid == 0:
        words.write("first\n")
        faulthandler.dump_traceback(file=words.fd)
        words.write("last")
        os._exit(0)
    os.waitpid(pid, 0)
    lines = words.read().split("\n")
    assert lines[0] == "first"
    assert "most recent call first" in lines[1]
    assert lines[-1] == "last"


def test_last_words_are_bounded_and_never_raise(words: LastWords) -> None:
    words.write("x" * (SIZE - 2))
    words.write("yyyy")
    words.write("z")
    assert words.read() == "x" * (SIZE - 2) + "yy"
    with pytest.raises(PermissionError):
        os.ftruncate(words.fd, 2 * SIZE)


def test_taken_words_make_room(words: LastWords) -> None:
    words.write("a long first answer")
    assert words.take() == "a long first answer"
    words.write("second")
    assert (words.take(), words.read()) == ("second", "")
