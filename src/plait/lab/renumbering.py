"""The study of links that stay, but do not stay the same: new address, reset, forgetful NAT."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

from plait.lab.cutting import BACK_SHARE, BACK_WITHIN, SILENCE
from plait.lab.lasting import Hurt, Lasting
from plait.lab.result import Cell, Dots, Panel, Result, Row, Table, spread
from plait.lab.stage import Stage

_PATIENCE = 6.0
_FELT = 0.5
"""A reset is felt after it was sent: a stall that begins within these seconds belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """Something that happens to a link."""

    title: str
    happen: Callable[[Stage, int], None]
    """Do it to the link of that number; returns when the link could be used again."""


def study(*mishaps: Mishap, count: int = 4) -> Callable[[Stage], Result]:
    """Each mishap ``count`` times in each direction, the links in turn."""

    def perform(stage: Stage) -> Result:
        stage.show.phase("starting plait")
        stage.scenario.weave(stage.lab)
        times = 1 if stage.quick else count
        courses = stage.scenario.courses
        hurts = {mishap.title: {course.title: list[Hurt]() for course in courses} for mishap in mishaps}
        lost: dict[str, int] = {}
        for course in courses:
            with Lasting(stage, (course,)) as lasting:
                stage.show.phase(f"{course.title}: undisturbed")
                lasting.measure(stage.seconds / 2)
                for mishap in mishaps:
                    for number in range(times):
                        hurts[mishap.title][course.title].append(_one(stage, lasting, mishap, number))
                lost |= lasting.lost
        return judge([mishap.title for mishap in mishaps], hurts, lost)

    return perform


def _one(stage: Stage, lasting: Lasting, mishap: Mishap, number: int) -> Hurt:
    links = stage.scenario.links
    which = number % len(links)
    stage.show.event(f"{links[which].bridge}: {mishap.title}")
    began = time.monotonic()
    mishap.happen(stage, which)
    ended = time.monotonic()
    lasting.until(ended + _FELT)
    lasting.await_back(ended, BACK_SHARE, _PATIENCE)
    (hurt,) = lasting.hurt(began, ended, share=BACK_SHARE, within=_PATIENCE, felt=_FELT).values()
    stage.pause(0.5)
    return hurt


def judge(titles: list[str], hurts: dict[str, dict[str, list[Hurt]]], lost: dict[str, int]) -> Result:
    """Table, checks, facts and dots; a promise is about the worst of all."""
    result = Result()
    courses = tuple(lost)
    rows: list[Row] = []
    dots: list[Dots] = []
    asked, back_asked = f"≤ {SILENCE * 1e3:.0f} ms", f"≤ {BACK_WITHIN:g} s"
    for title in titles:
        stalls: list[Cell] = []
        backs: list[Cell] = []
        for course in courses:
            seen = hurts[title][course]
            stall = [hurt.stall for hurt in seen]
            kept = bool(stall) and max(stall) <= SILENCE
            stalls.append(result.judged(course, f"{title}: stall", spread(stall, 1e3, "ms"), asked, kept))
            back = [hurt.back for hurt in seen]
            in_time = bool(back) and all(each is not None and each <= BACK_WITHIN for each in back)
            backs.append(result.judged(course, f"{title}: return", spread(back, 1, "s"), back_asked, in_time))
            values = tuple(each * 1e3 for each in stall)
            dots.append(Dots(title=f"{title}, {course}", values=values, asked=SILENCE * 1e3))
        rows.append(Row(title=f"{title}: stall", asked=asked, cells=tuple(stalls)))
        rows.append(Row(title="  back at 90 %", asked=back_asked, cells=tuple(backs)))
    ended = tuple(
        result.judged(course, "connections lost", str(lost[course]), "0", lost[course] == 0)
        for course in courses
    )
    rows.append(Row(title="connections lost", asked="0", cells=ended))
    result.tables.append(Table(columns=courses, rows=tuple(rows)))
    result.panels.append(Panel(title="stall", unit="ms", dots=tuple(dots)))
    result.facts["mishaps"] = {
        title: {course: [dataclasses.asdict(hurt) for hurt in seen] for course, seen in by.items()}
        for title, by in hurts.items()
    }
    return result
