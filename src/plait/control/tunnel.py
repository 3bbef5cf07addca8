"""The tunnels' ends on this host: TUN devices, their addresses, and the tables around them.

A gateway asks for nothing until an exit has said that it serves a tunnel; then a device is made, and
once the exit has given addresses, packets are led into it. An exit makes its device at the start, where
its owner wants it to serve.

A control that was killed leaves a courier that goes on, devices with addresses, and the table. The next one
takes the devices over as they are, so that conversations in the tunnel keep what conntrack knows of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from pathlib import Path

from plait.config.model import Config, IPAddress, IPNetwork
from plait.control.errands import TunnelEnds
from plait.errors import PlaitError
from plait.kernel import nft
from plait.kernel.tun import TunDevice, ours, remove
from plait.paths.carrying import NearEnd, Offers, device_of, near_table, wants_tunnel
from plait.paths.hosting import far_table
from plait.paths.marks import MOST_TUNNELS, NFT_FAR_TABLE, NFT_NEAR_TABLE
from plait.paths.standing import Health

log = logging.getLogger(__name__)

MTU = 1400
"""Bytes of an inner packet when the config names none: fits through a path of 1472 (IPv6: 1492)."""
ALIAS = "plait tunnel"
"""How the alias of each of our devices begins."""
_NEAR_ALIAS = f"{ALIAS} to "
_FAR_ALIAS = f"{ALIAS}s of gateways"
_NAME_MAX = 14
"""Bytes of a device's name that leave room for one more."""


class TunnelHost:
    """What control holds of the tunnels. ``changed`` is called when routes should be looked at."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._near: dict[str, TunDevice] = {}
        """By exit."""
        self._far: TunDevice | None = None
        self._offers: dict[str, bool] = {}
        """Whether an exit serves a tunnel, as far as it has said so."""
        self._slots: dict[str, int] = {}
        self._open: dict[str, tuple[int, NearEnd]] = {}
        """Where packets may be led into, with the device's index, by exit."""
        self._loaded = ""
        """Digest of the gateway's table that is in place."""

    @property
    def devices(self) -> dict[int, int]:
        """Indices of the TUN devices into which packets may be led, by slot."""
        return {end.slot: index for index, end in self._open.values()}

    def take_over(self, config: Config) -> None:
        """At the start: what a control that was killed has left goes on, as far as it is wanted."""
        gateway = config.gateway
        question = nft.NftQuestion()
        try:
            if gateway is not None:
                self._loaded = question.digest(NFT_NEAR_TABLE) or ""
            if config.exit is not None and not config.tunnel.serve:
                if question.digest(NFT_FAR_TABLE) is not None:
                    _drop(NFT_FAR_TABLE)
                for stale in ours(_FAR_ALIAS):
                    remove(stale.index)
        finally:
            question.close()
        if gateway is None:
            return
        self._allot(config)
        wanted = {
            _NEAR_ALIAS + name: (name, device_of(config.tunnel.name, slot))
            for name, slot in self._slots.items()
            if wants_tunnel(gateway)
        }
        for found in ours(_NEAR_ALIAS):
            name, device = wanted.get(found.alias, ("", ""))
            if found.name != device:
                remove(found.index)
                continue
            self._offers[name] = True
            if found.addresses:
                self._lead(name, found.index, device, found.addresses)

    def offered(self, config: Config, exit_name: str, serves: bool) -> bool:
        """An exit serves a tunnel, or not; whether the courier is to have another job now."""
        self._offers[exit_name] = serves
        return set(self._wanted(config)) != set(self._near)

    def _wanted(self, config: Config) -> list[str]:
        gateway = config.gateway
        if gateway is None or not wants_tunnel(gateway):
            return []
        return [peer.name for peer in config.peers if self._offers.get(peer.name)][:MOST_TUNNELS]

    def _allot(self, config: Config) -> None:
        """A slot for each exit, the same for as long as it is in the config."""
        names = [peer.name for peer in config.peers]
        self._slots = {name: slot for name, slot in self._slots.items() if name in names}
        free = (slot for slot in range(MOST_TUNNELS) if slot not in set(self._slots.values()))
        for name, slot in zip([name for name in names if name not in self._slots], list(free), strict=False):
            self._slots[name] = slot

    def ends(self, config: Config) -> TunnelEnds | None:
        """The devices for the courier, made as far as they are wanted. Raises PlaitError."""
        mtu, name = config.tunnel.mtu or MTU, config.tunnel.name
        self._allot(config)
        wanted = {
            each: device_of(name, self._slots[each]) for each in self._wanted(config) if each in self._slots
        }
        for each in [each for each, device in self._near.items() if device.name != wanted.get(each)]:
            self._close_near(each)
        for each, device in wanted.items():
            self._near[each] = _made(self._near.get(each), device, mtu, _NEAR_ALIAS + each)
        served = self._far is not None
        far = config.exit is not None and config.tunnel.serve
        # On a node both are there, so the exit's has another name.
        far_name = name[:_NAME_MAX] + "x" if config.gateway is not None else name
        if self._far is not None and (not far or self._far.name != far_name):
            self._far.close()
            self._far = None
        if far:
            self._far = _made(self._far, far_name, mtu, _FAR_ALIAS)
            self._open_far(config, self._far)
        elif served:
            _drop(NFT_FAR_TABLE)
        if not self._near and self._far is None:
            return None
        return TunnelEnds(
            near={each: device.fd for each, device in self._near.items()},
            far=self._far.fd if self._far is not None else -1,
            subnets=tuple(map(str, _forwarded(config))) if self._far is not None else (),
            mtu=mtu,
            routed=tuple(map(str, config.gateway.routed)) if config.gateway is not None else (),
            networks=tuple(map(str, config.tunnel.networks)),
        )

    def _open_far(self, config: Config, device: TunDevice) -> None:
        subnets = _forwarded(config)
        device.address({ip_interface((subnet[1], subnet.prefixlen)) for subnet in subnets}, routed=True)
        nft.load(far_table(config, device.name, subnets))
        for subnet in config.tunnel.subnets:
            if not _forwards(subnet.version):
                key = "net.ipv4.ip_forward=1" if subnet.version == 4 else "net.ipv6.conf.all.forwarding=1"
                level = logging.WARNING if subnet in subnets else logging.INFO
                log.log(level, "tunnel: this host does not forward IPv%d; %s makes it", subnet.version, key)

    def lodged(self, exit_name: str, addresses: list[str], mtu: int) -> None:
        """An exit has given us addresses."""
        device = self._near.get(exit_name)
        if device is None:
            return
        given = tuple(ip_interface(address) for address in addresses)
        former = device.mtu
        try:
            device.resize(mtu)
            device.address(set(given), routed=False)
        except OSError as error:
            log.warning("tunnel: %s: %s", device.name, error.strerror)
            return
        if exit_name not in self._open:
            log.info("tunnel: open, as %s of %s", ", ".join(addresses), exit_name)
        if mtu != former:
            log.info("tunnel: to %s packets of %d bytes fit through", exit_name, mtu)
        self._lead(exit_name, device.index, device.name, given)
        self._changed()

    def lodger(self, addresses: list[str], networks: list[str], mtu: int) -> None:
        """A gateway at our exit has these addresses, and networks behind it, and packets of so many bytes fit
        through to it."""
        device = self._far
        if device is None:
            return
        try:
            for address in addresses:
                device.route(ip_network(address), mtu, needed=mtu < device.mtu)
            for network in networks:
                device.route(ip_network(network), mtu, needed=True)
        except OSError as error:
            log.warning("tunnel: a route to %s: %s", ", ".join(addresses + networks), error.strerror)

    def _lead(
        self, exit_name: str, index: int, device: str, addresses: tuple[IPv4Interface | IPv6Interface, ...]
    ) -> None:
        """From now on packets may be led into a device."""
        versions = frozenset(address.version for address in addresses)
        end = NearEnd(exit=exit_name, slot=self._slots[exit_name], device=device, versions=versions)
        self._open[exit_name] = (index, end)

    def look(
        self,
        config: Config,
        peers: Mapping[str, tuple[IPAddress, ...]],
        serving: Mapping[str, str | None],
        foreign: Collection[str],
    ) -> None:
        """Hold the gateway's table to what is wanted now. ``serving`` is which exit serves what is meant for
        each, ``foreign`` are those that are no plait."""
        gateway = config.gateway
        table = None
        if gateway is not None and wants_tunnel(gateway) and config.peers:
            offers = Offers(
                ends={name: end for name, (_, end) in self._open.items()},
                without=frozenset(foreign) | {name for name, serves in self._offers.items() if not serves},
                serving=serving,
            )
            table = near_table(config, peers, offers)
        if table is None:
            if self._loaded:
                _drop(NFT_NEAR_TABLE)
                self._loaded = ""
        elif table.digest != self._loaded:
            try:
                nft.load(table)
            except PlaitError as error:
                log.warning("tunnel: %s", error)
                return
            self._loaded = table.digest

    def close(self) -> None:
        """Take everything of the tunnels' out of the host."""
        if self._loaded:
            _drop(NFT_NEAR_TABLE)
            self._loaded = ""
        for name in list(self._near):
            self._close_near(name)
        self._open.clear()
        if self._far is not None:
            _drop(NFT_FAR_TABLE)
            self._far.close()
            self._far = None

    def _close_near(self, exit_name: str) -> None:
        self._open.pop(exit_name, None)
        self._near.pop(exit_name).close()


