"""Real MPTCP between two namespaces: what the judgement is for.

gateway wan1 10.1.1.78 ──── 10.1.1.70 exit
        wan2 10.2.2.78 ──── 10.2.2.70
             (and 2001:db8:1::/64, 2001:db8:2::/64)
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from plait.config.model import Config, Exit, Gateway, IPAddress, Mode, Path, Peer, Secret
from plait.kernel.linux import Host
from plait.kernel.mptcp_info import IPPROTO_MPTCP, Subflow, is_mptcp, subflows
from plait.kernel.rtnl import open_monitor
from plait.paths import policy
from plait.paths.choice import ways
from plait.paths.diff import diff, teardown
from plait.paths.model import Interest, Way
from plait.paths.standing import Condition, Health, Standing

from .namespaces import Namespace, eventually

PORT = 8388
V4: tuple[IPAddress, ...] = (ip_address("10.1.1.70"), ip_address("10.2.2.70"))
V6: tuple[IPAddress, ...] = (ip_address("2001:db8:1::70"), ip_address("2001:db8:2::70"))


@dataclass
class Pair:
    """A gateway kept by our judgement, and an exit that listens."""

    here: Namespace
    there: Namespace
    host: Host
    listener: socket.socket
    config: Config
    peers: dict[str, tuple[IPAddress, ...]]

    def look(self, health: Health | None = None) -> list[str]:
        snapshot = self.host.observe(policy.interest(self.config, self.peers))
        changes = diff(snapshot, policy.desired(self.config, snapshot, self.peers, health or {}))
        assert self.host.apply(changes) == []
        return [change.line() for change in changes]

    def ways(self) -> tuple[Way, ...]:
        snapshot = self.host.observe(policy.interest(self.config, self.peers))
        return ways(self.config, snapshot, self.peers, {})["attic"]

    def dial(self, way: Way, stack: ExitStack) -> tuple[socket.socket, socket.socket]:
        family = socket.AF_INET6 if way.remote.version == 6 else socket.AF_INET
        near = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP))
        near.settimeout(10)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, way.interface.encode())
        near.bind((str(way.local), 0))
        near.connect((str(way.remote), way.port))
        far, _ = self.listener.accept()
        stack.enter_context(far)
        far.settimeout(10)
        near.sendall(b"ping")
        assert far.recv(4) == b"ping"
        far.sendall(b"pong")
        assert near.recv(4) == b"pong"
        return near, far


@pytest.fixture
def pair(namespace: Callable[[], Namespace]) -> Iterator[Pair]:
    there, here = namespace(), namespace()
    for number in (1, 2):
        here.sh(
            f"ip link add wan{number} type veth peer name e{number} netns {there.path}",
            f"ip addr add 10.{number}.{number}.78/24 dev wan{number}",
            f"ip addr add 2001:db8:{number}::78/64 dev wan{number} nodad",
            f"ip link set wan{number} up",
        )
        there.sh(
            f"ip addr add 10.{number}.{number}.70/24 dev e{number}",
            f"ip addr add 2001:db8:{number}::70/64 dev e{number} nodad",
            f"ip link set e{number} up",
        )
    for each in (here, there):
        # As some distributions have it, and the way that subflows would fail.
        each.sh("sysctl -qw net.ipv4.conf.all.rp_filter=1")
    with there.inside():
        far = Host()
        exit_config = Config(exit=Exit(password=Secret("x")))
        snapshot = far.observe(policy.interest(exit_config, {}))
        assert far.apply(diff(snapshot, policy.desired(exit_config, snapshot, {}, {}))) == []
        far.close()
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, IPPROTO_MPTCP)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", PORT))
        listener.listen()
        listener.settimeout(10)
    config = Config(
        gateway=Gateway(lan=("lan",)),
        peers=(Peer(name="attic", address=("attic",), password=Secret("x")),),
        paths=(Path(interface="wan1", name="wan1"), Path(interface="wan2", name="wan2")),
    )
    with here.inside():
        made = Pair(here, there, Host(), listener, config, {"attic": V4})

        def carriers() -> bool:
            links = made.host.observe(Interest()).links
            return all(link.carrier for link in links if link.name.startswith("wan"))

        eventually(carriers)
        yield made
        made.host.close()
    listener.close()


def sources(connection: socket.socket) -> set[str]:
    return {str(subflow.local) for subflow in subflows(connection)}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("exits", [V4, V6], ids=["ipv4", "ipv6"])
def test_two_subflows_whichever_path_is_first(pair: Pair, first: int, exits: tuple[IPAddress, ...]) -> None:
    """Both go to the address that the first one dialled; the second by way of the exit's other one."""
    pair.peers = {"attic": exits}
    pair.look()
    ways = pair.ways()
    assert [way.interface for way in ways] == ["wan1", "wan2"]
    with ExitStack() as stack:
        near, _far = pair.dial(ways[first], stack)
        assert is_mptcp(near)
        eventually(lambda: len(subflows(near)) == 2)
        assert {subflow.remote for subflow in subflows(near)} == {exits[first]}
        assert sources(near) == {str(way.local) for way in ways}


