"""Which of an exit's addresses a subflow shall arrive at, link by link."""

from __future__ import annotations

from collections.abc import Sequence

from plait.config.model import Config, Mode
from plait.paths.choice import Peers
from plait.paths.model import Detour, Snapshot
from plait.paths.reach import survey


def detours(
    config: Config, snapshot: Snapshot, peers: Peers, former: Sequence[Detour] = ()
) -> tuple[Detour, ...]:
    """Where subflows must be sent to another of an exit's addresses; see `Detour`.

    A link that has lost its address says nothing new, so that what ``former`` said of it stays: a link
    that comes and goes must not reload any ruleset (DESIGN.md, rule 6).
    """
    found: list[Detour] = []
    for reach in survey(config, snapshot):
        if reach.path.mode is Mode.OFF:
            continue
        if not reach.sources:
            found += [each for each in former if each.interface == reach.path.interface]
            continue
        for peer in config.peers:
            addresses = peers.get(peer.name, ())
            for family in (4, 6):
                ours = [address for address in addresses if address.version == family]
                near = next((address for address in ours if reach.is_connected(address)), None)
                if near is not None:
                    found += [
                        Detour(interface=reach.path.interface, address=address, port=peer.port, instead=near)
                        for address in ours
                        if not reach.is_connected(address)
                    ]
    return tuple(dict.fromkeys(found))
