"""The examination of this host: gathers facts, changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from plait.config.model import Config, Intercept, UdpVia, WhenExitLost
from plait.config.notes import notes
from plait.control.quarrels import KNOWN, contenders
from plait.doctor.facts import HostFacts, Lack
from plait.doctor.listing import others
from plait.kernel import examine, sysctl
from plait.kernel.capabilities import missing
from plait.paths.marks import ENDPOINT_IDS
from plait.paths.model import EndpointFlags, Snapshot

_SYSCTLS = (
    "net/mptcp/pm_type",
    "net/mptcp/path_manager",
    "net/mptcp/blackhole_timeout",
    "net/ipv4/ip_forward",
)
_SPARE = 256
"""Descriptors of a worker beside its sessions', roughly."""


def host_facts(config: Config, snapshot: Snapshot, run_dir: Path, status: Mapping[str, object]) -> HostFacts:
    """Look at everything. ``status`` is that of the running plait; empty when none runs."""
    gateway = config.gateway
    listing = others(examine.nft_listing())
    lans = gateway.lan if gateway is not None else ()
    near = [*lans, *(path.interface for path in config.paths)]
    links = {link.name: link for link in snapshot.links}
    return HostFacts(
        kernel=os.uname().release,
        lacks=tuple(Lack(text=lack.message, remedy=lack.hint or "") for lack in missing(config)),
        contenders=tuple((name, KNOWN[name]) for name in contenders()) if gateway is not None else (),
        sysctls=sysctl.read(_SYSCTLS),
        gateway=gateway is not None,
        serves_tunnel=config.exit is not None and config.tunnel.serve,
        tproxy=gateway is not None and gateway.intercept is Intercept.TPROXY,
        udp_direct=gateway is not None and gateway.udp is UdpVia.DIRECT,
        blocks=gateway is not None and gateway.when_exit_lost is WhenExitLost.BLOCK,
        running=bool(status),
        descriptors=examine.descriptors(_a_worker(status)),
        descriptors_wanted=2 * config.relay.sessions + _SPARE,
        conntrack=examine.conntrack(),
        run_dir=str(run_dir),
        run_dir_free=examine.free_bytes(run_dir),
        foreign_rules=tuple(examine.foreign_rules()) if gateway is not None else (),
        foreign_tables=listing.takers if gateway is not None else (),
        flowtables=listing.offloaders if gateway is not None else (),
        foreign_endpoints=tuple(
            f"id {each.id} on {each.address}"
            for each in snapshot.endpoints
            if each.id not in ENDPOINT_IDS and EndpointFlags.IMPLICIT not in each.flags
        )
        if gateway is not None
        else (),
        large_receive=tuple(name for name in near if name in links and examine.large_receive(name)),
        missing_lans=tuple(name for name in lans if name not in links or not links[name].up),
        resolvers=_leaking(config, snapshot),
        notes=tuple(notes(config)),
    )


def _a_worker(status: Mapping[str, object]) -> int | None:
    workers = status.get("workers")
    if isinstance(workers, list) and workers and isinstance(workers[0], dict):
        pid = workers[0].get("pid")
        return pid if isinstance(pid, int) else None
    return None


def _leaking(config: Config, snapshot: Snapshot) -> tuple[str, ...]:
    """Resolvers that this host asks for its LAN over an ordinary link."""
    if config.gateway is None or config.gateway.udp is UdpVia.DIRECT or not examine.resolves_for_others():
        return ()
    paths = {path.interface for path in config.paths}
    outward = {link.index for link in snapshot.links if link.name in paths}
    ours = {str(each.address) for each in snapshot.addresses if each.index in outward}
    return tuple(each for each in examine.resolvers() if examine.leaves_from(each) in ours)
