"""Listening sockets: opened by control, which may, and served by workers, which need not.

One socket a worker on each address (SO_REUSEPORT). Control keeps its copies open, so that a worker
that is restarted finds its socket with the clients still in the queue, and a reload that leaves an
address as it is keeps that queue too. A socket is closed only with its address: closing it would
reset those who wait in it or are half-way through their handshake, and its share of them is never
nobody's. So when there are fewer workers than sockets, some serve several.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from plait.config.model import Config, Intercept, ProxyProtocol, TcpVia
from plait.errors import PlaitError
from plait.kernel.congestion import choose
from plait.kernel.sockets import listen
from plait.relay.orders import ListenOrder
from plait.wire import passes
from plait.wire.passes import Pass


@dataclass(frozen=True, slots=True)
class Door:
    """One address to listen on."""

    kind: str
    """As in `ListenOrder`."""
    exit: str
    address: str
    port: int
    optional: bool = False
    """May be missing where the host has no such family."""


def wanted(config: Config, ports: Mapping[str, int]) -> list[Door]:
    """What a config wants listened on. ``ports`` are the interceptor's, by exit."""
    doors = []
    gateway = config.gateway
    if gateway is not None and gateway.tcp is TcpVia.MPTCP:
        for name, port in ports.items():
            kind = gateway.intercept.value
            doors.append(Door(kind, name, "0.0.0.0", port))
            doors.append(Door(kind, name, "::", port, optional=True))
    for proxy in config.proxies if gateway is not None else ():
        doors.append(Door(proxy.protocol.value, proxy.exit, str(proxy.listen[0]), proxy.listen[1]))
    if config.exit is not None:
        for address in config.exit.listen:
            doors.append(Door("exit", "", str(address), config.exit.port, optional=str(address) == "::"))
    return doors


def held(config: Config) -> dict[tuple[str, int], Pass]:
    """What clients of proxies must show, by address and port, where anything."""
    return {
        (str(proxy.listen[0]), proxy.listen[1]): Pass.of(
            proxy.username, proxy.password.reveal(), os.urandom(passes.SALT)
        )
        for proxy in config.proxies
        if proxy.username
    }


class Doors:
    """The open ones."""

    def __init__(self) -> None:
        self._open: dict[Door, list[socket.socket]] = {}

    def adjust(self, doors: list[Door], workers: int, *, mptcp: bool) -> None:
        """Open what is new. Nothing is closed yet, so that a failure leaves all as it was."""
        congestion = choose()
        for door in doors:
            socks = self._open.setdefault(door, [])
            while len(socks) < workers:
                try:
                    socks.append(
                        listen(
                            door.address,
                            door.port,
                            mptcp=mptcp and door.kind == "exit",
                            transparent=door.kind == Intercept.TPROXY.value,
                            early=door.kind in _PROXIES,
                            congestion=congestion,
                        )
                    )
                except OSError as error:
                    if door.optional and not socks and error.errno in _NO_FAMILY:
                        break
                    if not socks:
                        del self._open[door]
                    raise _refused(door, error) from None

    def keep(self, doors: list[Door]) -> None:
        """Close the doors that are no longer wanted."""
        for door in [door for door in self._open if door not in doors]:
            for sock in self._open.pop(door):
                sock.close()

    def orders(
        self, doors: list[Door], index: int, workers: int, held: Mapping[tuple[str, int], Pass]
    ) -> list[ListenOrder]:
        """The sockets of worker ``index`` of ``workers``: each is somebody's."""
        return [
            _order(door, sock, held.get((door.address, door.port)) if door.kind in _PROXIES else None)
            for door in doors
            for sock in self._open.get(door, ())[index::workers]
        ]

    def close(self) -> None:
        """Close all."""
        self.keep([])


_PROXIES = frozenset(protocol.value for protocol in ProxyProtocol)


def _order(door: Door, sock: socket.socket, held: Pass | None) -> ListenOrder:
    return ListenOrder(
        fd=sock.fileno(),
        kind=door.kind,
        exit=door.exit,
        salt=held.salt.hex() if held is not None else "",
        proof=held.proof.hex() if held is not None else "",
    )


_NO_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def _refused(door: Door, error: OSError) -> PlaitError:
    where = f"[{door.address}]:{door.port}" if ":" in door.address else f"{door.address}:{door.port}"
    what = "exit" if door.kind == "exit" else "proxy" if door.kind in _PROXIES else "interceptor"
    table = {"exit": "[exit]", "proxy": "[[proxy]]", "interceptor": "[gateway]"}[what]
    hint = {
        errno.EADDRINUSE: f"see who has it with: ss -Htlnp sport = :{door.port}; "
        f"or set another port in {table}",
        errno.EADDRNOTAVAIL: "the address is not on this host; see: ip address",
        errno.EACCES: "run as root, or choose a port above 1023",
        errno.EPERM: "run as root",
    }.get(error.errno or 0)
    reason = "is taken" if error.errno == errno.EADDRINUSE else f"can't be listened on: {error.strerror}"
    return PlaitError(f"{what}: {where} {reason}", hint)
