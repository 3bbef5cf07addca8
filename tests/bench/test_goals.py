"""The benchmark's own arithmetic; it runs with the other tests."""

from __future__ import annotations

import pytest
from tests.bench.goals import GOALS, verdicts
from tests.bench.series import Results


def test_a_ratio_is_taken_round_by_round_against_the_best_other() -> None:
    results = Results()
    for own, slow, fast in ((9.0, 1.0, 3.0), (8.0, 4.0, 1.0), (2.0, 1.0, 0.5)):
        results.add("bulk up", "plait none", own, "Gbit/s")
        results.add("bulk up", "shadowsocks aes-128-gcm", slow, "Gbit/s")
        results.add("bulk up", "shadowsocks aes-256-gcm", fast, "Gbit/s")
        results.add("bulk up", "shadowsocks chacha20-ietf-poly1305", 0.1, "Gbit/s")
    (verdict,) = [each for each in verdicts(results) if "best shadowsocks" in each.goal.text]
    assert verdict.figures == (3.0, 2.0, 2.0)
    assert verdict.median == 2.0
    assert verdict.met


@pytest.mark.parametrize(("rate", "met"), [(38.1, True), (37.9, False)])
def test_bridges_are_judged_by_the_sum(rate: float, met: bool) -> None:
    results = Results()
    for name, value in (("bridge 1 alone", 20.0), ("bridge 2 alone", 20.0), ("plait, both", rate)):
        results.add("bridges up", name, value, "Mbit/s")
    (verdict,) = verdicts(results)
    assert verdict.met is met


def test_what_must_stay_small_is_judged_the_other_way() -> None:
    results = Results()
    for peer, size in (("plait gateway", 12.0), ("plait exit", 21.0)):
        results.add("2000 idle: memory", peer, size, "MB more")
    (verdict,) = verdicts(results)
    assert verdict.figures == (21.0,)
    assert not verdict.met


def test_nothing_measured_nothing_judged() -> None:
    assert verdicts(Results()) == []
    assert len({goal.text for goal in GOALS}) == len(GOALS)
