"""Verdict and chart of made-up measurements of speed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import cast

import pytest

from plait.lab import bonding, chart_study, report, scenarios
from plait.lab.result import Result
from plait.lab.stage import Stage

SCENARIO = scenarios.find("asymmetric")


class Bare:
    """As much of a stage as a verdict needs."""

    scenario = SCENARIO


def judged(both: list[float], promise: bonding.Promise, *, lost: int = 0) -> Result:
    profile = bonding.Profile(title="300 and 80")
    case = bonding.Case(profile, SCENARIO.courses[0], [280e6, 76e6], both, lost)
    return bonding.judge(cast(Stage, Bare()), promise, [case])


SUM = bonding.Promise(share=0.88)
BEST = bonding.Promise(share=0.95, of_sum=False)


@pytest.mark.parametrize(
    ("both", "promise", "lost", "broken"),
    [
        ([314e6], SUM, 0, []),
        ([313e6], SUM, 0, ["both links"]),
        ([100e6, 314e6, 350e6], SUM, 0, []),  # the middle one counts
        ([266e6], BEST, 0, []),
        ([265e6], BEST, 0, ["both links"]),
        ([350e6], SUM, 1, ["connections lost"]),
        ([], SUM, 0, ["both links"]),
    ],
)
def test_promises(both: list[float], promise: bonding.Promise, lost: int, broken: list[str]) -> None:
    result = judged(both, promise, lost=lost)
    assert [check.promise for check in result.checks if not check.kept] == broken
    assert result.passed is (not broken)


def test_table_and_facts() -> None:
    result = judged([314e6], SUM)
    out = io.StringIO()
    report.print_tables(result.tables, result.passed, out)
    text = out.getvalue()
    for words in (
        "300 and 80, down",
        "bridge2 alone, Mbit/s",
        "314.0",
        "0.882 ok",
        "≥ 0.88 of the sum",
        "PASS",
    ):
        assert words in text
    said = json.loads(json.dumps(report.studied(SCENARIO, result)))
    assert said["passed"] is True
    assert said["cases"][0]["both_bps"] == [314e6]


def test_chart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    svg, png = chart_study.draw(SCENARIO, judged([314e6], SUM), tmp_path)
    assert svg.stat().st_size > 1000
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert chart_study.draw(SCENARIO, Result(), tmp_path) == []
