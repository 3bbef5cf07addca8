"""Hosts told in a few words, for the tests of the judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from plait.config.model import Config, Gateway, IPAddress, IPNetwork, Mode, Path, Peer, Secret
from plait.paths.model import TABLE_MAIN, Address, Link, Route, Snapshot
from plait.paths.standing import Condition, Health, Standing

LAN = Gateway(lan=("lan",))
ATTIC: dict[str, tuple[IPAddress, ...]] = {"attic": (ip_address("10.1.1.70"), ip_address("10.2.2.70"))}
FAR: dict[str, tuple[IPAddress, ...]] = {"attic": (ip_address("198.51.100.7"), ip_address("2001:db8:f::7"))}

_LINKS = ("lo", "lan", "wan1", "wan2", "wan3", "tun0")


def index(name: str) -> int:
    return _LINKS.index(name) + 1


def config(*paths: Path, peers: tuple[str, ...] = ("attic",), gateway: Gateway = LAN) -> Config:
    return Config(
        gateway=gateway,
        peers=tuple(Peer(name=name, address=(name,), password=Secret("x")) for name in peers),
        paths=paths,
    )


def path(interface: str, mode: Mode = Mode.ON, via: tuple[str, ...] = ()) -> Path:
    return Path(
        interface=interface, name=interface, mode=mode, gateway=tuple(ip_address(each) for each in via)
    )


def host(**links: str) -> Snapshot:
    """A host whose links have these addresses: ``wan1="10.1.1.78/24 2001:db8:1::78/64"``.

    The words ``down`` and ``no-carrier`` say so of the link. lo and lan are always there.
    """
    made = [Link(index=1, name="lo", up=True, carrier=True, loopback=True)]
    addresses = []
    for name, words in {"lan": "192.168.78.1/24", **links}.items():
        up, carrier = "down" not in words.split(), "no-carrier" not in words.split()
        made.append(
            Link(
                index=index(name),
                name=name,
                up=up,
                carrier=up and carrier,
                point_to_point=name.startswith("tun"),
            )
        )
        for word in words.split():
            if word not in ("down", "no-carrier"):
                addresses.append(address(name, word))
    return Snapshot(links=tuple(made), addresses=tuple(addresses))


def address(name: str, text: str, *, ready: bool = True, secondary: bool = False) -> Address:
    interface = ip_interface(text)
    return Address(
        index=index(name),
        address=interface.ip,
        network=interface.network,
        ready=ready,
        secondary=secondary,
    )


def route(text: str, table: int = TABLE_MAIN, protocol: int = 4) -> Route:
    """``default via 10.1.1.1 dev wan1 metric 100``, as ip says it."""
    words = text.split()
    options = dict(zip(words[1::2], words[2::2], strict=True))
    gateway = ip_address(options["via"]) if "via" in options else None
    version = gateway.version if gateway else 4
    everything: IPNetwork = ip_network("0.0.0.0/0" if version == 4 else "::/0")
    return Route(
        dst=everything if words[0] == "default" else ip_network(words[0]),
        oif=index(options["dev"]),
        table=table,
        gateway=gateway,
        metric=int(options.get("metric", "0")),
        protocol=protocol,
    )


def with_routes(snapshot: Snapshot, *texts: str) -> Snapshot:
    return replace(snapshot, routes=snapshot.routes + tuple(route(text) for text in texts))


def with_addresses(snapshot: Snapshot, *addresses: Address) -> Snapshot:
    return replace(snapshot, addresses=snapshot.addresses + addresses)


DOWN = Standing(condition=Condition.DOWN)
UP = Standing(condition=Condition.UP)


def told(health: Mapping[str, bool] | None) -> Health:
    """Health in the fewest words: up or down."""
    return {name: UP if up else DOWN for name, up in (health or {}).items()}
