"""What acknowledgements make of runs under way."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from plait.tunnel.flight import Flight, Parcel
from plait.tunnel.frames import Ack, Treatment


def parcel(count: int, token: int = 0) -> Parcel:
    return Parcel(0, token, 0, count, 100, Treatment.ORDERED, 2, 0, 0)


def ack(*ranges: tuple[int, int], arrived: int = 1000, size: int = 0) -> Ack:
    return Ack(0, 0, arrived, size, ranges)


def flight(*counts: int, gap: float = 0.010) -> Flight:
    """Runs sent one after the other, ``gap`` seconds apart."""
    under_way = Flight()
    counter = 0
    for token, count in enumerate(counts):
        under_way.sent(parcel(count, token), counter, token * gap)
        counter += count
    return under_way


def test_a_run_that_has_arrived_is_done() -> None:
    under_way = flight(10, 5, 5)
    verdict = under_way.on_ack(ack((0, 14), size=1500), 0.0, 1.0)
    assert [each.token for each in verdict.done] == [0, 1]
    assert (verdict.delivered, verdict.datagrams, under_way.bytes) == (1500, 15, 500)
    assert verdict.newest is not None
    assert verdict.newest.token == 1
    assert (under_way.received, under_way.arrived) == (1500, 1000)
    assert not under_way.idle


def test_a_run_of_which_the_end_is_missing_still_may_come() -> None:
    under_way = flight(10)
    verdict = under_way.on_ack(ack((0, 5)), 0.0, 1.0)
    assert (verdict.done, verdict.lost, verdict.delivered) == ([], [], 0)
    assert verdict.newest is not None
    assert under_way.on_ack(ack((0, 9)), 0.0, 1.0).delivered == 1000
    assert under_way.idle


def test_what_is_overtaken_by_far_is_lost() -> None:
    under_way = flight(10, 10, 10)
    verdict = under_way.on_ack(ack((5, 19), (0, 2)), 0.015, 1.0)
    assert verdict.lost == []  # the newest left only 10 ms later
    assert verdict.delivered == 1800
    verdict = under_way.on_ack(ack((5, 29), (0, 2)), 0.015, 1.0)
    assert [(lost.token, offset, count) for lost, offset, count in verdict.lost] == [(0, 3, 2)]
    assert [each.token for each in verdict.done] == [2, 0]
    assert (verdict.lost_datagrams, verdict.delivered) == (2, 1000)
    assert under_way.idle
    assert under_way.bytes == 0


def test_what_was_only_late_is_not_lost() -> None:
    under_way = flight(10, 10, 10)
    under_way.on_ack(ack((5, 19), (0, 2)), 0.015, 1.0)
    verdict = under_way.on_ack(ack((0, 29)), 0.015, 1.0)
    assert verdict.lost == []
    assert verdict.delivered == 1200
    assert under_way.bytes == 0


def test_an_old_ack_is_no_news() -> None:
    under_way = flight(10, 10)
    under_way.on_ack(ack((0, 9), arrived=50, size=1000), 0.0, 1.0)
    verdict = under_way.on_ack(ack((0, 4), arrived=40, size=500), 0.0, 1.0)
    assert (verdict.newest, verdict.done) == (None, [])
    assert (under_way.received, under_way.arrived) == (1000, 50)


def test_an_ack_of_what_was_not_sent_does_no_harm() -> None:
    under_way = flight(10)
    verdict = under_way.on_ack(ack((5000, 6000)), 0.0, 1.0)
    assert verdict.delivered == 0
    assert under_way.bytes in (0, 1000)


def test_silence_loses_all() -> None:
    under_way = flight(10, 4)
    under_way.on_ack(ack((5, 10), (0, 2)), 1.0, 1.0)
    verdict = under_way.abandon()
    assert [(lost.token, offset, count) for lost, offset, count in verdict.lost] == [(0, 3, 2), (1, 0, 4)]
    assert [each.token for each in verdict.done] == [0, 1]
    assert under_way.idle
    assert under_way.bytes == 0


def test_a_pause_starts_the_measure_anew() -> None:
    under_way = Flight()
    counter = 0
    for begin in (10.0, 1000.0):
        runs = [parcel(1) for _ in range(4)]
        for step, run in enumerate(runs):
            under_way.sent(run, counter + step, begin + step * 0.001)
        spans = []
        for step, run in enumerate(runs):
            verdict = under_way.on_ack(
                ack(
                    (0, counter + step),
                    arrived=int((begin + 0.5 + 0.002 * step) * 1e6),
                    size=100 * (counter + step + 1),
                ),
                0.0,
                begin + 0.1,
            )
            assert verdict.newest is run
            spans.append(under_way.rate(ack((0, 0), arrived=under_way.arrived, size=under_way.received), run))
        assert spans[0] == (0.0, 0.0)
        assert [round(rate) for rate, _ in spans[1:]] == [50_000] * 3
        counter += 4


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 1 << 30))
def test_every_datagram_is_delivered_or_lost_and_no_byte_is_left(counts: list[int], seed: int) -> None:
    """A lossy path that reorders a little, acknowledged at any time."""
    draw = random.Random(seed)
    under_way = flight(*counts)
    total = sum(counts)
    arriving = [counter for counter in range(total) if draw.random() < 0.8]
    came: set[int] = set()
    delivered = lost = 0
    done: list[int] = []
    for step in range(len(arriving)):
        place = min(len(arriving) - 1, max(0, step + draw.randint(-3, 3)))
        came.add(arriving[place])
        if draw.random() < 0.3:
            ranges: list[tuple[int, int]] = []
            for counter in sorted(came, reverse=True):
                if ranges and ranges[-1][0] == counter + 1:
                    ranges[-1] = (counter, ranges[-1][1])
                else:
                    ranges.append((counter, counter))
            verdict = under_way.on_ack(ack(*ranges[:32]), 0.02, 1.0)
            delivered += verdict.datagrams
            lost += verdict.lost_datagrams
            done += (each.token for each in verdict.done)
            assert under_way.bytes == 100 * (total - delivered - lost)
    verdict = under_way.abandon()
    done += (each.token for each in verdict.done)
    assert sorted(done) == list(range(len(counts)))
    assert delivered + lost + verdict.lost_datagrams == total


def test_what_is_late_is_doubted_oldest_first() -> None:
    under_way = flight(10, 5, 5, 5, gap=0.010)
    assert under_way.doubtful(0.0, 16) == []
    found = under_way.doubtful(0.015, 16)
    assert [(each.token, missing) for each, missing in found] == [(0, [(0, 10)]), (1, [(0, 5)])]
    assert [each.token for each, _ in under_way.doubtful(1.0, 10)] == [0], "so many segments at a time"
    under_way.on_ack(ack((5, 6), (0, 2)), 1.0, 0.020)
    under_way.on_ack(ack((10, 14), (5, 6), (0, 2)), 1.0, 0.020)
    (hole, missing), *rest = under_way.doubtful(1.0, 16)
    assert (hole.token, missing) == (0, [(3, 2), (7, 3)]), "of a run with holes what is missing"
    hole.attempt = -1
    assert (
        [each.token for each, _ in under_way.doubtful(1.0, 16)] == [each.token for each, _ in rest] == [2, 3]
    )


def test_what_need_not_be_in_order_is_never_doubted() -> None:
    under_way = Flight()
    under_way.sent(Parcel(0, 1, 0, 4, 100, Treatment.LOOSE, 0, 0, 0), 0, 0.0)
    under_way.sent(Parcel(0, 2, 0, 4, 100, Treatment.ORDERED, 2, 0, -1), 4, 0.0)
    assert under_way.doubtful(1.0, 16) == []
