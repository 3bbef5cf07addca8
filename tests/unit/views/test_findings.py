"""Findings as a page."""

from __future__ import annotations

from plait.doctor.finding import fine, note, problem
from plait.views.findings import page


def test_problems_come_first_and_are_counted() -> None:
    text = page([fine("a", "wan1", "well"), note("b", "wan1", "odd"), problem("c", "wan2", "cut", "mend it")])
    assert text.splitlines() == [
        "PROBLEM wan2: cut; mend it",
        "note    wan1: odd",
        "fine    wan1: well",
        "1 problem",
    ]
    assert page([]) == "no problems\n"


def test_long_sentences_are_wrapped_below_each_other() -> None:
    lines = page([problem("c", "wan2", "word " * 60)]).splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 100 for line in lines)
    assert all(line.startswith(" " * 8) for line in lines[1:-1])
