"""Looks at a made-up connection of two paths, 20 a second."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from tests.unit.relay.test_silence import flow

from plait.kernel.mptcp_info import NO_PACING, Look
from plait.relay.backlog import HOLD, WAIT, Backlog

STEP = 0.05
RATE = 2_500_000  # bytes a second: 20 Mbit/s


class Connection:
    """Each path acknowledges at its rate; so much waits in the queue of each."""

    def __init__(self, **rates: int) -> None:
        self.rates = rates
        self.acked = dict.fromkeys(rates, 0)
        self.waits = dict.fromkeys(rates, 0)
        self.pacing = dict(rates)
        self.flying = dict.fromkeys(rates, 10)
        self.unassigned = 0
        self.backlog = Backlog()
        self.now = 1000.0

    def seen(self) -> tuple[Look, int]:
        flows = tuple(
            replace(
                flow(acked=self.acked[name], unacked=self.flying.get(name, 10)),
                local=ip_address(f"10.0.0.{number}"),
                not_sent=self.waits[name],
                pacing=self.pacing[name],
            )
            for number, name in enumerate(self.rates, 1)
        )
        handed = sum(each.unacked * each.segment + each.not_sent for each in flows)
        return Look(flows, handed), handed + self.unassigned

    def look(self, times: int = 1) -> bool:
        engaged = False
        for _ in range(times):
            for name, rate in self.rates.items():
                self.acked[name] += int(rate * STEP)
            engaged = self.backlog.look(*self.seen(), self.now)
            self.now += STEP
        return engaged

    def helping(self) -> int:
        return self.backlog.helping(*self.seen())


def settled(wait: int = 400_000, **rates: int) -> Connection:
    """A connection that has been looked at for long, with ``wait`` in the queue of each path."""
    made = Connection(**rates or {"dsl": RATE, "lte": RATE})
    made.waits = dict.fromkeys(made.rates, wait)
    assert made.look(60)
    return made


def test_a_young_connection_is_left_alone_for_less_than_a_second() -> None:
    """A cut that comes soon after a link's return is felt as any other."""
    made = Connection(dsl=RATE)
    made.waits["dsl"] = 400_000
    assert not made.look(10)
    assert made.look(10)


def test_little_that_waits_is_left_alone() -> None:
    made = Connection(dsl=RATE)
    made.waits["dsl"] = int(RATE * WAIT)
    assert not made.look(100)


def test_a_fast_link_is_left_alone() -> None:
    made = Connection(wire=1_000_000_000)
    made.waits["wire"] = 16_000_000
    assert not made.look(100)


def test_nothing_is_given_while_enough_waits_and_then_what_is_missing() -> None:
    made = settled()
    assert made.helping() == 0
    bound = int(RATE * WAIT)
    made.waits = {"dsl": bound - 10_000, "lte": bound - 5_000}
    assert made.helping() == pytest.approx(15_000, abs=10)
    made.unassigned = 6_000
    assert made.helping() == pytest.approx(9_000, abs=10)
    assert made.backlog.engaged
    # A helping comes so soon that a path can't run dry between two.
    assert bound > 4 * RATE * HOLD


def test_a_full_queue_on_a_dead_path_does_not_starve_the_other() -> None:
    made = settled()
    made.rates["lte"] = 0
    made.look(10)
    made.waits["dsl"] = 0
    assert made.helping() == pytest.approx(RATE * WAIT, abs=10)


def test_who_has_nearly_run_dry_is_left_alone_again() -> None:
    made = settled()
    made.waits = {"dsl": 5_000, "lte": 0}
    made.helping()
    assert not made.backlog.engaged
    made.waits = {"dsl": 400_000, "lte": 400_000}
    assert not made.look(5)
    assert made.look(20)


def test_who_still_finds_out_what_the_path_takes_may_have_more_waiting() -> None:
    """In slow start congestion control would send two to three times what arrives."""
    made = settled(dsl=RATE)
    made.pacing["dsl"] = 3 * RATE
    made.waits["dsl"] = 0
    assert made.helping() == pytest.approx(3 * RATE * WAIT, abs=10)


def test_a_pace_that_falls_for_a_moment_takes_nothing_away() -> None:
    """BBR sends less for a round trip when it drains a queue."""
    made = settled(dsl=RATE)
    made.pacing["dsl"] = RATE // 3
    made.waits["dsl"] = int(RATE * WAIT) - 20_000
    assert made.helping() == pytest.approx(20_000, abs=10)


def test_who_keeps_no_pace_is_left_alone() -> None:
    made = Connection(dsl=RATE)
    made.pacing["dsl"] = NO_PACING
    made.waits["dsl"] = 16_000_000
    assert not made.look(100)


def test_a_new_subflow_lets_go_while_it_is_young_and_carries() -> None:
    made = settled(dsl=RATE)
    made.rates["lte"] = made.acked["lte"] = made.pacing["lte"] = 0
    made.waits["lte"] = 0
    assert made.look(30), "a backup that carries nothing is nothing to wait for"
    made.rates["lte"] = made.pacing["lte"] = RATE
    made.waits["lte"] = 400_000
    assert not made.look(10)
    assert made.look(10)


def test_a_far_path_is_fed_although_the_near_one_looks_quicker() -> None:
    """The scheduler counts what is in flight: the near one may have as much more waiting."""
    made = settled(near=RATE, far=RATE)
    made.flying = {"near": 10, "far": 70}
    made.waits = {"near": int(RATE * WAIT), "far": int(RATE * WAIT)}
    assert made.helping() == pytest.approx(60 * 1448, abs=10)


def test_an_idle_path_has_no_share() -> None:
    made = settled(dsl=RATE, backup=0)
    made.waits = {"dsl": int(RATE * WAIT), "backup": 0}
    assert made.helping() == 0


def test_where_a_path_has_nothing_to_send_all_wait_for_longer() -> None:
    made = settled(near=RATE, far=RATE)
    made.waits = {"near": int(RATE * WAIT), "far": 0}
    made.look(20)
    made.waits["far"] = int(RATE * WAIT)
    more = made.helping()
    assert more > 2 * RATE * WAIT
    made.look(100)
    assert 0 < made.helping() < more
    made.look(400)
    assert made.helping() == pytest.approx(0, abs=100)
