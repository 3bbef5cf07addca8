"""The study of speed: what two links give together, of what each gives alone, on one connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from plait.lab.result import Bar, Cell, Panel, Result, Row, Table, median
from plait.lab.scenario import Course
from plait.lab.stage import WARM_UP, Stage
from plait.lab.traffic import iperf_server

_SETTLE = 3.0
"""Seconds after a link was changed until a measurement: plait is to know it by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How the links are for one measurement."""

    title: str
    shapes: tuple[Mapping[str, float], ...] = ()
    """For each link of the scenario: what of its bridge is changed. Empty: as drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What both links together have to give."""

    share: float
    of_sum: bool = True
    """Of the sum of what each gives alone; else of what the better one gives."""

    @property
    def text(self) -> str:
        """As in the table."""
        return f"≥ {self.share:g} of the {'sum' if self.of_sum else 'better one'}"

    def goal(self, singles: list[float]) -> float:
        """Bit/s."""
        return self.share * (sum(singles) if self.of_sum else max(singles, default=0.0))


@dataclass(slots=True)
class Case:
    """One profile in one direction."""

    profile: Profile
    course: Course
    singles: list[float]
    both: list[float]
    lost: int = 0
    carried: list[int] = field(default_factory=list)
    """Bytes that each link has carried in the last round, of all that went over both."""

    @property
    def title(self) -> str:
        return f"{self.profile.title}, {self.course.title}" if self.profile.title else self.course.title


def study(promise: Promise, *profiles: Profile, rounds: int = 1) -> Callable[[Stage], Result]:
    """Measure every profile in every course, ``rounds`` times; the verdict is on the median."""

    def perform(stage: Stage) -> Result:
        chosen = profiles[-1:] if stage.quick else profiles
        return _perform(stage, promise, chosen, 1 if stage.quick else rounds)

    return perform


def _shape(stage: Stage, profile: Profile) -> None:
    for link, shape in zip(stage.scenario.links, profile.shapes, strict=False):
        stage.lab.bridge(link.bridge).reshape(**shape)


def _perform(stage: Stage, promise: Promise, profiles: tuple[Profile, ...], rounds: int) -> Result:
    scenario = stage.scenario
    for server in dict.fromkeys(course.server for course in scenario.courses):
        iperf_server(stage.lab[server])
    cases = [Case(profile, course, [], []) for profile in profiles for course in scenario.courses]
    for link in scenario.links:
        stage.alone(link)
        for profile in profiles:
            _shape(stage, profile)
            for case in (case for case in cases if case.profile is profile):
                stage.show.phase(f"{case.title}: {link.bridge} alone, without plait")
                case.singles.append(stage.single(case.course, stage.seconds))
        stage.together()
    stage.show.phase("starting plait")
    _shape(stage, profiles[0])
    scenario.weave(stage.lab)
    for _ in range(rounds):
        for profile in profiles:
            _shape(stage, profile)
            stage.pause(_SETTLE)
            for case in (case for case in cases if case.profile is profile):
                _both(stage, case)
    return judge(stage, promise, cases)


def _both(stage: Stage, case: Case) -> None:
    stage.show.phase(f"{case.title}: both links with plait")
    with stage.carry(case.course, stage.seconds + 1) as carriage:
        end = carriage.began + stage.seconds
        carriage.until(end)
        case.lost += not carriage.end().survived
        seen = carriage.look()
        case.both.append(seen.speed(carriage.began + WARM_UP, end))
        if seen.path_bytes:
            first, last = seen.path_bytes[0], seen.path_bytes[-1]
            case.carried = [now - before for before, now in zip(first, last, strict=True)]


def judge(stage: Stage, promise: Promise, cases: list[Case]) -> Result:
    """Table, checks, facts and bars."""
    result = Result()
    links = [link.bridge for link in stage.scenario.links]
    columns: list[list[Cell]] = []
    bars: list[Bar] = []
    for case in cases:
        both, goal = median(case.both), promise.goal(case.singles)
        whole = sum(case.singles) if promise.of_sum else max(case.singles)
        share = both / whole if whole else 0.0
        kept = result.judged(case.title, "both links", f"{share:.3f}", promise.text, both >= goal > 0)
        lost = result.judged(case.title, "connections lost", str(case.lost), "0", case.lost == 0)
        figures = [Cell(text=f"{speed / 1e6:.1f}") for speed in (*case.singles, sum(case.singles), both)]
        columns.append([*figures, kept, lost])
        parts = tuple(speed / 1e6 for speed in case.singles)
        bars.append(Bar(title=f"{case.title}: alone", parts=parts))
        bars.append(Bar(title="together", parts=(both / 1e6,), asked=goal / 1e6))
    titles = [*(f"{link} alone, Mbit/s" for link in links), "sum, Mbit/s", "together, Mbit/s"]
    asked = ["" for _ in titles] + [promise.text, "0"]
    titles += ["share", "connections lost"]
    # Cases below each other where there are many: four columns fit a terminal of 80.
    for first in range(0, len(cases), 2):
        some = columns[first : first + 2]
        rows = tuple(
            Row(title=title, asked=goal, cells=tuple(column[number] for column in some))
            for number, (title, goal) in enumerate(zip(titles, asked, strict=True))
        )
        names = tuple(case.title for case in cases[first : first + 2])
        result.tables.append(Table(columns=names, rows=rows))
    result.panels.append(Panel(title="payload on one connection", unit="Mbit/s", bars=tuple(bars)))
    result.facts["cases"] = [
        {
            "title": case.title,
            "singles_bps": case.singles,
            "both_bps": case.both,
            "carried_bytes": case.carried,
            "goal_bps": promise.goal(case.singles),
        }
        for case in cases
    ]
    return result
