"""One small world told to two hosts: the fake one and the real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_interface, ip_network
from socket import if_nametoindex
from typing import Protocol

from plait.config.model import Config, IPAddress
from plait.kernel.api import HostApi
from plait.kernel.fake import FakeHost
from plait.kernel.linux import Host
from plait.paths import policy
from plait.paths.changes import Change
from plait.paths.diff import diff
from plait.paths.model import TABLE_MAIN, Address, Route, Snapshot
from plait.paths.standing import Health

from .namespaces import Namespace


class World(Protocol):
    """What a test does to a host from outside."""

    host: HostApi

    def link(self, name: str, *, carrier: bool = True, up: bool = True, tun: bool = False) -> None:
        """Make a link, or change it."""

    def remove_link(self, name: str) -> None:
        """Pull it out."""

    def address(self, name: str, *addresses: str) -> None:
        """Give a link these addresses and no others."""

    def default(self, name: str, gateway: str) -> None:
        """A default route of the owner's."""

    def strict(self, name: str, value: str) -> None:
        """Set a reverse path filter."""


class FakeWorld:
    def __init__(self) -> None:
        self.fake = FakeHost()
        self.host: HostApi = self.fake

    def link(self, name: str, *, carrier: bool = True, up: bool = True, tun: bool = False) -> None:
        self.fake.set_link(name, carrier=carrier, up=up, point_to_point=tun)

    def remove_link(self, name: str) -> None:
        self.fake.remove_link(name)

    def address(self, name: str, *addresses: str) -> None:
        interfaces = [ip_interface(each) for each in addresses]
        self.fake.set_addresses(
            name, *(Address(index=0, address=each.ip, network=each.network) for each in interfaces)
        )

    def default(self, name: str, gateway: str) -> None:
        hop = ip_interface(gateway).ip
        self.fake.add_route(
            Route(
                dst=ip_network("0.0.0.0/0" if hop.version == 4 else "::/0"),
                oif=self.fake.links[name].index,
                table=TABLE_MAIN,
                gateway=hop,
                metric=self.fake.links[name].index,
            )
        )

    def strict(self, name: str, value: str) -> None:
        self.fake.sysctls[f"net/ipv4/conf/{name}/rp_filter"] = value


class LinuxWorld:
    def __init__(self, here: Namespace) -> None:
        self.here = here
        self.made: set[str] = set()
        with here.inside():
            self.host: HostApi = Host()

    def link(self, name: str, *, carrier: bool = True, up: bool = True, tun: bool = False) -> None:
        if name not in self.made:
            self.made.add(name)
            make = f"ip tuntap add {name} mode tun" if tun else f"ip link add {name} type veth peer p-{name}"
            self.here.sh(make, f"sysctl -qw net.ipv6.conf.{name}.accept_dad=0")
        if not tun:
            self.here.sh(f"ip link set p-{name} {'up' if carrier else 'down'}")
        self.here.sh(f"ip link set {name} {'up' if up else 'down'}")

    def remove_link(self, name: str) -> None:
        self.made.discard(name)
        self.here.sh(f"ip link del {name}")

    def address(self, name: str, *addresses: str) -> None:
        self.here.sh(f"ip addr flush dev {name} scope global")
        self.here.sh(*(f"ip addr add {each} dev {name}" for each in addresses))

    def default(self, name: str, gateway: str) -> None:
        family = "-6" if ":" in gateway else "-4"
        with self.here.inside():
            metric = if_nametoindex(name)
        self.here.sh(f"ip {family} route add default via {gateway} dev {name} onlink metric {metric}")

    def strict(self, name: str, value: str) -> None:
        self.here.sh(f"sysctl -qw net.ipv4.conf.{name}.rp_filter={value}")


@dataclass
class Keeper:
    """The loop of the path keeper, by hand: look, judge, change."""

    world: World
    config: Config
    peers: dict[str, tuple[IPAddress, ...]]
    health: Health = field(default_factory=dict)

    def observe(self) -> Snapshot:
        return self.world.host.observe(policy.interest(self.config, self.peers))

    def changes(self) -> list[Change]:
        snapshot = self.observe()
        return diff(snapshot, policy.desired(self.config, snapshot, self.peers, self.health))

    def turn(self) -> list[str]:
        """One turn; gives what was done, as lines. A second look must find nothing left to do."""
        changes = self.changes()
        assert self.world.host.apply(changes) == []
        assert [change.line() for change in self.changes()] == []
        return [change.line() for change in changes]
