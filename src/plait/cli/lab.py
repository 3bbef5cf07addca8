"""``plait lab``: whole networks on this machine, to prove plait in or to play with.

This verb imports nothing but the lab, and the lab nothing of plait: it runs the installed command.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from plait.lab import sandbox
from plait.lab.errors import LabError

HELP = "run a scenario on an emulated network, or open a shell in it"

_INTERRUPTED = 130
_DEFAULT_SECONDS, _QUICK_SECONDS = 7.0, 4.0
_LEAST_SECONDS = 4.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    verbs = parser.add_subparsers(dest="lab_verb", metavar="list|run|shell", required=True)
    listing = verbs.add_parser("list", help="name all scenarios")
    listing.add_argument("--json", action="store_true", help="print facts as JSON")

    running = verbs.add_parser("run", help="run a scenario and judge it: status 0 when all promises are kept")
    running.add_argument("name", metavar="NAME", help="a scenario of `plait lab list`")
    running.add_argument("--json", action="store_true", help="print the figures as JSON")
    running.add_argument(
        "--out", type=Path, metavar="DIR", help="where result and chart go (default: out/lab/NAME)"
    )
    running.add_argument(
        "--seconds",
        type=float,
        metavar="N",
        help=f"length of each phase, at least {_LEAST_SECONDS:g}"
        f" (default: {_DEFAULT_SECONDS:g}, quick: {_QUICK_SECONDS:g})",
    )

    running.add_argument(
        "--quick", action="store_true", help="as little as still says something: few cuts, one round"
    )

    shell = verbs.add_parser("shell", help="build a scenario with plait running and open a shell in it")
    shell.add_argument("name", metavar="NAME", help="a scenario of `plait lab list`")
    shell.add_argument("node", metavar="NODE", nargs="?", help="open the shell in this node")


def run(args: argparse.Namespace) -> int:
    """Status 0; 1 when a promise is broken, 2 for an unknown name, 3 when this host lacks something."""
    try:
        return _run(args)
    except LabError as problem:
        print(f"plait lab: {problem}", file=sys.stderr)
        return problem.exit_status
    except KeyboardInterrupt:
        print("\nplait lab: interrupted; the network is gone", file=sys.stderr)
        return _INTERRUPTED


def _run(args: argparse.Namespace) -> int:
    from plait.lab import scenarios
    from plait.lab.run import check_programs, out_directory, run, shell

    if args.lab_verb == "list":
        if args.json:
            facts = [
                {"name": scenario.name, "summary": scenario.summary, "drawing": scenario.drawing.strip()}
                for scenario in scenarios.ALL
            ]
            print(json.dumps(facts, indent=2))
        else:
            for scenario in scenarios.ALL:
                print(f"{scenario.name:14} {scenario.summary}")
        return 0

    scenario = scenarios.find(args.name)
    if args.lab_verb == "run" and args.seconds is None:
        args.seconds = _QUICK_SECONDS if args.quick else _DEFAULT_SECONDS
    if args.lab_verb == "run" and args.seconds < _LEAST_SECONDS:
        print(f"plait lab: a phase lasts at least {_LEAST_SECONDS:g} seconds", file=sys.stderr)
        return 2
    if not sandbox.inside():
        check_programs()
        if args.lab_verb == "run":
            out_directory(args.out, scenario.name)  # say now, not after a minute, that it can't be
        return sandbox.run_self()
    if args.lab_verb == "shell":
        return shell(scenario, args.node)
    out = out_directory(args.out, scenario.name)
    return run(scenario, seconds=args.seconds, quick=args.quick, out=out, as_json=args.json)
