"""``plait top``: paths, sessions, devices and events of a running plait, live."""

from __future__ import annotations

import argparse
import sys

from plait.cli.service import run_dir
from plait.views.ask import ask
from plait.views.graph import Style
from plait.views.listing import render as list_sessions
from plait.views.terminal import capable, likely_style
from plait.views.text import render
from plait.views.top import watch

HELP = "show paths, sessions, devices and events live"

_SESSIONS = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    run_dir(parser)
    parser.add_argument(
        "--once", action="store_true", help="print one snapshot and leave, as without a terminal"
    )
    parser.add_argument(
        "--graph",
        choices=[style.value for style in Style],
        help="what pictures are made of (what the terminal is thought to show)",
    )


def run(args: argparse.Namespace) -> int:
    """1 when no plait runs there."""
    if args.once or not capable(sys.stdout, sys.stdin):
        answer = ask(args.run_dir, "/v1/connections", {"limit": _SESSIONS, "clients": 1000})
        status = ask(args.run_dir, "/v1/status")
        sys.stdout.write(render(status) + "\n" + list_sessions(answer, subflows=False))
        return 0
    style = Style(args.graph) if args.graph else likely_style(sys.stdout)
    watch(args.run_dir, sys.stdout, sys.stdin, style)
    return 0
