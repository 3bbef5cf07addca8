"""All of the courier's Shadowsocks UDP: what it serves as a gateway, and what as an exit; and the look at
DNS answers, which come by it or beside it."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from plait.courier.exit_udp import ExitUdp
from plait.courier.faces import Face, Faces
from plait.courier.gateway_udp import Client, GatewayUdp
from plait.courier.home import Home
from plait.courier.names import Names
from plait.courier.orders import CourierJob, HomeOrder, WayOrder
from plait.courier.pace import Paces
from plait.courier.tally import Tally
from plait.kernel.sockets import pack
from plait.relay.admission import Admission
from plait.relay.loop import Loop
from plait.relay.orders import JsonObject
from plait.relay.resolver import Resolver
from plait.wire import shadowsocks2022_udp, shadowsocks_udp
from plait.wire.cipher import Key


class Parcels:
    """Built while privileges are still there; ``home`` hands over what is not the tunnel's."""

    def __init__(
        self,
        loop: Loop,
        job: CourierJob,
        home: Home | None,
        tally: Tally,
        say: Callable[[JsonObject], None] = lambda message: None,
        paces: Paces | None = None,
    ) -> None:
        """``say`` tells control."""
        self._gateways: dict[str, GatewayUdp] = {}
        self._exit: ExitUdp | None = None
        self._faces: Faces | None = None
        self._names: Names | None = None
        if job.lender >= 0:
            self._faces = Faces(loop, socket.socket(fileno=job.lender))
            send: Callable[[Face, bytes, Client], None] = self._faces.send
            if job.names is not None:
                self._names = Names(loop, job.names.sets, say, send)
                send = self._names.deliver
                for fd in job.names.doors:
                    self._names.serve(socket.socket(fileno=fd))
            for order in job.aways:
                if not order.doors:
                    continue
                key = _key(order.method, order.secret)
                gateway = GatewayUdp(loop, key, tally, self._faces.prepare, send)
                if self._names is not None:
                    gateway.asked = self._names.ask
                for fd in order.doors:
                    gateway.serve(socket.socket(fileno=fd))
                self._gateways[order.name] = gateway
        if home is not None and job.home is not None:
            self._exit = _exit(loop, job.home, tally, paces)
            home.others = self._exit.take
        self._home = home
        self._paces = paces

    def ways(self, name: str, ways: list[WayOrder]) -> None:
        """Every path to an exit that exists now."""
        if name in self._gateways:
            self._gateways[name].ways(ways)

    def obey(self, message: JsonObject) -> None:
        """What of control's messages is for us."""
        if isinstance(lead := message.get("lead"), dict):
            for name, paths in lead.items():
                if name in self._gateways:
                    self._gateways[name].lead(paths)
        if isinstance(serving := message.get("serving"), dict):
            for name, gateway in self._gateways.items():
                other = serving.get(name, name)
                gateway.stand_in = self._gateways.get(other) if other != name else None
        if isinstance(own := message.get("own"), list):
            packed = frozenset(pack(text) for text in own)
            for gateway in self._gateways.values():
                gateway.own = packed
            if self._names is not None:
                self._names.own = packed
            if self._exit is not None:
                self._exit.admission.own(ip_address(text) for text in own)
        if isinstance(number := message.get("learnt"), int) and self._names is not None:
            self._names.learnt(number, message.get("kept") is True)
        if isinstance(barred := message.get("bar"), list):
            if self._exit is not None:
                self._exit.bar(frozenset(barred))
            if self._home is not None:
                self._home.bar(frozenset(barred))
        if isinstance(home := message.get("home"), dict):
            self._renew(HomeOrder(**home))

    def _renew(self, order: HomeOrder) -> None:
        """Users, rates and lists of our exit have changed."""
        if self._paces is not None:
            self._paces.renew(order.rates, order.cells)
        if self._home is not None:
            self._home.renew(order)
        if self._exit is not None:
            keys = _keys(order)
            self._exit.renew(keys, _trust(order, keys))
            self._exit.admission.renew(_networks(order.allow), _networks(order.deny))

    def close(self) -> None:
        """End all."""
        if self._names is not None:
            self._names.close()
        for gateway in self._gateways.values():
            gateway.close()
        if self._exit is not None:
            self._exit.close()
        if self._faces is not None:
            self._faces.close()

    def figures(self) -> JsonObject:
        """What was counted."""
        gateways = self._gateways.values()
        end = self._exit
        outcomes = Counter(end.outcomes if end else ())
        outcomes["no usable path"] += sum(gateway.dropped for gateway in gateways)
        outcomes["no socket to answer by"] += self._faces.refused if self._faces else 0
        outcomes["over the rate"] += self._paces.dropped.total() if self._paces else 0
        users = self._home.carried() if self._home else {}
        for user in {*end.up, *end.down} if end else ():
            up, down = users.get(user, (0, 0))
            users[user] = [up + end.up[user], down + end.down[user]] if end else [up, down]
        return {
            "open": sum(gateway.open for gateway in gateways) + (end.open if end else 0),
            "total": sum(gateway.total for gateway in gateways) + (end.total if end else 0),
            "up_bytes": sum(gateway.up for gateway in gateways) + (end.up.total() if end else 0),
            "down_bytes": sum(gateway.down for gateway in gateways) + (end.down.total() if end else 0),
            "outcomes": {word: count for word, count in outcomes.items() if count},
            "names": dict(self._names.outcomes) if self._names else {},
            "users": {user: users[user] for user in sorted(users)},
        }


def _exit(loop: Loop, order: HomeOrder, tally: Tally, paces: Paces | None) -> ExitUdp:
    keys = _keys(order)
    for _, key in keys:
        key.try_out()
    desk: shadowsocks_udp.Desk | shadowsocks2022_udp.Desk
    if keys and keys[0][1].suite.edition == 2022:
        began = time.monotonic()
        desk = shadowsocks2022_udp.Desk(keys, os.urandom, time.time, lambda: time.monotonic() - began)
    else:
        desk = shadowsocks_udp.Desk(keys, os.urandom)
    return ExitUdp(
        loop,
        desk,
        Admission(_networks(order.allow), deny=_networks(order.deny)),
        Resolver(loop),
        tally,
        trust=_trust(order, keys),
        paces=paces,
    )


def _keys(order: HomeOrder) -> list[tuple[str, Key]]:
    return [(user, Key.heard(order.method, secret)) for user, secret in order.secrets.items()]


def _trust(order: HomeOrder, keys: list[tuple[str, Key]]) -> list[IPv4Network | IPv6Network] | None:
    return None if keys else _networks(order.trust)


def _networks(texts: list[str]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for text in texts]


def _key(method: str, secret: str) -> Key | None:
    """The key of an exit, tried out while the cipher library may still be read; None for ``none``."""
    if not secret:
        return None
    key = Key.heard(method, secret)
    key.try_out()
    return key
