"""Draw a study: bars beside the mark that they must reach, or every measurement as a dot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from plait.lab import chart
from plait.lab.result import Panel, Result
from plait.lab.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = 0.42
"""Inches of height that one bar or line of dots takes."""


def draw(scenario: Scenario, result: Result, directory: Path) -> list[Path]:
    """Write ``chart.svg`` and ``chart.png``; gives their paths. Nothing without panels."""
    if not result.panels:
        return []
    with chart.styled(scenario) as pyplot:
        heights = [1.1 + _LINE * len(panel.bars or panel.dots) for panel in result.panels]
        figure, axes = pyplot.subplots(
            *(len(heights), 1),
            figsize=(10.5, 0.6 + sum(heights)),
            squeeze=False,
            layout="constrained",
            gridspec_kw={"height_ratios": heights},
        )
        for axis, panel in zip(axes[:, 0], result.panels, strict=True):
            chart.bare(axis, "x")
            axis.set_title(panel.title, loc="left", fontsize=11, fontweight="bold")
            axis.set_xlabel(panel.unit)
            (_bars if panel.bars else _dots)(axis, panel)
            axis.set_xlim(left=0)
        return chart.save(figure, scenario, directory)


def _names(axis: Axes, titles: list[str]) -> None:
    axis.set_yticks(range(len(titles)), titles)
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0, labelcolor=chart.INK)


def _mark(axis: Axes, at: float, line: int) -> None:
    axis.plot([at, at], [line - 0.42, line + 0.42], color=chart.ALARM, linewidth=1.6)


def _bars(axis: Axes, panel: Panel) -> None:
    for line, bar in enumerate(panel.bars):
        left = 0.0
        for part, size in enumerate(bar.parts):
            name = panel.parts[part] if line == 0 and part < len(panel.parts) else None
            axis.barh(
                line,
                size,
                left=left,
                height=0.62,
                color=chart.COLOURS[part if len(bar.parts) > 1 else 2],
                alpha=0.82,
                label=name,
            )
            left += size
        axis.text(left, line, f" {left:.4g}", va="center", fontsize=8.5, color=chart.INK)
        if bar.asked is not None:
            _mark(axis, bar.asked, line)
    _names(axis, [bar.title for bar in panel.bars])
    if panel.parts:
        axis.legend(loc="lower right", frameon=False, fontsize=8.5)


def _dots(axis: Axes, panel: Panel) -> None:
    for line, dots in enumerate(panel.dots):
        colour = chart.COLOURS[line % len(chart.COLOURS)]
        # Side by side rather than on top of each other: the order in which they were measured.
        count = max(len(dots.values) - 1, 1)
        heights = [line - 0.25 + 0.5 * number / count for number in range(len(dots.values))]
        axis.scatter(dots.values, heights, s=22, color=colour, alpha=0.8, linewidths=0)
        if dots.asked is not None:
            _mark(axis, dots.asked, line)
    _names(axis, [dots.title for dots in panel.dots])
