"""The tunnel's ends on this host: TUN devices, their addresses, and the tables around them.

A gateway asks for nothing until an exit has said that it serves the tunnel; then the device is made, and
once the exit has given an address, packets are led into it. An exit makes its device at the start, where
its owner wants it to serve.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from ipaddress import ip_interface, ip_network
from pathlib import Path

from plait.config.model import Config, IPAddress, Mode
from plait.control.errands import TunnelEnds
from plait.errors import PlaitError
from plait.kernel import nft
from plait.kernel.tun import TunDevice
from plait.paths.carrying import far_table, near_table, wants_tunnel
from plait.paths.marks import NFT_FAR_TABLE, NFT_NEAR_TABLE
from plait.paths.standing import Health

log = logging.getLogger(__name__)

MTU = 1400
"""Bytes of an inner packet when the config names none: fits through a path of 1472 (IPv6: 1492)."""


class TunnelHost:
    """What control holds of the tunnel. ``changed`` is called when routes should be looked at."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._near: TunDevice | None = None
        self._far: TunDevice | None = None
        self._offers: set[str] = set()
        """Exits that serve the tunnel."""
        self._lodged = False
        self._loaded = ""
        """Digest of the gateway's table that is in place."""

    @property
    def index(self) -> int:
        """Of the TUN device into which packets may be led; 0 while there is none."""
        return self._near.index if self._near is not None and self._lodged else 0

    def offered(self, config: Config, exit_name: str, serves: bool) -> bool:
        """An exit serves the tunnel, or no longer; whether the courier is to have another job now."""
        if serves:
            self._offers.add(exit_name)
        else:
            self._offers.discard(exit_name)
        return self._wants_near(config) != (self._near is not None)

    def _wants_near(self, config: Config) -> bool:
        gateway, peers = config.gateway, config.peers
        return gateway is not None and wants_tunnel(gateway) and bool(peers) and peers[0].name in self._offers

    def ends(self, config: Config) -> TunnelEnds | None:
        """The devices for the courier, made as far as they are wanted. Raises PlaitError."""
        gateway, mtu, name = config.gateway, config.tunnel.mtu or MTU, config.tunnel.name
        near = self._wants_near(config)
        far = config.exit is not None and config.tunnel.serve
        # On a node both are there, so the exit's has another name.
        served = self._far is not None
        self._far = self._adjust(self._far, far, f"{name}x" if gateway is not None else name, mtu)
        self._near = self._adjust(self._near, near, name, mtu)
        if self._far is not None:
            self._open_far(config, self._far)
        elif served:
            _drop(NFT_FAR_TABLE)
        if self._near is None:
            self._leave()
        if self._near is None and self._far is None:
            return None
        return TunnelEnds(
            near=self._near.fd if self._near else -1,
            via=config.peers[0].name if config.peers else "",
            far=self._far.fd if self._far else -1,
            subnet=str(config.tunnel.subnet),
            mtu=mtu,
        )

    def _adjust(self, device: TunDevice | None, wanted: bool, name: str, mtu: int) -> TunDevice | None:
        if device is not None and (not wanted or device.name != name):
            device.close()
            device = None
        if wanted and device is None:
            device = TunDevice(name, mtu)
            _loosen(name)
        elif device is not None:
            device.resize(mtu)
        return device

    def _open_far(self, config: Config, device: TunDevice) -> None:
        subnet = ip_network(str(config.tunnel.subnet))
        device.address({ip_interface(f"{subnet[1]}/{subnet.prefixlen}")}, routed=True)
        nft.load(far_table(config, device.name, subnet))
        if not _forwards(subnet.version):
            log.warning(
                "tunnel: this host does not forward packets; "
                "net.ipv4.ip_forward=1 (or net.ipv6.conf.all.forwarding=1) makes it"
            )

    def lodged(self, addresses: list[str], mtu: int) -> None:
        """The exit has given us addresses."""
        device = self._near
        if device is None:
            return
        try:
            device.resize(mtu)
            device.address({ip_interface(address) for address in addresses}, routed=False)
        except OSError as error:
            log.warning("tunnel: %s: %s", device.name, error.strerror)
            return
        if not self._lodged:
            log.info("tunnel: open, as %s", ", ".join(addresses))
        self._lodged = True
        self._changed()

    def look(self, config: Config, peers: Mapping[str, tuple[IPAddress, ...]], *, taking: bool) -> None:
        """Hold the gateway's table to what is wanted now."""
        if self._near is None or not self._lodged:
            return
        table = near_table(config, peers, self._near.name, taking=taking)
        if table.digest != self._loaded:
            try:
                nft.load(table)
            except PlaitError as error:
                log.warning("tunnel: %s", error)
                return
            self._loaded = table.digest

    def close(self) -> None:
        """Take everything of the tunnel's out of the host."""
        self._leave()
        if self._far is not None:
            _drop(NFT_FAR_TABLE)
        for device in (self._near, self._far):
            if device is not None:
                device.close()
        self._near = self._far = None

    def _leave(self) -> None:
        """Lead nothing into the tunnel any more."""
        if self._loaded:
            _drop(NFT_NEAR_TABLE)
            self._loaded = ""
        self._lodged = False


def _drop(table: str) -> None:
    try:
        nft.drop(table)
    except PlaitError as error:
        log.warning("tunnel: %s", error)


def _loosen(device: str) -> None:
    """What comes out of the tunnel bears addresses to which other routes lead (RFC 3704, 2.4)."""
    try:
        Path(f"/proc/sys/net/ipv4/conf/{device}/rp_filter").write_text("2")
    except OSError as error:
        log.warning("tunnel: %s: rp_filter: %s", device, error.strerror)


def _forwards(version: int) -> bool:
    key = "net/ipv4/ip_forward" if version == 4 else "net/ipv6/conf/all/forwarding"
    try:
        return Path("/proc/sys", key).read_text().strip() == "1"
    except OSError:
        return True


def terms(config: Config, health: Health) -> dict[str, tuple[str, float, bool]]:
    """How the tunnel may use each path: mode, weight, and whether it works."""
    found = {}
    for path in config.paths:
        standing = health.get(path.name)
        mode = path.mode
        if standing is not None and standing.benched and mode in (Mode.ON, Mode.MASTER):
            mode = Mode.BACKUP
        found[path.name] = mode.value, path.weight, standing is None or standing.usable
    return found
