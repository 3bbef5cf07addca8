"""The study of what the tunnel makes of two links: one TCP flow, and UDP, of what the links carry alone.

The measure is UDP, plainly routed over each link alone and at more than it takes: what a link carries,
whatever its delay and its losses do to a TCP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from plait.lab.errors import LabError
from plait.lab.result import Bar, Cell, Panel, Result, Row, Table, median
from plait.lab.scenario import Course
from plait.lab.stage import Stage
from plait.lab.traffic import iperf_server, pour

_MORE = 1.08
"""Of what fits, so that a link is full."""
_LOAD = 0.9
_UDP_PORT, _QUIC_PORT = 5203, 443
_SETTLE = 3.0
"""Seconds from plait's start until a measurement."""
_ROUTES = 1.0
"""Seconds in which plain routes follow the cables."""
_POUR = 4.0
"""Seconds for which UDP is poured."""
_BEGINNING = 0.35
"""Share of a TCP transfer at its beginning that does not count: congestion control finds its speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    """What is promised, as shares."""

    tcp: float
    """Of the sum, by one TCP flow."""
    udp: float = 0.95
    """Of the sum, by more UDP than fits."""
    loss: float = 0.005
    """At most, beside what the links lose by themselves, of UDP at 0.9 of the sum."""
    quic: float = 0.95
    """Of the better link, by UDP on a port of QUIC, which is kept in order."""


@dataclass(slots=True)
class Case:
    """One direction. bit/s."""

    course: Course
    alone: list[float] = field(default_factory=list)
    own_loss: float = 0.0
    """What the lossier link loses by itself."""
    tcp: list[float] = field(default_factory=list)
    lost: int = 0
    """TCP connections that did not last."""
    udp: list[float] = field(default_factory=list)
    quic: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)

    @property
    def sum(self) -> float:
        return sum(self.alone)


def study(aims: Aims, *, rounds: int = 3, longer: float = 1.0) -> Callable[[Stage], Result]:
    """``rounds`` measurements of each kind, both ways; a TCP transfer takes ``longer`` times a phase."""

    def perform(stage: Stage) -> Result:
        scenario = stage.scenario
        cases = [Case(course) for course in scenario.courses]
        for server in dict.fromkeys(course.server for course in scenario.courses):
            iperf_server(stage.lab[server])
        for link in scenario.links:
            stage.alone(link)
            stage.pause(_ROUTES)
            wire = stage.lab.bridge(link.bridge).wire
            for case in cases:
                stage.show.phase(f"{case.course.title}: {link.bridge} alone, without plait")
                shape = wire.back if case.course.inward else wire.forth
                case.alone.append(_pour(stage, case, shape.rate * _MORE)[0])
                case.own_loss = max(case.own_loss, shape.loss)
            stage.together()
        stage.show.phase("starting plait")
        scenario.weave(stage.lab)
        stage.pause(_SETTLE)
        for _ in range(1 if stage.quick else rounds):
            for case in cases:
                _measure(stage, case, stage.seconds * longer)
        return judge([link.bridge for link in scenario.links], aims, cases)

    return perform


def _pour(stage: Stage, case: Case, rate: float, port: int = _UDP_PORT) -> tuple[float, float]:
    course = case.course
    if course.download is not course.inward:
        raise LabError("the client of a course of this study is on the gateway's side")
    done = pour(
        stage.lab[course.client],
        stage.lab[course.server],
        course.address,
        rate=rate,
        seconds=_POUR,
        reverse=course.download,
        port=port,
    )
    return done.speed, done.loss


def _measure(stage: Stage, case: Case, seconds: float) -> None:
    title = case.course.title
    stage.show.phase(f"{title}: one TCP flow")
    with stage.carry(case.course, seconds + 1) as carriage:
        end = carriage.began + seconds
        carriage.until(end)
        case.lost += not carriage.end().survived
        case.tcp.append(carriage.look().speed(carriage.began + seconds * _BEGINNING, end))
    stage.show.phase(f"{title}: more UDP than fits")
    case.udp.append(_pour(stage, case, case.sum * _MORE)[0])
    stage.show.phase(f"{title}: the same on a port of QUIC")
    case.quic.append(_pour(stage, case, case.sum * _MORE, _QUIC_PORT)[0])
    stage.show.phase(f"{title}: UDP at {_LOAD:g} of the sum")
    case.loss.append(_pour(stage, case, case.sum * _LOAD)[1])


def judge(links: list[str], aims: Aims, cases: list[Case]) -> Result:
    """Table, checks, facts and bars; the verdict is on medians."""
    result = Result()
    titles = [
        *((f"{link} alone, Mbit/s", "") for link in links),
        ("sum, Mbit/s", ""),
        ("one TCP flow, Mbit/s", ""),
        ("of the sum", f"≥ {aims.tcp:g}"),
        ("more UDP than fits, Mbit/s", ""),
        ("of the sum ", f"≥ {aims.udp:g}"),
        ("UDP on port 443, Mbit/s", ""),
        ("of the better link", f"≥ {aims.quic:g}"),
        (f"UDP lost at {_LOAD:g} of the sum", f"≤ {_percent(aims.loss)} beside the links' own"),
        ("TCP connections lost", "0"),
    ]
    columns: list[list[Cell]] = []
    bars: list[Bar] = []
    for case in cases:
        title, total, best = case.course.title, case.sum, max(case.alone, default=0.0)
        tcp, udp, quic = median(case.tcp), median(case.udp), median(case.quic)
        loss = median(case.loss) - case.own_loss

        def share(promise: str, got: float, of: float, least: float, title: str = title) -> Cell:
            part = got / of if of else 0.0
            return result.judged(title, promise, f"{part:.3f}", f"≥ {least:g}", part >= least)

        columns.append(
            [
                *(_speed(speed) for speed in (*case.alone, total, tcp)),
                share("one TCP flow", tcp, total, aims.tcp),
                _speed(udp),
                share("UDP", udp, total, aims.udp),
                _speed(quic),
                share("UDP on port 443", quic, best, aims.quic),
                result.judged(
                    title,
                    "UDP lost",
                    _percent(median(case.loss)),
                    f"≤ {_percent(aims.loss + case.own_loss)}",
                    bool(case.loss) and loss <= aims.loss,
                ),
                result.judged(title, "connections lost", str(case.lost), "0", case.lost == 0),
            ]
        )
        bars.append(Bar(title=f"{title}: links alone", parts=tuple(speed / 1e6 for speed in case.alone)))
        bars.append(Bar(title="one TCP flow", parts=(tcp / 1e6,), asked=aims.tcp * total / 1e6))
        bars.append(Bar(title="UDP", parts=(udp / 1e6,), asked=aims.udp * total / 1e6))
    result.tables.append(
        Table(
            columns=tuple(case.course.title for case in cases),
            rows=tuple(
                Row(title=name, asked=asked, cells=tuple(column[number] for column in columns))
                for number, (name, asked) in enumerate(titles)
            ),
        )
    )
    result.panels.append(Panel(title="payload through the tunnel", unit="Mbit/s", bars=tuple(bars)))
    result.facts["cases"] = [
        {
            "title": case.course.title,
            "alone_bps": case.alone,
            "tcp_bps": case.tcp,
            "udp_bps": case.udp,
            "quic_bps": case.quic,
            "loss": case.loss,
        }
        for case in cases
    ]
    return result


def _speed(speed: float) -> Cell:
    return Cell(text=f"{speed / 1e6:.1f}")


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"
