"""The pace of one path against a plain model of one: a rate, a delay, a queue."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest

from plait.tunnel.congestion import BURST, FIRST_RATE, FIRST_WINDOW, LONGEST_RUN, Pace, Phase
from plait.tunnel.flight import Flight, Parcel
from plait.tunnel.frames import Ack, Treatment
from plait.tunnel.receipts import Receipts

MBIT = 125_000.0


@dataclass
class Path:
    """A sender that always has something to send, over a path that loses every n-th datagram."""

    rate: float
    delay: float
    lose: int = 0
    now: float = 0.0
    pace: Pace = field(default_factory=lambda: Pace(0.0))
    flight: Flight = field(default_factory=Flight)
    receipts: Receipts = field(default_factory=lambda: Receipts(0))
    delivered: int = 0
    queue: float = 0.0
    queues: list[float] = field(default_factory=list, repr=False)
    counter: int = 0
    drop: int = 0
    step: float = 0.001
    """Seconds between two looks at what may be sent."""
    coming: deque[tuple[float, int, int, int]] = field(default_factory=deque, repr=False)
    acks: deque[tuple[float, Ack]] = field(default_factory=deque, repr=False)

    def run(self, until: float, share: float = 1.0) -> float:
        """Go on until then; gives the bytes/s that arrived. ``share`` of each second is spent sending."""
        coming, acks = self.coming, self.acks
        began, before, free = self.now, self.delivered, self.now + self.queue
        while self.now < until:
            now = self.now
            while coming and coming[0][0] <= now:
                _, counter, count, size = coming.popleft()
                self.receipts.add(counter, count, size * count, Treatment.ORDERED, now)
                self.delivered += size * count
            due = self.receipts.deadline()
            if due is not None and due <= now:
                acks.append((now + self.delay, self.receipts.ack(now)))
            while acks and acks[0][0] <= now:
                ack = acks.popleft()[1]
                verdict = self.flight.on_ack(ack, 0.002, now)
                self.pace.on_ack(ack, verdict, self.flight, now)
            while now % 1.0 < share and self.pace.ready(self.flight.bytes, now):
                count = max(1, self.pace.quantum // 1500)
                parcel = Parcel(0, 0, 0, count, 1500, Treatment.ORDERED, 2, 0, 0)
                self.pace.spend(parcel, now)
                self.flight.sent(parcel, self.counter, now)
                for counter in range(self.counter, self.counter + count):
                    self.drop += 1
                    if self.lose and self.drop % self.lose == 0:
                        continue
                    free = max(free, now) + 1500 / self.rate
                    coming.append((free + self.delay, counter, 1, 1500))
                self.counter += count
            self.queue = max(0.0, free - now)
            self.queues.append(self.queue)
            self.now += self.step
        return (self.delivered - before) / (self.now - began)


@pytest.mark.parametrize("rate", [2, 20, 300])
@pytest.mark.parametrize("delay", [0.005, 0.030, 0.150])
def test_it_finds_the_rate_and_keeps_the_queue_short(rate: int, delay: float) -> None:
    path = Path(rate * MBIT, delay)
    path.run(5.0)
    path.queues.clear()
    assert path.run(10.0) > 0.95 * rate * MBIT
    queues = sorted(path.queues)
    few = 3 * 1500 / (rate * MBIT)
    assert queues[len(queues) // 2] < 0.25 * 2 * delay + max(0.010, few)
    assert queues[-1] < 0.5 * delay + 0.030


@pytest.mark.parametrize("lose", [200, 20])
def test_loss_alone_does_not_slow_it_down(lose: int) -> None:
    path = Path(20 * MBIT, 0.020, lose=lose)
    path.run(5.0)
    assert path.run(10.0) > 0.93 * 20 * MBIT * (1 - 1 / lose)


@pytest.mark.parametrize("rate", [5, 20, 100])
@pytest.mark.parametrize("step", [0.003, 0.005, 0.008])
def test_a_process_that_wakes_up_late_fills_the_path_all_the_same(rate: int, step: float) -> None:
    path = Path(rate * MBIT, 0.010, step=step)
    path.run(5.0)
    assert path.run(10.0) > 0.93 * rate * MBIT


@pytest.mark.parametrize(("before", "after"), [(50, 5), (5, 50), (20, 15), (15, 20)])
def test_it_follows_changes(before: int, after: int) -> None:
    path = Path(before * MBIT, 0.020)
    path.run(5.0)
    path.rate = after * MBIT
    path.run(8.0)
    path.queues.clear()
    assert path.run(10.0) > 0.93 * after * MBIT
    assert max(path.queues) < 0.050


def test_what_it_found_outlives_a_pause() -> None:
    path = Path(20 * MBIT, 0.020)
    path.run(5.0)
    path.run(9.99, share=0.0)
    assert path.pace.bandwidth == pytest.approx(20 * MBIT, rel=0.1)


def test_a_source_that_sends_little_does_not_look_like_a_slow_path() -> None:
    path = Path(50 * MBIT, 0.020)
    path.run(5.0)
    path.run(15.0, share=0.02)
    assert path.pace.bandwidth > 30 * MBIT


def test_before_anything_is_known() -> None:
    pace = Pace(5.0)
    assert pace.phase is Phase.STARTUP
    assert (pace.rate, pace.window) == (FIRST_RATE, FIRST_WINDOW)
    assert pace.ready(0, 5.0)
    assert not pace.ready(FIRST_WINDOW, 5.0)


def test_runs_leave_at_the_rate_and_sleep_is_made_up_for_a_little() -> None:
    pace = Pace(0.0)
    pace.rate = 1e6
    run = Parcel(0, 0, 0, 10, 1000, Treatment.LOOSE, 0, 0, 0)
    pace.next_at = 1.0
    pace.spend(run, 1.0)
    assert pace.next_at == pytest.approx(1.010)
    assert not pace.ready(0, 1.009)
    pace.spend(run, 9.0)
    assert pace.next_at == pytest.approx(9.0 - BURST + 0.010)
    pace.share = 0.5
    pace.spend(run, 9.1)
    assert pace.next_at == pytest.approx(9.1 - BURST + 0.020)


def test_runs_grow_with_the_rate() -> None:
    slow, fast = Path(2 * MBIT, 0.010), Path(400 * MBIT, 0.010)
    slow.run(3.0)
    fast.run(3.0)
    assert slow.pace.quantum == 1500
    assert LONGEST_RUN >= fast.pace.quantum > 40_000
