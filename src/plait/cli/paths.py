"""``plait paths``: the paths of a running gateway, and the mode of one of them, set live."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import quote

from plait.cli.service import run_dir
from plait.control.modes import WORDS
from plait.errors import UsageError
from plait.views.ask import ask
from plait.views.text import paths_page

HELP = "show the paths, or set the mode of one while plait runs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="the path's name")
    parser.add_argument("mode", metavar="MODE", nargs="?", help=", ".join(WORDS))
    run_dir(parser)
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def run(args: argparse.Namespace) -> int:
    """1 when no plait runs there, 2 for a path or a mode that does not exist."""
    if args.name is not None and args.mode is not None:
        ask(args.run_dir, f"/v1/paths/{quote(args.name, safe='')}", body={"mode": args.mode})
    status = ask(args.run_dir, "/v1/status")
    paths = cast("Sequence[Mapping[str, object]]", status["paths"])
    if args.name is not None:
        known = [str(path["name"]) for path in paths]
        paths = [path for path in paths if path["name"] == args.name]
        if not paths:
            raise UsageError(f"no path is named {args.name}", "known: " + ", ".join(known) if known else None)
    if args.json:
        sys.stdout.write(json.dumps(paths, indent=2) + "\n")
    else:
        sys.stdout.write(paths_page(paths) if paths else "no paths: this plait is an exit alone\n")
    return 0
