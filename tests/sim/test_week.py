"""A week of modems: what the judgement and the keeper make of it, hour by hour, in seconds.

The host is the fake one, the clock a number, the week comes from a seed. Quiet hours are probed rarely,
the minutes around each event as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from random import Random

import pytest
from tests.sim.street import Road, Street

from plait.config.model import Config, Gateway, IPAddress, Mode, Path, Peer, Secret
from plait.kernel.fake import FakeHost
from plait.paths import policy
from plait.paths.choice import chosen, probe_ways, ways
from plait.paths.diff import diff, teardown
from plait.paths.judge import Judge
from plait.paths.marks import is_our_route
from plait.paths.model import TABLE_MAIN, Address, Interest, Route
from plait.paths.reach import survey
from plait.paths.standing import Condition

HOUR, DAY = 3600.0, 86400.0
PEERS: dict[str, tuple[IPAddress, ...]] = {"attic": (ip_address("198.51.100.7"),)}
MODES = {"dsl": Mode.MASTER, "lte": Mode.ON, "wifi": Mode.BACKUP, "sat": Mode.HANDOVER}
QUIET = 300.0
"""In quiet hours an echo is sent every five minutes."""
NOTICED = 4.0
"""Seconds in which whatever happens has been seen and acted upon: an idle path's pace, a burst, the
slowest road's round trip."""


