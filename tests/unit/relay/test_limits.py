"""How much a limited leg reads at once."""

from __future__ import annotations

import pytest

from plait.relay.allowance import BURST, CELLS, Allowance, Kind
from plait.relay.legs import SIZES
from plait.relay.limits import Limit


@pytest.mark.parametrize(
    ("rate", "grade", "turns"),
    [(8_000, 0, 1), (2_000_000, 0, 1), (5_000_000, 0, 3), (100_000_000, 3, 8), (10**10, 4, 8)],
)
def test_a_turn_is_not_much_more_than_the_burst(rate: int, grade: int, turns: int) -> None:
    cells = memoryview(bytearray(CELLS * 8)).cast("d")
    limit = Limit(Allowance(cells, 0, rate, Kind.STREAMS))
    assert (limit.grade, limit.turns) == (grade, turns)
    assert SIZES[grade] * turns <= max(SIZES[0], BURST * rate / 8)