def test_each_subflow_leaves_by_its_own_link(pair: Pair) -> None:
    pair.look()
    with ExitStack() as stack:
        near, far = pair.dial(pair.ways()[0], stack)
        eventually(lambda: len(subflows(near)) == 2)
        before = pair.host.counters()
        for _ in range(64):
            near.sendall(bytes(65536))
            left = 65536
            while left:
                left -= len(far.recv(left))
        after = pair.host.counters()
        carried = {name: after[name].tx_bytes - before[name].tx_bytes for name in ("wan1", "wan2")}
        assert sum(carried.values()) > 4_000_000
        sent: dict[str, int] = {str(flow.local): flow.bytes_sent for flow in subflows(near)}
        # What the kernel counts by address, the links count too: no subflow strays.
        for name, address in (("wan1", "10.1.1.78"), ("wan2", "10.2.2.78")):
            assert carried[name] >= sent[address] - 10_000
            assert carried[name] <= sent[address] * 1.2 + 10_000


@pytest.mark.parametrize("lost", ["wan1", "wan2"])
def test_a_cut_and_mended_link(pair: Pair, lost: str) -> None:
    """Also the one that the connection was opened over."""
    pair.look()
    ways = pair.ways()
    with ExitStack() as stack:
        near, far = pair.dial(ways[0], stack)
        eventually(lambda: len(subflows(near)) == 2)
        monitor = stack.enter_context(open_monitor())
        peer = lost.replace("wan", "e")
        pair.there.sh(f"ip link set {peer} down")
        assert select.select([monitor], [], [], 10)[0] == [monitor]
        eventually(lambda: any("endpoint delete" in line for line in pair.look()))
        eventually(lambda: len(subflows(near)) == 1)
        near.sendall(b"on we go")
        assert far.recv(8) == b"on we go"
        pair.there.sh(f"ip link set {peer} up")
        eventually(lambda: any("endpoint add" in line for line in pair.look()))
        eventually(lambda: len(subflows(near)) == 2)
        far.sendall(b"and back")
        assert near.recv(8) == b"and back"


def test_a_connection_outlives_the_loss_of_all_links(pair: Pair) -> None:
    pair.look()
    with ExitStack() as stack:
        near, far = pair.dial(pair.ways()[0], stack)
        eventually(lambda: len(subflows(near)) == 2)
        pair.there.sh("ip link set e1 down", "ip link set e2 down")
        eventually(lambda: pair.look() == [] and pair.ways() == ())
        far.sendall(b"are you there?")
        pair.there.sh("ip link set e2 up")
        eventually(lambda: any("endpoint add" in line for line in pair.look()))
        assert near.recv(14) == b"are you there?"


