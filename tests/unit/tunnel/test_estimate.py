"""Figures of one path out of samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tunnel.estimate import BASE_WINDOW, LEAST_PATIENCE, Estimate, Extreme

samples = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 100)), min_size=1, max_size=50)


@given(samples)
def test_the_largest_of_a_window(steps: list[tuple[float, float]]) -> None:
    extreme, taken, now = Extreme(), list[tuple[float, float]](), 0.0
    for step, value in steps:
        now += step
        taken.append((now, value))
        assert extreme.add(value, now, 5.0) == max(each for at, each in taken if at >= now - 5.0)


def test_forgetting() -> None:
    extreme = Extreme()
    extreme.add(9.0, 1.0, 100.0)
    extreme.add(5.0, 2.0, 100.0)
    assert extreme.forget(2.0) == 5.0
    assert extreme.forget(3.0) == 0.0


def test_round_trips_are_smoothed() -> None:
    estimate = Estimate()
    estimate.sample(0.100, 5.0)
    assert (estimate.srtt, estimate.rttvar, estimate.owd) == (0.100, 0.050, 5.0)
    estimate.sample(0.200, 5.1)
    assert estimate.srtt == pytest.approx(0.1125)
    assert estimate.rttvar == pytest.approx(0.0625)
    assert estimate.owd == pytest.approx(5.0125)


def test_the_queue_is_what_the_mean_of_a_round_is_above_the_least() -> None:
    estimate = Estimate()
    now = 0.0
    for there, back in ((0.030, 0.010), (0.020, 0.010), (0.050, 0.040)):
        for jitter in (-0.005, 0.005):
            estimate.sample(there + jitter + back, 77.0 + there + jitter)
        now += 1.0
        estimate.end_round(now)
    assert estimate.least_owd == pytest.approx(77.020)
    assert estimate.queue == pytest.approx(0.030)
    assert estimate.round_mean == pytest.approx(0.090)
    assert estimate.base == pytest.approx(0.060)  # what the way back takes longer is not our queue
    estimate.end_round(now)  # without samples nothing changes
    assert estimate.round_mean == pytest.approx(0.090)
    estimate.sample(0.060, 77.060)
    estimate.end_round(now + BASE_WINDOW)
    assert estimate.least_owd == pytest.approx(77.050)


def test_jitter_is_what_it_was_at_its_least() -> None:
    estimate = Estimate()
    now = 0.0
    for step in range(100):
        now += 0.1
        growing = max(0, step - 80) * 0.010
        estimate.sample(0.040 + growing, 5.0 + 0.004 * (-1) ** step + growing)
        estimate.end_round(now)
    assert estimate.jitter < 0.006
    assert estimate.queue > 0.150


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_loss_is_found(share: float) -> None:
    estimate = Estimate()
    for _ in range(200):
        estimate.count(round(100 * (1 - share)), round(100 * share))
    assert estimate.loss == pytest.approx(share, abs=0.01)


def test_patience() -> None:
    estimate = Estimate()
    assert estimate.patience(0.04) == 0.5
    estimate.sample(0.050, 0.0)
    assert estimate.patience(0.04) == pytest.approx(0.050 + 0.100 + 0.040)
    for _ in range(100):
        estimate.sample(0.050, 0.0)
    assert estimate.patience(0.04) == pytest.approx(0.050 + LEAST_PATIENCE + 0.040)
