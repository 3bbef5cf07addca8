"""Couriers in the nodes of a lab, each kept as control keeps it, without the rest of control.

gateway:wan1 ══ b1 ══ exit:w1
       :wan2 ══ b2 ══     :w2
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from typing import Any

from tests.netns.relay.places import inside

from plait.config.model import Config, Exit, Method, Mode, Peer, Secret
from plait.control.courier import Courier
from plait.control.errands import TunnelEnds
from plait.kernel.tun import TunDevice
from plait.lab.node import Node
from plait.paths.model import Way

LINKS = """
gateway:wan1 10.1.1.78/24 fd01::78/64 == b1 20mbit 5ms queue 200ms == exit:w1 10.1.1.70/24 fd01::70/64
gateway:wan2 10.2.2.78/24 fd02::78/64 == b2 10/5mbit 30ms queue 200ms == exit:w2 10.2.2.70/24 fd02::70/64
"""
PORT = 8388
MTU = 1400
PASSWORD = "correct horse battery staple"
PATIENCE = 20.0


@dataclass(slots=True)
class Notebook:
    """What a courier told, in order."""

    echoes: list[tuple[str, float, float]] = field(default_factory=list)
    """Path, sent, rtt."""
    silences: list[tuple[str, float]] = field(default_factory=list)
    """Path, sent."""
    capacities: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    sessions: list[tuple[bool, str]] = field(default_factory=list)

    def echo(self, exit: str, path: str, sent: float, rtt: float) -> None:
        self.echoes.append((path, sent, rtt))

    def silent(self, exit: str, path: str, sent: float) -> None:
        self.silences.append((path, sent))

    def capacity(self, exit: str, path: str, up: int | None, down: int | None) -> None:
        self.capacities[path] = up, down

    def session(self, exit: str, up: bool, why: str) -> None:
        self.sessions.append((up, why))

    def forget(self) -> None:
        self.echoes.clear()
        self.silences.clear()
        self.sessions.clear()

    def rtts(self, path: str) -> list[float]:
        """Seconds, in the order in which they came."""
        return [rtt for name, _, rtt in self.echoes if name == path]


class Post:
    """A courier in a node. A thread holds it there: a network namespace is a thread's."""

    def __init__(self, node: Node, config: Config, *, tunnel: bool = False) -> None:
        """With ``tunnel`` it has a TUN device; an exit's is 10.188.0.1."""
        self.tun: TunDevice | None = None
        self._tunnel = tunnel
        self.inner = ""
        """Our address inside the tunnel, once we have one."""
        self.notes = Notebook()
        self.courier = Courier(self.notes)
        self._node = node
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"post at {node.name}")
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        self.renew(config)

    def _run(self) -> None:
        with inside(self._node):
            asyncio.set_event_loop(self._loop)
            self._loop.call_soon(self._ready.set)
            self._loop.run_forever()

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE)

    def renew(self, config: Config) -> None:
        """Start it, or give it another config."""
        self._do(self._renew(config))

    async def _renew(self, config: Config) -> None:
        ends = None
        if self._tunnel:
            if self.tun is None:
                self.tun = TunDevice("plait0", MTU)
                self.courier.lodged = self._lodged
                if config.exit is not None:
                    self._address("10.188.0.1/16")
            ends = (
                TunnelEnds(near={"attic": self.tun.fd}, mtu=MTU)
                if config.exit is None
                else TunnelEnds(far=self.tun.fd, subnets=("10.188.0.0/16",), mtu=MTU)
            )
        await self.courier.renew(
            config, identity=bytes(16), uid=os.getuid(), gid=os.getgid(), verbose=0, tunnel=ends
        )

    def _lodged(self, exit: str, addresses: list[str], mtu: int) -> None:
        for address in addresses:
            self._address(address)

    def _address(self, address: str) -> None:
        assert self.tun is not None
        self.tun.address({ip_interface(address)}, routed=True)
        self.inner = address.partition("/")[0]

    def tell(self, name: str, argument: object) -> None:
        """Call a method of `Courier` that tells it something."""
        self._loop.call_soon_threadsafe(getattr(self.courier, name), argument)

    def ways(self, *ways: Way) -> None:
        self.tell("ways", {"attic": ways})

    def tally(self) -> dict[str, Any]:
        found = self._do(self.courier.tally())
        assert isinstance(found, dict)
        return found

    @property
    def pid(self) -> int:
        pid = self.courier.pid
        assert pid is not None
        return pid

    def stop(self) -> None:
        self._do(self.courier.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        if self.tun is not None:
            self.tun.close()


def way(number: int, family: int = 4, *, local: str = "") -> Way:
    """Over link ``number``."""
    near, far = (
        (f"10.{number}.{number}.78", f"10.{number}.{number}.70")
        if family == 4
        else (f"fd0{number}::78", f"fd0{number}::70")
    )
    return Way(
        exit_name="attic",
        path=f"wan{number}",
        interface=f"wan{number}",
        mode=Mode.ON,
        local=ip_address(local or near),
        remote=ip_address(far),
        port=PORT,
    )


def away_config(method: Method = Method.AES_128_GCM, password: str = PASSWORD) -> Config:
    return Config(
        peers=(
            Peer(name="attic", address=("10.1.1.70",), port=PORT, method=method, password=Secret(password)),
        )
    )


def home_config(method: Method = Method.AES_128_GCM, trust: Iterable[Any] = ()) -> Config:
    return Config(exit=Exit(port=PORT, method=method, password=Secret(PASSWORD), trust=tuple(trust)))
