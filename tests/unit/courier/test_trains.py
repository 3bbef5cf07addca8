"""Capacity by spread."""

from __future__ import annotations

import pytest

from plait.courier.trains import Arriving, rate


def test_a_train_is_complete_when_all_have_come() -> None:
    train = Arriving(1, 3, 1_000_000, 1_000_000, size=1200)
    assert not train.complete
    train.add(3_000_000, 1200)
    train.add(2_000_000, 1200)  # overtaken
    assert train.complete
    assert (train.spread, train.bytes, train.size) == (2000, 2400, 3600)
    assert rate(train.arrived, train.spread, train.bytes) == 9_600_000


@pytest.mark.parametrize(
    ("count", "spread", "size", "expected"),
    [
        (8, 6720, 8400, 10_000_000),
        (8, 0, 8400, 67_200_000_000),
        (8, 0, 1 << 40, 100_000_000_000),
        (2, 1000, 1200, None),
        (0, 0, 0, None),
    ],
)
def test_rates(count: int, spread: int, size: int, expected: int | None) -> None:
    assert rate(count, spread, size) == expected
