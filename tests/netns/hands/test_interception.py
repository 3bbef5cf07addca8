"""The rules in a real kernel: who is taken, who is not, and what happens at the edges.

client 192.168.78.107 ── lan gateway wan1 ── the Internet (answers on every address)
       2001:db8:78::107
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from plait.config.model import (
    Config,
    Gateway,
    Intercept,
    IPAddress,
    Path,
    Peer,
    Rule,
    Secret,
    Verdict,
    WhenExitLost,
)
from plait.kernel import nft
from plait.kernel.linux import Host
from plait.paths import intercept, policy
from plait.paths.diff import diff

from .namespaces import Namespace

DEADLINE = 5.0
PORTS = (25, 80, 443, 1080, 8050)
EXITS: dict[str, tuple[IPAddress, ...]] = {
    "attic": (ip_address("10.1.1.70"), ip_address("198.51.100.70")),
    "vps": (ip_address("198.51.100.1"), ip_address("2001:db8:ffff::1")),
}


def listening(address: str, port: int, *, transparent: bool = False) -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if transparent:
        made.setsockopt(socket.IPPROTO_IP, 19, 1)
        made.setsockopt(socket.IPPROTO_IPV6, 75, 1)
    made.bind((address, port))
    made.listen()
    made.settimeout(DEADLINE)
    return made


@dataclass
class Edge:
    """A gateway with a client before it and the Internet behind it."""

    here: Namespace
    client: Namespace
    neighbour: Namespace
    internet: Namespace
    host: Host
    stack: ExitStack
    config: Config
    ours: dict[int, socket.socket] = field(default_factory=dict)
    theirs: dict[int, socket.socket] = field(default_factory=dict)

    def load(self, *, taking: bool = True, listen: bool = True, **gateway: object) -> None:
        """Put the rules of the config in place, and a listener for each exit."""
        assert self.config.gateway is not None
        self.config = replace(self.config, gateway=replace(self.config.gateway, **gateway))  # type: ignore[arg-type]
        snapshot = self.host.observe(policy.interest(self.config, EXITS))
        wanted = policy.desired(self.config, snapshot, EXITS, {}, taking=taking)
        assert self.host.apply(diff(snapshot, wanted)) == []
        if listen:
            transparent = self.config.gateway is not None and (
                self.config.gateway.intercept is Intercept.TPROXY
            )
            for port in intercept.ports(self.config).values():
                if port not in self.ours:
                    made = listening("::", port, transparent=transparent)
                    self.ours[port] = self.stack.enter_context(made)

    def connect(self, address: str, port: int, source: str | None = None) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.client.inside():
            made = self.stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        made.settimeout(DEADLINE)
        if source:
            made.bind((source, 0))
        made.connect((address, port))
        return made

    def fate(self, address: str, port: int = 80, source: str | None = None) -> str:
        """Where a connection of the client's ends: ``direct``, ``refused``, or the port that took it."""
        try:
            made = self.connect(address, port, source)
        except ConnectionRefusedError:
            return "refused"
        made.sendall(b"who are you?")
        mine = made.getsockname()[:2]
        for name, listeners in (("taken", self.ours), ("direct", self.theirs)):
            for number, listener in listeners.items():
                listener.setblocking(False)
                try:
                    accepted, peer = listener.accept()
                except BlockingIOError:
                    continue
                with accepted:
                    assert peer[0].removeprefix("::ffff:") == mine[0]
                    accepted.settimeout(DEADLINE)
                    assert accepted.recv(100) == b"who are you?"  # the later packets come the same way
                    accepted.sendall(b"it is me")
                    assert made.recv(100) == b"it is me"
                    if name == "taken":
                        assert original(accepted) == (address, port)
                    made.close()
                    return f"taken {number}" if name == "taken" else "direct"
        raise AssertionError("connected, and nobody has it")


def original(accepted: socket.socket) -> tuple[str, int]:
    """Where the client wanted to go: REDIRECT keeps it in conntrack, TPROXY in the socket's own name."""
    if ":" not in accepted.getsockname()[0] or accepted.getsockname()[0].startswith("::ffff:"):
        try:
            raw = accepted.getsockopt(socket.IPPROTO_IP, 80, 16)
            return socket.inet_ntoa(raw[4:8]), struct.unpack_from("!H", raw, 2)[0]
        except OSError:
            pass
    else:
        try:
            raw = accepted.getsockopt(socket.IPPROTO_IPV6, 80, 28)
            return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack_from("!H", raw, 2)[0]
        except OSError:
            pass
    address, port = accepted.getsockname()[:2]
    return address.removeprefix("::ffff:"), port


