"""Findings as sentences."""

from __future__ import annotations

from plait.doctor.finding import Severity, fine, healthy, note, problem


def test_a_sentence_names_cause_and_remedy() -> None:
    found = problem("path.x", "wan2", "the provider strips options", "TCP goes through the tunnel")
    assert found.sentence == "wan2: the provider strips options; TCP goes through the tunnel"
    assert note("path.x", "wan2", "slow").sentence == "wan2: slow"
    assert found.severity is Severity.PROBLEM


def test_only_problems_are_unhealthy() -> None:
    assert healthy([])
    assert healthy([fine("a", "b", "c"), note("a", "b", "c")])
    assert not healthy([fine("a", "b", "c"), problem("a", "b", "c")])
