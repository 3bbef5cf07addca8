"""Which paths are used for what: the owner's modes and the paths' health made into one order.

``desired`` makes endpoints and routes of it, the relay dials by it, the courier probes by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from plait.config.model import Config, IPAddress, Mode, Peer
from plait.paths.model import Snapshot, Way
from plait.paths.reach import Reach, survey
from plait.paths.standing import HEALTHY, Condition, Health, Standing

Peers = Mapping[str, tuple[IPAddress, ...]]
"""The addresses of each exit, names resolved, in the order of the config."""

_PREFERENCE = {Mode.MASTER: 0, Mode.ON: 1, Mode.BACKUP: 2, Mode.HANDOVER: 3, Mode.OFF: 4}
_CARRYING = (Mode.ON, Mode.MASTER)
_NEAR = 1.4
_CHEAP = 0.005
"""Connections that open within 1.4 times the shortest time, and 5 ms, open as soon as those: then the
owner's order counts."""
_OPENS = 0.5
_UNKNOWN = 1.0
"""Cost of a path that has not been measured while another has: what a lost SYN costs."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A path that is used now."""

    reach: Reach
    standing: Standing
    backup: bool
    """Its subflows stand ready and carry nothing while another path works."""
    parting: bool = False
    """It is used no more, and leaves as soon as the others have their subflows."""


def with_modes(config: Config, modes: Mapping[str, Mode]) -> Config:
    """The config with modes that were set live, by path names. Names that it does not know are left out.

    There is one master at most: one that was made so live takes the place of the config's.
    """
    named = {path.name for path in config.paths}
    dethroned = any(mode is Mode.MASTER for name, mode in modes.items() if name in named)

    def mode(name: str, configured: Mode) -> Mode:
        if name in modes:
            return modes[name]
        return Mode.ON if dethroned and configured is Mode.MASTER else configured

    return replace(
        config, paths=tuple(replace(path, mode=mode(path.name, path.mode)) for path in config.paths)
    )


def chosen(config: Config, reaches: Iterable[Reach], peers: Peers, health: Health) -> list[Chosen]:
    """The paths to be used now, in the order of the owner's preference.

    When health speaks against every one of them, it is not the paths that are ill (an exit restarts,
    the power is out): they are kept as they are, so that connections live through it.
    """
    everyone = [address for addresses in peers.values() for address in addresses]
    ready = [
        (reach, health.get(reach.path.name, HEALTHY))
        for reach in reaches
        if reach.path.mode is not Mode.OFF
        and reach.ready
        and (not everyone or reach.dial(everyone) is not None)
    ]
    healthy = [each for each in ready if each[1].usable] or ready
    standing = [each for each in healthy if each[0].path.mode is not Mode.HANDOVER]
    used = standing or healthy
    # A bench needs somebody who plays: without one, those on it do.
    played = any(reach.path.mode in _CARRYING and not how.benched for reach, how in used)
    found = [
        Chosen(reach, how, reach.path.mode is Mode.BACKUP or (played and bool(how.benched)))
        for reach, how in used
    ]
    if standing:
        found += [
            Chosen(reach, how, backup=True, parting=True)
            for reach, how in healthy
            if reach.path.mode is Mode.HANDOVER and how.lingering
        ]
    return sorted(found, key=lambda each: (_PREFERENCE[each.reach.path.mode], each.reach.index))


def ways(config: Config, snapshot: Snapshot, peers: Peers, health: Health) -> Mapping[str, tuple[Way, ...]]:
    """How each exit can be dialled right now, best first; empty for one that no path reaches.

    First come paths that let MPTCP's options through: a connection that begins elsewhere has no other path
    ever. Of these first come paths that carry, then backups; paths in doubt come last among their like,
    then the one whose connections open soonest comes first.
    """
    used = chosen(config, survey(config, snapshot), peers, health)
    used = [each for each in used if not each.parting]
    best = _quickest(used)
    play = _quickest([each for each in used if not each.backup])
    result: dict[str, tuple[Way, ...]] = {}
    for peer in config.peers:
        found = []
        for each in used:
            way = _way(each.reach, peer, peers, each.standing.rtt)
            if way is not None:
                found.append((_order(each, peer.name, _NEAR * best + _CHEAP, play), way))
        found.sort(key=lambda pair: pair[0])
        answered = [way for order, way in found if not order[0]]
        result[peer.name] = tuple(answered or [way for _, way in found])
    return result


def probe_ways(config: Config, snapshot: Snapshot, peers: Peers) -> Mapping[str, tuple[Way, ...]]:
    """Every way that can be probed: all paths with a link, an address and a route to the exit whose mode
    is not ``off``, whatever their health is. In the order of the config."""
    reaches = [reach for reach in survey(config, snapshot) if reach.ready and reach.path.mode is not Mode.OFF]
    return {
        peer.name: tuple(way for reach in reaches if (way := _way(reach, peer, peers, None)) is not None)
        for peer in config.peers
    }


_Order = tuple[bool, bool, bool, bool, float, int, int]


def _quickest(used: Iterable[Chosen]) -> float:
    return min((each.standing.cost for each in used if each.standing.cost is not None), default=_UNKNOWN)


def _order(each: Chosen, exit_name: str, near: float, play: float) -> _Order:
    standing, path = each.standing, each.reach.path
    cost = _UNKNOWN if standing.cost is None else standing.cost
    # A path that is on the bench for its rate, beside a far one that carries, still opens connections
    # best: they begin there at once, and move when the other subflow is there.
    opens = path.mode in _CARRYING and cost < _OPENS * play
    return (
        exit_name in standing.unanswered,
        bool(standing.plain),
        each.backup and not opens,
        standing.condition is Condition.DOUBT,
        cost if cost > near else 0.0,
        _PREFERENCE[path.mode],
        each.reach.index,
    )


def _way(reach: Reach, peer: Peer, peers: Peers, rtt: float | None) -> Way | None:
    dialled = reach.dial(peers.get(peer.name, ()))
    if dialled is None:
        return None
    remote, local = dialled
    return Way(
        exit_name=peer.name,
        path=reach.path.name,
        interface=reach.path.interface,
        mode=reach.path.mode,
        local=local,
        remote=remote,
        port=peer.port,
        rtt=rtt,
    )
