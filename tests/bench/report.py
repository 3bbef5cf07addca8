"""What came out: a table for people, JSON for machines, a chart for both."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.goals import Verdict, verdicts
from tests.bench.series import Results

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "bench"


def table(results: Results) -> str:
    """Every series with median and spread, then every goal."""
    lines: list[str] = []
    for measure in results.measures:
        lines += ["", measure]
        for series in results.all:
            if series.measure == measure:
                low, high = series.spread
                lines.append(
                    f"  {series.peer:38}{_figure(series.median):>9} {series.unit:8}"
                    f"{_figure(low):>9} … {_figure(high)}"
                )
    judged = verdicts(results)
    if judged:
        lines += ["", "goals (the median of the rounds' ratios; least … most of them)"]
    for verdict in judged:
        goal = verdict.goal
        lines.append(
            f"  {goal.text:58}{_figure(verdict.median):>9}  {_figure(min(verdict.figures)):>7} … "
            f"{_figure(max(verdict.figures)):8}{bound(verdict):>12}  {'met' if verdict.met else 'MISSED'}"
        )
    return "\n".join(lines)


def bound(verdict: Verdict) -> str:
    """``≥ 0.45`` or ``≤ 20 MB``."""
    goal = verdict.goal
    return f"{'≤' if goal.at_most else '≥'} {goal.bound:g} {goal.unit}".rstrip()


def keep(results: Results, settings: dict[str, object]) -> list[Path]:
    """Write JSON and chart below out/bench; gives what was written."""
    OUT.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    commit = _commit()
    stem = OUT / f"{now:%Y-%m-%dT%H%M}-{commit}"
    path = stem.with_suffix(".json")
    document = {
        "date": now.isoformat(timespec="seconds"),
        "commit": commit,
        "machine": {
            "kernel": platform.release(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "processor": _processor(),
        },
        "settings": settings,
        "series": [dataclasses.asdict(series) for series in results.all],
        "goals": [
            {
                "text": verdict.goal.text,
                "bound": bound(verdict),
                "figures": verdict.figures,
                "median": verdict.median,
                "met": verdict.met,
            }
            for verdict in verdicts(results)
        ],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return [path, *_chart(results, stem)]


def _chart(results: Results, stem: Path) -> list[Path]:
    """Bars with spread, one panel a measure; nothing when matplotlib is not installed."""
    wanted = [
        m
        for m in results.measures
        if m.startswith(("bulk", "cpu per GB", "connections", "tunnel", "bridges"))
    ]
    if not wanted:
        return []
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    columns = 2 if len(wanted) > 1 else 1
    rows = math.ceil(len(wanted) / columns)
    figure = Figure(figsize=(7 * columns, 3.6 * rows), layout="constrained")
    for number, measure in enumerate(wanted):
        axes = figure.add_subplot(rows, columns, number + 1)
        series = [each for each in reversed(results.all) if each.measure == measure]
        medians = [each.median for each in series]
        spread = [
            [each.median - each.spread[0] for each in series],
            [each.spread[1] - each.median for each in series],
        ]
        colours = ["#c2571a" if each.peer.startswith("plait") else "#8a97a6" for each in series]
        axes.barh([each.peer for each in series], medians, xerr=spread, color=colours, ecolor="#333333")
        axes.set_title(measure, loc="left")
        axes.set_xlabel(series[0].unit)
        axes.spines[["top", "right"]].set_visible(False)
    written = [stem.with_suffix(".svg"), stem.with_suffix(".png")]
    for path in written:
        figure.savefig(path, dpi=110)
    return written


def _figure(value: float) -> str:
    """Three digits are more than the noise allows."""
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 1 else f"{value:.2f}"


def _commit() -> str:
    """Of the product, with a plus when its source has been changed since."""
    done = _git("rev-parse", "--short", "HEAD")
    return (done.strip() or "unknown") + ("+" if _git("status", "--porcelain", "--", "src") else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    return done.stdout


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
