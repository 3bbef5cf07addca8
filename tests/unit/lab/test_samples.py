"""Questions to the watcher's readings, answered from made-up ones."""

from __future__ import annotations

import pytest

from plait.lab.samples import Samples


def steady(rate: float, start: float, end: float, samples: Samples | None = None) -> Samples:
    """Readings every ms of ``rate`` bit/s of payload, one packet with 66 bytes of header each."""
    samples = samples or Samples(paths=("wan1", "wan2"))
    size = samples.payload[-1] if samples.payload else 0
    for step in range(1, round((end - start) * 1000) + 1):
        payload = size + int(rate / 8 * step / 1000)
        samples.receiver(start + step / 1000, payload + step * 66, step)
    return samples


def test_headers_do_not_count() -> None:
    samples = Samples(paths=())
    samples.receiver(0.0, 0, 0)
    samples.receiver(1.0, 10 * (1448 + 66), 10)
    samples.receiver(2.0, 10 * (1448 + 66) + 64_000 + 66, 11)  # many segments in one (GRO)
    assert samples.payload == [0, 14_480, 78_480]


def test_a_lone_acknowledgement_is_no_progress() -> None:
    samples = Samples(paths=())
    samples.receiver(0.0, 10_000, 0)
    samples.receiver(1.0, 10_120, 1)
    assert samples.times == [0.0]
    assert samples.polled == 1.0


def test_speed() -> None:
    samples = steady(20e6, 0.0, 5.0)
    assert samples.speed(1.0, 4.0) == pytest.approx(20e6, rel=0.01)
    assert samples.speed(4.0, 4.0) == 0.0
    assert Samples(paths=()).speed(0.0, 1.0) == 0.0


def test_began() -> None:
    samples = steady(8e6, 10.0, 11.0)  # 1,000 bytes a ms
    assert samples.began(50_000) == pytest.approx(10.051, abs=0.002)
    assert samples.began(10**9) is None
    assert Samples(paths=()).began() is None


@pytest.mark.parametrize(
    ("start", "end", "gap"),
    [
        (1.5, 4.0, 0.2),  # the whole gap lies inside
        (2.1, 4.0, 0.2),  # it began before: counted whole
        (1.5, 2.1, 0.2),  # it ends later: counted whole
        (2.5, 4.0, 0.001),
    ],
)
def test_longest_gap(start: float, end: float, gap: float) -> None:
    samples = steady(20e6, 0.0, 2.0)
    steady(20e6, 2.199, 5.0, samples)
    assert samples.longest_gap(start, end) == pytest.approx(gap, abs=0.003)


def test_a_gap_that_never_ends() -> None:
    samples = steady(20e6, 0.0, 2.0)
    assert samples.longest_gap(1.9, 5.0) == pytest.approx(3.0, abs=0.003)
    assert Samples(paths=()).longest_gap(1.0, 3.0) == pytest.approx(2.0)


def test_reached() -> None:
    samples = steady(10e6, 0.0, 2.0)
    steady(20e6, 2.0, 6.0, samples)
    # At 2.5 s the last half second is all at 20 Mbit/s.
    assert samples.reached(19.8e6, 1.0, 5.0) == pytest.approx(1.5, abs=0.05)
    assert samples.reached(21e6, 1.0, 5.0) is None
    assert samples.reached(5e6, 1.0, 5.0) == pytest.approx(0.5, abs=0.03), "not before a whole window"


def test_paths() -> None:
    samples = steady(8e6, 0.0, 1.0)
    for step in range(11):
        samples.path(step / 10, (step * 125_000, step * 25_000))
    times, speeds = samples.path_speeds(0)
    assert len(times) == 10
    assert speeds == pytest.approx([10e6] * 10)
    client, paths = samples.recent(0.5)
    assert paths == pytest.approx([10e6, 2e6])
    assert client == pytest.approx(8e6, rel=0.02)
    assert Samples(paths=("a",)).recent() == (0.0, [0.0])
