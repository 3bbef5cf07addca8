"""What is wrong with an exit, told from all the ways to it together."""

from __future__ import annotations

from collections.abc import Sequence

from plait.doctor.facts import Answer, ExitFacts, Greeted, WayFacts
from plait.doctor.finding import Finding, fine, note, problem
from plait.doctor.paths import lacking

_TOLERATED = 30.0
"""Seconds by which clocks may differ with the methods of 2022 (SIP022, 3.1.3)."""
_WORTH_A_WORD = 2.0


def judge(exit: ExitFacts, ways: Sequence[WayFacts]) -> list[Finding]:
    """What can be said of one exit. ``ways`` are those to it, over all paths that could be examined."""
    found: list[Finding] = []
    name = exit.name
    if not ways:
        return [problem("exit.no-way", name, "no path leads to it", "see what is said of the paths")]
    if not any(way.syn.came or way.udp for way in ways):
        tried = any(way.syn is not Answer.UNTRIED for way in ways)
        if tried and not any(way.syn is Answer.REFUSED for way in ways):
            text = "it answers over no path, neither TCP nor UDP"
            found.append(
                problem("exit.unreachable", name, text, "is it running, and are address and port right?")
            )
        return found
    if lacking(ways):
        found.append(
            problem(
                "exit.mptcp.none",
                name,
                "it answers without MPTCP over every path",
                "its kernel must have net.mptcp.enabled=1, and no proxy or firewall may stand before it",
            )
        )
    found += _greeting(name, ways)
    if all(way.udp is False for way in ways if way.syn.came) and any(way.udp is False for way in ways):
        found.append(
            problem(
                "exit.udp.none",
                name,
                "it answers sealed datagrams over no path",
                f"open UDP port {ways[0].port} in its firewall; only a plait answers them",
            )
        )
    found += _clock(exit, ways)
    return found or [fine("exit.fine", name, "it answers, and knows us")]


def _greeting(name: str, ways: Sequence[WayFacts]) -> list[Finding]:
    met = [way for way in ways if way.greeted not in (Greeted.UNTRIED, Greeted.DOWN)]
    if not met or any(way.greeted is Greeted.UP for way in met):
        return []
    foreign = next((way for way in met if way.greeted is Greeted.FOREIGN), None)
    if foreign is not None:
        text = "what listens there is no plait"
        return [note("exit.foreign", name, text, "a Shadowsocks server serves TCP all the same")]
    return [
        problem(
            "exit.password",
            name,
            "it listens and does not answer what we seal",
            "compare password and method at both ends",
        )
    ]


def _clock(exit: ExitFacts, ways: Sequence[WayFacts]) -> list[Finding]:
    skews = [way.skew for way in ways if way.skew is not None]
    if not skews:
        return []
    skew = min(skews, key=abs)
    words = f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    if exit.clock_bound and abs(skew) > _TOLERATED:
        text = f"{words}, and its method lets them differ by {_TOLERATED:.0f}"
        return [problem("exit.clock", exit.name, text, "let both set their clocks by NTP")]
    if abs(skew) > _WORTH_A_WORD:
        return [note("exit.clock", exit.name, words, "let both set their clocks by NTP")]
    return []