def test_a_bad_path_is_left_and_taken_again(pair: Pair) -> None:
    pair.look()
    with ExitStack() as stack:
        near, _far = pair.dial(pair.ways()[0], stack)
        eventually(lambda: len(subflows(near)) == 2)
        assert pair.look({"wan1": Standing(condition=Condition.DOWN)}) == ["ip mptcp endpoint delete id 201"]
        eventually(lambda: sources(near) == {"10.2.2.78"})
        assert pair.look({"wan1": Standing()}) == ["ip mptcp endpoint add 10.1.1.78 dev wan1 id 201 subflow"]
        eventually(lambda: sources(near) == {"10.1.1.78", "10.2.2.78"})


def test_handover_has_no_subflow_until_it_is_needed(pair: Pair) -> None:
    pair.config = Config(
        gateway=pair.config.gateway,
        peers=pair.config.peers,
        paths=(
            Path(interface="wan1", name="wan1"),
            Path(interface="wan2", name="wan2", mode=Mode.HANDOVER),
        ),
    )
    pair.look()
    assert [way.interface for way in pair.ways()] == ["wan1"]
    with ExitStack() as stack:
        near, far = pair.dial(pair.ways()[0], stack)
        pair.there.sh("ip link set e1 down")
        eventually(lambda: any("endpoint add" in line for line in pair.look()))
        eventually(lambda: sources(near) == {"10.2.2.78"})
        near.sendall(b"over")
        assert far.recv(4) == b"over"
        assert [way.interface for way in pair.ways()] == ["wan2"]


def test_what_is_known_of_a_subflow(pair: Pair) -> None:
    pair.look()
    with ExitStack() as stack:
        near, _far = pair.dial(pair.ways()[0], stack)
        eventually(lambda: len(subflows(near)) == 2)
        by_local: dict[str, Subflow] = {str(flow.local): flow for flow in subflows(near)}
        first = by_local["10.1.1.78"]
        assert (str(first.remote), first.remote_port) == ("10.1.1.70", PORT)
        assert first.local_port == near.getsockname()[1]
        assert 0 < first.rtt_us < 5_000_000
        assert 0 < first.min_rtt_us <= 5_000_000
        assert sum(flow.bytes_sent for flow in by_local.values()) == 4
        assert sum(flow.bytes_received for flow in by_local.values()) == 4
        assert first.segments_retrans == 0


def test_a_connection_that_fell_back_says_so(pair: Pair) -> None:
    pair.there.sh("sysctl -qw net.mptcp.enabled=0")
    with (
        pair.there.inside(),
        socket.create_server(("0.0.0.0", PORT + 1)) as plain,
    ):
        plain.settimeout(10)
        with pair.here.inside(), socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as near:
            near.settimeout(10)
            near.connect(("10.1.1.70", PORT + 1))
            assert not is_mptcp(near)
            assert subflows(near) == ()


def test_the_lines_of_a_plan_can_be_typed(pair: Pair) -> None:
    """What ``plait plan`` prints does, typed into a shell, what plait would have done."""
    pair.here.sh("ip link add lan type veth peer name plan", "ip addr add 192.168.78.1/24 dev lan")
    pair.config = Config(
        gateway=pair.config.gateway,
        peers=pair.config.peers,
        paths=(
            Path(interface="wan1", name="wan1", mode=Mode.MASTER, gateway=(ip_address("10.1.1.70"),)),
            Path(interface="wan2", name="wan2", mode=Mode.BACKUP, gateway=(ip_address("10.77.0.1"),)),
        ),
    )
    pair.peers = {"attic": V4 + V6}
    wanted = policy.interest(pair.config, pair.peers)
    snapshot = pair.host.observe(wanted)
    changes = diff(snapshot, policy.desired(pair.config, snapshot, pair.peers, {}))
    assert len(changes) > 30
    for change in changes:
        pair.here.sh(change.line())
    assert pair.look() == []
    for change in teardown(pair.host.observe(wanted)):
        pair.here.sh(change.line())
    assert teardown(pair.host.observe(wanted)) == []
