"""The scoreboard: what master, workers and onlookers know of each other, without a message.

One sealed file in memory, mapped by all. A row belongs to one process, from
before its fork until it was reaped; every cell of eight octets has one writer,
so there is no lock. The master writes orders and identities, a worker writes its
state and counters, and the command line reads both through ``/proc/PID/fd``.

The master believes no pid and no length that it finds here: what it needs to
know for certain it remembers itself.

Instants are nanoseconds of ``CLOCK_MONOTONIC``, which all processes share.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, overload

from forkhttp.errors import ForkhttpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

#: Rows of the board: more processes than this cannot live at once, retiring ones included.
ROWS = 1024
#: Octets of a row's text and of the header's.
REQUEST_TEXT = 256
OUTCOME_TEXT = 1024
#: Buckets of the latency histogram; see ``Row.observe``.
BUCKETS = 32

# The master's cells of a row.
ORDER, REOPEN, SLOT, GENERATION, PID, BORN = range(6)
# The worker's cells, on cache lines of their own. The hot path writes these by number.
STATE, BEAT, REQUESTS, ERRORS, BUSY, PARKED, CONNECTIONS, MEMORY = range(8, 16)
BEGAN, PROGRESS, REQUEST_SEQUENCE, REQUEST_LENGTH = range(16, 20)
_REQUEST = 24
HISTOGRAM = _REQUEST + REQUEST_TEXT // 8
_ROW_CELLS = HISTOGRAM + BUCKETS

# The header's cells; all are the master's.
(
    _MAGIC,
    _VERSION,
    MASTER_PID,
    STARTED,
    CURRENT_GENERATION,
    RELOADS,
    OUTCOME,
    OUTCOME_SEQUENCE,
    OUTCOME_LENGTH,
    _USED,
) = range(10)
_OUTCOME = 16
_HEADER_CELLS = 512

_SIZE = 8 * (_HEADER_CELLS + ROWS * _ROW_CELLS)
_NAME = "forkhttp-scoreboard"
_MAGIC_VALUE = int.from_bytes(b"forkhttp", "little")
#: Changes with the layout above; a reader of another version refuses.
VERSION = 1
_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_READ_ATTEMPTS = 8


class Order(IntEnum):
    """What the master wants of a worker; it only ever grows."""

    BOOT = 0
    SERVE = 1
    RETIRE = 2
    DRAIN = 3
    QUIT = 4


class State(IntEnum):
    """What a worker says it does."""

    FREE = 0
    BOOTING = 1
    READY = 2
    SERVING = 3
    RETIRING = 4
    DRAINING = 5
    GONE = 6


class Outcome(IntEnum):
    """How the last reload ended."""

    NONE = 0
    RUNNING = 1
    DONE = 2
    REFUSED = 3


class NotAScoreboardError(ForkhttpError):
    """The descriptor is no scoreboard of this version."""


class Cell:
    """One number of a row or of the header, as an attribute."""

    def __init__(self, number: int) -> None:
        """Stand for the cell of this number."""
        self.number = number

    @overload
    def __get__(self, part: None, kind: type) -> Self: ...
    @overload
    def __get__(self, part: Row | Header, kind: type) -> int: ...
    def __get__(self, part: Row | Header | None, kind: type) -> Self | int:
        """Read the cell."""
        return self if part is None else part.cells[self.number]

    def __set__(self, part: Row | Header, value: int) -> None:
        """Write the cell; the caller is its one writer."""
        part.cells[self.number] = value


class _Text:
    """A bounded text under a sequence lock: odd while it is being written.

    The order of the stores is the processor's; where it is weak a reader may,
    rarely, see a torn text. Nothing but what people read depends on it.
    """

    __slots__ = ("_cells", "_length", "_octets", "_sequence", "_size")

    def __init__(self, cells: memoryview, sequence: int, length: int, begin: int, size: int) -> None:
        self._cells = cells
        self._octets = cells.cast("B")[8 * begin : 8 * begin + size]
        self._sequence = sequence
        self._length = length
        self._size = size

    def write(self, text: bytes) -> None:
        cells = self._cells
        length = len(text)
        if length > self._size:
            length = self._size
            text = text[:length]
        cells[self._sequence] += 1
        self._octets[:length] = text
        cells[self._length] = length
        cells[self._sequence] += 1

    def read(self) -> str:
        text = b""
        for _ in range(_READ_ATTEMPTS):
            before = self._cells[self._sequence]
            length = min(max(self._cells[self._length], 0), self._size)
            text = bytes(self._octets[:length])
            if before % 2 == 0 and self._cells[self._sequence] == before:
                break
        return text.decode("utf-8", "backslashreplace")


class Row:
    """What is known of one process.

    Attributes:
        index: the row's number, 0 to ``ROWS - 1``.
        cells: its cells, for the hot path: ``row.cells[REQUESTS] += 1``.
        reopen: how often log files were to be reopened; a worker compares and follows.
        born: when the row was claimed; 0 in a free one.
        beat: when the worker last went around its loop; at least once a second.
        began: when the current request's handler was entered; 0: none runs.
        progress: when the current exchange last moved an octet.
        memory: octets of memory of its own (USS), as the worker measured it.
    """

    __slots__ = ("_request", "cells", "index")

    def __init__(self, index: int, cells: memoryview) -> None:
        """Stand for these cells."""
        self.index = index
        self.cells = cells
        self._request = _Text(cells, REQUEST_SEQUENCE, REQUEST_LENGTH, _REQUEST, REQUEST_TEXT)

    @classmethod
    def private(cls) -> Row:
        """Make a row that belongs to no scoreboard, for a server that runs alone."""
        return cls(0, memoryview(bytearray(8 * _ROW_CELLS)).cast("q"))

    reopen = Cell(REOPEN)
    slot = Cell(SLOT)
    generation = Cell(GENERATION)
    pid = Cell(PID)
    born = Cell(BORN)
    beat = Cell(BEAT)
    requests = Cell(REQUESTS)
    errors = Cell(ERRORS)
    busy = Cell(BUSY)
    parked = Cell(PARKED)
    connections = Cell(CONNECTIONS)
    memory = Cell(MEMORY)
    began = Cell(BEGAN)
    progress = Cell(PROGRESS)

    @property
    def order(self) -> Order:
        """What the master wants; what is no order (it never is) reads as ``QUIT``."""
        number = self.cells[ORDER]
        return Order(number) if Order.BOOT <= number <= Order.QUIT else Order.QUIT

    @order.setter
    def order(self, order: Order) -> None:
        self.cells[ORDER] = order

    @property
    def state(self) -> State:
        """What the worker says; what is no state reads as ``GONE``."""
        number = self.cells[STATE]
        return State(number) if State.FREE <= number <= State.GONE else State.GONE

    @state.setter
    def state(self, state: State) -> None:
        self.cells[STATE] = state

    @property
    def request(self) -> str:
        """The current request, or the last one: method and path; torn if its writer died writing."""
        return self._request.read()

    @request.setter
    def request(self, text: bytes) -> None:
        self._request.write(text)

    def observe(self, nanoseconds: int) -> None:
        """Count a finished request in the histogram.

        Bucket 0 is below 1.024 us; bucket n ends at 2**n times that; the last has no end.
        """
        bucket = (nanoseconds >> 10).bit_length()
        self.cells[HISTOGRAM + (bucket if bucket < BUCKETS else BUCKETS - 1)] += 1

    @property
    def histogram(self) -> list[int]:
        """The requests counted so far, by bucket."""
        return self.cells[HISTOGRAM:].tolist()


class Header:
    """What is known of the master.

    Attributes:
        pid: of the master.
        started: when it started.
        generation: the last that was committed.
        reloads: how many were attempted, a running one included.
    """

    __slots__ = ("_outcome", "cells")

    def __init__(self, cells: memoryview) -> None:
        """Stand for these cells."""
        self.cells = cells
        self._outcome = _Text(cells, OUTCOME_SEQUENCE, OUTCOME_LENGTH, _OUTCOME, OUTCOME_TEXT)

    pid = Cell(MASTER_PID)
    started = Cell(STARTED)
    generation = Cell(CURRENT_GENERATION)
    reloads = Cell(RELOADS)

    @property
    def outcome(self) -> Outcome:
        """How the last reload ended, or that it still runs."""
        number = self.cells[OUTCOME]
        return Outcome(number) if Outcome.NONE <= number <= Outcome.REFUSED else Outcome.NONE

    @property
    def reason(self) -> str:
        """Why the last reload was refused, or what it did."""
        return self._outcome.read()

    def conclude(self, outcome: Outcome, reason: str = "") -> None:
        """Write the outcome and its text; the text comes first, so whoever waits for one has both."""
        self._outcome.write(reason.encode("utf-8", "backslashreplace"))
        self.cells[OUTCOME] = outcome


class Scoreboard:
    """The whole board; the master creates it, its workers are born with it, others attach.

    Attributes:
        fd: the file's descriptor, not inheritable.
    """

    def __init__(self, fd: int, *, writable: bool) -> None:
        """Map a board that is one; see ``create`` and ``attach``."""
        self.fd = fd
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(fd, _SIZE, access=access)
        self._cells = memoryview(self._map).cast("q")
        self.header = Header(self._cells[:_HEADER_CELLS])

    @classmethod
    def create(cls) -> Scoreboard:
        """Make an empty board; pages that no process uses take no memory.

        Raises:
            OSError: there is no memory or no descriptor left.
        """
        fd = os.memfd_create(_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, _SIZE)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            board = cls(fd, writable=True)
        except BaseException:
            os.close(fd)
            raise
        board.header.cells[_MAGIC] = _MAGIC_VALUE
        board.header.cells[_VERSION] = VERSION
        return board

    @classmethod
    def attach(cls, fd: int, *, writable: bool) -> Scoreboard:
        """Map the board behind a descriptor, which then belongs to it.

        Raises:
            NotAScoreboardError: it is something else, or of another version, or
                not sealed (whoever maps such a file can be killed by its owner).
            OSError: the descriptor cannot be mapped.
        """
        try:
            sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS
        except OSError as error:
            raise NotAScoreboardError(f"descriptor {fd} is no file in memory") from error
        if not sealed or os.fstat(fd).st_size != _SIZE:
            raise NotAScoreboardError(f"descriptor {fd} is no scoreboard of version {VERSION}")
        board = cls(fd, writable=writable)
        cells = board.header.cells
        if cells[_MAGIC] != _MAGIC_VALUE or cells[_VERSION] != VERSION:
            raise NotAScoreboardError(f"descriptor {fd} is no scoreboard of version {VERSION}")
        return board

    @classmethod
    def of_process(cls, pid: int) -> Scoreboard | None:
        """Attach, for reading, the board of a running master; None if it has none.

        Raises:
            PermissionError: the process belongs to somebody else.
            NotAScoreboardError: its board is of another version.
        """
        try:
            entries = sorted(Path(f"/proc/{pid}/fd").iterdir())
        except FileNotFoundError:
            return None
        for entry in entries:
            try:
                if not str(entry.readlink()).startswith(f"/memfd:{_NAME}"):
                    continue
                fd = os.open(entry, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                return cls.attach(fd, writable=False)
            except BaseException:
                os.close(fd)
                raise
        return None

    def claim(self, slot: int, generation: int, born: int) -> Row | None:
        """Clear a free row and give it to a process about to be forked; None if all are taken."""
        for index in range(ROWS):
            if self._cells[_begin(index) + BORN] == 0:
                row = self.row(index)
                self._cells[_USED] = max(self._cells[_USED], index + 1)
                _clear(row)
                row.slot = slot
                row.generation = generation
                row.state = State.BOOTING
                row.born = born
                return row
        return None

    def release(self, row: Row) -> None:
        """Free the row of a process that was reaped."""
        row.born = 0
        _clear(row)

    def row(self, index: int) -> Row:
        """Stand for one row, taken or free."""
        begin = _begin(index)
        return Row(index, self._cells[begin : begin + _ROW_CELLS])

    def rows(self) -> Iterator[Row]:
        """All rows that belong to a process."""
        # A row that is only read takes memory too, so those that were never used are left alone.
        for index in range(min(self._cells[_USED], ROWS)):
            if self._cells[_begin(index) + BORN]:
                yield self.row(index)

    def close(self) -> None:
        """Close the descriptor; the mapping stays as long as a row of it is held."""
        os.close(self.fd)


def _begin(index: int) -> int:
    return _HEADER_CELLS + index * _ROW_CELLS


_EMPTY_ROW = bytes(8 * _ROW_CELLS)


def _clear(row: Row) -> None:
    row.cells.cast("B")[:] = _EMPTY_ROW
