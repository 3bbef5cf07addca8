"""``plait status``: what is going on, for people or as JSON."""

from __future__ import annotations

import argparse
import json
import sys

from plait.cli.service import run_dir
from plait.views.ask import ask
from plait.views.text import render

HELP = "show what is going on: exits, paths, sessions"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    run_dir(parser)
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def run(args: argparse.Namespace) -> int:
    """1 when no plait runs there."""
    status = ask(args.run_dir, "/v1/status")
    if args.json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    else:
        sys.stdout.write(render(status))
    return 0
