"""What is acknowledged, and when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tunnel.frames import MOST_RANGES, Ack, Treatment, decode, encode
from plait.tunnel.receipts import BYTES, DELAY, FORGIVEN, GAP_DELAY, THIN, THIN_DELAY, Receipts


@pytest.mark.parametrize(
    ("count", "size", "treatment", "due"),
    [
        (1, 200, Treatment.REDUNDANT, THIN_DELAY),
        (THIN, 200, Treatment.REDUNDANT, DELAY),
        (1, 200, Treatment.ORDERED, DELAY),
        (46, BYTES, Treatment.ORDERED, 0.0),
        (3, 300, None, None),
    ],
)
def test_when_it_is_due(count: int, size: int, treatment: Treatment | None, due: float | None) -> None:
    receipts = Receipts(3)
    receipts.add(0, count, size, treatment, 5.0)
    assert receipts.deadline() == (None if due is None else 5.0 + due)


def test_a_gap_is_told_soon() -> None:
    receipts = Receipts(3)
    receipts.add(0, 1, 100, Treatment.LOOSE, 1.0)
    assert receipts.deadline() == 1.0 + THIN_DELAY
    receipts.add(2, 1, 100, Treatment.LOOSE, 1.001)
    assert receipts.deadline() == 1.0 + DELAY


def test_a_gap_in_what_is_kept_in_order_is_told_sooner() -> None:
    receipts = Receipts(3)
    receipts.add(0, 1, 100, Treatment.ORDERED, 1.0)
    receipts.add(2, 1, 100, Treatment.ORDERED, 1.001)
    assert receipts.deadline() == 1.0 + GAP_DELAY
    receipts.ack(1.002)
    receipts.add(3, 1, 100, Treatment.ORDERED, 1.003)
    assert receipts.deadline() == 1.003 + DELAY, "it has been told"


@pytest.mark.parametrize(
    ("waited", "arrived"), [(0.0, 2.0), (0.003, 1.997), (0.100, 2.0 - FORGIVEN), (-1.0, 2.0)]
)
def test_what_waited_for_a_process(waited: float, arrived: float) -> None:
    """It arrived earlier, but the ACK was held only since it was read."""
    receipts = Receipts(3)
    receipts.add(0, 1, 100, Treatment.LOOSE, 2.0, waited)
    ack = receipts.ack(2.001)
    assert (ack.arrived, ack.held) == (pytest.approx(arrived * 1e6, abs=1), pytest.approx(1000, abs=1))
    receipts.add(1, 1, 100, Treatment.LOOSE, 2.002, 1.0)
    assert receipts.ack(2.002).arrived >= ack.arrived, "no later one arrived before"


def test_a_clock_may_begin_anywhere() -> None:
    receipts = Receipts(3)
    receipts.add(0, 1, 100, Treatment.LOOSE, -77.0)
    assert receipts.ack(-76.9).arrived == -77_000_000


def test_what_it_says() -> None:
    receipts = Receipts(3)
    receipts.add(0, 5, 500, Treatment.LOOSE, 1.0)
    receipts.add(7, 2, 200, Treatment.LOOSE, 1.5)
    ack = receipts.ack(1.51)
    assert (ack.path, ack.bytes, ack.ranges) == (3, 700, ((7, 8), (0, 4)))
    assert ack.arrived == pytest.approx(1.5e6, abs=1)
    assert ack.held == pytest.approx(10_000, abs=1)
    assert receipts.deadline() is None


def test_it_is_late_what_comes_late() -> None:
    """A late datagram does not change when the newest came."""
    receipts = Receipts(3)
    receipts.add(4, 1, 100, Treatment.LOOSE, 1.0)
    receipts.add(3, 1, 100, Treatment.LOOSE, 2.0)
    ack = receipts.ack(2.0)
    assert ack.arrived == 1_000_000
    assert ack.ranges == ((3, 4),)


@given(st.permutations(range(40)))
def test_ranges_hold_what_came(order: list[int]) -> None:
    receipts = Receipts(0)
    came: set[int] = set()
    for counter in order:
        receipts.add(counter, 1, 1, Treatment.LOOSE, float(len(came)))
        came.add(counter)
        ranges = receipts.ack(0.0).ranges
        assert {each for first, last in ranges for each in range(first, last + 1)} == came
        assert all(above[0] > below[1] + 1 for above, below in itertools.pairwise(ranges))


def test_there_are_never_more_ranges_than_fit() -> None:
    receipts = Receipts(0)
    for counter in range(0, 400, 2):
        receipts.add(counter, 1, 1, Treatment.LOOSE, 0.0)
    receipts.add(1, 1, 1, Treatment.LOOSE, 0.0)
    ack = receipts.ack(0.0)
    assert len(ack.ranges) == MOST_RANGES
    assert ack.newest == 398


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=20))
def test_what_comes_twice_is_told_once(runs: list[tuple[int, int]]) -> None:
    """A peer may begin to count anew under new keys: what is said of it must be possible to write."""
    receipts = Receipts(0)
    for first, count in runs:
        receipts.add(first, count, 100, Treatment.ORDERED, 0.0)
    ack = decode(encode(receipts.ack(0.0)))
    assert isinstance(ack, Ack)
    told = {number for first, last in ack.ranges for number in range(first, last + 1)}
    assert told == {number for first, count in runs for number in range(first, first + count)}
