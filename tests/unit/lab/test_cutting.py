"""Verdicts of made-up cuts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from plait.lab import chart_study, cutting, report, scenarios
from plait.lab.lasting import Hurt
from plait.lab.result import Result

CABLE = cutting.CUTS[0]


def judged(*hurts: Hurt, lost: int = 0) -> Result:
    seen = {CABLE.title: {"down": list(hurts)}}
    return cutting.judge((CABLE,), seen, {"down": lost}, {"down": 37e6})


def hurt(stall: float = 0.1, back: float | None = 1.0) -> Hurt:
    return Hurt(stall=stall, back=back, stall_back=0.01)


@pytest.mark.parametrize(
    ("hurts", "lost", "broken"),
    [
        ([hurt()], 0, []),
        ([hurt(stall=0.15), hurt(back=2.0)], 0, []),
        ([hurt(), hurt(stall=0.151)], 0, ["gateway's cable: stall"]),  # the worst counts
        ([hurt(), hurt(back=2.1)], 0, ["gateway's cable: return"]),
        ([hurt(), hurt(back=None)], 0, ["gateway's cable: return"]),
        ([hurt()], 1, ["connections lost"]),
        ([], 0, ["gateway's cable: stall", "gateway's cable: return"]),
    ],
)
def test_promises(hurts: list[Hurt], lost: int, broken: list[str]) -> None:
    result = judged(*hurts, lost=lost)
    assert [check.promise for check in result.checks if not check.kept] == broken


def test_table_facts_and_chart(tmp_path: Path) -> None:
    result = judged(hurt(), hurt(stall=0.2, back=None))
    out = io.StringIO()
    report.print_tables(result.tables, result.passed, out)
    for words in ("gateway's cable: stall", "150, at most 200 ms FAIL", "1.0, at most 1.0 s, 1 never FAIL"):
        assert words in out.getvalue()
    scenario = scenarios.find("failover")
    said = json.loads(json.dumps(report.studied(scenario, result)))
    assert said["cuts"]["gateway's cable"]["down"][1] == {"stall": 0.2, "back": None, "stall_back": 0.01}
    pytest.importorskip("matplotlib")
    assert len(chart_study.draw(scenario, result, tmp_path)) == 2
