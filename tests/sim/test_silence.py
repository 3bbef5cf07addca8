"""How soon silence is noticed, and what is never taken for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sim.street import Road, Street

from plait.paths.health import Health
from plait.paths.standing import Condition

CUTS = 20
_FIELDS = ("name", "delay", "jitter", "loss", "metered", "busy", "inward")


def street(*roads: Road, seed: int = 1) -> tuple[Health, Street]:
    health = Health(["attic"], {road.name: road.metered for road in roads})
    return health, Street(health, list(roads), seed)


def state(health: Health, here: Street, path: str = "wan1") -> Condition:
    return health.standings(here.now)[path].condition


def both(road: Road) -> None:
    road.there = road.back = False


def there(road: Road) -> None:
    road.there = False


def back(road: Road) -> None:
    road.back = False


@pytest.mark.parametrize("cut", [both, there, back])
@pytest.mark.parametrize(
    ("first", "second", "median", "worst"),
    [
        # the promise: 350 ms where traffic flows, and 2.5 s where none does
        (Road("wan1", 0.001, busy=True), Road("wan2", 0.02), 0.30, 0.35),
        (Road("wan1", 0.02, busy=True), Road("wan2", 0.02, busy=True), 0.30, 0.35),
        (Road("wan1", 0.02, busy=True), Road("wan2", 0.02, metered=True), 0.30, 0.35),
        (Road("wan1", 0.01, busy=True, inward=True), Road("wan2", 0.01, busy=True, inward=True), 0.3, 0.33),
        (Road("wan1", 0.02, busy=True, inward=True), Road("wan2", 0.02), 0.32, 0.37),
        (Road("wan1", 0.02), Road("wan2", 0.02), 1.1, 1.5),
        (Road("wan1", 0.02, metered=True), Road("wan2", 0.02, metered=True), 1.6, 2.5),
        # what takes longer, and why: a long way, losses that must be told from silence
        (Road("wan1", 0.06, busy=True), Road("wan2", 0.02), 0.40, 0.45),
        (Road("wan1", 0.02, loss=0.1, busy=True), Road("wan2", 0.02), 0.45, 0.8),
        (Road("wan1", 0.02, loss=0.2), Road("wan2", 0.02), 1.6, 2.5),
        (Road("wan1", 0.01, busy=True), Road("wan2", 0.3), 0.8, 1.0),
        (Road("wan1", 0.3, busy=True), Road("wan2", 0.02), 2.0, 2.6),
    ],
)
def test_silence_is_noticed(
    first: Road, second: Road, median: float, worst: float, cut: Callable[[Road], None]
) -> None:
    def once(seed: int) -> float:
        roads = [Road(**{name: getattr(each, name) for name in _FIELDS}) for each in (first, second)]
        health, here = street(*roads, seed=seed)
        here.run(30.0 + seed * 0.137)
        cut(here.roads["wan1"])
        took = here.run_until(lambda: state(health, here) is Condition.DOWN, 5.0)
        assert state(health, here, "wan2") is Condition.UP
        return took

    found = sorted(once(seed) for seed in range(CUTS))
    assert found[CUTS // 2] <= median
    assert found[-1] <= worst


def repeat(every: float, what: Callable[[Street], None]) -> Callable[[Street], None]:
    def events(here: Street) -> None:
        for number in range(int(560 / every)):
            here.at(40 + number * every, lambda: what(here))

    return events


def sleep(seconds: float) -> Callable[[Street], None]:
    return repeat(3.7, lambda here: here.sleep(seconds))


def exit_sleep(seconds: float) -> Callable[[Street], None]:
    def nod(here: Street) -> None:
        here.exit_awake = False
        here.after(seconds, here.wake_exit)

    return repeat(3.7, nod)


def swell(here: Street) -> None:
    """A queue that fills within seconds and holds for a while."""
    road = here.roads["wan1"]
    for step in range(40):
        here.after(0.1 * step, lambda step=step: setattr(road, "delay", 0.02 + 0.28 * step / 40))  # type: ignore[misc]
    here.after(10, lambda: setattr(road, "delay", 0.02))


def nothing(here: Street) -> None:
    pass


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(
    ("first", "events"),
    [
        (Road("wan1", 0.02, loss=0.1), nothing),
        (Road("wan1", 0.02, loss=0.2), nothing),
        (Road("wan1", 0.02, jitter=0.3), nothing),
        (Road("wan1", 0.02), sleep(0.2)),
        (Road("wan1", 0.02), sleep(1.0)),
        (Road("wan1", 0.02), exit_sleep(0.2)),
        (Road("wan1", 0.02), exit_sleep(0.5)),
        (Road("wan1", 0.02), repeat(30.0, swell)),
    ],
)
def test_what_is_no_silence(first: Road, events: Callable[[Street], None], busy: bool) -> None:
    """Ten minutes of each: losses, queues, and processes that are not let run, here and there."""
    road = Road("wan1", first.delay, first.jitter, first.loss, busy=busy)
    health, here = street(road, Road("wan2", 0.03, loss=first.loss))
    wrong: list[tuple[float, str]] = []

    def told() -> None:
        for name, standing in health.standings(here.now).items():
            if standing.condition in (Condition.DOWN, Condition.LOST, Condition.RETURNING):
                wrong.append((here.now, name))

    here.told = told
    here.run(30.0)
    events(here)
    here.run(600.0)
    assert wrong == []


def test_probing_is_cheap() -> None:
    """Under a kilobit a second on each path that is metered, carries traffic, or is just well."""
    roads = [Road("wan1", 0.02, busy=True), Road("wan2", 0.03, metered=True), Road("wan3", 0.04, loss=0.01)]
    _, here = street(*roads)
    here.run(3600.0)
    bits = {name: sent * 84 * 8 / 3600 for name, sent in here.sent.items()}
    assert all(each < 1000 for each in bits.values()), bits
    assert bits["wan2"] < 500


def test_a_return_is_believed_within_a_second() -> None:
    def once(seed: int) -> float:
        health, here = street(Road("wan1", 0.02), Road("wan2", 0.02), seed=seed)
        here.run(30.0)
        both(here.roads["wan1"])
        here.run(30.0 + 5.0 + seed * 0.31)
        here.roads["wan1"].there = here.roads["wan1"].back = True
        return here.run_until(lambda: state(health, here) is Condition.UP, 5.0)

    assert max(once(seed) for seed in range(CUTS)) <= 1.0


def test_a_carrier_that_comes_back_is_believed_within_half_a_second() -> None:
    health, here = street(Road("wan1", 0.02), Road("wan2", 0.02))
    here.run(60.0)
    here.link("wan1", False)
    here.run(65.0)
    here.link("wan1", True)
    assert here.run_until(lambda: state(health, here) is Condition.UP, 5.0) <= 0.5


def test_an_exit_that_restarts_leaves_the_paths_as_they_were() -> None:
    health, here = street(Road("wan1", 0.02, busy=True), Road("wan2", 0.1))
    seen: set[Condition] = set()
    here.told = lambda: seen.update(each.condition for each in health.standings(here.now).values())
    here.run(60.0)
    here.exit_alive = False
    here.run(75.0)
    assert {state(health, here), state(health, here, "wan2")} == {Condition.LOST}
    here.exit_alive = True
    here.run_until(lambda: not health.silent_exits(), 2.0)
    here.run(here.now + 2.0)
    assert {state(health, here), state(health, here, "wan2")} == {Condition.UP}
    assert Condition.DOWN not in seen


def test_the_last_path_is_taken_back_while_the_exit_is_away() -> None:
    """wan1 has been dead for long; wan2 dies; wan1 returns: it is used at once."""
    health, here = street(Road("wan1", 0.02), Road("wan2", 0.02))
    here.run(60.0)
    both(here.roads["wan1"])
    here.run(90.0)
    both(here.roads["wan2"])
    here.run(95.0)
    assert (state(health, here), state(health, here, "wan2")) == (Condition.DOWN, Condition.LOST)
    here.roads["wan1"].there = here.roads["wan1"].back = True
    assert here.run_until(lambda: state(health, here) is Condition.UP, 5.0) <= 1.0
    assert here.run_until(lambda: state(health, here, "wan2") is Condition.DOWN, 5.0) <= 1.5


def test_a_foreign_exit_is_judged_within_seconds() -> None:
    health, here = street(Road("wan1", 0.02), Road("wan2", 0.02))
    here.foreign = True
    health.session("attic", False)
    here.run(60.0)
    assert state(health, here) is Condition.UP
    both(here.roads["wan1"])
    assert here.run_until(lambda: state(health, here) is Condition.DOWN, 20.0) <= 12.0
    here.roads["wan1"].there = here.roads["wan1"].back = True
    assert here.run_until(lambda: state(health, here) is Condition.UP, 10.0) <= 3.0
