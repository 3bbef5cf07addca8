"""What a scenario gives when it is over: checks, tables, facts, and what to draw. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise: what was measured, what was asked, kept or not."""

    course: str
    promise: str
    measured: str
    asked: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One figure of the table; ``kept`` is None when nothing was promised of it."""

    text: str
    kept: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    title: str
    asked: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows below columns. The titles of the first column and of *asked* are added when printed."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a chart, made of stacked parts, with the mark that it has to reach."""

    title: str
    parts: tuple[float, ...]
    asked: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """One line of a chart on which every measurement is a dot, with the mark not to be passed."""

    title: str
    values: tuple[float, ...]
    asked: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: bars or lines of dots (not both) on one scale."""

    title: str
    unit: str
    bars: tuple[Bar, ...] = ()
    dots: tuple[Dots, ...] = ()
    parts: tuple[str, ...] = ()
    """What the parts of the bars are."""


@dataclass(slots=True, kw_only=True)
class Result:
    """The outcome of a study (see ``scenario.py``)."""

    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    """Ready for JSON, beside the checks."""
    panels: list[Panel] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return all(check.kept for check in self.checks)

    def judged(self, course: str, promise: str, measured: str, asked: str, kept: bool) -> Cell:
        """Note a check; gives its cell for the table."""
        self.checks.append(Check(course=course, promise=promise, measured=measured, asked=asked, kept=kept))
        return Cell(text=measured, kept=kept)


def median(values: Sequence[float]) -> float:
    """The middle value, 0 of none."""
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float | None], factor: float, unit: str) -> str:
    """Median and maximum as text: ``47, at most 63 ms``. None is a thing that never happened."""
    known = [value for value in values if value is not None]
    if not known:
        return "never"
    digits = 0 if max(known) * factor >= 10 else 1
    text = f"{median(known) * factor:.{digits}f}, at most {max(known) * factor:.{digits}f} {unit}"
    missing = len(values) - len(known)
    return f"{text}, {missing} never" if missing else text
