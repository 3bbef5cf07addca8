"""When capacities are measured."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from plait.paths.training import FIRST, Training


@dataclass
class Run:
    training: Training
    now: float = 0.0

    def sent(self, seconds: float, *, benched: bool = False, wanted: bool = False, busy: bool = False) -> int:
        """Trains of so many seconds."""
        count, end = 0, self.now + seconds
        while self.now < end:
            due = self.training.due(benched=benched, wanted=wanted, busy=busy)
            if due is not None and due <= self.now:
                self.training.sent(0.02, 0.0, self.now)
                count += 1
            self.now += 1.0
        return count


@pytest.fixture
def run() -> Run:
    run = Run(Training())
    assert run.sent(5) == FIRST
    return run


def test_few_later_on(run: Run) -> None:
    assert run.sent(3600) == 6
    run.training.metered = True
    assert run.sent(3600) == 2


def test_more_on_the_bench_and_most_while_the_path_would_be_of_use(run: Run) -> None:
    assert run.sent(600, benched=True) == 10
    assert run.sent(600, benched=True, wanted=True) == 120
    run.training.metered = True
    assert run.sent(600, benched=True, wanted=True) == 10


def test_none_into_traffic_but_the_first(run: Run) -> None:
    assert run.sent(3600, busy=True) == 0
    run.training.anew()
    assert run.sent(60, busy=True) == FIRST


@pytest.mark.parametrize(("metered", "followed"), [(False, 10), (True, 1)])
def test_suspicions_are_followed_at_once_but_not_all(run: Run, metered: bool, followed: int) -> None:
    run.training.metered = metered
    count = 0
    for _ in range(300):
        count += run.training.suspect(run.now)
        run.sent(1, busy=True)
    assert count == followed


@pytest.mark.parametrize(
    ("rtt", "loss", "other"),
    [
        (0.02, 0.0, False),
        (0.028, 0.0, False),
        (0.05, 0.0, True),
        (0.009, 0.0, True),
        (0.015, 0.0, False),
        (None, 0.0, False),
        (0.02, 0.05, False),
        (0.02, 0.2, True),
    ],
)
def test_what_is_another_link(run: Run, rtt: float | None, loss: float, other: bool) -> None:
    assert run.training.differs(rtt, loss) is other


def test_what_was_lossy_and_is_no_longer_is_another_link() -> None:
    training = Training()
    training.sent(None, 0.3, 0.0)
    assert training.differs(0.02, 0.1)
    assert not training.differs(0.02, 0.2)
