"""Queues: turns, and what is dropped."""

from __future__ import annotations

import itertools

from plait.tunnel.classes import Wish
from plait.tunnel.waiting import INTERVAL, MOST_WAIT, TURN, Flow, Load, Waiting


def flow(name: int) -> Flow:
    return Flow(bytes((17, name, 0, 0, 0, 0)), Wish.AUTO, 0.0)


def test_flows_take_turns() -> None:
    waiting, greedy, modest = Waiting(), flow(1), flow(2)
    for token in range(100):
        waiting.put(greedy, Load(token, 1, 1000, 0.0))
    waiting.put(modest, Load(100, 1, 1000, 0.0))
    assert waiting.head() is modest  # who was empty goes first
    waiting.put(modest, Load(101, 40, 1000, 0.0))
    served = []
    while len(waiting):
        head = waiting.head()
        served.append(head)
        waiting.take(head, 1)
    turns = TURN // 1000 + 1
    assert set(served[: turns - 1]) == {modest}
    assert greedy in served[: turns + 1]
    assert served[2 * turns : 6 * turns].count(modest) in range(turns - 2, 2 * turns + 2)
    assert waiting.bytes == 0


def test_segments_of_a_payload_leave_one_after_the_other() -> None:
    waiting, one = Waiting(), flow(1)
    waiting.put(one, Load(1, 5, 1000, 0.0))
    waiting.put(one, Load(2, 1, 500, 0.0))
    assert waiting.bytes == 5500
    assert waiting.take(one, 2).token == 1
    load = waiting.take(one, 3)
    assert (load.token, load.next) == (1, 5)
    assert one.loads[0].token == 2
    waiting.take(one, 1)
    assert len(waiting) == 0
    assert waiting.bytes == 0


def drops(wait: float, until: float) -> list[float]:
    """When segments are dropped of a flow whose head has always waited for ``wait`` seconds."""
    one = flow(1)
    found = []
    for step in range(int(until * 1000)):
        now = step / 1000
        one.loads.clear()
        one.loads.extend((Load(1, 1, 1000, now - wait), Load(2, 1, 1000, now)))
        if one.must_drop(0.015, now):
            found.append(now)
    return found


def test_a_short_queue_loses_nothing() -> None:
    assert drops(0.014, 10.0) == []


def test_a_standing_queue_loses_more_and_more() -> None:
    found = drops(0.050, 3.0)
    assert INTERVAL <= found[0] < 2 * INTERVAL
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert gaps[0] > gaps[5] > gaps[-1]
    assert len(found) > 30


def test_the_last_payload_is_never_dropped() -> None:
    one = flow(1)
    one.loads.append(Load(1, 1, 1000, 0.0))
    assert not any(one.must_drop(0.015, step / 100) for step in range(25))


def test_what_has_waited_for_very_long_goes_at_once() -> None:
    one = flow(1)
    one.loads.append(Load(1, 1, 1000, 0.0))
    assert not one.must_drop(0.015, MOST_WAIT)
    assert one.must_drop(0.015, MOST_WAIT + 0.016)
