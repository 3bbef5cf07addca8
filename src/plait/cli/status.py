"""``plait status``: what is going on, for people or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import cast

from plait.cli.service import run_dir
from plait.views.ask import ask, follow
from plait.views.text import render

HELP = "show what is going on: exits, paths, sessions"

_CLEAR = "\x1b[H\x1b[2J"
"""To the upper left corner, and erase (ECMA-48)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    run_dir(parser)
    parser.add_argument("--json", action="store_true", help="print facts as JSON")
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=float,
        const=1.0,
        help="print it anew every so many seconds (1), as long as plait runs; with --json a line each",
    )


def run(args: argparse.Namespace) -> int:
    """1 when no plait runs there."""
    if args.watch is not None:
        return _watch(args)
    status = ask(args.run_dir, "/v1/status")
    if args.json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    else:
        sys.stdout.write(render(status))
    return 0


def _watch(args: argparse.Namespace) -> int:
    clear = _CLEAR if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" else ""
    kept: list[object] = []
    for status in follow(
        args.run_dir, {"every": args.watch}, patience=max(0.0, min(args.watch, 3600.0)) + 10.0
    ):
        # Each event comes once.
        kept = [*kept, *cast("list[object]", status["events"])][-20:]
        if args.json:
            sys.stdout.write(json.dumps(status) + "\n")
        else:
            page = render(status | {"events": kept})
            sys.stdout.write(clear + page + ("" if clear else "\n"))
        sys.stdout.flush()
    return 0
