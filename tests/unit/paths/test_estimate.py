"""RTT, jitter, loss, and what a missing answer is worth."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.paths.estimate import Estimate, Figures


def seen(*rtts: float | None, every: float = 1.0) -> Estimate:
    """Probes in turn; None is one that was lost."""
    estimate = Estimate()
    for at, rtt in enumerate(rtts):
        if rtt is None:
            estimate.lost()
        else:
            estimate.answered(rtt, at * every)
    return estimate


def test_nothing_is_known_at_first() -> None:
    assert Estimate().figures == Figures()
    assert seen(None).figures == Figures(None, None, 1.0)


def test_the_first_answer_is_the_rtt() -> None:
    assert seen(0.02).figures == Figures(0.02, 0.01, 0.0)


def test_a_steady_path_has_no_jitter() -> None:
    figures = seen(*[0.02] * 40).figures
    assert figures.rtt == pytest.approx(0.02)
    assert figures.jitter == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_loss_is_what_was_lost_of_the_last_fifty(share: float) -> None:
    pattern = [None if i % round(1 / share) == 0 else 0.02 for i in range(400)]
    assert seen(*pattern).loss == pytest.approx(share, abs=0.35 * share)


def test_loss_is_forgotten() -> None:
    assert seen(*[None] * 50, *[0.02] * 200).loss < 0.05


def test_traffic_weighs_by_its_segments() -> None:
    estimate = seen(*[0.02] * 50)
    estimate.carried(10, 1)
    assert estimate.loss < 0.003
    estimate.carried(100_000, 5_000)
    assert estimate.loss == pytest.approx(0.05, abs=0.01)
    estimate.carried(0, 0)
    assert estimate.loss == pytest.approx(0.05, abs=0.01)


def test_few_probes_are_not_sure_and_traffic_is_not_asked() -> None:
    assert seen(None, 0.02, 0.02).sure_loss < 0.08
    assert seen(*[None, 0.02, 0.02, 0.02] * 20).sure_loss == pytest.approx(0.2, abs=0.05)
    estimate = seen(*[0.02] * 50)
    estimate.carried(100_000, 50_000)
    assert estimate.sure_loss == 0.0


@pytest.mark.parametrize(
    ("history", "missing"),
    [
        ([0.02] * 60, 3),  # a clean path: 1 in 100 at worst
        ([], 5),  # nothing known
        ([0.02] * 4 + [None], 9),  # an answer in five is missing
    ],
)
def test_how_many_missing_answers_are_a_millionth(history: list[float | None], missing: int) -> None:
    estimate = seen(*history * (1 if len(history) != 5 else 20))
    assert estimate.surprise * missing >= log(1e6) - 0.4
    assert estimate.surprise * (missing - 1) < log(1e6) - 0.4


@pytest.mark.parametrize(
    ("rtts", "low", "high"),
    [
        ([], 0.15, 0.15),
        ([0.005] * 20, 0.15, 0.15),
        ([0.6] * 20, 0.75, 0.95),
        ([0.03] * 20 + [0.6] + [0.03] * 5, 0.5, 0.8),  # a queue that fills at times
        ([9.0], 1.5, 1.5),
    ],
)
def test_patience(rtts: list[float], low: float, high: float) -> None:
    assert low <= seen(*rtts).patience(float(len(rtts))) <= high


def test_a_bad_minute_is_forgotten() -> None:
    estimate = seen(*[0.6] * 5, *[0.03] * 100)
    assert estimate.patience(105.0) < 0.2


@given(st.lists(st.one_of(st.none(), st.floats(1e-6, 5.0)), max_size=200))
def test_bounds(history: list[float | None]) -> None:
    estimate = seen(*history)
    assert 0.0 <= estimate.loss <= 1.0
    assert 0.1 < estimate.surprise <= -log(0.01) + 1e-9
    assert 0.15 <= estimate.patience(len(history)) <= 1.5
    assert 0.0 <= estimate.sure_loss <= estimate.loss + 1e-9


def test_a_run_of_answers_that_would_be_a_wonder_ends_the_loss_of_before() -> None:
    lossy = [0.02, 0.02, None] * 20
    assert seen(*lossy).sure_loss == pytest.approx(0.28, abs=0.05)
    assert seen(*lossy, *[0.02] * 8).sure_loss > 0.2
    assert seen(*lossy, *[0.02] * 18).sure_loss == 0.0
    rare = [None, *[0.02] * 49]
    assert seen(*rare, *rare).sure_loss > 0.005
