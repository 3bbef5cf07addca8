"""An exit's end of all tunnels: who lodges here, under which address, and what may come from there.

A lodger is a gateway, known by its user and identity. Its address follows from these two, so that it is
the same after a restart of either end; it stays the lodger's for as long as the exit runs.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_interface

from plait.courier.cargo import Bundle, Cargo
from plait.courier.haul import Haul
from plait.courier.tally import Tally
from plait.courier.tun import Tun
from plait.relay.loop import Loop
from plait.tunnel.frames import Config, Interface, encode
from plait.tunnel.scheduler import Mode
from plait.wire.datagram import Session

_MOST = 1024
"""Lodgers at once."""
_FORGET = 3600.0
"""Seconds after which one that sends nothing is forgotten, when there are too many."""

Who = tuple[str, bytes]
"""User and identity."""


class Lodger:
    """One gateway."""

    def __init__(self, addresses: Sequence[Interface], own_epoch: int) -> None:
        self.addresses = tuple(addresses)
        """One of each subnet."""
        self.own_epoch = own_epoch
        """What we call what we remember of it."""
        self.epoch: int | None = None
        """What it calls what it remembers of us."""
        self.haul: Haul | None = None
        self.seen = 0.0


class Inn:
    """All lodgers, and the TUN device they share."""

    def __init__(
        self, loop: Loop, tun: Tun, tally: Tally, subnets: Sequence[IPv4Network | IPv6Network], mtu: int
    ) -> None:
        self._loop = loop
        self._tun = tun
        self._tally = tally
        self._subnets = tuple(subnets)
        self._mtu = mtu
        self._lodgers: dict[Who, Lodger] = {}
        self._by_address: dict[bytes, Lodger] = {}
        self._epochs: dict[Who, int] = {}
        tun.taken = self._taken

    def epoch(self, who: Who) -> int:
        """What we call what we remember of somebody; for our answer to his greeting."""
        lodger = self._lodgers.get(who)
        if lodger is not None:
            return lodger.own_epoch
        if len(self._epochs) >= _MOST:
            self._epochs.clear()
        return self._epochs.setdefault(who, int.from_bytes(os.urandom(4), "big") or 1)

    def arrived(
        self,
        who: Who,
        epoch: int,
        session: Session,
        ship: Callable[[int, list[bytes], int], None],
        echo: Callable[[int], None],
    ) -> Lodger | None:
        """A gateway has proved to be there, in a new session. None when there is no room for it."""
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
            write=self._tun.write,
            echo=echo,
            admit=sources.__contains__,
        )
        lodger.haul.session = session
        return lodger

    def _admit(self, who: Who) -> Lodger | None:
        now = self._loop.now
        addresses = self._free_addresses(who) if len(self._lodgers) < _MOST else []
        if not addresses:
            # No room, or all addresses are given away: perhaps to such as are no more.
            idle = [each for each, lodger in self._lodgers.items() if now - lodger.seen > _FORGET]
            if not idle:
                return None
            self._forget(idle[0])
            addresses = self._free_addresses(who)
            if not addresses:
                return None
        lodger = Lodger(addresses, self.epoch(who))
        self._epochs.pop(who, None)
        lodger.seen = now
        self._lodgers[who] = lodger
        for address in addresses:
            self._by_address[address.ip.packed] = lodger
        return lodger

    def _forget(self, who: Who) -> None:
        lodger = self._lodgers.pop(who)
        for address in lodger.addresses:
            del self._by_address[address.ip.packed]
        if lodger.haul is not None:
            lodger.haul.close()

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
        reply = encode(
            Config(
                asking=False,
                serial=config.serial,
                mtu=min(self._mtu, config.mtu),
                addresses=lodger.addresses,
            )
        )
        datagram = haul.session.sealing.seal(path, reply)
        haul.ship(path, [datagram], len(datagram))
        haul.soon()

    def _taken(self, cargo: Cargo | Bundle) -> None:
        lodger = self._by_address.get(cargo.destination)
        if lodger is None or lodger.haul is None:
            self._tally.stranger("to nobody", "")
            return
        lodger.haul.take(cargo)
