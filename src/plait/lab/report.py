"""Tell how a trial went: the table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import platform
import sys
import time
from typing import TextIO

from plait.lab.result import Cell, Check, Result, Row, Table
from plait.lab.scenario import Scenario
from plait.lab.trial import Run


def _speed(value: float) -> str:
    return f"{value / 1e6:.1f} Mbit/s"


def table(scenario: Scenario, runs: list[Run], checks: list[Check]) -> Table:
    """The verdict table of a trial."""
    by = {(check.course, check.promise): check for check in checks}

    def row(title: str, texts: list[str], promise: str | None = None, asked: str = "") -> Row:
        found = [by[run.course.title, promise] if promise else None for run in runs]
        cells = [
            Cell(text=text, kept=None if check is None else check.kept)
            for text, check in zip(texts, found, strict=True)
        ]
        promised = found[0].asked if found and found[0] is not None else ""
        return Row(title=title, asked=f"{promised} {asked}".strip(), cells=tuple(cells))

    rows = []
    for link in scenario.links:
        speeds = [_speed(run.singles[link.interface]) for run in runs]
        rows.append(row(f"single link {link.bridge}", speeds))
    first = scenario.links[0].bridge
    shares = [f"{run.both / run.sum:.3f}" if run.sum else "-" for run in runs]
    full = [f"{run.full_after:.1f} s" if run.full_after is not None else "never" for run in runs]
    survived = ["yes" if run.survived else "NO" for run in runs]
    rows += [
        row("both, with plait", [_speed(run.both) for run in runs]),
        row("share of the sum", shares, "both links"),
        row(f"{first} unplugged", [_speed(run.unplugged) for run in runs], "unplugged", "of the other"),
        row(f"{first} replugged", [_speed(run.replugged) for run in runs]),
        row("longest stall", [f"{run.stall * 1000:.0f} ms" for run in runs], "stall"),
        row("full speed after", full, "full speed again"),
        row("connection survived", survived, "connections lost", "lost"),
    ]
    return Table(columns=tuple(run.course.title for run in runs), rows=tuple(rows))


def print_tables(tables: list[Table], passed: bool, out: TextIO = sys.stdout) -> None:
    """The tables and the verdict, with colours on a terminal."""
    colours = out.isatty() and importlib.util.find_spec("rich") is not None
    for shown in tables:
        titles = ["", *shown.columns, "asked"]
        if colours:
            _print_rich(shown, titles, out)
        else:
            _print_plain(shown, titles, out)
    verdict = f"verdict: {'PASS' if passed else 'FAIL'}"
    if colours:
        from rich.console import Console

        Console(file=out).print(f"[bold {'green' if passed else 'red'}]{verdict}[/]")
    else:
        print(verdict, file=out)


def _print_plain(shown: Table, titles: list[str], out: TextIO) -> None:
    marks = {True: " ok", False: " FAIL", None: ""}
    lines = [titles]
    for row in shown.rows:
        lines.append([row.title, *(cell.text + marks[cell.kept] for cell in row.cells), row.asked])
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for number, line in enumerate(lines):
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip(), file=out
        )
        if number == 0:
            print("  ".join("-" * width for width in widths), file=out)
    print(file=out)


def _print_rich(shown: Table, titles: list[str], out: TextIO) -> None:
    from rich.box import SIMPLE_HEAVY
    from rich.console import Console
    from rich.table import Table as Rich

    picture = Rich(box=SIMPLE_HEAVY)
    for number, title in enumerate(titles):
        inner = 0 < number < len(titles) - 1
        picture.add_column(
            title, justify="right" if inner else "left", style="grey62" if title == "asked" else ""
        )
    styles = {True: "[green]{} ✓[/]", False: "[bold red]{} ✗[/]", None: "{}  "}
    for row in shown.rows:
        picture.add_row(row.title, *(styles[cell.kept].format(cell.text) for cell in row.cells), row.asked)
    Console(file=out).print(picture)


def studied(scenario: Scenario, result: Result) -> dict[str, object]:
    """All that a study has measured, ready for JSON."""
    return {**_head(scenario, result.checks), **result.facts}


def facts(scenario: Scenario, runs: list[Run], checks: list[Check], *, samples: bool) -> dict[str, object]:
    """All that was measured, ready for JSON. Speeds in bit/s, times in s from a course's first byte."""
    return {**_head(scenario, checks), "courses": [_course(run, samples=samples) for run in runs]}


def _head(scenario: Scenario, checks: list[Check]) -> dict[str, object]:
    return {
        "scenario": scenario.name,
        "passed": all(check.kept for check in checks),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "checks": [dataclasses.asdict(check) for check in checks],
    }


def _course(run: Run, *, samples: bool) -> dict[str, object]:
    began = run.samples.times[0] if run.samples.times else 0.0
    said: dict[str, object] = {
        "title": run.course.title,
        "singles_bps": run.singles,
        "sum_bps": run.sum,
        "both_bps": run.both,
        "unplugged_bps": run.unplugged,
        "replugged_bps": run.replugged,
        "stall_s": run.stall,
        "full_speed_after_s": run.full_after,
        "survived": run.survived,
        "iperf3": dataclasses.asdict(run.ended) if run.ended is not None else None,
        "events": [{"at": round(event.at - began, 6), "what": event.what} for event in run.events],
    }
    if samples:
        seen = run.samples
        said["samples"] = {
            "receiver": {
                "at": [round(at - began, 6) for at in seen.times],
                "payload_bytes": [size - seen.payload[0] for size in seen.payload],
            },
            "paths": {
                "at": [round(at - began, 6) for at in seen.path_times],
                "interfaces": list(seen.paths),
                "bytes": [list(counters) for counters in seen.path_bytes],
            },
        }
    return said
