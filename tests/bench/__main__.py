"""``python -m tests.bench``: measure, print a table, keep the figures.

Exit status: 0 measured (whether goals are met or missed), 1 failed, 3 something is not installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import bridges, connections, footprint, report, throughput, tunnels
from tests.bench.peers import Peer
from tests.bench.programs import need
from tests.bench.series import Results

from plait.lab import sandbox
from plait.lab.errors import LabError

MEASURES = ("bulk", "connections", "tunnel", "idle", "startup", "bridges")
_WEBLOAD = 3
"""Seconds of each load generator run."""
_BRIDGES = 8
"""Seconds of each transfer over bridges, after two of warming up."""
_BRIDGE_ROUNDS = 3
"""Such links are not noisy."""
_TUNNEL_ROUNDS = 3
"""One takes two minutes."""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure plait beside its peers, in namespaces of its own."
    )
    parser.add_argument("--rounds", type=int, default=5, help="figures of each kind (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a bulk transfer (default 3)")
    parser.add_argument("--only", choices=MEASURES, action="append", help="measure only this (repeatable)")
    parser.add_argument("--peer", action="append", metavar="WORD", help="bulk: only peers named so")
    parser.add_argument("--quick", action="store_true", help="one short round of all, to see that it works")
    options = parser.parse_args()
    if not sandbox.inside():
        return _in_sandbox()
    results = Results()
    try:
        _measure(results, options)
    except LabError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return problem.exit_status
    finally:
        if results.all:
            print(report.table(results), flush=True)
    for path in report.keep(results, {key: str(value) for key, value in vars(options).items()}):
        print(f"kept {path.relative_to(report.ROOT)}")
    return 0


def _in_sandbox() -> int:
    try:
        return sandbox.run_self()
    except LabError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return problem.exit_status


def _measure(results: Results, options: argparse.Namespace) -> None:
    rounds: int = 1 if options.quick else options.rounds
    short: bool = options.quick
    wanted: list[str] = options.only or list(MEASURES)
    chosen = throughput.PEERS
    if options.peer:
        chosen = tuple(peer for peer in chosen if any(word in peer.name for word in options.peer))
    need(_programs(wanted, chosen))
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/run") as name:
        directory = Path(name)
        if "startup" in wanted:
            footprint.startup(results, say, directory / "startup", rounds=rounds)
        if "idle" in wanted:
            footprint.idle(results, say, directory / "idle")
        if "bulk" in wanted:
            throughput.run(
                *(results, say, directory / "bulk"),
                rounds=rounds,
                seconds=1 if short else options.seconds,
                chosen=chosen,
            )
        if "connections" in wanted:
            seconds = 1 if short else _WEBLOAD
            connections.run(results, say, directory / "connections", rounds=rounds, seconds=seconds)
        if "tunnel" in wanted:
            tunnels.run(
                *(results, say, directory / "tunnel"),
                rounds=min(rounds, _TUNNEL_ROUNDS),
                seconds=1 if short else options.seconds,
            )
        if "bridges" in wanted:
            bridges.run(
                *(results, say, directory / "bridges"),
                rounds=min(rounds, _BRIDGE_ROUNDS),
                seconds=4 if short else _BRIDGES,
            )


def _programs(wanted: list[str], chosen: Sequence[Peer]) -> list[str]:
    """All that these measures call, so that nothing is found missing after ten minutes."""
    names = ["ip", "nft", "tc"]
    peers: list[Peer] = []
    if "bulk" in wanted:
        peers += chosen
    if "connections" in wanted:
        names += connections.PROGRAMS
        peers += connections.PEERS
    if "tunnel" in wanted:
        peers += tunnels.PEERS
    if not {"bulk", "bridges", "tunnel"}.isdisjoint(wanted):
        names.append("iperf3")
    return names + [name for peer in peers for name in peer.programs]


def say(text: str) -> None:
    """What is going on, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
