"""The emulated link, on a clock made of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab.channel import Channel
from plait.lab.drawing import Shape

FRAME = bytes(1250)  # 10,000 bits: 1 ms at 10 Mbit/s


def drain(channel: Channel) -> list[tuple[float, bytes]]:
    """All that arrives from now on, each with its time."""
    arrived = []
    while (deadline := channel.next_deadline()) is not None:
        arrived += [(deadline, frame) for frame in channel.due(deadline)]
    return arrived


def test_delay_alone() -> None:
    channel = Channel(1, Shape(delay=0.01))
    channel.offer([b"a", b"b"], 5.0)
    assert channel.next_deadline() == pytest.approx(5.01)
    assert channel.due(5.009) == []
    assert channel.due(5.011) == [b"a", b"b"]
    assert channel.next_deadline() is None


def test_rate_spaces_frames() -> None:
    channel = Channel(1, Shape(rate=10e6, queue=1.0))
    channel.offer([FRAME] * 5, 1.0)
    assert [at for at, _ in drain(channel)] == pytest.approx([1.001, 1.002, 1.003, 1.004, 1.005])


def test_an_idle_link_saves_no_credit() -> None:
    channel = Channel(1, Shape(rate=10e6, queue=1.0))
    channel.offer([FRAME], 0.0)
    channel.offer([FRAME] * 2, 100.0)
    assert [at for at, _ in drain(channel)] == pytest.approx([0.001, 100.001, 100.002])


def test_queue_drops_at_the_tail() -> None:
    channel = Channel(1, Shape(rate=10e6, queue=0.010))
    channel.offer([bytes([n]) * 1250 for n in range(50)], 0.0)
    kept = [frame[0] for _, frame in drain(channel)]
    assert kept == list(range(len(kept)))
    assert len(kept) in (10, 11, 12), "10 ms of queue and the one in service"
    assert channel.counters.overflowed == 50 - len(kept)


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_loss_is_seeded(seed: int) -> None:
    def survivors() -> list[int]:
        channel = Channel(seed, Shape(loss=0.3))
        for number in range(1000):
            channel.offer([number.to_bytes(2)], number * 0.001)
        return [int.from_bytes(frame) for _, frame in drain(channel)]

    first = survivors()
    assert survivors() == first
    assert 600 < len(first) < 800
    other = Channel(seed + 1, Shape(loss=0.3))
    other.offer([number.to_bytes(2) for number in range(1000)], 0.0)
    assert [int.from_bytes(frame) for _, frame in drain(other)] != first


def test_batches_do_not_matter() -> None:
    one, many = (Channel(5, Shape(loss=0.2, jitter=0.001, delay=0.002, rate=1e7)) for _ in range(2))
    one.offer([FRAME] * 100, 0.0)
    for _ in range(100):
        many.offer([FRAME], 0.0)
    assert drain(one) == drain(many)


@given(st.integers(0, 99), st.lists(st.floats(0, 0.01), min_size=1, max_size=60))
def test_jitter_without_reorder_keeps_the_order(seed: int, pauses: list[float]) -> None:
    channel = Channel(seed, Shape(delay=0.001, jitter=0.02))
    now = 0.0
    for number, pause in enumerate(pauses):
        now += pause
        channel.offer([bytes([number])], now)
    arrived = drain(channel)
    assert [frame[0] for _, frame in arrived] == list(range(len(pauses)))
    assert arrived[-1][0] <= now + 0.021 + 1e-9


def test_reorder_lets_frames_overtake() -> None:
    channel = Channel(3, Shape(delay=0.001, jitter=0.02, reorder=1.0))
    channel.offer([bytes([number]) for number in range(100)], 0.0)
    order = [frame[0] for _, frame in drain(channel)]
    assert order != sorted(order)
    assert sorted(order) == list(range(100))


def test_closed_channels_swallow_and_count() -> None:
    channel = Channel(1, Shape(delay=0.01))
    channel.offer([FRAME] * 3, 0.0)
    channel.open = False
    channel.clear()
    channel.offer([FRAME] * 2, 0.0)
    assert drain(channel) == []
    assert channel.counters.unplugged == 5


@pytest.mark.parametrize(
    ("shape", "immediate"),
    [
        (Shape(), True),
        (Shape(queue=9.0), True),
        (Shape(delay=0.001), False),
        (Shape(rate=1e6), False),
        (Shape(loss=0.1), False),
        (Shape(jitter=0.1), False),
    ],
)
def test_what_may_pass_at_once(shape: Shape, immediate: bool) -> None:
    channel = Channel(1, shape)
    assert channel.immediate is immediate
    channel.open = False
    assert not channel.immediate


def test_nothing_overtakes_what_is_under_way_when_the_delay_goes() -> None:
    channel = Channel(1, Shape(delay=1.0))
    channel.offer([b"old"], 0.0)
    channel.shape = Shape()
    assert not channel.immediate
    channel.offer([b"new"], 0.5)
    assert [frame for _, frame in drain(channel)] == [b"old", b"new"]
