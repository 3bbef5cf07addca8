"""Users' rates for datagrams: what waits, what is dropped, and what a change of rate does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from plait.courier.pace import Paces
from plait.relay.allowance import BURST, CELL, CELLS
from plait.relay.loop import Loop

RATE = 8_000_000
BYTES = RATE // 8
START = 1000.0


class Road:
    """Paces on a loop whose clock and timers are moved by hand."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.loop.now = START
        self.fd = os.memfd_create("cells")
        os.ftruncate(self.fd, 4 * CELLS * CELL)
        self.paces = Paces(self.loop, self.fd)
        self.paces.renew({"roof": RATE}, {"roof": 0})
        self.sent: list[tuple[float, int]] = []

    def up(self, size: int, user: str = "roof") -> bool:
        return self.paces.up(user, size, lambda: self.sent.append((self.loop.now, size)))

    def down(self, size: int, user: str = "roof") -> bool:
        return self.paces.down(user, size, lambda: self.sent.append((self.loop.now, size)))

    def pass_time(self, seconds: float, step: float = 0.001) -> None:
        end = self.loop.now + seconds
        while self.loop.now < end:
            self.loop.now += step
            self.loop._fire()

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.sent)


@pytest.fixture
def road() -> Iterator[Road]:
    road = Road()
    yield road
    os.close(road.fd)
    road.loop.close()


def test_what_has_room_goes_at_once_and_in_order(road: Road) -> None:
    assert all(road.up(1000 + n) for n in range(10))
    assert road.sent == [(START, 1000 + n) for n in range(10)]


def test_a_burst_waits_its_turn_and_nothing_is_lost(road: Road) -> None:
    sizes = [1000 + n for n in range(175)]
    assert all(road.up(size) for size in sizes), "a burst of 0.1 s and a queue of 0.1 s"
    assert road.bytes <= BURST * BYTES + 1200
    road.pass_time(0.2)
    assert [size for _, size in road.sent] == sizes
    assert not road.paces.dropped


@pytest.mark.parametrize("size", [200, 1400, 65000])
def test_what_comes_too_fast_is_dropped_beyond_a_short_queue(road: Road, size: int) -> None:
    offered = 0
    while road.loop.now < START + 3:
        for _ in range(max(1, int(3 * BYTES * 0.002 / size))):
            offered += size
            road.up(size)
        road.pass_time(0.002)
    assert 0.97 * 3 * BYTES <= road.bytes <= BYTES * (3 + 2 * BURST) + size
    assert road.paces.dropped["roof"] > 0
    before = road.bytes
    road.pass_time(1)
    assert road.bytes - before <= max(65536, 0.1 * BYTES) + size, "what waited"


def test_directions_and_users_are_apart(road: Road) -> None:
    while road.up(1400):
        pass
    assert road.down(1400)
    assert all(road.up(1400, user) for user in ("", "cellar") for _ in range(1000)), "no rate, no limit"
    assert len(road.paces.dropped) == 1


def test_another_rate_holds_at_once_and_a_lost_one_no_more(road: Road) -> None:
    while road.up(1400):
        pass
    road.paces.renew({"roof": RATE, "cellar": 8000}, {"roof": 0, "cellar": CELLS})
    assert not road.up(1400), "who stays, stays"
    road.paces.renew({"roof": 10 * RATE}, {"roof": 0})
    assert road.up(1400)
    road.paces.renew({}, {})
    before = road.bytes
    assert all(road.up(1400) for _ in range(1000))
    assert road.bytes == before + 1400_000


def test_all_processes_share(road: Road) -> None:
    other = Paces(road.loop, road.fd)
    other.renew({"roof": RATE}, {"roof": 0})
    seconds = 2.0
    for _ in range(int(seconds / 0.001)):
        for _ in range(3):
            road.up(1400)
            other.up("roof", 1400, lambda: road.sent.append((road.loop.now, 1400)))
        road.pass_time(0.001)
    assert 0.95 * seconds * BYTES <= road.bytes <= BYTES * (seconds + 2 * BURST) + 3000


def test_without_cells_there_are_no_rates() -> None:
    loop = Loop()
    paces = Paces(loop)
    paces.renew({"roof": 8}, {"roof": 0})
    sent: list[int] = []
    for n in range(100):
        assert paces.down("roof", 1 << 20, lambda n=n: sent.append(n))  # type: ignore[misc]
    assert sent == list(range(100))
    loop.close()
