"""What a path can carry."""

from __future__ import annotations

import pytest

from plait.paths.capacity import Capacity


def test_nothing_is_known_at_first() -> None:
    capacity = Capacity()
    assert (capacity.up(0.0), capacity.down(0.0), capacity.carrying(0.0)) == (None, None, 0.0)


def test_the_middle_one_of_three_trains_is_believed() -> None:
    capacity = Capacity()
    for at, down in enumerate((50_000_000, 4_000_000, 48_000_000, 47_000_000)):
        capacity.train(1_000_000, down, float(at))
    assert capacity.down(5.0) == 47_000_000
    assert capacity.up(5.0) == 1_000_000


def test_a_train_may_find_out_one_direction_only() -> None:
    capacity = Capacity()
    capacity.train(None, 5_000_000, 1.0)
    assert (capacity.up(2.0), capacity.down(2.0)) == (None, 5_000_000)


def test_old_trains_are_forgotten() -> None:
    capacity = Capacity()
    capacity.train(1, 1, 0.0)
    assert capacity.down(3600.0) is None


def moved(
    capacity: Capacity, seconds: float, *, up: int = 0, down: int = 0, rate: int = 0, start: float = 0.0
) -> float:
    """Carry so many bits a second, told 20 times a second; gives the time at the end."""
    steps = round(seconds * 20)
    for step in range(steps):
        capacity.carried(up // 160, down // 160, rate, start + step / 20)
    return start + steps / 20


def test_what_was_carried_is_the_least_that_a_path_can() -> None:
    capacity = Capacity()
    capacity.train(2_000_000, 2_000_000, 0.0)
    now = moved(capacity, 3.0, down=40_000_000)
    assert capacity.down(now) == pytest.approx(40_000_000, rel=0.15)
    assert capacity.up(now) == 2_000_000
    assert capacity.down(now + 1500) == 2_000_000


def test_carrying_is_what_happens_now() -> None:
    capacity = Capacity()
    now = moved(capacity, 3.0, up=1_000_000, down=8_000_000)
    assert capacity.carrying(now) == pytest.approx(9_000_000, rel=0.15)
    assert capacity.busy(now)
    assert capacity.carrying(now + 5.0) == 0.0
    capacity.carried(1, 1, 0, now + 20.0)
    assert capacity.carrying(now + 20.0) == 0.0


def test_a_train_that_meets_traffic_is_not_believed() -> None:
    capacity = Capacity()
    now = moved(capacity, 3.0, down=8_000_000)
    capacity.train(7_000_000, 7_000_000, now)  # the first is better than nothing
    capacity.train(1_000, 1_000, now)
    assert capacity.up(now) == 7_000_000
    assert capacity.down(now) == pytest.approx(8_000_000, rel=0.15)


def test_what_was_shown() -> None:
    capacity = Capacity()
    capacity.train(900_000_000, 900_000_000, 0.0)
    assert capacity.shown(0.0) == 0.0
    now = moved(capacity, 3.0, up=1_600_000, down=8_000_000)
    assert capacity.shown(now) == pytest.approx(9_600_000, rel=0.15)


def test_a_rate_that_tcp_found_beats_a_train() -> None:
    capacity = Capacity()
    capacity.train(500_000_000, 500_000_000, 0.0)
    now = moved(capacity, 3.0, up=1_900_000, rate=2_000_000)
    assert capacity.up(now) == 2_000_000
    assert capacity.down(now) == 500_000_000
    assert capacity.up(now + 60.0) == 500_000_000


def test_of_several_rates_the_highest_counts_for_a_while() -> None:
    capacity = Capacity()
    for step, rate in enumerate((5, 9, 7, 6)):
        moved(capacity, 1.0, up=2_500_000, rate=rate * 1_000_000, start=float(step))
    assert capacity.up(4.0) == 9_000_000
    now = moved(capacity, 1.0, up=2_500_000, rate=3_000_000, start=30.0)
    assert capacity.up(now) == 3_000_000


def test_a_path_that_carries_a_fraction_of_what_it_did_may_have_been_throttled() -> None:
    capacity = Capacity()
    now = moved(capacity, 3.0, down=40_000_000)
    assert not capacity.fallen(now)
    now = moved(capacity, 3.0, down=1_500_000, start=now)
    assert not capacity.fallen(now)
    now = moved(capacity, 3.0, down=1_500_000, start=now)
    assert capacity.fallen(now)


@pytest.mark.parametrize("down", [20_000_000, 10_000])
def test_one_that_carries_half_or_nothing_was_not(down: int) -> None:
    capacity = Capacity()
    now = moved(capacity, 3.0, down=40_000_000)
    now = moved(capacity, 20.0, down=down, start=now)
    assert not capacity.fallen(now)


def test_a_pause_is_no_throttle() -> None:
    capacity = Capacity()
    now = moved(capacity, 3.0, down=40_000_000)
    now = moved(capacity, 2.0, down=1_500_000, start=now)
    now = moved(capacity, 3.0, down=1_500_000, start=now + 10)
    assert not capacity.fallen(now)


def test_in_doubt_new_trains_count_in_spite_of_traffic_and_against_what_was_seen() -> None:
    capacity = Capacity()
    for at in range(3):
        capacity.train(30_000_000, 40_000_000, float(at))
    now = moved(capacity, 3.0, down=40_000_000, start=3.0)
    now = moved(capacity, 6.0, down=1_500_000, start=now)
    capacity.train(1_000_000, 2_000_000, now)
    assert capacity.down(now) == pytest.approx(40_000_000, rel=0.15)
    capacity.doubt(3)
    for _ in range(3):
        capacity.train(1_000_000, 2_000_000, now)
    assert capacity.down(now) == 2_000_000
    assert capacity.up(now) == 1_000_000
    assert not capacity.fallen(now)


def test_in_doubt_trains_may_also_confirm() -> None:
    capacity = Capacity()
    now = moved(capacity, 3.0, down=40_000_000)
    now = moved(capacity, 6.0, down=1_500_000, start=now)
    capacity.doubt(3)
    for _ in range(3):
        capacity.train(30_000_000, 38_000_000, now)
    assert capacity.down(now) == pytest.approx(40_000_000, rel=0.15)


def test_a_train_contradicts_only_where_it_is_believed() -> None:
    capacity = Capacity()
    assert not capacity.contradicted(1, 1, 0.0)
    capacity.train(2_000_000, 20_000_000, 0.0)
    assert not capacity.contradicted(3_000_000, 12_000_000, 1.0)
    assert not capacity.contradicted(None, None, 1.0)
    assert capacity.contradicted(5_000_000, 20_000_000, 1.0)
    assert capacity.contradicted(2_000_000, 9_000_000, 1.0)
    now = moved(capacity, 3.0, down=15_000_000, start=1.0)
    assert not capacity.contradicted(2_000_000, 1_000_000, now)


def test_a_request_in_a_download_tells_no_rate() -> None:
    capacity = Capacity()
    capacity.train(30_000_000, 40_000_000, 0.0)
    now = moved(capacity, 3.0, up=10_000, down=30_000_000, rate=600_000)
    assert capacity.up(now) == 30_000_000
