"""Figures that change seldom."""

from __future__ import annotations

import pytest

from plait.paths.settled import Settled


def after(*looks: tuple[float | None, float], every: float = 3.0) -> tuple[float | None, float]:
    settled = Settled()
    for number, (rtt, loss) in enumerate(looks):
        settled.look(rtt, loss, number * every)
    return settled.rtt, settled.loss


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([], (None, 0.0)),
        ([(None, 0.0)], (None, 0.0)),
        ([(0.02, 0.0)], (0.02, 0.0)),
        ([(0.02, 0.0), (0.025, 0.0)], (0.02, 0.0)),
        ([(0.02, 0.0), (0.03, 0.0)], (0.03, 0.0)),
        ([(0.02, 0.0), (None, 0.0)], (0.02, 0.0)),
        ([(0.0005, 0.0), (0.003, 0.0)], (0.0005, 0.0)),  # a third, but next to nothing
        ([(None, 0.06)], (None, 0.05)),
        ([(None, 0.06), (None, 0.04)], (None, 0.05)),
        ([(None, 0.06), (None, 0.03)], (None, 0.02)),
        ([(None, 0.06), (None, 0.5)], (None, 0.4)),
        ([(None, 0.5), (None, 0.0)], (None, 0.0)),
    ],
)
def test_what_counts_as_a_change(
    looks: list[tuple[float | None, float]], expected: tuple[float | None, float]
) -> None:
    assert after(*looks) == expected


def test_an_rtt_changes_every_two_seconds_at_most() -> None:
    assert after((0.02, 0.0), (0.2, 0.0), every=1.0) == (0.02, 0.0)
    assert after((0.02, 0.0), (0.2, 0.0), (0.2, 0.0), every=1.0) == (0.2, 0.0)
