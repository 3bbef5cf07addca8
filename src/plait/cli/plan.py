"""``plait plan``: what a config would change on this host, as lines one could type."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from plait.cli.service import run_dir
from plait.config.roles import EXIT, GATEWAY, roles
from plait.config.sources import Sources
from plait.config.toml import load
from plait.control.keeper import not_refusing
from plait.control.loading import load_for
from plait.control.names import Names
from plait.control.picture import Picture
from plait.errors import PlaitError
from plait.kernel.linux import Host
from plait.paths import policy
from plait.paths.choice import with_modes
from plait.paths.diff import diff
from plait.paths.intercept import for_dnsmasq
from plait.paths.steering import detours
from plait.views.ask import NobodyThere, ask

HELP = "print what would be changed on this host, as lines one could type; changes nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="config file")
    parser.add_argument(
        "-c", "--config", metavar="FILE", action="append", type=Path, default=[], help="the same"
    )
    run_dir(parser)
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints nothing but a comment when the host is as wanted already. A plait that runs here is asked for
    what it has judged and was told, so that what follows from that is no change."""
    files: list[Path] = args.files + args.config
    held = roles(load(files))
    verb = "node" if {GATEWAY, EXIT} <= held else "gateway" if GATEWAY in held else "exit"
    config = load_for(verb, Sources(files=tuple(files)))
    picture, remark = _picture(args.run_dir)
    config = with_modes(config, picture.modes)
    names = Names(config.peers)
    asyncio.run(names.refresh())
    peers = names.addresses()
    host = Host()
    try:
        snapshot = host.observe(policy.interest(config, peers))
    finally:
        host.close()
    state = policy.desired(
        not_refusing(config) if picture.tunnelled and config.gateway is not None else config,
        snapshot,
        peers,
        picture.health,
        taking=picture.taking and not picture.tunnelled,
        steering=detours(config, snapshot, peers, picture.detours),
        tunnels=picture.tunnels,
    )
    away = {path.interface for path in config.paths if path.name in picture.away}
    endpoints = tuple(each for each in state.endpoints if snapshot.device(each.ifindex) not in away)
    state = replace(state, endpoints=endpoints)
    notes = [*remark, *state.notes]
    dnsmasq = for_dnsmasq(config)
    lines = [change.line() for change in diff(snapshot, state)]
    if args.json:
        sys.stdout.write(json.dumps({"changes": lines, "notes": notes, "dnsmasq": dnsmasq}, indent=2) + "\n")
        return 0
    for note in notes:
        sys.stdout.write(f"# {note}\n")
    for line in dnsmasq:
        sys.stdout.write(f"# for dnsmasq.conf: {line}\n")
    sys.stdout.write("\n".join(lines) + "\n" if lines else "# nothing to change: the host is as wanted\n")
    return 0


def _picture(run_dir: Path) -> tuple[Picture, list[str]]:
    """What the plait of that run directory takes for granted; a remark where it does not say."""
    try:
        return Picture.from_json(ask(run_dir, "/v1/picture")), []
    except NobodyThere as error:
        if not (run_dir / "control.sock").exists():
            return Picture(), []
        why = error.message
    except PlaitError as error:
        why = error.message
    except (KeyError, ValueError, TypeError, AttributeError):
        why = f"the plait of {run_dir} is of another version"
    return Picture(), [f"{why}: as if no mode was set live, all paths were well and no tunnel was open"]
