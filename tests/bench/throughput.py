"""One bulk flow: bit/s at the receiver, and CPU seconds per GB of the relaying processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench import peers, usage
from tests.bench.peers import Peer
from tests.bench.series import Results
from tests.bench.standing import Say, standing
from tests.bench.topology import Lane

from plait.lab.errors import LabError, program
from plait.lab.node import Node
from plait.lab.traffic import iperf_server

PEERS = peers.ALL
_OMIT = 1
"""Seconds at the beginning that don't count: slow start."""
_FORWARDED = 500
"""A lane that relays routes no packet but a few (IPv6 neighbours, tails of closed connections)."""


class TransferFailed(Exception):
    """iperf3 did not come to its end: a figure of 0 for this peer, no reason to stop."""


def run(
    results: Results,
    say: Say,
    directory: Path,
    *,
    rounds: int,
    seconds: int,
    chosen: Sequence[Peer] = PEERS,
) -> None:
    """All peers in turn, ``rounds`` times, up (client to server) and down."""
    with standing(chosen, directory, say) as (lab, lanes):
        iperf_server(lab["server"])
        for number in range(rounds):
            for direction in ("up", "down"):
                for peer, lane in zip(chosen, lanes, strict=True):
                    usage.wait_until_quiet()
                    try:
                        rate, cost = _transfer(
                            peer, lane, lab["client"], seconds, reverse=direction == "down"
                        )
                    except TransferFailed as failure:
                        say(f"bulk {direction} by {peer.name} failed and counts as 0: {failure}")
                        rate, cost = 0.0, None
                    results.add(f"bulk {direction}", peer.name, rate / 1e9, "Gbit/s")
                    if peer.relayed and cost is not None:
                        results.add(f"cpu per GB {direction}", peer.name, cost, "s/GB")
                    say(f"round {number + 1}: bulk {direction:4} {peer.name:34} {rate / 1e9:6.2f} Gbit/s")


def _transfer(
    peer: Peer, lane: Lane, client: Node, seconds: int, *, reverse: bool
) -> tuple[float, float | None]:
    """Bit/s, and CPU seconds per GB of what runs on the lane's gateway and exit."""
    pids = usage.family(lane.processes)
    before, forwarded, mptcp = usage.cpu_seconds(pids), lane.forwarded(), lane.mptcp()
    direction = ["--reverse"] if reverse else []
    said = client.run(
        *(program("iperf3"), "--client", lane.address, "--time", str(seconds), "--omit", str(_OMIT)),
        *("--json", "--connect-timeout", "5000", *direction),
        within=seconds + _OMIT + 30.0,
        check=False,
    )
    used = usage.cpu_seconds(pids) - before
    try:
        received = json.loads(said.stdout)["end"]["sum_received"]
    except (ValueError, KeyError):
        raise TransferFailed(said.stderr.strip() or said.stdout.strip()[-200:]) from None
    if peer.relayed and lane.forwarded() - forwarded > _FORWARDED:
        raise LabError(f"{peer.name} has let the transfer pass by its side")
    if peer.mptcp and lane.mptcp() == mptcp:
        raise LabError(f"{peer.name} did not use MPTCP")
    rate = float(received["bits_per_second"])
    # The omitted second has used CPU too, and moved about as much as the others.
    moved = rate / 8 * (float(received["seconds"]) + _OMIT)
    return rate, used / (moved / 1e9) if moved else None
