"""``plait plan``: what a config would change on this host, as lines one could type."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from plait.config.roles import EXIT, GATEWAY, roles
from plait.config.sources import Sources
from plait.config.toml import load
from plait.control.loading import load_for
from plait.control.names import Names
from plait.kernel.linux import Host
from plait.paths import policy
from plait.paths.diff import diff
from plait.paths.intercept import for_dnsmasq
from plait.paths.steering import detours

HELP = "print what would be changed on this host, as lines one could type; changes nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="config file")
    parser.add_argument(
        "-c", "--config", metavar="FILE", action="append", type=Path, default=[], help="the same"
    )
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints nothing but a comment when the host is as wanted already."""
    files: list[Path] = args.files + args.config
    held = roles(load(files))
    verb = "node" if {GATEWAY, EXIT} <= held else "gateway" if GATEWAY in held else "exit"
    config = load_for(verb, Sources(files=tuple(files)))
    names = Names(config.peers)
    asyncio.run(names.refresh())
    peers = names.addresses()
    host = Host()
    try:
        snapshot = host.observe(policy.interest(config, peers))
    finally:
        host.close()
    state = policy.desired(config, snapshot, peers, {}, steering=detours(config, snapshot, peers))
    dnsmasq = for_dnsmasq(config)
    lines = [change.line() for change in diff(snapshot, state)]
    if args.json:
        sys.stdout.write(
            json.dumps({"changes": lines, "notes": list(state.notes), "dnsmasq": dnsmasq}, indent=2) + "\n"
        )
        return 0
    for note in state.notes:
        sys.stdout.write(f"# {note}\n")
    for line in dnsmasq:
        sys.stdout.write(f"# for dnsmasq.conf: {line}\n")
    sys.stdout.write("\n".join(lines) + "\n" if lines else "# nothing to change: the host is as wanted\n")
    return 0