@pytest.fixture(params=list(Intercept), ids=lambda each: each.value)
def edge(request: pytest.FixtureRequest, namespace: Callable[[], Namespace]) -> Iterator[Edge]:
    client, neighbour, here, internet = namespace(), namespace(), namespace(), namespace()
    here.sh(
        f"ip link add lan type veth peer name eth0 netns {client.path}",
        f"ip link add lan2 type veth peer name eth0 netns {neighbour.path}",
        f"ip link add wan1 type veth peer name eth0 netns {internet.path}",
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        "sysctl -qw net.ipv4.conf.all.rp_filter=2",
        "ip addr add 192.168.78.1/24 dev lan && ip -6 addr add 2001:db8:78::1/64 dev lan nodad",
        "ip addr add 192.168.79.1/24 dev lan2",
        "ip addr add 10.1.1.78/24 dev wan1 && ip -6 addr add 2001:db8:1::78/64 dev wan1 nodad",
        "ip link set lan up && ip link set lan2 up && ip link set wan1 up",
        "ip route add default via 10.1.1.1 && ip -6 route add default via 2001:db8:1::1",
    )
    client.sh(
        "ip link set eth0 up && ip addr add 192.168.78.107/24 dev eth0",
        "ip addr add 192.168.78.108/24 dev eth0 && ip -6 addr add 2001:db8:78::107/64 dev eth0 nodad",
        "ip route add default via 192.168.78.1 && ip -6 route add default via 2001:db8:78::1",
    )
    neighbour.sh(
        "ip link set eth0 up && ip addr add 192.168.79.9/24 dev eth0 && ip addr add 192.0.2.9/32 dev lo",
        "ip route add default via 192.168.79.1",
    )
    internet.sh(
        "ip link set eth0 up && ip addr add 10.1.1.1/24 dev eth0",
        "ip addr add 10.1.1.70/24 dev eth0 && ip -6 addr add 2001:db8:1::1/64 dev eth0 nodad",
        "ip route add 192.168.78.0/24 via 10.1.1.78 && ip -6 route add 2001:db8:78::/64 via 2001:db8:1::78",
        # It answers on every address there is.
        "ip route add local 0.0.0.0/1 dev lo && ip route add local 128.0.0.0/1 dev lo",
        "ip -6 route add local 2001:db8:5000::/36 dev lo && ip -6 route add local fd00::/8 dev lo",
        "ip -6 route add local 2001:db8:ffff::/48 dev lo",
    )
    config = Config(
        gateway=Gateway(lan=("lan", "lan2"), intercept=request.param),
        peers=(
            Peer(name="attic", address=("10.1.1.70",), password=Secret("x")),
            Peer(name="vps", address=("198.51.100.1",), password=Secret("x")),
        ),
        paths=(Path(interface="wan1", name="wan1"),),
    )
    with ExitStack() as stack, here.inside():
        made = Edge(here, client, neighbour, internet, Host(), stack, config)
        with internet.inside():
            for port in PORTS:
                made.theirs[port] = stack.enter_context(listening("::", port))
        yield made
        made.host.close()


