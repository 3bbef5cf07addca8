"""What the courier is to do, made out of a config: its job, and the UDP ports that it is given."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from plait.config.model import Config, Method, Peer, UdpVia
from plait.courier.orders import AwayOrder, CourierJob, HomeOrder, NamesOrder, TunnelOrder
from plait.errors import PlaitError
from plait.kernel.udp import open_door, open_interceptor
from plait.paths.intercept import names_port, ports, takes_names
from plait.paths.nftext import seen
from plait.wire.cipher import Key
from plait.wire.greeting import preshared

_TRIES = 20
"""Times that a port is asked for, 50 ms apart: the courier of a control that was killed is on its way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelEnds:
    """The TUN devices of the tunnels' ends on this host; the descriptors are control's."""

    near: Mapping[str, int] = field(default_factory=dict)
    """Of the gateway, by exit."""
    far: int = -1
    """Of the exit."""
    subnets: tuple[str, ...] = ()
    """Out of which the exit hands out addresses, one of each."""
    mtu: int = 1400
    routed: tuple[str, ...] = ()
    """Networks behind the gateway that keep their addresses."""
    networks: tuple[str, ...] = ()
    """Networks that gateways of the exit may have behind them."""

    def joined(self, job: CourierJob) -> CourierJob:
        """A job with these in it."""
        home = job.home
        if home is not None and self.far >= 0:
            networks = list(self.networks)
            home = replace(home, tun=self.far, subnets=list(self.subnets), networks=networks, mtu=self.mtu)
        routed = list(self.routed)
        tunnels = [
            TunnelOrder(exit=name, tun=fd, mtu=self.mtu, networks=routed) for name, fd in self.near.items()
        ]
        return replace(job, tunnels=tunnels, home=home)


@dataclass(frozen=True, slots=True)
class UdpDoor:
    """A UDP port."""

    address: str
    port: int
    exit: str = ""
    """The exit for which nftables hands datagrams over here; empty for a port of our own exit."""
    names: bool = False
    """Whether nftables hands over DNS answers here."""

    @property
    def handed(self) -> bool:
        """Whether what comes was sent to others, and is handed over."""
        return bool(self.exit) or self.names


def identity_of(run_dir: Path, macs: Iterable[str]) -> bytes:
    """16 bytes by which exits know this gateway again after a restart, and that tell nobody what it is."""
    try:
        machine = Path("/etc/machine-id").read_bytes()
    except OSError:
        machine = os.uname().nodename.encode()
    seed = b"\0".join((machine, str(run_dir).encode(), *(mac.encode() for mac in sorted(macs))))
    return hashlib.blake2s(seed, digest_size=16, person=b"identity").digest()


def udp_doors(config: Config) -> list[UdpDoor]:
    """The UDP ports that a config wants."""
    doors = []
    if config.exit is not None:
        doors += [UdpDoor(str(address), config.exit.port) for address in config.exit.listen]
    if config.gateway is not None and config.gateway.udp is UdpVia.SHADOWSOCKS:
        for name, port in ports(config).items():
            doors += [UdpDoor("0.0.0.0", port, name), UdpDoor("::", port, name)]
    if takes_names(config):
        doors += [UdpDoor(address, names_port(config), names=True) for address in ("0.0.0.0", "::")]
    return doors


def names_order(config: Config, doors: list[int]) -> NamesOrder | None:
    """How DNS answers are looked at, if they are; ``doors`` are descriptors."""
    if not takes_names(config):
        return None
    sets = {seen(rule): sorted(rule.domain) for rule in config.rules if rule.domain}
    return NamesOrder(doors=doors, sets=sets)


def away_order(config: Config, peer: Peer, doors: list[int]) -> AwayOrder:
    """An exit that this gateway uses; ``doors`` are descriptors."""
    sealed = peer.method is not Method.NONE
    return AwayOrder(
        name=peer.name,
        method=peer.method.value,
        psk=preshared(_own_password(peer)).hex() if sealed else "",
        exit_key=_from_base64(peer.public_key) if sealed else "",
        secret=Key.derive(peer.method.value, peer.password.reveal()).told() if sealed and doors else "",
        doors=doors,
    )


def _own_password(peer: Peer) -> str:
    """With a method of 2022 identity keys may stand before it; the exit knows each user by the last."""
    password = peer.password.reveal()
    return password.rpartition(":")[2] if peer.method.key_bytes else password


@dataclass(frozen=True, slots=True)
class Shared:
    """What outlives a courier of our exit, or is not its alone."""

    rates: Mapping[str, int]
    """Bits a second, of users that have a limit."""
    cells: Mapping[str, int]
    """Where their cells begin."""
    rates_fd: int
    """The memory with the cells."""
    seen_fd: int
    """The memory of greetings that were seen; -1 where none is needed."""


def home_order(config: Config, doors: list[int], shared: Shared | None = None) -> HomeOrder | None:
    """Our own exit, if there is one; ``doors`` are descriptors."""
    if config.exit is None:
        return None
    passwords = {}
    if config.exit.method is not Method.NONE:
        if config.exit.password:
            passwords[""] = config.exit.password.reveal()
        passwords |= {user.name: user.password.reveal() for user in config.users}
    return HomeOrder(
        doors=doors,
        method=config.exit.method.value,
        psks={
            user: preshared(password).hex()
            for user, password in passwords.items()
            # With users, an exit's own key of 2022 is known to all who were one of them ever: it names
            # users, and lets nobody in.
            if user or not (config.exit.method.key_bytes and config.users)
        },
        private_key=_from_base64(config.exit.private_key.reveal()),
        trust=[str(network) for network in config.exit.trust],
        secrets={
            user: Key.derive(config.exit.method.value, password).told()
            for user, password in passwords.items()
        },
        allow=[str(network) for network in config.exit.allow],
        deny=[str(network) for network in config.exit.deny],
        rates=dict(shared.rates) if shared is not None else {},
        cells=dict(shared.cells) if shared is not None else {},
        rates_fd=shared.rates_fd if shared is not None else -1,
        seen_fd=shared.seen_fd if shared is not None else -1,
    )


def _from_base64(key: str) -> str:
    return base64.b64decode(key).hex()


async def open_port(door: UdpDoor) -> socket.socket | None:
    """The socket; None where the host has no such family. Raises PlaitError."""
    address, port = door.address, door.port
    for attempt in range(_TRIES):
        try:
            return (open_interceptor if door.handed else open_door)(address, port)
        except OSError as error:
            if address == "::" and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return None
            if error.errno != errno.EADDRINUSE or attempt == _TRIES - 1:
                where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
                taken = error.errno == errno.EADDRINUSE
                raise PlaitError(
                    f"{'interceptor' if door.handed else 'exit'}: UDP {where} "
                    + ("is taken" if taken else f"can't be listened on: {error.strerror}"),
                    f"see who has it with: ss -Hulnp sport = :{port}; "
                    f"or set another port in [{'gateway' if door.handed else 'exit'}]"
                    if taken
                    else None,
                ) from None
        await asyncio.sleep(0.05)
    return None
