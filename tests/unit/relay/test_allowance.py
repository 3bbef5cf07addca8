"""Allowances: at what pace they let through, alone and shared."""

from __future__ import annotations

import pytest

from plait.relay.allowance import BURST, CELLS, Allowance, Kind, pair

RATE = 8_000_000
START = 1000.0


def memory(users: int = 1) -> memoryview[float]:
    return memoryview(bytearray(users * CELLS * 8)).cast("d")


@pytest.mark.parametrize("rate", [8_000, RATE, 800_000_000])
@pytest.mark.parametrize("piece", [1, 1500, 16384])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", Kind)
def test_the_rate_is_kept_whoever_carries(rate: int, piece: int, workers: int, kind: Kind) -> None:
    cells = memory()
    allowances = [Allowance(cells, 3, rate, kind) for _ in range(workers)]
    now, carried, turn = START, 0, 0
    while turn < 1000:
        one = allowances[turn % workers]
        wait = one.wait(now)
        if wait > 0:
            now += wait
        one.spend(piece, now)
        carried += piece
        turn += 1
    seconds = now - START
    # The burst at the start, and the piece that is under way at the end.
    assert carried * 8 <= rate * (seconds + BURST) + 8 * piece + 1
    if seconds > 1:
        assert carried * 8 >= 0.99 * rate * seconds


def test_a_pause_gives_the_burst_and_no_more() -> None:
    allowance = Allowance(memory(), 0, RATE, Kind.DATAGRAMS)
    now, carried = 5000.0, 0
    while allowance.wait(now) <= 0:
        allowance.spend(1000, now)
        carried += 1000
    assert carried == pytest.approx(BURST * RATE / 8, abs=2000)


def test_directions_are_apart_and_users_too() -> None:
    cells = memory(2)
    up, down = pair(cells, 0, 8000, Kind.STREAMS)
    other, _ = pair(cells, CELLS, 8000, Kind.STREAMS)
    up.spend(10_000, 100.0)
    assert up.wait(100.0) > 1
    assert down.wait(100.0) <= 0
    assert other.wait(100.0) <= 0


def shared(wants: dict[Kind, float], piece: dict[Kind, int], seconds: float) -> dict[Kind, int]:
    """Bytes that each kind carried, which would have sent ``wants`` bytes a second."""
    cells = memory()
    allowances = {kind: Allowance(cells, 0, RATE, kind) for kind in wants}
    due = dict.fromkeys(wants, START)
    carried = dict.fromkeys(wants, 0)
    while True:
        kind = min(due, key=lambda kind: due[kind])
        now = due[kind]
        if now >= START + seconds:
            return carried
        wait = allowances[kind].wait(now)
        if wait > 0:
            due[kind] = now + wait
            continue
        allowances[kind].spend(piece[kind], now)
        carried[kind] += piece[kind]
        due[kind] = now + piece[kind] / wants[kind]


@pytest.mark.parametrize("streams", [1500, 16384, 100_000])
@pytest.mark.parametrize("datagrams", [200, 1500, 65000])
def test_both_kinds_get_half_when_both_want_all(streams: int, datagrams: int) -> None:
    piece = {Kind.STREAMS: streams, Kind.DATAGRAMS: datagrams}
    seconds = 20.0
    found = shared({Kind.STREAMS: 9e9, Kind.DATAGRAMS: 9e9}, piece, seconds)
    half = RATE / 8 / 2 * seconds
    assert found[Kind.STREAMS] == pytest.approx(half, rel=0.1)
    assert found[Kind.DATAGRAMS] == pytest.approx(half, rel=0.1)
    assert sum(found.values()) <= RATE / 8 * (seconds + 2 * BURST) + streams + datagrams


@pytest.mark.parametrize(("little", "much"), [tuple(Kind), tuple(Kind)[::-1]])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.45])
def test_what_one_leaves_the_other_has(little: Kind, much: Kind, share: float) -> None:
    wants = {little: share * RATE / 8, much: 9e9}
    found = shared(wants, {little: 1200, much: 16384}, 20.0)
    assert found[little] == pytest.approx(wants[little] * 20, rel=0.03), "it is never held up for long"
    assert sum(found.values()) == pytest.approx(RATE / 8 * 20, rel=0.05)


def test_who_has_had_all_gets_his_half_as_soon_as_he_must_share() -> None:
    cells = memory()
    streams, datagrams = (Allowance(cells, 0, RATE, kind) for kind in Kind)
    now = START
    while now < START + 60:
        now += max(0.0, streams.wait(now))
        streams.spend(16384, now)
    assert datagrams.wait(now) <= 0.0, "there is room above what one may have alone"
    assert cells[Kind.STREAMS] <= now + BURST + 2 * 16384 / (RATE / 8)


def test_a_wait_is_long_enough_for_the_clock_to_move_on() -> None:
    cells = memory()
    streams = Allowance(cells, 0, RATE, Kind.STREAMS)
    cells[0] = cells[Kind.STREAMS] = 1e6 + BURST + 1e-10
    wait = streams.wait(1e6)
    assert wait > 0
    assert 1e6 + wait > 1e6
    assert streams.wait(1e6 + wait) <= 0
