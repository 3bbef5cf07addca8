"""Sentences about exits."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from plait.doctor.exits import judge
from plait.doctor.facts import Answer, Carried, ExitFacts, Greeted, WayFacts
from plait.doctor.finding import Severity

OLD, NEW = ExitFacts(name="attic", clock_bound=False), ExitFacts(name="attic", clock_bound=True)
GOOD = WayFacts(
    exit="attic",
    local=ip_address("192.168.1.2"),
    remote=ip_address("9.0.0.70"),
    port=8388,
    syn=Answer.PLAIN,
    capable=Answer.MPTCP,
    carried=Carried.MPTCP,
    greeted=Greeted.UP,
    udp=True,
    skew=0.1,
)
SILENT = replace(GOOD, syn=Answer.SILENT, capable=Answer.UNTRIED, greeted=Greeted.DOWN, udp=False, skew=None)
PROBLEM, NOTE, FINE = Severity.PROBLEM, Severity.NOTE, Severity.FINE


def ways(**changes: object) -> list[WayFacts]:
    return [replace(GOOD, **changes) for _ in range(2)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("exit", "found", "expected"),
    [
        (OLD, [GOOD, GOOD], [("exit.fine", FINE)]),
        (OLD, [GOOD, SILENT], [("exit.fine", FINE)]),
        (OLD, [], [("exit.no-way", PROBLEM)]),
        (OLD, [SILENT, SILENT], [("exit.unreachable", PROBLEM)]),
        # What is refused is said of the paths.
        (OLD, [replace(SILENT, syn=Answer.REFUSED)], []),
        (OLD, ways(capable=Answer.PLAIN, carried=Carried.TCP), [("exit.mptcp.none", PROBLEM)]),
        (OLD, ways(greeted=Greeted.SILENT), [("exit.password", PROBLEM)]),
        (OLD, ways(greeted=Greeted.FOREIGN, udp=False), [("exit.foreign", NOTE), ("exit.udp.none", PROBLEM)]),
        (OLD, ways(udp=False), [("exit.udp.none", PROBLEM)]),
        (OLD, [GOOD, replace(GOOD, udp=False)], [("exit.fine", FINE)]),
        (OLD, [GOOD, replace(GOOD, greeted=Greeted.SILENT)], [("exit.fine", FINE)]),
        (OLD, ways(skew=-600.0), [("exit.clock", NOTE)]),
        (NEW, ways(skew=-600.0), [("exit.clock", PROBLEM)]),
        (NEW, ways(skew=20.0), [("exit.clock", NOTE)]),
        (NEW, ways(skew=None), [("exit.fine", FINE)]),
    ],
)
def test_sentences(exit: ExitFacts, found: list[WayFacts], expected: list[tuple[str, Severity]]) -> None:
    assert [(each.id, each.severity) for each in judge(exit, found)] == expected


def test_words() -> None:
    [clock] = judge(NEW, ways(skew=-600.2))
    assert clock.sentence == (
        "attic: its clock is 600 s behind ours, and its method lets them differ by 30;"
        " let both set their clocks by NTP"
    )
    [none] = judge(OLD, ways(udp=False))
    assert "open UDP port 8388" in none.remedy
