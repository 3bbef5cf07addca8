"""``plait connections``: the sessions of a running plait, with their subflows."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import cast

from plait.cli.service import run_dir
from plait.relay.rows import SORTS
from plait.views.ask import ask
from plait.views.listing import devices, render

HELP = "show the sessions, with the subflows of each"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    run_dir(parser)
    parser.add_argument("--json", action="store_true", help="print facts as JSON")
    parser.add_argument("--client", metavar="DEVICE", help="only those of a client: its address, MAC or name")
    parser.add_argument("--exit", metavar="NAME", help="only those that go to this exit")
    parser.add_argument(
        "--text", metavar="TEXT", help="only those with this somewhere in client, target or user"
    )
    parser.add_argument("--sort", choices=SORTS, default="rate", help="which come first (rate)")
    parser.add_argument("--limit", metavar="N", type=_whole, default=100, help="at most so many (100)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--short", action="store_true", help="one line each, without subflows")
    shown.add_argument(
        "--devices", action="store_true", help="the devices of the LAN instead, with their sums"
    )


def run(args: argparse.Namespace) -> int:
    """1 when no plait runs there."""
    query = {"client": args.client, "exit": args.exit, "text": args.text, "sort": args.sort}
    if args.devices:
        query |= {"clients": args.limit, "limit": 0}
    else:
        query |= {"clients": 1000, "limit": args.limit}
    filtered = bool(args.client or args.exit or args.text)
    answer = ask(args.run_dir, "/v1/connections", query)
    clients = cast("Sequence[Mapping[str, object]]", answer["clients"])
    if args.json:
        sys.stdout.write(json.dumps(clients if args.devices else answer["connections"], indent=2) + "\n")
    elif args.devices:
        sys.stdout.write(devices(clients))
    else:
        sys.stdout.write(render(answer, subflows=not args.short, filtered=filtered))
    return 0


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"not a number: {text}")
    return int(text)
