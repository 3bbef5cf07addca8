from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.views.web.history import DAY, HOUR, History, Sample, open_history
from plait.views.web.rings import Ring, Row

NOON = 1_790_000_000.0 // 86400 * 86400 + 43200


def sample(rx: float, *, up: bool = True) -> Sample:
    return Sample(tx=rx / 10, rx=rx, rtt=20.0 if up else None, loss=0.0 if up else None, up=up)


def curve(history: History, now: float, span: int, figure: str, name: str = "a") -> list[Any]:
    paths: Any = history.curves(now, span)["paths"]
    return [value for value in paths[name][figure] if value is not None] if name in paths else []


def opened(where: Path, names: tuple[str, ...] = ("a",), budget: int = 16_000_000) -> History:
    return open_history(str(where), names, budget, told=lambda text: None)


def test_what_was_in_the_last_hour(tmp_path: Path) -> None:
    history = opened(tmp_path)
    for second in range(600):
        history.add(NOON + second, {"a": sample(1000.0 if second % 10 else 9000.0, up=second < 300)})
    found = history.curves(NOON + 599, HOUR)
    assert found["step"] == 10
    times: Any = found["times"]
    assert len(times) == 360
    assert times[-60] == NOON
    assert curve(history, NOON + 599, HOUR, "rx") == [1800.0] * 60
    assert curve(history, NOON + 599, HOUR, "rx_most") == [9000.0] * 60
    assert curve(history, NOON + 599, HOUR, "rtt") == [20.0] * 30
    assert curve(history, NOON + 599, HOUR, "up") == [1.0] * 30 + [0.0] * 30


def test_the_day_is_told_in_as_many_points_as_a_screen_can_show(tmp_path: Path) -> None:
    history = opened(tmp_path)
    for second in range(0, DAY, 5):
        history.add(NOON + second, {"a": sample(1000.0 + second)})
    found = history.curves(NOON + DAY - 1, DAY)
    assert found["step"] == 120
    assert len(found["times"]) == 720  # type: ignore[arg-type]
    values = curve(history, NOON + DAY - 1, DAY, "rx")
    assert len(values) == 720
    assert values == sorted(values)


def test_a_process_that_was_killed_takes_a_minute_with_it(tmp_path: Path) -> None:
    history = opened(tmp_path)
    for second in range(300):
        history.add(NOON + second, {"a": sample(1000.0)})
    # It is gone, and nothing was closed.
    again = opened(tmp_path)
    assert len(curve(again, NOON + 299, HOUR, "rx")) >= 24
    again.add(NOON + 300, {"a": sample(1000.0)})
    assert sum(curve(again, NOON + 300, HOUR, "rx")) >= 24_000


def test_a_row_that_had_begun_is_gone_on_with(tmp_path: Path) -> None:
    history = opened(tmp_path)
    for second in range(4):
        history.add(NOON + second, {"a": sample(1000.0)})
    history.close(NOON + 4)
    again = opened(tmp_path)
    for second in range(4, 8):
        again.add(NOON + second, {"a": sample(3000.0)})
    assert curve(again, NOON + 8, HOUR, "rx") == [2000.0]
    assert curve(again, NOON + 8, HOUR, "rx_most") == [3000.0]


def test_damage_is_put_aside_and_told(tmp_path: Path) -> None:
    opened(tmp_path).close(NOON)
    (tmp_path / "day.ring").write_bytes(b"rubbish")
    (tmp_path / "year.ring.new").write_bytes(b"half made")
    told: list[str] = []
    history = open_history(str(tmp_path), ["a"], 16_000_000, told=told.append)
    assert [text.split(":")[0] for text in told] == ["history begins anew"]
    assert (tmp_path / "day.ring.damaged").read_bytes() == b"rubbish"
    assert not (tmp_path / "year.ring.new").exists()
    history.add(NOON, {"a": sample(5.0)})
    assert curve(history, NOON, HOUR, "rx") == [5.0]


def test_a_link_in_the_place_of_a_ring_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "h" / "day.ring").symlink_to(tmp_path / "precious")
    opened(tmp_path / "h").close(NOON)
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("budget", [700_000, 2_000_000, 16_000_000, 50_000_000])
@pytest.mark.parametrize("paths", [1, 3, 8])
def test_the_budget_is_kept_to(tmp_path: Path, budget: int, paths: int) -> None:
    names = tuple(f"wan{number}" for number in range(paths))
    for _ in range(2):
        opened(tmp_path, names, budget).close(NOON)
        # Another set of paths: files are made anew beside the former ones, and may not exceed it either.
        names = ("other", *names[1:])
    assert 0 < sum(file.stat().st_size for file in tmp_path.iterdir()) <= budget


def test_what_can_not_be_had_is_told_and_done_without(tmp_path: Path) -> None:
    told: list[str] = []
    small = open_history(str(tmp_path / "a"), [f"w{n}" for n in range(40)], 100_000, told=told.append)
    assert told == ['no history: 40 paths need more room; set history = "3 MB"']
    (tmp_path / "file").write_text("")
    nowhere = open_history(str(tmp_path / "file"), ["a"], 16_000_000, told=told.append)
    assert "no history" in told[1]
    for history in (small, nowhere, open_history(str(tmp_path / "b"), ["a"], 0, told=told.append)):
        history.add(NOON, {"a": sample(1.0)})
        found = history.curves(NOON, HOUR)
        assert found["times"] == []
        assert found["why"]
        history.close(NOON)
    assert not (tmp_path / "b").exists()
    assert len(told) == 2


def test_a_disk_that_fails_costs_history_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    history = opened(tmp_path)

    def fail(self: Ring, row: Row) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as failing:
        failing.setattr(Ring, "write", fail)
        for second in range(180):
            history.add(NOON + second, {"a": sample(1000.0)})
    assert [record.getMessage() for record in caplog.records] == [
        "history can't be kept: No space left on device; it is tried again every minute"
    ]
    for second in range(180, 300):
        history.add(NOON + second, {"a": sample(1000.0)})
    assert len(curve(history, NOON + 300, HOUR, "rx")) >= 12


def test_a_clock_that_jumps_harms_nobody(tmp_path: Path) -> None:
    history = opened(tmp_path)
    for now in (NOON, 12.0, NOON + 10, NOON + 4e8, NOON + 20):
        history.add(now, {"a": sample(1000.0)})
    history.flush(NOON + 30)
    assert curve(history, NOON + 30, HOUR, "rx") == [1000.0] * 3
    assert curve(history, 13.0, HOUR, "rx") == [1000.0]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4000), st.floats(0, 1e11)), min_size=1, max_size=60))
def test_no_curve_leaves_what_was_seen(
    tmp_path_factory: pytest.TempPathFactory, seen: list[tuple[int, float]]
) -> None:
    history = opened(tmp_path_factory.mktemp("h"), budget=1_000_000)
    now = NOON
    for passed, rx in seen:
        now += passed
        history.add(now, {"a": sample(rx)})
    low, high = min(rx for _, rx in seen), max(rx for _, rx in seen)
    for value in curve(history, now, DAY, "rx"):
        assert low * 0.999 - 1 <= value <= high * 1.001 + 1
    history.close(now)
