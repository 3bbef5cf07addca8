"""An exit's end of all tunnels: who lodges here, under which address, and what may come from there.

A lodger is a gateway, known by its user and identity. Its address follows from these two, so that it is
the same after a restart of either end; it stays the lodger's for as long as the exit runs. When there is no
room left, whoever has the most lodgings under one user's name loses one.

What is carried is counted by user, and held to the user's rate where there is one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface

from plait.courier.cargo import Bundle, Cargo
from plait.courier.haul import Haul
from plait.courier.pace import Paces
from plait.courier.tally import Tally
from plait.courier.tun import Tun
from plait.kernel.tun import HEADER
from plait.relay.loop import Loop
from plait.relay.orders import JsonObject
from plait.tunnel.frames import Config, Interface, encode
from plait.tunnel.scheduler import Mode
from plait.wire.datagram import Session

_MOST = 1024
"""Lodgers at once."""
_LEAST_MTU = 576
"""Bytes of a packet that IPv4 asks every link to take whole (RFC 791)."""
_FORGET = 3600.0
"""Seconds after which one that sends nothing is forgotten, when there are too many."""

Who = tuple[str, bytes]
"""User and identity."""


class Lodger:
    """One gateway."""

    def __init__(self, user: str, addresses: Sequence[Interface], own_epoch: int) -> None:
        self.user = user
        self.addresses = tuple(addresses)
        """One of each subnet."""
        self.own_epoch = own_epoch
        """What we call what we remember of it."""
        self.epoch: int | None = None
        """What it calls what it remembers of us."""
        self.haul: Haul | None = None
        self.seen = 0.0
        self.told: tuple[int, list[str]] = (0, [])
        """What control knows of it: bytes of a packet that fits through to it, and networks behind it."""


class Inn:
    """All lodgers, and the TUN device they share."""

    def __init__(
        self,
        loop: Loop,
        tun: Tun,
        tally: Tally,
        subnets: Sequence[IPv4Network | IPv6Network],
        mtu: int,
        paces: Paces | None = None,
        say: Callable[[JsonObject], None] = lambda message: None,
    ) -> None:
        """``say`` tells control."""
        self._paces = paces if paces is not None else Paces(loop)
        self._barred: frozenset[str] = frozenset()
        self.up: Counter[str] = Counter()
        """Bytes of inner packets to the world, by user."""
        self.down: Counter[str] = Counter()
        """Bytes of inner packets from there."""
        self._say = say
        self._loop = loop
        self._tun = tun
        self._tally = tally
        self._subnets = tuple(subnets)
        self._mtu = mtu
        self.networks: tuple[IPv4Network | IPv6Network, ...] = ()
        """What lodgers may have behind them."""
        self._behind: dict[IPv4Network | IPv6Network, Lodger] = {}
        """Whose each is that was named."""
        self._lodgers: dict[Who, Lodger] = {}
        self._by_address: dict[bytes, Lodger] = {}
        self._epochs: dict[Who, int] = {}
        tun.taken = self._taken

    def epoch(self, who: Who) -> int:
        """What we call what we remember of somebody; for our answer to his greeting. 0 says that there is no
        tunnel for him."""
        if who[0] in self._barred:
            return 0
        lodger = self._lodgers.get(who)
        if lodger is not None:
            return lodger.own_epoch
        if len(self._epochs) >= _MOST:
            del self._epochs[next(iter(self._epochs))]
        return self._epochs.setdefault(who, int.from_bytes(os.urandom(4), "big") or 1)

    def arrived(
        self,
        who: Who,
        epoch: int,
        session: Session,
        ship: Callable[[int, list[bytes], int], None],
        echo: Callable[[int], None],
    ) -> Lodger | None:
        """A gateway has proved to be there, in a new session. None when there is no tunnel for it."""
        if who[0] in self._barred:
            return None
        lodger = self._lodgers.get(who) or self._admit(who)
        if lodger is None:
            return None
        former = lodger.haul
        if former is not None and former.session is not None and lodger.epoch == epoch:
            session.sealing.follow(former.session.sealing)
            former.rebind(ship, echo)
            former.session = session
            return lodger
        if former is not None:
            former.close()
        sources = frozenset(each.ip.packed for each in lodger.addresses)
        lodger.epoch = epoch
        lodger.haul = Haul(
            self._loop,
            self._tally,
            ship=ship,
            write=lambda packet: self._out(lodger, packet),
            echo=echo,
            admit=lambda source: source in sources or self._lodger_of(source) is lodger,
        )
        lodger.haul.session = session
        return lodger

    def _admit(self, who: Who) -> Lodger | None:
        now = self._loop.now
        addresses = self._free_addresses(who) if len(self._lodgers) < _MOST else []
        if not addresses:
            # No room, or all addresses are given away.
            leaving = self._dispensable(who)
            if leaving is None:
                return None
            self._forget(leaving)
            addresses = self._free_addresses(who)
            if not addresses:
                return None
        lodger = Lodger(who[0], addresses, self.epoch(who))
        self._epochs.pop(who, None)
        lodger.seen = now
        self._lodgers[who] = lodger
        for address in addresses:
            self._by_address[address.ip.packed] = lodger
        return lodger

    def _dispensable(self, who: Who) -> Who | None:
        """Whom to forget for a newcomer: one that is no more; else, so that no user keeps the others out
        by calling itself many, the one not heard for longest of the user with the most lodgings."""
        first = min(self._lodgers, key=lambda each: self._lodgers[each].seen, default=None)
        if first is None or self._loop.now - self._lodgers[first].seen > _FORGET:
            return first
        lodgings = Counter(user for user, _ in self._lodgers)
        most = max(lodgings, key=lambda user: lodgings[user])
        if lodgings[most] <= lodgings[who[0]] + 1:
            return None
        return min(
            (each for each in self._lodgers if each[0] == most), key=lambda each: self._lodgers[each].seen
        )

    def bar(self, users: frozenset[str]) -> None:
        """There is no tunnel for these users any more; for those barred before there is one again when
        they greet."""
        self._barred = users
        for lodger in self._lodgers.values():
            if lodger.user in users:
                self._rest(lodger)

    def left(self, lodger: Lodger, session: Session) -> None:
        """A session has ended. When there is no newer one, nobody is there to send to."""
        if lodger.haul is not None and lodger.haul.session is session:
            self._rest(lodger)

    @staticmethod
    def _rest(lodger: Lodger) -> None:
        """Keep its addresses only. What was under way is forgotten, and the gateway must learn that we count
        anew, or it would take all that we send for old: hence another epoch."""
        if lodger.haul is not None:
            lodger.haul.close()
            lodger.haul = None
            lodger.own_epoch = int.from_bytes(os.urandom(4), "big") or 1

    def _forget(self, who: Who) -> None:
        lodger = self._lodgers.pop(who)
        for address in lodger.addresses:
            del self._by_address[address.ip.packed]
        for network in [each for each, whose in self._behind.items() if whose is lodger]:
            del self._behind[network]
        if lodger.haul is not None:
            lodger.haul.close()
            lodger.haul = None

    def _free_addresses(self, who: Who) -> list[Interface]:
        """One of each subnet; none when one of them is full."""
        found = [self._free_address(who, subnet) for subnet in self._subnets]
        return [address for address in found if address is not None] if None not in found else []

    def _free_address(self, who: Who, subnet: IPv4Network | IPv6Network) -> Interface | None:
        """The first address of a subnet is the exit's own; the last may be a broadcast."""
        usable = min(subnet.num_addresses, 1 << 32) - 3
        if usable < 1:
            return None
        seed = hashlib.blake2s(who[1] + who[0].encode(), digest_size=8, person=b"lodging").digest()
        start = int.from_bytes(seed, "big") % usable
        for step in range(min(usable, _MOST + 1)):
            address = subnet[2 + (start + step) % usable]
            if address.packed not in self._by_address:
                return ip_interface((address, subnet.prefixlen))
        return None

    def asked(self, lodger: Lodger, path: int, config: Config) -> None:
        """A gateway says how its paths may be used, and wants its address."""
        haul = lodger.haul
        if not config.asking or haul is None or haul.session is None:
            return
        now = time.monotonic()
        named = {terms.path for terms in config.paths}
        for terms in config.paths:
            mode = Mode(terms.mode) if terms.mode in Mode.__members__.values() else Mode.ON
            haul.sender.set_path(terms.path, now, mode=mode, weight=max(terms.weight, 1) / 256)
        for other in range(256):
            if other not in named and haul.sender.way(other) is not None:
                haul.sender.set_path(other, now, mode=Mode.OFF, up=False)
        mtu = min(self._mtu, max(config.mtu, _LEAST_MTU))
        self._claim(lodger, config.networks)
        networks = [str(network) for network, whose in self._behind.items() if whose is lodger]
        if (mtu, networks) != lodger.told:
            lodger.told = mtu, networks
            addresses = [str(address.ip) for address in lodger.addresses]
            self._say({"lodger": {"addresses": addresses, "networks": networks, "mtu": mtu}})
        reply = encode(
            Config(
                asking=False,
                serial=config.serial,
                mtu=mtu,
                addresses=lodger.addresses,
            )
        )
        datagram = haul.session.sealing.seal(path, reply)
        haul.ship(path, [datagram], len(datagram))
        haul.soon()

    def _out(self, lodger: Lodger, packet: list[bytes | bytearray]) -> None:
        """An inner packet, headed for TUN."""
        size = sum(map(len, packet)) - HEADER

        def write() -> None:
            self.up[lodger.user] += size
            self._tun.write(packet)

        self._paces.up(lodger.user, size, write)

    def _claim(self, lodger: Lodger, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        """A lodger says what is behind it. What is not for lodgers, or is another's, it does not get."""
        for network in [each for each, whose in self._behind.items() if whose is lodger]:
            if network not in networks:
                del self._behind[network]
        for network in networks:
            allowed = any(_within(network, each) for each in self.networks)
            others = (each for each, whose in self._behind.items() if whose is not lodger)
            if allowed and not any(each.overlaps(network) for each in others):
                self._behind[network] = lodger
            else:
                self._tally.stranger("not its network", "")

    def _lodger_of(self, address: bytes) -> Lodger | None:
        """Behind whom an address is."""
        if not self._behind:
            return None
        found = ip_address(address)
        nets = [net for net in self._behind if net.version == found.version and found in net]
        return self._behind[max(nets, key=lambda net: net.prefixlen)] if nets else None

    def _taken(self, cargo: Cargo | Bundle) -> None:
        lodger = self._by_address.get(cargo.destination) or self._lodger_of(cargo.destination)
        if lodger is None or lodger.haul is None:
            self._tally.stranger("to nobody", "")
            return
        size = cargo.size

        def take() -> None:
            if lodger.haul is not None:
                self.down[lodger.user] += size
                lodger.haul.take(cargo)

        self._paces.down(lodger.user, size, take)


def _within(network: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return (
        network.version == other.version
        and network.prefixlen >= other.prefixlen
        and network.network_address in other
    )
