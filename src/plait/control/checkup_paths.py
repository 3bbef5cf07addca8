"""The examination of the paths: every path to every exit, with sockets bound to its link.

Each path is gone through in a thread of its own, step by step, and each step has its end: a path on which
nothing answers takes some ten seconds, one that is well some five. What is sent is little; what costs
bytes (the rate: 600 kB, the sizes: some 60 kB) is left out on metered paths.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from plait.config.model import Config, Method, Mode, Path, Peer
from plait.courier.orders import AwayOrder, WayOrder
from plait.courier.visit import Visit
from plait.doctor.facts import Answer, Carried, Greeted, Hop, Idle, PathFacts, WayFacts
from plait.kernel import examine, sysctl
from plait.kernel.raw import Probe, Prober, Reply
from plait.paths.choice import Peers, probe_ways
from plait.paths.model import Snapshot, Way
from plait.paths.state import State, states
from plait.relay import trial
from plait.wire.cipher import Key
from plait.wire.segments import Options

_PATIENCE = 1.0
"""Seconds that an answer to a SYN is waited for; each SYN is sent twice."""
_NEAR_HOPS, _FAR_HOPS = 6, 24
"""Routers that are asked: where all is well, and where an option vanishes."""
_CONNECT, _ANSWER = 2.5, 2.0
"""Seconds. The kernel tries without MPTCP after the second lost SYN, at three seconds, and may remember."""
_GREET = 3.0
_ECHOES, _GAP = 20, 0.05
_LEAST_MTU = 576
_RATE = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to look."""

    identity: bytes
    """By which exits know this visitor; not the gateway's own."""
    away: Mapping[str, AwayOrder]
    """How datagrams are sealed, by exit."""
    idle: float = 0.0
    """Seconds of silence to try; 0: none."""


def path_facts(
    config: Config, snapshot: Snapshot, peers: Peers, plan: Plan, running: Mapping[str, str]
) -> tuple[PathFacts, ...]:
    """All paths of the config. ``running`` is what the running plait says of each."""
    ways = probe_ways(config, snapshot, peers)
    found = {each.reach.path.name: each for each in states(config, snapshot, peers, {})}
    begun: list[PathFacts] = []
    for path in config.paths:
        here = [way for each in ways.values() for way in each if way.path == path.name]
        state = found[path.name]
        why = ""
        if not here:
            why = state.why or "no route to an exit"
        begun.append(
            PathFacts(
                name=path.name,
                interface=path.interface,
                state=why if path.mode is not Mode.OFF and state.state is not State.OFF else "",
                metered=path.metered,
                mtu=next((link.mtu for link in snapshot.links if link.name == path.interface), 0),
                strict_filter=_strict(path),
                running=running.get(path.name, ""),
            )
        )
    everyone = [way for each in ways.values() for way in each]
    with ThreadPoolExecutor(max_workers=max(1, len(begun))) as pool:
        jobs = []
        for facts in begun:
            mine = [way for way in everyone if way.path == facts.name]
            jobs.append(pool.submit(_examine, config, snapshot, facts, mine, plan))
        done = [job.result() for job in jobs]
    return tuple(_measure(config, facts, everyone, plan) for facts in done)


def _strict(path: Path) -> bool:
    keys = [f"net/ipv4/conf/{name}/rp_filter" for name in ("all", path.interface)]
    values = sysctl.read(keys)
    # The kernel takes the larger of the two.
    return max((values.get(key, "0") for key in keys), default="0") == "1"


def _examine(
    config: Config, snapshot: Snapshot, facts: PathFacts, ways: Sequence[Way], plan: Plan
) -> PathFacts:
    peers = {peer.name: peer for peer in config.peers}
    found = tuple(_way(snapshot, facts, way, peers[way.exit_name], plan) for way in ways)
    four = next((way for way in ways if way.local.version == 4), None)
    hijacked = None
    if four is not None:
        hijacked = examine.answers_for_nobody(str(four.local), four.interface, _PATIENCE)
    return replace(facts, ways=found, hijacked=hijacked)


def _way(snapshot: Snapshot, path: PathFacts, way: Way, peer: Peer, plan: Plan) -> WayFacts:
    facts = WayFacts(exit=peer.name, local=way.local, remote=way.remote, port=way.port)
    key = None
    if peer.method is not Method.NONE:
        key = Key.derive(peer.method.value, peer.password.reveal())
    held = None
    began = time.monotonic()
    remote, local = str(way.remote), str(way.local)
    if plan.idle:
        held = trial.hold(remote, way.port, local=local, interface=way.interface, limit=_CONNECT)
    try:
        facts = _syns(snapshot, facts, way)
        facts = _connection(facts, way, key)
        facts = _datagrams(facts, path, way, plan, began)
        if held is not None and facts.greeted is Greeted.UP:
            time.sleep(max(0.0, began + plan.idle - time.monotonic()))
            alive = trial.lives(held, key, _ANSWER)
            idle = facts.idle or Idle(seconds=plan.idle)
            facts = replace(facts, idle=replace(idle, tcp_lives=alive))
    finally:
        if held is not None:
            held.close()
    return facts


