"""The whole examination: what is looked at, in which order, and what is concluded."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from plait import __version__
from plait.config.model import Config, TcpVia
from plait.control.checkup_host import host_facts
from plait.control.checkup_paths import Plan, path_facts
from plait.control.errands import away_order, identity_of
from plait.control.names import Names
from plait.doctor import exits, host, paths
from plait.doctor.facts import ExitFacts, PathFacts
from plait.doctor.finding import Finding, healthy, problem
from plait.kernel.linux import Host
from plait.paths import policy
from plait.paths.model import Snapshot


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, and the paths as they were found."""

    findings: tuple[Finding, ...]
    paths: tuple[PathFacts, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no problem."""
        return healthy(self.findings)

    def to_json(self) -> dict[str, object]:
        """As ``plait doctor --json`` prints it."""
        return {
            "version": __version__,
            "healthy": self.healthy,
            "findings": [
                asdict(each) | {"severity": each.severity.value, "sentence": each.sentence}
                for each in self.findings
            ],
            "paths": [_plain(asdict(path)) for path in self.paths],
        }


def examine(config: Config, run_dir: Path, status: Mapping[str, object], *, idle: float = 0.0) -> Report:
    """Look at this host and every path, which takes some ten seconds and ``idle`` more.

    ``status`` is that of the running plait; empty when none runs.
    """
    names = Names(config.peers)
    asyncio.run(names.refresh())
    peers = names.addresses()
    live = Host()
    try:
        snapshot = live.observe(policy.interest(config, peers))
    finally:
        live.close()
    findings = host.judge(host_facts(config, snapshot, run_dir, status))
    findings += [
        problem("exit.name", peer.name, f"{', '.join(peer.address)} can't be resolved", "see this host's DNS")
        for peer in config.peers
        if not peers[peer.name]
    ]
    found: tuple[PathFacts, ...] = ()
    if config.gateway is not None and config.peers:
        plan = Plan(
            identity=_identity(snapshot, config, run_dir),
            away={peer.name: away_order(config, peer, []) for peer in config.peers},
            idle=idle,
        )
        found = path_facts(config, snapshot, peers, plan, _running(status))
        tunnelled = config.gateway.tcp is TcpVia.TUNNEL
        for path in found:
            findings += paths.judge(path, found, tunnelled=tunnelled)
        for peer in config.peers:
            if peers[peer.name]:
                ways = [way for path in found for way in path.ways if way.exit == peer.name]
                about = ExitFacts(name=peer.name, clock_bound=bool(peer.method.value.startswith("2022-")))
                findings += exits.judge(about, ways)
    return Report(tuple(findings), found)


def _identity(snapshot: Snapshot, config: Config, run_dir: Path) -> bytes:
    """Always the same, and not the courier's: exits must not take us for it."""
    assert config.gateway is not None
    macs = [link.mac for link in snapshot.links if link.name in config.gateway.lan and link.mac]
    return hashlib.blake2s(identity_of(run_dir, macs), digest_size=16, person=b"doctor").digest()


def _running(status: Mapping[str, object]) -> dict[str, str]:
    """What the running plait says of paths that are not simply up."""
    found: dict[str, str] = {}
    listed = status.get("paths")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("why") and each.get("state") != "off":
            found[str(each["name"])] = f"the running plait says: {each['state']}, {each['why']}"
    return found


def _plain(value: object) -> object:
    """Facts as JSON has them: words for states, texts for addresses."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "value", str(value))