def test_who_is_taken(edge: Edge) -> None:
    edge.load(bypass=(IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:5009::/48")))
    assert {address: edge.fate(address) for address in (
        "192.0.2.7", "198.18.0.1", "2001:db8:5000::7",
        "10.9.9.9", "172.16.0.1", "192.168.70.7", "100.64.0.1", "fd00:9::1",
        "203.0.113.7", "2001:db8:5009::7",
        "10.1.1.70", "198.51.100.70", "2001:db8:ffff::1",
    )} == {
        # public, and documentation and benchmark ranges
        "192.0.2.7": "taken 1080", "198.18.0.1": "taken 1080", "2001:db8:5000::7": "taken 1080",
        # reserved ranges
        "10.9.9.9": "direct", "172.16.0.1": "direct", "192.168.70.7": "direct",
        "100.64.0.1": "direct", "fd00:9::1": "direct",
        # the owner's bypass
        "203.0.113.7": "direct", "2001:db8:5009::7": "direct",
        # the exits themselves
        "10.1.1.70": "direct", "198.51.100.70": "direct", "2001:db8:ffff::1": "direct",
    }  # fmt: skip


def test_rules_in_order(edge: Edge) -> None:
    edge.config = replace(
        edge.config,
        rules=(
            Rule(to="vps", source=(IPv4Network("192.168.78.108/32"),)),
            Rule(to=Verdict.BLOCK, port=((25, 25), (8000, 8100))),
            Rule(to="vps", destination=(IPv4Network("192.168.70.0/24"), IPv6Network("fd00:70::/64"))),
            Rule(to=Verdict.DIRECT, port=((443, 443),)),
        ),
    )
    edge.load(bypass=(IPv4Network("192.168.70.99/32"),))
    first, second = "192.168.78.107", "192.168.78.108"
    assert [
        edge.fate("192.0.2.7", 80, first),
        edge.fate("192.0.2.7", 80, second),
        edge.fate("192.0.2.7", 25, first),
        edge.fate("192.0.2.7", 25, second),
        edge.fate("2001:db8:5000::7", 8050),
        edge.fate("192.0.2.7", 443, first),
        edge.fate("192.168.70.7", 80, first),
        edge.fate("fd00:70::7"),
        edge.fate("192.168.70.99", 80, first),
        edge.fate("192.168.71.7", 25, first),
    ] == [
        "taken 1080",
        "taken 1081",
        "refused",
        "taken 1081",  # the first match wins
        "refused",
        "direct",
        "taken 1081",  # a named destination beats the reserved ranges
        "taken 1081",
        "direct",  # bypass beats every rule
        "direct",  # a rule that names none does not reach into them
    ]


def test_what_is_routed_back_into_the_lan_is_left_alone(edge: Edge) -> None:
    """Also when a rule names it."""
    edge.config = replace(edge.config, rules=(Rule(to="vps", destination=(IPv4Network("192.0.2.0/24"),)),))
    edge.here.sh("ip route add 192.0.2.0/25 via 192.168.79.9 dev lan2")
    edge.load()
    with edge.neighbour.inside():
        home = edge.stack.enter_context(listening("::", 80))
    edge.connect("192.0.2.9", 80)
    accepted, _ = home.accept()
    accepted.close()
    assert edge.fate("192.0.2.200") == "taken 1081"


def test_what_was_there_before_goes_on(edge: Edge) -> None:
    """Starting plait cuts nobody off."""
    made = edge.connect("192.0.2.7", 80)
    accepted, _ = edge.theirs[80].accept()
    edge.load()
    with accepted:
        made.sendall(b"still there?")
        assert accepted.recv(100) == b"still there?"
        accepted.sendall(b"yes")
        assert made.recv(100) == b"yes"


def test_a_reload_keeps_what_is_taken(edge: Edge) -> None:
    edge.load()
    made = edge.connect("192.0.2.7", 80)
    accepted, _ = edge.ours[1080].accept()
    edge.load(bypass=(IPv4Network("203.0.113.0/24"),))
    with accepted:
        accepted.settimeout(DEADLINE)
        made.sendall(b"still there?")
        assert accepted.recv(100) == b"still there?"
        accepted.sendall(b"yes")
        assert made.recv(100) == b"yes"


@pytest.mark.parametrize("way", list(WhenExitLost))
def test_while_no_exit_answers(edge: Edge, way: WhenExitLost) -> None:
    edge.load(when_exit_lost=way)
    made = edge.connect("192.0.2.7", 80)
    accepted, _ = edge.ours[1080].accept()
    edge.load(taking=False)
    assert edge.fate("192.0.2.8") == ("refused" if way is WhenExitLost.BLOCK else "direct")
    assert edge.fate("2001:db8:5000::7") == ("refused" if way is WhenExitLost.BLOCK else "direct")
    assert edge.fate("10.9.9.9") == "direct"
    with accepted:
        accepted.settimeout(DEADLINE)
        made.sendall(b"kept")
        assert accepted.recv(100) == b"kept"
    edge.load(taking=True)
    assert edge.fate("192.0.2.8") == "taken 1080"


def test_the_interceptors_port_is_closed_to_everyone(edge: Edge) -> None:
    """Somebody who talks to it directly would make it dial itself."""
    edge.load()
    assert edge.fate("192.168.78.1", 1080) == "refused"
    assert edge.fate("10.1.1.78", 1080) == "refused"
    with (
        edge.internet.inside(),
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as outside,
    ):
        outside.settimeout(DEADLINE)
        outside.bind(("10.1.1.1", 0))
        with pytest.raises(ConnectionRefusedError):
            outside.connect(("10.1.1.78", 1081))
    assert edge.fate("192.0.2.7", 1080) == "taken 1080"  # somebody else's port of that number is taken


def test_without_a_listener_tproxy_lets_pass(edge: Edge) -> None:
    """Workers that are all dead do not cut the LAN off (and REDIRECT says no at once)."""
    edge.load(listen=False)
    assert edge.config.gateway is not None
    tproxy = edge.config.gateway.intercept is Intercept.TPROXY
    assert edge.fate("192.0.2.7") == ("direct" if tproxy else "refused")


def test_a_close_passes_through_the_last_states(edge: Edge) -> None:
    """Half-close and TIME_WAIT are met by sockets that nft can't ask for ``wildcard``."""
    edge.load()
    for _ in range(3):
        made = edge.connect("192.0.2.7", 1080)  # the port for which the second rule is not
        accepted, _ = edge.ours[1080].accept()
        accepted.settimeout(DEADLINE)
        with accepted:
            made.shutdown(socket.SHUT_WR)
            assert accepted.recv(10) == b""
            accepted.sendall(b"answer")
            accepted.shutdown(socket.SHUT_WR)
            assert made.recv(10) == b"answer"
            assert made.recv(10) == b""
        made.close()


def test_other_bits_of_the_mark_are_kept(edge: Edge) -> None:
    edge.load()
    assert edge.config.gateway is not None
    tproxy = edge.config.gateway.intercept is Intercept.TPROXY
    nft.run(
        "table inet other {\n"
        "chain before {\ntype filter hook prerouting priority -190; policy accept;\n"
        "iifname lan meta mark set 0xa0000042\n}\n"
        "chain after {\ntype filter hook input priority 0; policy accept;\n"
        f"meta mark {'0xa1000042' if tproxy else '0xa0000042'} counter\n"
        "}\n}\n"
    )
    assert edge.fate("192.0.2.7") == "taken 1080"
    assert "counter packets 0" not in edge.here.sh("nft list chain inet other after")