class Week:
    """Four paths of a house, the keeper that looks after them, and somebody who watches both."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.host = FakeHost()
        self.config = Config(
            gateway=Gateway(lan=("lan",)),
            peers=(Peer(name="attic", address=("198.51.100.7",), password=Secret("x")),),
            paths=tuple(
                Path(interface=name, name=name, mode=mode, metered=name == "lte")
                for name, mode in MODES.items()
            ),
        )
        self.host.set_link("lan")
        self._address("lan", "192.168.78.1/24")
        for number, name in enumerate(MODES, 1):
            self.host.set_link(name)
            self._address(name, f"10.{number}.0.78/24")
            self._route(name)
        self.untouched = self._owners()
        self.judge = Judge(self.config, 0.0)
        roads = [
            Road("dsl", 0.012),
            Road("lte", 0.03, jitter=0.01, loss=0.005, metered=True),
            Road("wifi", 0.005, jitter=0.02),
            Road("sat", 0.3),
        ]
        self.street = Street(self.judge, roads, seed, thrift=QUIET)
        self.street.told = self.look
        self.changed = dict.fromkeys(MODES, 0.0)
        """When nature last did something to a road."""
        self.exit_changed = 0.0
        self.events = 0
        self.transitions = 0
        self.turns = 0
        self._former: dict[str, Condition] = {}
        self._seen: object = None
        self._world = 0
        self._busy_until = 0.0

    # The world.

    def _address(self, name: str, text: str) -> None:
        interface = ip_interface(text)
        self.host.set_addresses(name, Address(index=0, address=interface.ip, network=interface.network))

    def _route(self, name: str) -> None:
        index = self.host.links[name].index
        hop = next(each for each in self.host.addresses if each.index == index).network[1]
        self.host.add_route(
            Route(dst=ip_network("0.0.0.0/0"), oif=index, table=TABLE_MAIN, gateway=hop, metric=index)
        )

    def _owners(self) -> set[Route]:
        """Routes that are not ours, without what changes with every link."""
        return {
            replace(each, gateway=None)
            for each in self.host.routes
            if not is_our_route(each.table, each.protocol)
        }

    def happens(self, when: float, what: Callable[[], None], *roads: str) -> None:
        """Nature does something; for a while after it the world is looked at as closely as in truth."""

        def event() -> None:
            self.events += 1
            for name in roads:
                self.changed[name] = self.street.now
            what()
            self._busy_until = self.street.now + NOTICED + 1.0
            self.street.at(self._busy_until, quiet)

        def quiet() -> None:
            if self.street.now >= self._busy_until:
                self.street.hasten(QUIET)

        self.street.at(when - 1.0, lambda: self.street.hasten(1.0))
        self.street.at(when, event)

    def carrier(self, name: str, there: bool) -> None:
        self.host.set_link(name, carrier=there)
        self._world += 1
        self.look()

    def renumber(self, name: str) -> None:
        number = self.random.randrange(2, 70)
        self._address(name, f"10.{list(MODES).index(name) + 1}.{number}.78/24")
        index = self.host.links[name].index
        self.host.routes = [
            each for each in self.host.routes if each.oif != index or is_our_route(each.table, each.protocol)
        ]
        self._route(name)
        self._world += 1
        self.look()

    def pipe(self, name: str, there: bool, back: bool) -> None:
        road = self.street.roads[name]
        road.there, road.back = there, back

    def quality(self, name: str, delay: float, loss: float) -> None:
        road = self.street.roads[name]
        road.delay, road.loss = delay, loss

    def exit(self, alive: bool) -> None:
        self.exit_changed = self.street.now
        self.street.exit_alive = alive

    # The keeper.

    def look(self) -> None:
        """Observe, judge, change; then see whether all is as it must be."""
        now = self.street.now
        standings = self.judge.standings(now)
        if (standings, self._world) == self._seen:
            return
        snapshot = self.host.observe(policy.interest(self.config, PEERS))
        reached = {way.path for way in probe_ways(self.config, snapshot, PEERS)["attic"]}
        ready = {name: name in reached for name in MODES}
        for name, linked in ready.items():
            self.street.roads[name].linked = linked
        self.judge.links(ready, now)
        standings = self.judge.standings(now)
        self._seen = (standings, self._world)
        for name, standing in standings.items():
            self.transitions += self._former.get(name, standing.condition) is not standing.condition
            self._former[name] = standing.condition
        state = policy.desired(self.config, snapshot, PEERS, standings)
        changes = diff(snapshot, state)
        assert self.host.apply(changes) == []
        self.turns += bool(changes)
        after = self.host.observe(policy.interest(self.config, PEERS))
        assert diff(after, policy.desired(self.config, after, PEERS, standings)) == []

    def inspect(self) -> None:
        """What must be so at any time, once whatever happened last has been noticed."""
        now = self.street.now
        snapshot = self.host.observe(policy.interest(self.config, PEERS))
        standings = self.judge.standings(now)
        used = chosen(self.config, survey(self.config, snapshot), PEERS, standings)
        ready = {name for name in MODES if self.host.links[name].carrier}
        assert bool(used) is bool(ready), "a path that is there is always used"
        assert bool(ways(self.config, snapshot, PEERS, standings)["attic"]) is bool(ready)
        assert len(self.host.endpoints) == len(used)
        if not self.street.exit_alive or now < self.exit_changed + NOTICED:
            return
        works = {
            name
            for name in ready
            if self.street.roads[name].there
            and self.street.roads[name].back
            and now >= self.changed[name] + NOTICED
        }
        # Others may have died just now, and be used until that is seen.
        settled = all(now >= changed + NOTICED for changed in self.changed.values())
        if works and settled:
            names = {each.reach.path.name for each in used}
            assert names & works, f"{works} work and {names} are used"


def storms(week: Week, days: float) -> None:
    """What happens in a week, and what the week is told of none of it."""
    rnd, end = week.random, days * DAY

    def times(a_day: float) -> list[float]:
        return sorted(rnd.uniform(60.0, end - 600.0) for _ in range(round(a_day * days)))

    for at in times(3):  # somebody trips over the cable, once or a few times
        for number in range(rnd.choice((1, 1, 1, 5))):
            begin = at + number * rnd.uniform(4.0, 20.0)
            week.happens(begin, lambda: week.carrier("dsl", False), "dsl")
            week.happens(begin + rnd.uniform(1.0, 3.5), lambda: week.carrier("dsl", True), "dsl")
    for at in times(6):  # the mobile network goes, and comes back
        there, back = rnd.choice(((False, False), (False, True), (True, False)))
        lasts = rnd.choice((0.2, 0.8, 5.0, 60.0, 900.0))
        week.happens(at, lambda there=there, back=back: week.pipe("lte", there, back), "lte")  # type: ignore[misc]
        week.happens(at + lasts, lambda: week.pipe("lte", True, True), "lte")
    for day in range(int(days)):
        week.happens(day * DAY + 4 * HOUR, lambda: week.renumber("lte"), "lte")
        week.happens(day * DAY + 4.5 * HOUR, lambda: week.renumber("dsl"), "dsl")
        # an evening in which everybody is online, and queues are long
        week.happens(day * DAY + 19 * HOUR, lambda: week.quality("lte", 0.25, 0.02), "lte")
        week.happens(day * DAY + 23 * HOUR, lambda: week.quality("lte", 0.03, 0.005), "lte")
    for at in times(1):  # rain
        week.happens(at, lambda: week.quality("sat", 0.3, 0.15), "sat")
        week.happens(at + rnd.uniform(600.0, 2 * HOUR), lambda: week.quality("sat", 0.3, 0.0), "sat")
    for at in times(1):  # the exit is updated
        week.happens(at, lambda: week.exit(False), *MODES)
        week.happens(at + rnd.uniform(2.0, 40.0), lambda: week.exit(True), *MODES)
    for at in times(1):  # the power is out, but here
        for name in ("dsl", "lte", "wifi"):
            week.happens(at, lambda name=name: week.pipe(name, False, False), name)  # type: ignore[misc]
            week.happens(at + 300.0, lambda name=name: week.pipe(name, True, True), name)  # type: ignore[misc]
    for at in times(4):  # a download
        for name in ("dsl", "lte"):
            week.street.at(at, lambda name=name: week.street.load(name, True))  # type: ignore[misc]
            week.street.at(at + 10.0, lambda name=name: week.street.load(name, False))  # type: ignore[misc]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("seed", "days"), [(1, 7), (2, 2), (3, 2), (4, 2)])
def test_a_week(seed: int, days: int) -> None:
    week = Week(seed)
    storms(week, days)
    week.look()
    assert week.turns == 1
    for event in sorted(at for at, _, _ in week.street._queue):  # when anything is planned to happen
        week.street.run(event + NOTICED + 0.1)
        week.inspect()
    week.street.run(days * DAY)
    week.inspect()
    assert week.events > 30 * days
    # Each event moves a few paths a few steps (doubt, down, returning, up); nothing swings on its own.
    assert week.transitions <= 4 * week.events
    assert week.turns <= 2 * week.events
    # And all of it can be undone.
    assert week.host.apply(teardown(week.host.observe(Interest()))) == []
    assert week.host.rules == []
    assert week.host.endpoints == {}
    assert week.host.nft_digest is None
    assert week._owners() == week.untouched


def test_a_quiet_day_changes_nothing() -> None:
    week = Week(7)
    week.look()
    week.street.run(DAY)
    assert week.turns == 1
    assert week.transitions <= 8
