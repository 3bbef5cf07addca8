"""The fake host and the real one are held to the same promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from random import Random

import pytest

from plait.config.model import (
    Config,
    Exit,
    Gateway,
    Intercept,
    IPAddress,
    IPNetwork,
    Mode,
    Path,
    Peer,
    Secret,
)
from plait.paths import policy
from plait.paths.changes import AddEndpoint, AddRule, DeleteEndpoint, LoadTable, PutRoute
from plait.paths.choice import ways
from plait.paths.diff import diff, teardown
from plait.paths.marks import PROTOCOL
from plait.paths.model import Endpoint, EndpointFlags, Interest, PolicyRule, Route
from plait.paths.standing import Condition, Standing

from .namespaces import Namespace, eventually
from .world import FakeWorld, Keeper, LinuxWorld, World

ATTIC: dict[str, tuple[IPAddress, ...]] = {"attic": (ip_address("10.1.1.70"), ip_address("10.2.2.70"))}


def gateway(*paths: Path, intercept: Intercept = Intercept.TPROXY) -> Config:
    return Config(
        gateway=Gateway(lan=("lan",), intercept=intercept),
        peers=(Peer(name="attic", address=("10.1.1.70", "10.2.2.70"), password=Secret("x")),),
        paths=paths,
    )


def path(interface: str, mode: Mode = Mode.ON, via: str | None = None) -> Path:
    hops = (ip_address(via),) if via else ()
    return Path(interface=interface, name=interface, mode=mode, gateway=hops)


def rule(
    priority: int,
    table: int,
    *,
    family: int = 4,
    source: IPNetwork | None = None,
    oif: str | None = None,
    protocol: int = PROTOCOL,
) -> PolicyRule:
    return PolicyRule(
        priority=priority, family=family, table=table, source=source, oif=oif, protocol=protocol
    )


def endpoint(number: int, address: str, ifindex: int = 0) -> Endpoint:
    return Endpoint(id=number, address=ip_address(address), flags=EndpointFlags.SUBFLOW, ifindex=ifindex)


BOTH = gateway(path("wan1"), path("wan2"))


@pytest.fixture(params=["fake", "linux"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    make: Callable[[], Namespace] = request.getfixturevalue("namespace")
    here = make()
    made = LinuxWorld(here)
    with here.inside():  # /proc/sys shows the namespace one is in
        yield made
    made.host.close()


@pytest.fixture
def keeper(world: World) -> Keeper:
    """Two WANs, as in the seeds, and a LAN."""
    world.link("lan")
    world.address("lan", "192.168.78.1/24")
    world.link("wan1")
    world.address("wan1", "10.1.1.78/24")
    world.link("wan2")
    world.address("wan2", "10.2.2.78/24")
    return Keeper(world, BOTH, ATTIC)


def until_carrier(keeper: Keeper, name: str, carrier: bool) -> None:
    def settled() -> bool:
        link = keeper.observe().link(name)
        return link is not None and link.carrier is carrier

    eventually(settled)


def endpoints(keeper: Keeper) -> dict[int, str]:
    return {each.id: str(each.address) for each in keeper.observe().endpoints}


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("intercept", list(Intercept))
def test_applying_twice_changes_nothing(keeper: Keeper, mode: Mode, intercept: Intercept) -> None:
    keeper.config = gateway(path("wan1", mode, via="10.1.1.1"), path("wan2"), intercept=intercept)
    assert keeper.turn()
    assert keeper.turn() == []


def test_teardown_leaves_nothing_of_ours_and_all_of_the_owners(keeper: Keeper) -> None:
    keeper.world.default("wan1", "10.1.1.1")
    before = keeper.observe()
    keeper.turn()
    host = keeper.world.host
    assert host.apply(teardown(host.observe(Interest()))) == []
    after = keeper.observe()
    assert after.rules == ()
    assert after.endpoints == ()
    assert after.nft_digest is None
    assert set(after.routes) == set(before.routes)
    assert teardown(after) == []


def test_leftovers_of_a_crashed_run_are_removed(keeper: Keeper) -> None:
    wan1 = keeper.observe().link("wan1")
    assert wan1 is not None

    def leftover(network: str, table: int) -> PutRoute:
        route = Route(dst=ip_network(network), oif=wan1.index, table=table, metric=7, protocol=PROTOCOL)
        return PutRoute(route, "wan1")

    leftovers = [
        leftover("10.1.1.0/24", 18850),
        leftover("2001:db8::/64", 18851),
        AddRule(rule(850, 18850, source=ip_network("10.9.9.9"))),
        AddRule(rule(850, 18850, family=6, oif="gone0")),
        AddEndpoint(endpoint(208, "10.9.9.9", ifindex=wan1.index), "wan1"),
    ]
    assert keeper.world.host.apply(leftovers) == []
    keeper.turn()
    after = keeper.observe()
    assert {rule.priority for rule in after.rules}.isdisjoint({850})
    assert {route.table for route in after.routes}.isdisjoint({18850, 18851})
    assert 208 not in endpoints(keeper)


def test_other_programs_things_are_left_alone(keeper: Keeper) -> None:
    foreign = [
        AddRule(rule(850, 100, source=ip_network("10.9.9.9"), protocol=4)),
        AddRule(rule(1001, 100, source=ip_network("10.9.9.8"))),
        AddEndpoint(endpoint(3, "10.9.9.9"), "lo"),
    ]
    assert keeper.world.host.apply(foreign) == []
    keeper.turn()
    assert keeper.world.host.apply(teardown(keeper.observe())) == []
    assert endpoints(keeper) == {3: "10.9.9.9"}


def test_a_lost_carrier_takes_that_endpoint_first_of_all(keeper: Keeper) -> None:
    keeper.turn()
    assert endpoints(keeper) == {201: "10.1.1.78", 202: "10.2.2.78"}
    keeper.world.link("wan2", carrier=False)
    until_carrier(keeper, "wan2", False)
    changes = keeper.changes()
    assert isinstance(changes[0], DeleteEndpoint)
    assert changes[0].endpoint.id == 202
    keeper.turn()
    assert endpoints(keeper) == {201: "10.1.1.78"}
    keeper.world.link("wan2")
    until_carrier(keeper, "wan2", True)
    assert keeper.turn()[-1] == "ip mptcp endpoint add 10.2.2.78 dev wan2 id 202 subflow"


def test_carriers_are_known_at_once(keeper: Keeper) -> None:
    """Also the second of two that are lost together, whose event the kernel holds back."""
    host = keeper.world.host
    eventually(lambda: host.carriers(("wan1", "wan2", "wan9")) == (True, True, False))
    keeper.world.link("wan1", carrier=False)
    keeper.world.link("wan2", carrier=False)
    assert host.carriers(("wan1", "wan2")) == (False, False)
    assert [link.carrier for link in keeper.observe().links if link.name.startswith("wan")] == [False, False]
    keeper.world.link("wan2")
    eventually(lambda: host.carriers(("wan1", "wan2")) == (False, True))
    keeper.world.link("wan2", up=False)
    assert host.carriers(("wan2",)) == (False,)


def test_a_link_set_down_loses_its_routes_and_gets_them_again(keeper: Keeper) -> None:
    keeper.turn()
    whole = keeper.observe()
    keeper.world.link("wan1", up=False)
    keeper.turn()
    assert not [route for route in keeper.observe().routes if route.table == 18801]
    keeper.world.link("wan1")
    until_carrier(keeper, "wan1", True)
    keeper.turn()
    again = keeper.observe()
    assert set(again.rules) == set(whole.rules)
    assert {route for route in again.routes if route.table == 18801} == {
        route for route in whole.routes if route.table == 18801
    }


def test_a_new_address_gives_a_new_endpoint(keeper: Keeper) -> None:
    keeper.turn()
    keeper.world.address("wan2", "10.2.2.99/24")
    lines = keeper.turn()
    assert lines[0] == "ip mptcp endpoint delete id 202"
    assert lines[-1] == "ip mptcp endpoint add 10.2.2.99 dev wan2 id 202 subflow"
    assert "ip rule add pref 821 from 10.2.2.99 lookup 18802 protocol 178" in lines
    assert "ip rule delete pref 821 from 10.2.2.78 lookup 18802 protocol 178" in lines


def test_an_address_that_has_gone_leaves_no_endpoint(keeper: Keeper) -> None:
    keeper.turn()
    keeper.world.address("wan2")
    keeper.turn()
    assert endpoints(keeper) == {201: "10.1.1.78"}


def test_a_link_that_comes_back_as_another_device(keeper: Keeper) -> None:
    keeper.turn()
    keeper.world.remove_link("wan1")
    keeper.turn()
    assert endpoints(keeper) == {202: "10.2.2.78"}
    keeper.world.link("spare")  # takes the index that was free
    keeper.world.link("wan1")
    keeper.world.address("wan1", "10.1.1.78/24")
    until_carrier(keeper, "wan1", True)
    keeper.turn()
    snapshot = keeper.observe()
    wan1 = snapshot.link("wan1")
    assert wan1 is not None
    assert {each.ifindex for each in snapshot.endpoints if each.id == 201} == {wan1.index}
    assert {route.oif for route in snapshot.routes if route.table == 18801} == {wan1.index}


def test_backup_is_switched_on_live_connections(keeper: Keeper) -> None:
    keeper.turn()
    keeper.config = gateway(path("wan1"), path("wan2", Mode.BACKUP))
    assert keeper.turn() == ["ip mptcp endpoint change id 202 backup"]
    keeper.config = BOTH
    assert keeper.turn() == ["ip mptcp endpoint change id 202 nobackup"]


def standing(condition: Condition = Condition.UP, *, benched: str = "", lingering: bool = False) -> Standing:
    return Standing(condition=condition, benched=benched, lingering=lingering)


def test_a_silent_path_loses_its_endpoint_first_of_all_and_gets_it_again(keeper: Keeper) -> None:
    keeper.turn()
    keeper.health = {"wan1": standing(Condition.DOWN)}
    assert keeper.turn()[0] == "ip mptcp endpoint delete id 201"
    keeper.health = {"wan1": standing(Condition.RETURNING)}
    assert keeper.turn() == []
    keeper.health = {"wan1": standing()}
    assert keeper.turn() == ["ip mptcp endpoint add 10.1.1.78 dev wan1 id 201 subflow"]


def test_when_all_are_silent_nothing_is_touched(keeper: Keeper) -> None:
    keeper.turn()
    keeper.health = {"wan1": standing(Condition.LOST), "wan2": standing(Condition.LOST)}
    assert keeper.turn() == []
    keeper.health = {"wan1": standing(Condition.DOWN), "wan2": standing(Condition.DOWN)}
    assert keeper.turn() == []


def test_a_benched_path_is_a_backup_as_long_as_somebody_plays(keeper: Keeper) -> None:
    keeper.turn()
    keeper.health = {"wan2": standing(benched="it hurts")}
    assert keeper.turn() == ["ip mptcp endpoint change id 202 backup"]
    keeper.health = {"wan1": standing(Condition.DOWN), "wan2": standing(benched="it hurts")}
    assert keeper.turn() == ["ip mptcp endpoint delete id 201", "ip mptcp endpoint change id 202 nobackup"]


def test_a_handover_path_comes_when_needed_and_leaves_last(keeper: Keeper) -> None:
    keeper.config = gateway(path("wan1"), path("wan2", Mode.HANDOVER))
    keeper.turn()
    assert endpoints(keeper) == {201: "10.1.1.78"}
    keeper.health = {"wan1": standing(Condition.DOWN), "wan2": standing()}
    assert keeper.turn() == [
        "ip mptcp endpoint delete id 201",
        "ip mptcp endpoint add 10.2.2.78 dev wan2 id 202 subflow",
    ]
    keeper.health = {"wan1": standing(), "wan2": standing(lingering=True)}
    assert keeper.turn() == [
        "ip mptcp endpoint change id 202 backup",
        "ip mptcp endpoint add 10.1.1.78 dev wan1 id 201 subflow",
    ]
    keeper.health = {"wan1": standing(), "wan2": standing()}
    assert keeper.turn() == ["ip mptcp endpoint delete id 202"]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_in_whatever_order(keeper: Keeper, seed: int) -> None:
    """The same story told to both hosts. After each sentence one turn is enough, and at the end all of
    it can be undone."""
    rnd = Random(seed)
    world = keeper.world
    told = {"wan1": "10.1.1.78/24", "wan2": "10.2.2.78/24"}
    modes = dict.fromkeys(told, Mode.ON)
    gone: set[str] = set()
    for _ in range(25):
        name = rnd.choice(list(told))
        what = rnd.choice(["carrier", "up", "address", "mode", "health", "pull"])
        if what == "pull" or name in gone:
            if name in gone:
                gone.discard(name)
                world.link(name)
                world.address(name, told[name])
            else:
                gone.add(name)
                world.remove_link(name)
        elif what == "carrier":
            carrier = rnd.random() < 0.5
            world.link(name, carrier=carrier)
            until_carrier(keeper, name, carrier)
        elif what == "up":
            world.link(name, up=False)
            keeper.turn()
            world.link(name)
            until_carrier(keeper, name, True)
        elif what == "address":
            told[name] = f"10.{name[3:]}.{name[3:]}.{rnd.randrange(2, 69)}/24"
            world.address(name, told[name])
        elif what == "mode":
            modes[name] = rnd.choice(list(Mode))
            keeper.config = gateway(*(path(each, mode) for each, mode in modes.items()))
        else:
            condition = rnd.choice(list(Condition))
            keeper.health = {
                **keeper.health,
                name: standing(condition, benched=rnd.choice(["", "it hurts"]), lingering=rnd.random() < 0.3),
            }
        keeper.turn()
        snapshot = keeper.observe()
        ready = {each.name for each in snapshot.links if each.carrier and each.name in told}
        wanted = {each for each in ready if modes[each] is not Mode.OFF}
        assert bool(snapshot.endpoints) is bool(wanted)
    assert world.host.apply(teardown(keeper.observe())) == []
    after = keeper.observe()
    assert (after.rules, after.endpoints, after.nft_digest) == ((), (), None)
    assert [each for each in after.routes if each.protocol == PROTOCOL] == []


def test_two_identical_modems(keeper: Keeper) -> None:
    """The same subnet and the same gateway on both; the tables keep them apart."""
    keeper.world.address("wan1", "192.168.8.100/24")
    keeper.world.address("wan2", "192.168.8.101/24")
    keeper.world.default("wan1", "192.168.8.1")
    keeper.world.default("wan2", "192.168.8.1")
    keeper.turn()
    snapshot = keeper.observe()
    for name, table in (("wan1", 18801), ("wan2", 18802)):
        link = snapshot.link(name)
        assert link is not None
        ours = [route for route in snapshot.routes if route.table == table]
        assert {route.oif for route in ours} == {link.index}
        assert {str(route.gateway) for route in ours if route.dst.prefixlen == 0} == {"192.168.8.1"}
    found = ways(keeper.config, snapshot, keeper.peers, {})["attic"]
    assert [(way.interface, str(way.local)) for way in found] == [
        ("wan1", "192.168.8.100"),
        ("wan2", "192.168.8.101"),
    ]
    assert endpoints(keeper) == {201: "192.168.8.100", 202: "192.168.8.101"}


def test_modems_that_give_the_very_same_address(keeper: Keeper) -> None:
    """The path manager knows addresses only: the second link is dialled, but gets no endpoint."""
    keeper.world.address("wan1", "192.168.8.100/24")
    keeper.world.address("wan2", "192.168.8.100/24")
    keeper.world.default("wan1", "192.168.8.1")
    keeper.world.default("wan2", "192.168.8.1")
    keeper.turn()
    assert endpoints(keeper) == {201: "192.168.8.100"}
    snapshot = keeper.observe()
    state = policy.desired(keeper.config, snapshot, keeper.peers, {})
    assert state.notes == (
        "wan2: 192.168.8.100 is the address of another link too; MPTCP can use it on one link only",
    )
    assert len(ways(keeper.config, snapshot, keeper.peers, {})["attic"]) == 2


def test_a_gateway_that_changes_is_replaced(keeper: Keeper) -> None:
    keeper.world.address("wan1", "10.1.1.78/24", "2001:db8:1::78/64")
    for hops in (("10.1.1.1", "2001:db8:1::1"), ("10.1.1.2", "fe80::2"), ("10.7.7.7", "2001:db8:77::1")):
        keeper.config = gateway(
            Path(interface="wan1", name="wan1", gateway=tuple(ip_address(hop) for hop in hops))
        )
        keeper.turn()
        defaults = [
            route for route in keeper.observe().routes if route.table == 18801 and route.dst.prefixlen == 0
        ]
        assert {str(route.gateway) for route in defaults} == set(hops)
        assert [route.onlink for route in defaults] == [hops[0] == "10.7.7.7"] * 2


def test_a_tunnel_needs_no_next_hop(keeper: Keeper) -> None:
    keeper.world.link("tun0", tun=True)
    keeper.world.address("tun0", "10.8.0.2/24")
    keeper.config = gateway(path("tun0"), path("wan2"))
    keeper.turn()
    defaults = [
        route for route in keeper.observe().routes if route.table == 18801 and route.dst.prefixlen == 0
    ]
    assert [route.gateway for route in defaults] == [None]


def test_the_ruleset_is_loaded_once_and_again_when_it_changes_or_is_lost(keeper: Keeper) -> None:
    keeper.turn()
    assert not [change for change in keeper.changes() if isinstance(change, LoadTable)]
    keeper.peers = {"attic": (ip_address("198.51.100.7"),)}
    keeper.turn()
    snapshot = keeper.observe()
    wanted = policy.desired(keeper.config, snapshot, keeper.peers, {}).ruleset
    assert wanted is not None
    assert snapshot.nft_digest == wanted.digest


def test_strict_reverse_path_filters_are_loosened(keeper: Keeper) -> None:
    keeper.world.strict("all", "1")
    keeper.world.strict("wan1", "0")
    keeper.world.strict("wan2", "2")
    filters = [line for line in keeper.turn() if "rp_filter" in line]
    assert filters == ["sysctl -w net/ipv4/conf/wan1/rp_filter=2"]  # the larger of the two is what counts


def test_a_filter_that_is_off_stays_off(keeper: Keeper) -> None:
    for name in ("all", "wan1", "wan2"):
        keeper.world.strict(name, "0")
    assert not [line for line in keeper.turn() if "rp_filter" in line]


def test_an_exit_sets_limits_and_sysctls_only(keeper: Keeper) -> None:
    keeper.config = Config(exit=Exit(password=Secret("x")))
    keeper.peers = {}
    lines = keeper.turn()
    assert "ip mptcp limits set subflows 8 add_addr_accepted 8" in lines
    assert all(line.startswith(("sysctl", "ip mptcp limits")) for line in lines)


def test_what_went_away_meanwhile_is_no_failure(keeper: Keeper) -> None:
    changes = keeper.changes()
    keeper.world.remove_link("wan2")
    assert keeper.world.host.apply(changes) == []
    assert keeper.world.host.apply(teardown(keeper.observe())) == []
    keeper.turn()
    down = teardown(keeper.observe())
    assert keeper.world.host.apply(down) == []
    assert keeper.world.host.apply(down) == []


def test_a_refusal_is_collected_and_the_rest_is_done(keeper: Keeper) -> None:
    wan1 = keeper.observe().link("wan1")
    assert wan1 is not None

    route = Route(dst=ip_network("10.5.0.0/16"), oif=wan1.index, table=18801, metric=1024, protocol=PROTOCOL)
    failures = keeper.world.host.apply(
        [
            AddEndpoint(endpoint(201, "10.1.1.78", ifindex=wan1.index), "wan1"),
            AddEndpoint(endpoint(202, "10.1.1.78", ifindex=wan1.index), "wan1"),
            PutRoute(route, "wan1"),
        ]
    )
    assert len(failures) == 1
    assert failures[0].message.startswith("ip mptcp endpoint add 10.1.1.78 dev wan1 id 202 subflow: ")
    assert route in keeper.observe().routes


def test_teardown_of_an_untouched_host_is_empty(keeper: Keeper) -> None:
    assert teardown(keeper.observe()) == []
    assert diff(keeper.observe(), policy.desired(Config(), keeper.observe(), {}, {})) == []
