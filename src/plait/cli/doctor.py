"""``plait doctor``: what is wrong with this host and the paths, why, and what to do about it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from plait.cli.service import run_dir
from plait.config.roles import EXIT, GATEWAY, roles
from plait.config.sources import Sources
from plait.config.toml import load
from plait.control.checkup import examine
from plait.control.loading import load_for
from plait.control.rundir import running
from plait.errors import PlaitError, UsageError
from plait.views.ask import ask
from plait.views.findings import page

HELP = "examine this host and every path to the exits; say what is wrong and what to do"

_PROC = Path("/proc")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help="config file; by default those of the plait that runs with the run directory",
    )
    run_dir(parser)
    parser.add_argument(
        "--idle",
        metavar="SECONDS",
        type=_seconds,
        default=0.0,
        help="also find out what so long a silence does to connections (not tried by default)",
    )
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise ValueError
    return value


def run(args: argparse.Namespace) -> int:
    """1 when there is a problem."""
    files: list[Path] = args.config or _files_of(args.run_dir)
    held = roles(load(files))
    verb = "node" if {GATEWAY, EXIT} <= held else "gateway" if GATEWAY in held else "exit"
    config = load_for(verb, Sources(files=tuple(files)))
    report = examine(config, args.run_dir, _status(args.run_dir), idle=args.idle)
    if args.json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
    else:
        sys.stdout.write(page(report.findings))
    return 0 if report.healthy else 1


def _status(directory: Path) -> Mapping[str, object]:
    """Of the running plait; empty when none runs, or we may not ask it."""
    try:
        return ask(directory, "/v1/status")
    except PlaitError:
        return {}


def _files_of(directory: Path) -> list[Path]:
    """The config files of the plait that runs there, told from its command line."""
    pid = running(directory)
    if pid is not None:
        try:
            words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            base = Path(os.readlink(_PROC / str(pid) / "cwd"))
        except OSError:
            words, base = [], Path()
        found = []
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if word in ("-c", "--config"):
                found.append(base / following)
            elif word.startswith("--config="):
                found.append(base / word.partition("=")[2])
        if found:
            return found
    raise UsageError(
        "no config is given" + ("" if pid else f", and no plait runs with {directory}"), "-c FILE"
    )
