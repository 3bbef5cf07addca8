"""Allowances: at what pace they let through, alone and shared."""

from __future__ import annotations

import pytest

from plait.relay.limits import BURST, Allowance


def memory() -> memoryview[float]:
    return memoryview(bytearray(64)).cast("d")


@pytest.mark.parametrize("rate", [8_000, 8_000_000, 800_000_000])
@pytest.mark.parametrize("piece", [1, 1500, 16384])
@pytest.mark.parametrize("workers", [1, 3])
def test_the_rate_is_kept_whoever_carries(rate: int, piece: int, workers: int) -> None:
    cells = memory()
    allowances = [Allowance(cells, 2, rate) for _ in range(workers)]
    now, carried, turn = 1000.0, 0, 0
    while turn < 1000:
        one = allowances[turn % workers]
        wait = one.wait(now)
        if wait > 0:
            now += wait
        one.spend(piece, now)
        carried += piece
        turn += 1
    seconds = now - 1000.0
    # The burst at the start, and the piece that is under way at the end.
    assert carried * 8 <= rate * (seconds + BURST) + 8 * piece + 1
    if seconds > 1:
        assert carried * 8 >= 0.99 * rate * seconds


def test_a_pause_gives_the_burst_and_no_more() -> None:
    allowance = Allowance(memory(), 0, 8_000_000)
    now, carried = 5000.0, 0
    while allowance.wait(now) <= 0:
        allowance.spend(1000, now)
        carried += 1000
    assert carried == pytest.approx(BURST * 1_000_000, abs=2000)


def test_directions_are_apart() -> None:
    cells = memory()
    up, down = Allowance(cells, 0, 8000), Allowance(cells, 1, 8000)
    up.spend(10_000, 100.0)
    assert up.wait(100.0) > 1
    assert down.wait(100.0) <= 0


@pytest.mark.parametrize(("rate", "grade"), [(8_000, 0), (10_000_000, 0), (100_000_000, 3), (10**10, 4)])
def test_a_turn_is_not_much_more_than_the_burst(rate: int, grade: int) -> None:
    assert Allowance(memory(), 0, rate).grade == grade