def _made(device: TunDevice | None, name: str, mtu: int, alias: str) -> TunDevice:
    if device is not None:
        device.resize(mtu)
        return device
    device = TunDevice(name, mtu, alias)
    _loosen(name)
    return device


def _drop(table: str) -> None:
    try:
        nft.drop(table)
    except PlaitError as error:
        log.warning("tunnel: %s", error)


def _loosen(device: str) -> None:
    """What comes out of the tunnel bears addresses to which other routes lead (RFC 3704, 2.4): where the
    filter is strict, make it loose. Loose still asks for some route, and a mesh may have none."""
    filters = [Path("/proc/sys/net/ipv4/conf", name, "rp_filter") for name in ("all", device)]
    try:
        if max(each.read_text().strip() for each in filters) == "1":
            filters[1].write_text("2")
    except OSError as error:
        log.warning("tunnel: %s: rp_filter: %s", device, error.strerror)


def _forwards(version: int) -> bool:
    key = "net/ipv4/ip_forward" if version == 4 else "net/ipv6/conf/all/forwarding"
    try:
        return Path("/proc/sys", key).read_text().strip() == "1"
    except OSError:
        return False


def _forwarded(config: Config) -> tuple[IPNetwork, ...]:
    """The subnets of the IP versions that this host forwards; all while it forwards none."""
    subnets = config.tunnel.subnets
    return tuple(subnet for subnet in subnets if _forwards(subnet.version)) or subnets


def terms(config: Config, health: Health) -> dict[str, tuple[str, float, bool]]:
    """How the tunnel may use each path: mode, weight, and whether it works.

    The bench is not for it: it gives a slow path what arrives there as soon as elsewhere, and no more.
    """
    found = {}
    for path in config.paths:
        standing = health.get(path.name)
        found[path.name] = path.mode.value, path.weight, standing is None or standing.usable
    return found
