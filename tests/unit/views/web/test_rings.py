from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.views.web.rings import Cell, Damaged, Ring, Row, open_ring, put_aside

NAME = "day.ring"


@pytest.fixture
def where(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def cell(value: float) -> Cell:
    return Cell(*[value] * 7)


def row(slot: int, **values: float) -> Row:
    return Row(slot, 1, {name: cell(value) for name, value in values.items()})


def slots(ring: Ring, first: int, last: int) -> list[int]:
    return [each.slot for each in ring.between(first, last)]


def test_rows_come_back_in_order_and_the_oldest_give_way(where: int, tmp_path: Path) -> None:
    ring = open_ring(where, NAME, 10, 5, ["a", "b"], 4)
    size = (tmp_path / NAME).stat().st_size
    for slot in range(100, 108):
        ring.write(row(slot, a=slot, b=2))
    assert slots(ring, 0, 200) == []
    assert slots(ring, 100, 107) == [103, 104, 105, 106, 107]
    assert slots(ring, 104, 105) == [104, 105]
    assert slots(ring, 105, 109) == [105, 106, 107]
    found = ring.read(106)
    assert found is not None
    assert found.cells == {"a": cell(106), "b": cell(2)}
    assert ring.read(101) is None
    assert (tmp_path / NAME).stat().st_size == size, "a ring does not grow"


def test_they_outlive_the_process(where: int) -> None:
    ring = open_ring(where, NAME, 10, 5, ["a"], 4)
    ring.write(row(7, a=1))
    ring.close()
    again = open_ring(where, NAME, 10, 5, ["a"], 4)
    assert slots(again, 5, 9) == [7]


def test_a_half_written_row_is_a_gap_and_nothing_else_is_lost(where: int, tmp_path: Path) -> None:
    ring = open_ring(where, NAME, 10, 5, ["a"], 4)
    for slot in range(5):
        ring.write(row(slot, a=slot))
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(4096 + 2 * ring.shape.row_size + 20)
        file.write(b"\xff\xff")
    assert slots(ring, 0, 4) == [0, 1, 3, 4]
    ring.write(row(7, a=7))
    assert slots(ring, 3, 7) == [3, 4, 7]


def test_new_columns_take_the_rows_along_and_old_ones_stay_while_there_is_room(where: int) -> None:
    ring = open_ring(where, NAME, 10, 5, ["a", "b"], 3)
    ring.write(row(7, a=1, b=2))
    ring.close()
    more = open_ring(where, NAME, 10, 5, ["a", "c"], 3)
    assert more.shape.names == ("a", "c", "b")
    found = more.read(7)
    assert found is not None
    assert (found.cells["a"], found.cells["b"]) == (cell(1), cell(2))
    assert str(found.cells["c"].tx) == "nan"
    more.close()
    most = open_ring(where, NAME, 10, 5, ["a", "c", "d", "e"], 3)
    assert most.shape.names == ("a", "c", "d", "e")
    most.close()
    assert open_ring(where, NAME, 10, 5, ["a"], 2).shape.names == ("a", "c")


def test_a_ring_of_other_length_takes_the_newest_rows_along(where: int) -> None:
    ring = open_ring(where, NAME, 10, 8, ["a"], 4)
    for slot in range(3, 11):
        ring.write(row(slot, a=slot))
    ring.close()
    assert slots(open_ring(where, NAME, 10, 4, ["a"], 4), 0, 10) == [7, 8, 9, 10]


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\0" * 4096, b"plait history 1\n" + b"\xff" * 9000],
    ids=["empty", "short", "zeros", "nonsense"],
)
def test_what_is_no_ring_is_said_to_be_damaged(where: int, tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(Damaged):
        open_ring(where, NAME, 10, 5, ["a"], 4)
    assert put_aside(where, NAME) == f"{NAME}.damaged"
    assert (tmp_path / f"{NAME}.damaged").read_bytes() == content
    open_ring(where, NAME, 10, 5, ["a"], 4).close()


def test_a_ring_that_was_cut_short_is_damaged(where: int, tmp_path: Path) -> None:
    open_ring(where, NAME, 10, 5, ["a"], 4).close()
    os.truncate(tmp_path / NAME, 4100)
    with pytest.raises(Damaged, match="another size"):
        open_ring(where, NAME, 10, 5, ["a"], 4)


def test_links_are_not_followed_and_files_are_their_owners(where: int, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_ring(where, NAME, 10, 5, ["a"], 4)
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    (tmp_path / NAME).unlink()
    open_ring(where, NAME, 10, 5, ["a"], 4).close()
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_names_that_do_not_fit_are_refused_before_anything_is_made(where: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too many paths"):
        open_ring(where, NAME, 10, 5, [f"{'x' * 32}{n}" for n in range(200)], 200)
    assert list(tmp_path.iterdir()) == []
