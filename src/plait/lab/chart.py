"""Draw a trial: speed of every path and of the client over time, as SVG and PNG."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from plait.lab.result import Check
from plait.lab.scenario import Scenario
from plait.lab.trial import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2a9d8f", "#e9a23b", "#7b6cf6", "#d1495b")
INK, SOFT, GRID = "#22303c", "#6b7a86", "#e4e9ed"
ALARM = "#c1121f"
_CLIENT_STEP = 0.2
"""Seconds over which the receiver's speed is averaged for the line."""


def available() -> bool:
    """Whether the drawing library is installed."""
    return importlib.util.find_spec("matplotlib") is not None


@contextlib.contextmanager
def styled(scenario: Scenario) -> Iterator[ModuleType]:
    """The drawing library with our style: fonts, colours, and the same ids in each SVG of a scenario."""
    if not os.access(Path.home(), os.W_OK):
        # The library keeps a font list in the home directory, and complains where it can't.
        os.environ.setdefault("MPLCONFIGDIR", str(Path("/run/matplotlib")))
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    style: dict[str, object] = {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "svg.hashsalt": scenario.name,
    }
    with pyplot.style.context(style):
        yield pyplot


def save(figure: Figure, scenario: Scenario, directory: Path) -> list[Path]:
    """Give a figure its title and write it as SVG and PNG; gives the paths."""
    title = f"{scenario.name}: {scenario.summary}"
    figure.suptitle(title, x=0.012, ha="left", fontsize=12.5, fontweight="bold")
    paths = [directory / "chart.svg", directory / "chart.png"]
    for path in paths:
        figure.savefig(path, dpi=144, metadata={"Date": None} if path.suffix == ".svg" else None)
    figure.clear()
    return paths


def bare(axis: Axes, grid: Literal["x", "y"]) -> None:
    """No frame, and thin lines across one axis."""
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.grid(axis=grid, color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)


def draw(scenario: Scenario, runs: list[Run], checks: list[Check], directory: Path) -> list[Path]:
    """Write ``chart.svg`` and ``chart.png`` of a trial; gives their paths."""
    with styled(scenario) as pyplot:
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        size = (10.5, 1.2 + 3.3 * len(runs))
        # More room than usual above each course, for its heading and the marks of events.
        layout = ConstrainedLayoutEngine(h_pad=0.12)
        figure, axes = pyplot.subplots(len(runs), 1, figsize=size, squeeze=False, layout=layout)
        for axis, run in zip(axes[:, 0], runs, strict=True):
            _course(axis, run, [check for check in checks if check.course == run.course.title])
        axes[-1, 0].set_xlabel("seconds")
        return save(figure, scenario, directory)


def _client(run: Run) -> tuple[list[float], list[float]]:
    samples = run.samples
    times: list[float] = []
    speeds: list[float] = []
    at = samples.times[0]
    while at + _CLIENT_STEP <= samples.polled:
        times.append(at + _CLIENT_STEP - samples.times[0])
        speeds.append(samples.speed(at, at + _CLIENT_STEP) / 1e6)
        at += _CLIENT_STEP
    return times, speeds


def _course(axis: Axes, run: Run, checks: list[Check]) -> None:
    samples = run.samples
    bare(axis, "y")
    axis.set_ylabel("Mbit/s")
    kept = all(check.kept for check in checks)
    axis.set_title(f"{run.course.title}", loc="left", fontsize=11, fontweight="bold", pad=18)
    axis.text(
        *(1.0, 1.07, "PASS" if kept else "FAIL"),
        transform=axis.transAxes,
        ha="right",
        fontweight="bold",
        color="#2a9d8f" if kept else ALARM,
    )
    if not samples.times:
        axis.text(0.5, 0.5, "nothing arrived", transform=axis.transAxes, ha="center")
        return
    began = samples.times[0]
    layers = [samples.path_speeds(index) for index in range(len(samples.paths))]
    axis.stackplot(
        [at - began for at in layers[0][0]],
        *([speed / 1e6 for speed in speeds] for _, speeds in layers),
        colors=COLOURS[: len(layers)],
        labels=[f"{name} (frames)" for name in samples.paths],
        alpha=0.82,
        linewidth=0,
        step="pre",
    )
    times, speeds = _client(run)
    axis.plot(times, speeds, color=INK, linewidth=1.3, label="payload at the receiver")
    axis.axhline(run.sum / 1e6, color=SOFT, linewidth=0.9, linestyle=(0, (5, 4)))
    axis.set_xlim(0, max(times[-1], 1.0))
    # A burst that waited for one lost segment may reach far above what the links carry: cut it.
    top = max(run.sum / 1e6 * 1.5, 1.0)
    axis.set_ylim(0, top)
    axis.text(
        *(times[-1], run.sum / 1e6 + top * 0.07, f"sum of the single links: {run.sum / 1e6:.1f}"),
        ha="right",
        color=INK,
        fontsize=8.5,
    )
    _events(axis, run, began)
    axis.legend(loc="upper left", ncols=len(layers) + 1, frameon=False, fontsize=8.5, borderaxespad=0.1)


def _events(axis: Axes, run: Run, began: float) -> None:
    notes = [f"stall {run.stall * 1000:.0f} ms"]
    notes.append(
        f"full speed after {run.full_after:.1f} s" if run.full_after is not None else "not full again"
    )
    for event, note in zip(run.events, notes, strict=False):
        axis.axvline(event.at - began, color=ALARM, linewidth=1.1)
        axis.annotate(
            f"{event.what} · {note}",
            (event.at - began, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8.5,
            color=ALARM,
        )
