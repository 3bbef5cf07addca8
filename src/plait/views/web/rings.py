"""One file of history: a ring of rows of equal length, one for each stretch of time.

    header   4096 bytes: magic, step, rows, columns, the columns' names as JSON, CRC
    row      slot (u32: seconds since the epoch / step), samples (u32), CRC (u32), then for each column
             seven float32 (`CELL`); a column without figures holds NaN

The place of a row follows from its slot, so nothing has to be looked for and nothing moves. The file has its
full size from the first moment on: a disk that fills up later takes no history. A row that was half
written when the power went fails its CRC and is a gap; a header is never written again. Another set of
columns is another file, which takes over the rows of the former one and then its name.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_MAGIC = b"plait history 1\n"
_HEADER = 4096
_FIXED = struct.Struct("<16sIIII")
_ROW = struct.Struct("<III")
_CELL = struct.Struct("<7f")
_CRC = struct.Struct("<I")
_LONGEST_NAMES = _HEADER - _FIXED.size - _CRC.size
_MANY = 1 << 20
"""Rows and columns of any file that is ours, at most."""


class Damaged(Exception):
    """The file is not what we wrote."""


class Cell(NamedTuple):
    """What one path did in one stretch of time; NaN for what is not known."""

    tx: float
    """Bits a second, on average."""
    rx: float
    tx_most: float
    """Bits a second in the busiest second."""
    rx_most: float
    rtt: float
    """Milliseconds, on average."""
    loss: float
    """Share, 0 to 1."""
    up: float
    """Share of the time in which the path was up, 0 to 1."""


NOTHING = Cell(*[math.nan] * 7)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file is like."""

    step: int
    """Seconds that a row stands for."""
    rows: int
    names: tuple[str, ...]
    """Of the columns."""

    @property
    def row_size(self) -> int:
        """Bytes of one row."""
        return _ROW.size + len(self.names) * _CELL.size

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return _HEADER + self.rows * self.row_size


class Row(NamedTuple):
    """One stretch of time."""

    slot: int
    samples: int
    cells: Mapping[str, Cell]


class Ring:
    """An open file. Every method but `close` raises OSError for what the disk does."""

    def __init__(self, fd: int, shape: Shape) -> None:
        self._fd = fd
        self.shape = shape

    def write(self, row: Row) -> None:
        """Put a row into its place."""
        cells = b"".join(_CELL.pack(*row.cells.get(name, NOTHING)) for name in self.shape.names)
        head = struct.pack("<II", row.slot, row.samples)
        data = head + _CRC.pack(zlib.crc32(cells, zlib.crc32(head))) + cells
        if os.pwrite(self._fd, data, self._place(row.slot)) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read(self, slot: int) -> Row | None:
        """The row of a slot, if it is there and whole."""
        found = self._whole(os.pread(self._fd, self.shape.row_size, self._place(slot)))
        return found if found is not None and found.slot == slot else None

    def between(self, first: int, last: int) -> Iterator[Row]:
        """Whole rows of the slots ``first`` to ``last``, oldest first."""
        first = max(first, last - self.shape.rows + 1, 0)
        size = self.shape.row_size
        slot = first
        while slot <= last:
            # As far as the file goes in one piece, at most a few hundred rows at once.
            count = min(last - slot + 1, self.shape.rows - slot % self.shape.rows, 512)
            data = os.pread(self._fd, count * size, self._place(slot))
            for offset in range(0, len(data) - size + 1, size):
                row = self._whole(data[offset : offset + size])
                if row is not None and row.slot == slot + offset // size:
                    yield row
            slot += count

    def all(self) -> Iterator[Row]:
        """Every whole row, in the order of the file."""
        for index in range(self.shape.rows):
            row = self._whole(os.pread(self._fd, self.shape.row_size, _HEADER + index * self.shape.row_size))
            if row is not None:
                yield row

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _place(self, slot: int) -> int:
        return _HEADER + slot % self.shape.rows * self.shape.row_size

    def _whole(self, data: bytes) -> Row | None:
        if len(data) != self.shape.row_size:
            return None
        slot, samples, crc = _ROW.unpack_from(data)
        if not samples or zlib.crc32(data[_ROW.size :], zlib.crc32(data[:8])) != crc:
            return None
        cells = map(Cell._make, _CELL.iter_unpack(data[_ROW.size :]))
        return Row(slot, samples, dict(zip(self.shape.names, cells, strict=True)))


def open_ring(directory: int, name: str, step: int, rows: int, names: Sequence[str], most: int) -> Ring:
    """The ring of that name in the open ``directory``, made where it is missing, and made anew around its
    rows where it lacks columns. Of columns that are no longer wanted so many stay that there are ``most``
    at most: a path that is back after a while finds its history. Raises OSError, and `Damaged` when what
    is there can't be read."""
    former = _existing(directory, name)
    if former is None:
        return _create(directory, name, Shape(step, rows, tuple(names)))
    shape = former.shape
    if (
        (shape.step, shape.rows) == (step, rows)
        and set(names) <= set(shape.names)
        and (len(shape.names) <= most)
    ):
        return former
    try:
        spare = [each for each in shape.names if each not in names]
        wanted = Shape(step, rows, (*names, *spare[: max(0, most - len(names))]))
        return _create(directory, name, wanted, former if shape.step == step else None)
    finally:
        former.close()


def put_aside(directory: int, name: str) -> str:
    """Give a damaged file another name, which is returned; only the last one is kept."""
    aside = f"{name}.damaged"
    os.replace(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
    return aside


def _existing(directory: int, name: str) -> Ring | None:
    try:
        fd = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        shape = _shape(os.pread(fd, _HEADER, 0))
        if os.fstat(fd).st_size != shape.size:
            raise Damaged("it has another size than it says")
    except BaseException:
        os.close(fd)
        raise
    return Ring(fd, shape)


def _shape(header: bytes) -> Shape:
    """What a header says; raises Damaged."""
    if len(header) != _HEADER or _CRC.pack(zlib.crc32(header[:-4])) != header[-4:]:
        raise Damaged("its header is not whole")
    magic, step, rows, columns, length = _FIXED.unpack_from(header)
    try:
        names = json.loads(header[_FIXED.size : _FIXED.size + length])
    except ValueError:
        names = None
    if (
        magic != _MAGIC
        or not isinstance(names, list)
        or not all(isinstance(each, str) for each in names)
        or len(names) != columns
        or not (0 < step < _MANY and 0 < rows < _MANY)
    ):
        raise Damaged("it is of another kind")
    return Shape(step, rows, tuple(names))


def _create(directory: int, name: str, shape: Shape, former: Ring | None = None) -> Ring:
    """A new file with the rows of a former one, whole or not at all."""
    names = json.dumps(shape.names).encode()
    if len(names) > _LONGEST_NAMES:
        raise OSError(errno.E2BIG, "too many paths for one file of history")
    header = _FIXED.pack(_MAGIC, shape.step, shape.rows, len(shape.names), len(names)) + names
    header = header.ljust(_HEADER - 4, b"\0")
    fresh = f"{name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=directory)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(fresh, flags, 0o600, dir_fd=directory)
    ring = Ring(fd, shape)
    try:
        os.posix_fallocate(fd, 0, shape.size)
        os.pwrite(fd, header + _CRC.pack(zlib.crc32(header)), 0)
        if former is not None:
            for row in sorted(former.all(), key=lambda row: row.slot)[-shape.rows :]:
                ring.write(row)
        os.fsync(fd)
        os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        ring.close()
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=directory)
        raise
    return ring
