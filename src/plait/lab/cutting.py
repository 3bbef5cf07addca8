"""The study of cuts: each kind of them many times, while data flows; one direction after the other."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass

from plait.lab.bridge import BACK, FORTH, LEFT, RIGHT, Bridge
from plait.lab.lasting import Hurt, Lasting
from plait.lab.result import Cell, Dots, Panel, Result, Row, Table, spread
from plait.lab.stage import Stage

BACK_SHARE, BACK_WITHIN = 0.9, 2.0
"""Of full speed, and within how many seconds of the link's return."""
_PATIENCE = 4.0
"""Seconds after which a link's return is given up."""
_SETTLE = 1.5
"""Seconds of undisturbed transfer between a return and the next cut: congestion control begins anew with
a link, and fills the queues for so long."""
_HOLD = 0.9
"""Seconds that a cut lasts, and up to a quarter of a second more: no rhythm may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One way in which a link fails."""

    title: str
    begin: Callable[[Bridge], float]
    end: Callable[[Bridge], float]
    stall: float
    """Seconds without progress that are allowed."""


UNPLUG, SILENCE = 0.150, 0.500
"""Seconds of stall that are allowed with and without a carrier that is seen to go."""

CUTS = (
    Cut(
        title="gateway's cable",
        begin=lambda bridge: bridge.unplug(LEFT),
        end=lambda bridge: bridge.plug(LEFT),
        stall=UNPLUG,
    ),
    Cut(
        title="silence",
        begin=lambda bridge: bridge.silence(),
        end=lambda bridge: bridge.unsilence(),
        stall=SILENCE,
    ),
    Cut(
        title="silence up",
        begin=lambda bridge: bridge.silence(FORTH),
        end=lambda bridge: bridge.unsilence(FORTH),
        stall=SILENCE,
    ),
    Cut(
        title="silence down",
        begin=lambda bridge: bridge.silence(BACK),
        end=lambda bridge: bridge.unsilence(BACK),
        stall=SILENCE,
    ),
    Cut(
        title="exit's cable",
        begin=lambda bridge: bridge.unplug(RIGHT),
        end=lambda bridge: bridge.plug(RIGHT),
        stall=SILENCE,
    ),
)
_QUICK = 2
"""Kinds that are tried in a hurry."""


def study(count: int = 10) -> Callable[[Stage], Result]:
    """``count`` cuts of each kind, the links in turn; the first link is the master."""

    def perform(stage: Stage) -> Result:
        stage.show.phase("starting plait")
        stage.scenario.weave(stage.lab)
        chosen = CUTS[:_QUICK] if stage.quick else CUTS
        times = 2 if stage.quick else count
        rng = random.Random(7)
        courses = stage.scenario.courses
        hurts = {cut.title: {course.title: list[Hurt]() for course in courses} for cut in chosen}
        lost: dict[str, int] = {}
        full: dict[str, float] = {}
        for course in courses:
            stage.show.phase(f"{course.title}: undisturbed")
            with Lasting(stage, (course,)) as lasting:
                lasting.measure(stage.seconds / 2)
                for cut in chosen:
                    stage.show.phase(f"{course.title}: {cut.title}")
                    for number in range(times):
                        hurts[cut.title][course.title].append(_cut(stage, lasting, cut, number, rng))
                lost |= lasting.lost
                full |= lasting.full
        return judge(chosen, hurts, lost, full)

    return perform


def _cut(stage: Stage, lasting: Lasting, cut: Cut, number: int, rng: random.Random) -> Hurt:
    links = stage.scenario.links
    link = links[number % len(links)]
    bridge = stage.lab.bridge(link.bridge)
    stage.show.event(f"{link.bridge}: {cut.title}")
    began = cut.begin(bridge)
    lasting.until(began + _HOLD + 0.25 * rng.random())
    ended = cut.end(bridge)
    lasting.await_back(ended, BACK_SHARE, _PATIENCE)
    (hurt,) = lasting.hurt(began, ended, share=BACK_SHARE, within=_PATIENCE).values()
    stage.pause(_SETTLE + 0.5 * rng.random())
    return hurt


def judge(
    cuts: tuple[Cut, ...],
    hurts: dict[str, dict[str, list[Hurt]]],
    lost: dict[str, int],
    full: dict[str, float],
) -> Result:
    """Table, checks, facts and dots; a promise is about the worst of all cuts."""
    result = Result()
    courses = tuple(lost)
    rows = [
        Row(
            title="undisturbed",
            asked="",
            cells=tuple(Cell(text=f"{full[each] / 1e6:.1f} Mbit/s") for each in courses),
        )
    ]
    stalls: list[Dots] = []
    backs: list[Dots] = []
    for cut in cuts:
        asked = f"≤ {cut.stall * 1000:.0f} ms"
        back_asked = f"≤ {BACK_WITHIN:g} s"
        cells: list[Cell] = []
        back_cells: list[Cell] = []
        again: list[Cell] = []
        for course in courses:
            seen = hurts[cut.title][course]
            stall = [hurt.stall for hurt in seen]
            back = [hurt.back for hurt in seen]
            kept = bool(stall) and max(stall) <= cut.stall
            cells.append(result.judged(course, f"{cut.title}: stall", spread(stall, 1e3, "ms"), asked, kept))
            in_time = bool(back) and all(each is not None and each <= BACK_WITHIN for each in back)
            text = spread(back, 1, "s")
            back_cells.append(result.judged(course, f"{cut.title}: return", text, back_asked, in_time))
            again.append(Cell(text=spread([hurt.stall_back for hurt in seen], 1e3, "ms")))
            name = f"{cut.title}, {course}"
            stalls.append(Dots(title=name, values=tuple(each * 1e3 for each in stall), asked=cut.stall * 1e3))
            known = tuple(each for each in back if each is not None)
            backs.append(Dots(title=name, values=known, asked=BACK_WITHIN))
        rows.append(Row(title=f"{cut.title}: stall", asked=asked, cells=tuple(cells)))
        rows.append(Row(title="  back at 90 %", asked=back_asked, cells=tuple(back_cells)))
        rows.append(Row(title="  stall at the return", asked="", cells=tuple(again)))
    ended = tuple(
        result.judged(course, "connections lost", str(lost[course]), "0", lost[course] == 0)
        for course in courses
    )
    rows.append(Row(title="connections lost", asked="0", cells=ended))
    result.tables.append(Table(columns=courses, rows=tuple(rows)))
    result.panels.append(Panel(title="stall at a cut", unit="ms", dots=tuple(stalls)))
    result.panels.append(
        Panel(title="from a link's return to 90 % of full speed", unit="s", dots=tuple(backs))
    )
    result.facts["full_bps"] = full
    result.facts["cuts"] = {
        kind: {course: [dataclasses.asdict(hurt) for hurt in seen] for course, seen in by_course.items()}
        for kind, by_course in hurts.items()
    }
    return result
