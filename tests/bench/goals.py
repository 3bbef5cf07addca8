"""What was promised, as ratios of series of one run. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.bench.footprint import CROWD
from tests.bench.peers import AEADS
from tests.bench.series import Results
from tests.bench.tunnels import OPENVPN, PACKETS, WIREGUARD, bulk
from tests.bench.tunnels import PLAIT as TUNNEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One promise. ``figures`` gives one figure a round, none when something was not measured."""

    text: str
    bound: float
    figures: Callable[[Results], list[float]]
    at_most: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A goal and what came out."""

    goal: Goal
    figures: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.figures)

    @property
    def met(self) -> bool:
        """Whether the median keeps the bound."""
        return self.median <= self.goal.bound if self.goal.at_most else self.median >= self.goal.bound


def verdicts(results: Results) -> list[Verdict]:
    """All goals that this run can judge."""
    judged = ((goal, goal.figures(results)) for goal in GOALS)
    return [Verdict(goal=goal, figures=tuple(figures)) for goal, figures in judged if figures]


def _values(results: Results, measure: str, peer: str) -> list[float]:
    series = results.get(measure, peer)
    return series.values if series else []


def _ratio(measure: str, peer: str, *others: str) -> Callable[[Results], list[float]]:
    """Round by round ``peer`` over the best of ``others``: what slows a whole round cancels out."""

    def figures(results: Results) -> list[float]:
        rows = [_values(results, measure, name) for name in (peer, *others)]
        return [own / max(rest) for own, *rest in zip(*rows, strict=False) if max(rest) > 0]

    return figures


def _share(measure: str, peer: str, *parts: str) -> Callable[[Results], list[float]]:
    """Round by round ``peer`` over the sum of ``parts``."""

    def figures(results: Results) -> list[float]:
        rows = [_values(results, measure, name) for name in (peer, *parts)]
        return [own / sum(rest) for own, *rest in zip(*rows, strict=False)]

    return figures


def _most(measure: str, *peers: str) -> Callable[[Results], list[float]]:
    def figures(results: Results) -> list[float]:
        rows = [_values(results, measure, name) for name in peers]
        return [max(each) for each in zip(*rows, strict=False)]

    return figures


def _tunnel_goals() -> Iterable[Goal]:
    for direction in ("up", "down"):
        for flows in (1, 8):
            measure = bulk(direction, flows)
            for other in (OPENVPN, WIREGUARD):
                yield Goal(
                    text=f"{measure}: plait / {other.name}",
                    bound=3.0,
                    figures=_ratio(measure, TUNNEL.name, other.name),
                )
            yield Goal(text=measure, bound=2.5, figures=_most(measure, TUNNEL.name), unit="Gbit/s")
    yield Goal(
        text=f"{PACKETS}: plait / {OPENVPN.name}",
        bound=1.5,
        figures=_ratio(PACKETS, TUNNEL.name, OPENVPN.name),
    )


def _goals() -> Iterable[Goal]:
    sealed = [f"shadowsocks {method}" for method in AEADS]
    for direction in ("up", "down"):
        bulk = f"bulk {direction}"
        for text, bound, own, others in (
            ("none / routed", 0.45, "none", ["routed"]),
            ("none / haproxy splice", 1.0, "none", ["haproxy splice"]),
            ("none / best shadowsocks", 1.8, "none", sealed),
            ("aes-128-gcm / shadowsocks same", 4.0, "aes-128-gcm", ["shadowsocks aes-128-gcm"]),
            ("aes-128-gcm / none", 0.7, "aes-128-gcm", ["plait none"]),
        ):
            yield Goal(
                text=f"{bulk}: plait {text}", bound=bound, figures=_ratio(bulk, f"plait {own}", *others)
            )
    for tool in ("wrk", "ab"):
        measure = f"connections {tool}"
        for method in ("aes-128-gcm", "none"):
            yield Goal(
                text=f"{measure}: plait {method} / shadowsocks aes-128-gcm",
                bound=1.5,
                figures=_ratio(measure, f"plait {method}", "shadowsocks aes-128-gcm"),
            )
    for direction in ("up", "down"):
        bridges = f"bridges {direction}"
        yield Goal(
            text=f"{bridges}: both / sum of each alone",
            bound=0.95,
            figures=_share(bridges, "plait, both", "bridge 1 alone", "bridge 2 alone"),
        )
    yield from _tunnel_goals()
    ends = ("plait gateway", "plait exit")
    yield Goal(
        text=f"{CROWD} idle sessions: more memory on a box",
        bound=20.0,
        figures=_most(f"{CROWD} idle: memory", *ends),
        at_most=True,
        unit="MB",
    )
    yield Goal(
        text=f"{CROWD} idle sessions: descriptors each",
        bound=2.0,
        figures=_most(f"{CROWD} idle: descriptors", *ends),
        at_most=True,
    )
    for kind, bound in (("worker", 25.0), ("control", 45.0)):
        measure = f"RSS {kind}"
        yield Goal(text=measure, bound=bound, figures=_most(measure, *ends), at_most=True, unit="MB")
    yield Goal(
        text="plait --version",
        bound=100.0,
        figures=_most("plait --version", "plait"),
        at_most=True,
        unit="ms",
    )
    yield Goal(
        text="ready to serve", bound=1000.0, figures=_most("ready after", *ends), at_most=True, unit="ms"
    )


GOALS = tuple(_goals())
