"""The study of short flows: small fetches, plainly routed and with plait, cold and with warm connections."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from plait.lab.errors import LabError
from plait.lab.node import wait_for
from plait.lab.result import Cell, Dots, Panel, Result, Row, Table, median, spread
from plait.lab.stage import Stage

_PORT = 7008
_GAP = 0.3
"""Seconds between fetches: a reader's pace, in which warm connections are dialled again."""
_ENOUGH = 25.0
"""Seconds that a fetch may take at most, on average."""
NOISE = 1.05
"""As much may be the clock's and the machine's."""


def study(
    weave_cold: Callable[[Stage], None],
    warm_up: Callable[[Stage], None],
    *,
    size: int = 100_000,
    count: int = 40,
) -> Callable[[Stage], Result]:
    """``count`` fetches of ``size`` bytes each way of going.

    ``weave_cold`` starts plait without connections dialled in advance, ``warm_up`` turns them on.
    """

    def perform(stage: Stage) -> Result:
        times = 10 if stage.quick else count
        course = stage.scenario.courses[0]
        server = stage.lab[course.server]
        server.popen(
            sys.executable, "-m", "plait.lab.fetch_process", "serve", str(_PORT), name="fetch-server"
        )
        wait_for("the fetching server to listen", lambda: server.listening(_PORT), within=10.0)
        took: dict[str, list[float]] = {}
        for link in stage.scenario.links:
            stage.alone(link)
            stage.show.phase(f"{link.bridge} alone, without plait")
            took[f"routed, {link.bridge}"] = _fetch(stage, size, times)
            stage.together()
        stage.show.phase("starting plait")
        weave_cold(stage)
        stage.pause(2.0)
        stage.show.phase("with plait, every connection dialled when it is asked for")
        took[COLD] = _fetch(stage, size, times)
        warm_up(stage)
        stage.pause(3.0)
        stage.show.phase("with plait and its warm connections")
        took[WARM] = _fetch(stage, size, times)
        return judge(size, took)

    return perform


COLD, WARM = "plait, cold", "plait, warm"


def _fetch(stage: Stage, size: int, count: int) -> list[float]:
    course = stage.scenario.courses[0]
    process = stage.lab[course.client].popen(
        *(sys.executable, "-m", "plait.lab.fetch_process", "fetch"),
        *(course.address, str(_PORT), str(size), str(count), str(_GAP)),
        name="fetch",
    )
    status = process.wait(count * (_GAP + _ENOUGH))
    if status != 0:
        raise LabError(f"a fetch failed\n{process.tail()}")
    return [float(line) for line in process.text().split()]


def reload(stage: Stage, node: str, name: str, text: str) -> None:
    """Give the plait of a node another config, as its owner would: write the file, SIGHUP."""
    (stage.lab[node].directory / name).write_text(text)
    for process in stage.lab[node].processes:
        if "plait-" in process.name:
            process.send(signal.SIGHUP)


def judge(size: int, took: dict[str, list[float]]) -> Result:
    """Table, checks, facts and dots. ``took`` has the routed ways first."""
    result = Result()
    column = f"{size // 1000} kB"
    routed = [median(values) for name, values in took.items() if name not in (COLD, WARM)]
    best = min(routed, default=0.0)
    rows: list[Row] = []
    for name, values in took.items():
        text = spread(values, 1e3, "ms")
        if name == COLD:
            asked = f"≤ {best * NOISE * 1e3:.0f} ms"
            cell = result.judged(column, "cold", text, asked, 0 < median(values) <= best * NOISE)
        elif name == WARM:
            asked = f"< {best * 1e3:.0f} ms"
            cell = result.judged(column, "warm", text, asked, 0 < median(values) < best)
        else:
            asked, cell = "", Cell(text=text)
        rows.append(Row(title=name, asked=asked, cells=(cell,)))
    result.tables.append(Table(columns=(column,), rows=tuple(rows)))
    dots = tuple(
        Dots(
            title=name,
            values=tuple(value * 1e3 for value in values),
            asked=best * 1e3 if name in (COLD, WARM) else None,
        )
        for name, values in took.items()
    )
    result.panels.append(Panel(title=f"time to fetch {column}", unit="ms", dots=dots))
    result.facts["fetches_s"] = took
    return result