def _syns(snapshot: Snapshot, facts: WayFacts, way: Way) -> WayFacts:
    """SYNs by hand: whether there is an answer, with what, by which link, and what routers say."""
    try:
        prober = Prober(remote=way.remote, port=way.port, local=way.local, interface=way.interface)
    except OSError:
        return facts  # not our right, or no such link any more
    try:
        near = [Probe(capable=True, hops=hops) for hops in range(1, _NEAR_HOPS + 1)]
        plain, capable, *steps = prober.ask([Probe(capable=False), Probe(capable=True), *near], _PATIENCE)
        lost = plain.answered and capable.mptcp is not Options.INTACT
        ended = any(step.answered or step.refused for step in steps)
        if lost and not ended:
            far = [Probe(capable=True, hops=hops) for hops in range(_NEAR_HOPS + 1, _FAR_HOPS + 1)]
            steps += prober.ask(far, _PATIENCE, tries=1)
    finally:
        prober.close()
    answered = capable if capable.answered else plain
    return replace(
        facts,
        syn=_answer(plain),
        capable=_answer(capable) if plain.answered else Answer.UNTRIED,
        came_in=snapshot.device(answered.came_in) if answered.came_in else "",
        hops=tuple(
            Hop(distance=distance, address=step.router, mptcp=step.mptcp)
            for distance, step in enumerate(steps, 1)
            if step.router is not None
        ),
    )


def _answer(reply: Reply) -> Answer:
    if reply.answered:
        return Answer.MPTCP if reply.mptcp is Options.INTACT else Answer.PLAIN
    return Answer.REFUSED if reply.refused else Answer.SILENT


def _connection(facts: WayFacts, way: Way, key: Key | None) -> WayFacts:
    """The kernel's own connection: MPTCP unless the SYNs have shown that it would be given up for good."""
    mptcp = facts.capable in (Answer.MPTCP, Answer.PLAIN) or facts.syn is Answer.UNTRIED
    if facts.syn in (Answer.SILENT, Answer.REFUSED) and facts.capable is Answer.UNTRIED:
        return facts
    tried = trial.attempt(
        str(way.remote),
        way.port,
        key,
        mptcp=mptcp,
        local=str(way.local),
        interface=way.interface,
        connect_limit=_CONNECT,
        answer_limit=_ANSWER,
    )
    syn = facts.syn
    if syn is Answer.UNTRIED:
        syn = Answer.PLAIN if tried.connected else Answer.REFUSED if tried.refused else Answer.SILENT
    return replace(facts, syn=syn, carried=_carried(tried, mptcp=mptcp), greeted=Greeted(tried.state))


def _carried(tried: trial.Trial, *, mptcp: bool) -> Carried:
    if not mptcp:
        return Carried.UNTRIED
    if not tried.connected:
        return Carried.NEVER
    if not tried.mptcp_at_first:
        return Carried.TCP
    if tried.state == "silent":
        # It may be a wrong password as well: then nothing comes over plain TCP either, and it stays MPTCP.
        return Carried.MPTCP if tried.mptcp else Carried.BROKE
    return Carried.MPTCP if tried.mptcp else Carried.FELL_BACK


def _datagrams(facts: WayFacts, path: PathFacts, way: Way, plan: Plan, began: float) -> WayFacts:
    """Sealed datagrams: whether they are answered, how fast, of which size, and from where they seem to
    come."""
    try:
        visit = _visit(way, plan)
    except OSError:
        return facts
    try:
        if not visit.greet(_GREET):
            return replace(facts, udp=False)
        rtt, loss = visit.echoes(_ECHOES, _GAP, _PATIENCE)
        patience = min(_PATIENCE, 0.1 + 3 * (rtt if rtt is not None else 0.3))
        seen = visit.look(patience)
        facts = replace(facts, udp=True, tunnel=visit.serves, rtt=rtt, loss=loss)
        if seen is not None:
            facts = replace(facts, seen=seen.address, skew=seen.skew)
        if not path.metered and path.mtu:
            up = visit.largest(_LEAST_MTU, min(path.mtu, 9000), patience, back=False)
            down = None
            if up is not None and seen is not None:
                down = visit.largest(_LEAST_MTU, up, patience, back=True)
            facts = replace(facts, mtu_up=up, mtu_down=down, icmp_told=visit.told_too_large())
        if plan.idle and seen is not None:
            quiet = time.monotonic()
            time.sleep(plan.idle)
            again = visit.look(_PATIENCE)
            kept = None if again is None else (again.address, again.port) == (seen.address, seen.port)
            waited = round(time.monotonic() - quiet)
            facts = replace(facts, idle=Idle(seconds=min(waited, plan.idle), udp_port_kept=kept))
    finally:
        visit.close()
    return facts


def _measure(config: Config, facts: PathFacts, ways: Sequence[Way], plan: Plan) -> PathFacts:
    """The rate, one path after the other: they may share a line. To the first exit that answers."""
    target = next((each for each in facts.ways if each.udp), None)
    way = next(
        (way for way in ways if target and way.path == facts.name and way.exit_name == target.exit), None
    )
    if facts.metered or target is None or way is None:
        return facts
    try:
        visit = _visit(way, plan)
    except OSError:
        return facts
    try:
        if not visit.greet(_GREET):
            return facts
        up, down = visit.rates(_RATE)
    finally:
        visit.close()
    measured = replace(target, up_bps=up, down_bps=down)
    return replace(facts, ways=tuple(measured if each is target else each for each in facts.ways))


def _visit(way: Way, plan: Plan) -> Visit:
    order = WayOrder(
        path=way.path,
        remote=str(way.remote),
        port=way.port,
        local=str(way.local),
        interface=way.interface,
    )
    return Visit(order, plan.away[way.exit_name], plan.identity)
