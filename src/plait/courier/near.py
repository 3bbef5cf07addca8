"""A gateway's end of the tunnel to one exit: which paths it may use, and under which address."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

from plait.courier.away import Wanted
from plait.courier.cargo import Bundle, Cargo
from plait.courier.haul import Haul, Ship
from plait.courier.tally import Tally
from plait.courier.tun import Tun
from plait.relay.loop import Loop, Timer
from plait.relay.orders import JsonObject
from plait.tunnel.frames import DATA_HEAD, Config, PathTerms, encode
from plait.tunnel.scheduler import Mode
from plait.wire.datagram import Session

_NARROW = 1280 + DATA_HEAD
"""Bytes of a frame that a path must let through to be used beside others: the least packet of IPv6."""
_AGAIN = 0.5
"""Seconds until an unanswered question is asked again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a path may be used."""

    mode: Mode = Mode.ON
    weight: float = 1.0
    up: bool = True
    """Whether the judgement lets it be used."""


class Near:
    """One exit's tunnel. It lives as long as the exit remembers it, however often keys are renewed."""

    def __init__(
        self,
        loop: Loop,
        tun: Tun,
        tally: Tally,
        say: Callable[[JsonObject], None],
        name: str,
        *,
        mtu: int,
        networks: Sequence[IPv4Network | IPv6Network] = (),
        ship: Ship,
        echo: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._tun = tun
        self._tally = tally
        self._say = say
        self._name = name
        self._most = self._mtu = mtu
        """Bytes of an inner packet: at most, and as the paths in use let through now."""
        self._networks = tuple(networks)
        self._rooms: dict[int, int | None] = {}
        """Bytes of the largest frame that each path lets through; None while that is not known."""
        self._ship = ship
        self._echo = echo
        self.epoch = int.from_bytes(os.urandom(4), "big")
        self._exit_epoch: int | None = None
        self._terms: dict[int, Terms] = {}
        self._serial = 0
        self._asking: Timer | None = None
        self._told: object = None
        self._addresses: list[str] = []
        self.haul = self._begin()

    def _begin(self) -> Haul:
        # What comes from the exit may bear any source: it is the way to all the world.
        return Haul(
            self._loop,
            self._tally,
            ship=self._ship,
            write=self._tun.write,
            echo=self._echo,
            admit=lambda source: True,
        )

    def take(self, cargo: Cargo | Bundle) -> None:
        """Packets for the exit."""
        self.haul.take(cargo)

    def begun(self, session: Session, epoch: int) -> None:
        """A session has begun; with the ``epoch`` the exit says whether it remembers the former one."""
        former = self.haul.session
        if self._exit_epoch == epoch and former is not None:
            session.sealing.follow(former.sealing)
        elif former is not None:
            self.haul.close()
            self.haul = self._begin()
            self._use()
        self._exit_epoch = epoch
        self.haul.session = session
        self._ask()
        self.haul.soon()

    @property
    def wanted(self) -> int:
        """Bytes of the frame of the largest inner packet."""
        return self._most + DATA_HEAD

    def terms(self, wanted: Mapping[int, Wanted], rooms: Mapping[int, int | None]) -> None:
        """These paths may be used so, others not at all. ``rooms`` are the bytes of the largest frame that
        each lets through; None, or nothing, where that is not known yet."""
        terms = {path: Terms(Mode[mode.upper()], weight, up) for path, (mode, weight, up) in wanted.items()}
        self._rooms = dict(rooms)
        mtu, narrow = self._fitting(terms)
        terms = {path: replace(each, up=each.up and path not in narrow) for path, each in terms.items()}
        if terms != self._terms or mtu != self._mtu:
            self._terms, self._mtu = terms, mtu
            self._use()
            self._ask()
            self.haul.soon()

    def _fitting(self, terms: Mapping[int, Terms]) -> tuple[int, set[int]]:
        """Bytes of an inner packet that all paths in use let through, and the paths that let too little
        through to be used beside others."""
        rooms = {path: self._rooms.get(path) for path, each in terms.items() if each.up}
        known = {path: self.wanted if room is None else room for path, room in rooms.items()}
        wide = [room for room in known.values() if room >= _NARROW]
        if wide:
            return min(wide) - DATA_HEAD, {path for path, room in known.items() if room < _NARROW}
        some = [room for room in known.values() if room]
        return min(some) - DATA_HEAD if some else min(self._most, _NARROW - DATA_HEAD), set()

    def _use(self) -> None:
        now, sender = time.monotonic(), self.haul.sender
        for path, terms in self._terms.items():
            sender.set_path(path, now, mode=terms.mode, weight=terms.weight, up=terms.up)
        for path in range(256):
            if path not in self._terms and sender.way(path) is not None:
                sender.set_path(path, now, mode=Mode.OFF, up=False)

    def _ask(self) -> None:
        """Tell the exit how its side may use the paths, and ask for our address, until it answers."""
        self._serial += 1
        if self._asking is not None:
            self._asking.cancel()
        self._ask_again()

    def _ask_again(self) -> None:
        session = self.haul.session
        if session is None:
            return
        usable = {path: terms for path, terms in self._terms.items() if terms.up}
        frame = encode(
            Config(
                asking=True,
                serial=self._serial & 0xFFFFFFFF,
                mtu=self._mtu,
                networks=self._networks,
                paths=tuple(
                    PathTerms(path, terms.mode, min(0xFFFF, round(terms.weight * 256)))
                    for path, terms in usable.items()
                ),
            )
        )
        for path in usable:
            datagram = session.sealing.seal(path, frame)
            self._ship(path, [datagram], len(datagram))
        self._asking = self._loop.after(_AGAIN, self._ask_again)

    def answered(self, config: Config) -> None:
        """The exit has answered."""
        if config.asking or config.serial != self._serial & 0xFFFFFFFF:
            return
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        self._addresses = [str(address) for address in config.addresses]
        told = {
            "exit": self._name,
            "addresses": self._addresses,
            "mtu": min(config.mtu, self._mtu),
        }
        if told != self._told:
            self._told = told
            self._say({"tunnel": told})

    @property
    def addresses(self) -> list[str]:
        """Ours inside; none before the exit has given some."""
        return self._addresses

    def figures(self) -> JsonObject:
        """What the status tells."""
        sender = self.haul.sender
        return {
            "addresses": self._addresses,
            "mtu": self._mtu,
            "refused": sender.refused,
            "dropped": sender.dropped,
            "resent": sender.resent,
            "given_up": sender.given_up,
        }

    def close(self) -> None:
        """No more."""
        self.haul.close()
        if self._asking is not None:
            self._asking.cancel()
