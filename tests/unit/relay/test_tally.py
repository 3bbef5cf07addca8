from __future__ import annotations

import logging

import pytest

from plait.relay import tally as module
from plait.relay.tally import Tally


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    caplog.set_level(logging.INFO)
    return clock


def test_a_flood_is_one_line_and_then_a_number(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    for number in range(1000):
        tally.stranger("unsealed", f"192.0.2.{number % 250}")
    assert len(caplog.messages) == 1
    assert "192.0.2.0" in caplog.messages[0]
    clock.now += module.QUIET
    tally.stranger("unsealed", "198.51.100.1")
    assert len(caplog.messages) == 2
    assert "(999 more like this in between)" in caplog.messages[1]
    assert tally.strangers == {"unsealed": 1001}


def test_one_trouble_does_not_hide_another(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    tally.exit_failed("attic", "refused")
    tally.exit_failed("cellar", "refused")
    tally.exit_failed("attic", "timed out")
    tally.wrong_answer("attic")
    tally.stranger("unsealed", "192.0.2.1")
    tally.stranger("untrusted", "192.0.2.1")
    assert len(caplog.messages) == 6
    assert "password" in caplog.text


@pytest.mark.parametrize("kind", ["silent", "left", "replayed"])
def test_some_strangers_are_only_counted(clock: Clock, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    tally = Tally()
    tally.stranger(kind, "192.0.2.1")
    assert tally.strangers == {kind: 1}
    assert not caplog.messages


def test_ends_are_counted() -> None:
    tally = Tally()
    tally.ended("refused")
    tally.ended("refused")
    assert tally.outcomes == {"refused": 2}
