"""Judge what a trial measured against what plait promises. Pure."""

from __future__ import annotations

from plait.lab.result import Check
from plait.lab.scenario import Scenario
from plait.lab.trial import Run

SHARE_OF_SUM = 0.95
"""Both links, of the sum of what each gives alone."""
SHARE_OF_SINGLE = 0.90
"""While one is unplugged, of what the other gives alone."""
FULL_WITHIN = 3.0
"""Seconds from the replugging to full speed."""


def judge(scenario: Scenario, runs: list[Run]) -> list[Check]:
    """All promises of all courses."""
    return [check for run in runs for check in _judge(run, scenario.stall)]


def _judge(run: Run, stall: float) -> list[Check]:
    share = run.both / run.sum if run.sum else 0.0
    others = list(run.singles.values())[1:]
    rest = run.unplugged / sum(others) if sum(others) else 0.0
    full = run.full_after
    rows = (
        ("both links", f"{share:.3f} of the sum", f"≥ {SHARE_OF_SUM}", share >= SHARE_OF_SUM),
        ("unplugged", f"{rest:.3f} of the other", f"≥ {SHARE_OF_SINGLE}", rest >= SHARE_OF_SINGLE),
        ("stall", f"{run.stall * 1000:.0f} ms", f"< {stall * 1000:.0f} ms", run.stall < stall),
        (
            "full speed again",
            f"after {full:.1f} s" if full is not None else "never",
            f"≤ {FULL_WITHIN:g} s",
            full is not None and full <= FULL_WITHIN,
        ),
        ("connections lost", "0 of 1" if run.survived else "1 of 1", "0", run.survived),
    )
    return [
        Check(course=run.course.title, promise=promise, measured=measured, asked=asked, kept=kept)
        for promise, measured, asked, kept in rows
    ]
