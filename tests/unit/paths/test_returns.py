"""How soon a path that has come back is used again."""

from __future__ import annotations

from plait.paths.returns import LONGEST, Returns


def holds(*served: float) -> list[float]:
    history = Returns()
    found = []
    for each in served:
        history.failed(each)
        found.append(history.hold)
    return found


def test_the_first_failures_are_forgiven() -> None:
    assert holds(*[0.0] * 8) == [0.0] * 8
    assert holds(*[2.0] * 16) == [0.0] * 16


def test_a_habit_costs_twice_as_much_each_time_up_to_half_a_minute() -> None:
    assert holds(*[0.0] * 15)[8:] == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST, LONGEST]


def test_service_earns_forgiveness_step_by_step() -> None:
    history = Returns()
    for _ in range(12):
        history.failed(0.0)
    assert history.hold == 8.0
    later = []
    for _ in range(5):
        history.failed(30.0)
        later.append(history.hold)
    assert later == [4.0, 2.0, 1.0, 0.0, 0.0]


def test_a_failure_every_few_seconds_is_borne() -> None:
    assert set(holds(*[3.0] * 30)) == {0.0}
    assert set(holds(*[6.0] * 200)) == {0.0}


def test_what_was_no_failure_is_given_back() -> None:
    history = Returns()
    for _ in range(50):
        history.failed(3.0)
        history.forgive()
    assert history.hold == 0.0
    assert history.count == 50


def test_returns_are_counted() -> None:
    history = Returns()
    history.returned()
    history.returned()
    assert history.count == 2
