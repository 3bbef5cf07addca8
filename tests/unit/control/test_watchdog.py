from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.control.watchdog import Watchdog


def run(watchdog: Watchdog, until: float, since: float = 0.0) -> list[float]:
    """Sleep from deadline to deadline; when attempts were made."""
    made = []
    while (at := watchdog.deadline()) is not None and at <= until:
        assert at >= since, "a deadline in the past would never let go of the processor"
        since = at
        assert not watchdog.due(at - 0.001)
        if watchdog.due(at):
            made.append(at)
    return made


@pytest.mark.parametrize(
    ("after", "limit", "attempts"),
    [
        (60.0, 5, [60, 180, 420, 900, 1860, 60 + 3600 + 120]),
        (60.0, 2, [60, 180, 60 + 3600]),
        (10.0, 99, [10, 30, 70, 150, 310, 630, 1270, 2550, 5110, 8710]),
        (7200.0, 5, [7200]),
        (60.0, 0, []),
    ],
)
def test_a_path_that_never_comes_back(after: float, limit: int, attempts: list[float]) -> None:
    watchdog = Watchdog(after, limit)
    watchdog.saw(True, 0.0)
    watchdog.saw(True, 5.0)
    assert run(watchdog, attempts[-1] if attempts else 1e6) == attempts


def test_nothing_is_due_for_a_path_that_is_up_or_comes_back_in_time() -> None:
    watchdog = Watchdog(60.0, 5)
    assert watchdog.deadline() is None
    watchdog.saw(False, 0.0)
    assert watchdog.deadline() is None
    watchdog.saw(True, 100.0)
    assert watchdog.deadline() == 160.0
    watchdog.saw(False, 159.0)
    assert watchdog.deadline() is None
    assert not watchdog.due(200.0)


def test_patience_is_fresh_only_after_a_while_of_being_up() -> None:
    watchdog = Watchdog(60.0, 50)
    watchdog.saw(True, 0.0)
    assert run(watchdog, 200) == [60, 180]
    watchdog.saw(False, 200.0)
    watchdog.saw(True, 210.0)
    assert watchdog.deadline() == 210 + 240, "up for ten seconds only"
    watchdog.saw(False, 220.0)
    watchdog.saw(True, 290.0)
    assert watchdog.deadline() == 350
    assert watchdog.tries == 0


@given(
    after=st.floats(1, 4000),
    limit=st.integers(1, 9),
    changes=st.lists(st.tuples(st.floats(0, 5000), st.booleans()), max_size=30),
)
def test_never_more_than_the_limit_in_any_hour(
    after: float, limit: int, changes: list[tuple[float, bool]]
) -> None:
    watchdog, now, made = Watchdog(after, limit), 0.0, list[float]()
    for pause, down in changes:
        while (at := watchdog.deadline()) is not None and at <= now + pause:
            now, pause = max(at, now), pause - max(0.0, at - now)
            if watchdog.due(now):
                made.append(now)
        now += pause
        watchdog.saw(down, now)
    for first, beyond in zip(made, made[limit:], strict=False):
        assert beyond - first >= 3599.99
