"""Verdict, table, JSON and chart of made-up trials."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from plait.lab import chart, report, scenarios
from plait.lab.result import Check
from plait.lab.samples import Samples
from plait.lab.traffic import Ended
from plait.lab.trial import Event, Run
from plait.lab.verdict import judge

SCENARIO = scenarios.find("wifi-bridges")


def good(**other: object) -> Run:
    """A run that keeps all promises, but for what ``other`` says."""
    samples = Samples(paths=("wan1", "wan2"))
    for step in range(1000):
        samples.receiver(step / 100, step * 40_000, 0)
    for step in range(100):
        samples.path(step / 10, (step * 250_000, step * 250_000))
    run = Run(
        course=SCENARIO.courses[0],
        singles={"wan1": 19e6, "wan2": 20e6},
        both=38e6,
        unplugged=19.5e6,
        replugged=38e6,
        stall=0.08,
        full_after=0.7,
        ended=Ended(survived=True, received=10**8, seconds=22.0, retransmits=3, error=None),
        events=[Event(at=3.0, what="bridge1 unplugged"), Event(at=6.0, what="bridge1 replugged")],
        samples=samples,
    )
    for name, value in other.items():
        setattr(run, name, value)
    return run


def broken(checks: list[Check]) -> list[str]:
    return [check.promise for check in checks if not check.kept]


LOST = Ended(survived=False, received=0, seconds=0.0, retransmits=None, error="reset")


@pytest.mark.parametrize(
    ("other", "fails"),
    [
        ({}, []),
        ({"both": 37.1e6}, []),
        ({"both": 37.0e6}, ["both links"]),
        ({"unplugged": 18.1e6}, []),
        ({"unplugged": 17.9e6}, ["unplugged"]),
        ({"stall": 0.299}, []),
        ({"stall": 0.300}, ["stall"]),
        ({"full_after": 3.0}, []),
        ({"full_after": 3.1}, ["full speed again"]),
        ({"full_after": None}, ["full speed again"]),
        ({"ended": LOST}, ["connections lost"]),
        ({"ended": None}, ["connections lost"]),
        ({"both": 0.0, "unplugged": 0.0, "singles": {}}, ["both links", "unplugged"]),
    ],
)
def test_promises(other: dict[str, object], fails: list[str]) -> None:
    assert broken(judge(SCENARIO, [good(**other)])) == fails


def test_a_scenario_may_allow_a_longer_stall() -> None:
    vps = scenarios.find("vps")
    assert broken(judge(vps, [good(stall=0.5)])) == []
    assert broken(judge(vps, [good(stall=0.7)])) == ["stall"]


def test_the_table_tells_all() -> None:
    runs = [good(), good(course=SCENARIO.courses[1], stall=0.5)]
    checks = judge(SCENARIO, runs)
    out = io.StringIO()
    report.print_tables([report.table(SCENARIO, runs, checks)], False, out)
    text = out.getvalue()
    for words in (
        "down",
        "up",
        "single link bridge2",
        "20.0 Mbit/s",
        "0.974 ok",
        "500 ms FAIL",
        "verdict: FAIL",
    ):
        assert words in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_json_has_every_sample() -> None:
    run = good()
    said = json.loads(json.dumps(report.facts(SCENARIO, [run], judge(SCENARIO, [run]), samples=True)))
    assert said["passed"] is True
    (course,) = said["courses"]
    assert course["events"][0] == {"at": 3.0, "what": "bridge1 unplugged"}
    assert len(course["samples"]["receiver"]["at"]) == 1000
    assert course["samples"]["paths"]["interfaces"] == ["wan1", "wan2"]
    brief = report.facts(SCENARIO, [run], judge(SCENARIO, [run]), samples=False)
    assert "samples" not in json.dumps(brief)


def test_the_chart_is_drawn_even_of_a_dead_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    dead = good(samples=Samples(paths=("wan1", "wan2")), full_after=None)
    runs = [good(), dead]
    svg, png = chart.draw(SCENARIO, runs, judge(SCENARIO, runs), tmp_path)
    assert "bridge1 unplugged" in svg.read_text() or "<path" in svg.read_text()
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
