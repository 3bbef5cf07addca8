"""The keeper on a host in memory: what it does when a look at the host goes wrong, and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from plait.config.model import Config, Gateway, IPAddress, Path, Peer, Secret
from plait.control import keeper as keeper_module
from plait.control.keeper import Keeper, View
from plait.kernel.fake import FakeHost
from plait.paths.model import Address, Interest, Route, Snapshot
from plait.paths.standing import Condition, Standing

CONFIG = Config(
    gateway=Gateway(lan=("lan",)),
    peers=(Peer(name="attic", address=("10.1.1.70",), password=Secret("x")),),
    paths=(Path(interface="wan1", name="wan1"),),
)
PEERS: dict[str, tuple[IPAddress, ...]] = {"attic": (ip_address("10.1.1.70"),)}


class Shaky(FakeHost):
    """A host at which one cannot look, for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.looks = 0

    def observe(self, interest: Interest) -> Snapshot:
        self.looks += 1
        if self.failures:
            self.failures -= 1
            raise OSError(19, "No such device")
        return super().observe(interest)


def keep(host: Shaky, during: Callable[[Keeper], object], *, until: Callable[[], object]) -> list[View]:
    """Run a keeper until something is true; gives what it told."""
    views: list[View] = []
    kept: list[Mapping[str, str]] = []

    async def main() -> None:
        keeper = Keeper(host, CONFIG, PEERS, changed=views.append, before=kept.append)
        task = asyncio.create_task(keeper.run())
        try:
            during(keeper)
            async with asyncio.timeout(10):
                while not until():
                    await asyncio.sleep(0.01)
                    assert not task.done(), task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            keeper.close()

    asyncio.run(main())
    return views


def test_a_look_that_fails_is_followed_by_another() -> None:
    host = Shaky()
    host.failures = 3
    host.set_link("wan1")
    network = ip_network("10.1.1.0/24")
    host.set_addresses("wan1", Address(index=0, address=ip_address("10.1.1.78"), network=network))
    views = keep(host, lambda keeper: keeper.wake(), until=lambda: host.endpoints)
    assert host.looks > 3
    assert [way.interface for way in views[-1].ways["attic"]] == ["wan1"]


def test_a_path_is_renewed_when_asked_and_when_it_has_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_GAP", 0.8)  # a busy machine must not miss it
    host = Shaky()
    host.set_link("wan1")
    network = ip_network("10.1.1.0/24")
    host.set_addresses("wan1", Address(index=0, address=ip_address("10.1.1.78"), network=network))
    kept: list[Mapping[str, str]] = []
    renewed: list[str] = []

    def steps() -> list[str]:
        found = [type(change).__name__ for change in host.applied if "Endpoint" in type(change).__name__]
        host.applied.clear()
        return found

    async def main() -> None:
        keeper = Keeper(host, CONFIG, PEERS, changed=lambda view: None, before=kept.append)
        keeper.renewed = renewed.append
        try:
            keeper.reconcile()
            assert (steps(), renewed) == (["AddEndpoint"], ["wan1"])
            keeper.renew(["wan1", "wan9"])
            keeper.reconcile()
            assert (steps(), renewed) == (["DeleteEndpoint"], ["wan1"]), "the exit has to hear of it first"
            keeper.reconcile()
            assert steps() == []
            await asyncio.sleep(0.9)
            keeper.reconcile()
            assert (steps(), renewed) == (["AddEndpoint"], ["wan1"] * 2)
            for returns in (0, 1, 1):
                keeper.health = {"wan1": Standing(condition=Condition.UP, returns=returns)}
                keeper.reconcile()
            assert steps() == ["DeleteEndpoint"]
            keeper.health = {"wan1": Standing(condition=Condition.DOWN, returns=1)}
            await asyncio.sleep(0.9)
            keeper.reconcile()
            assert steps() == ["AddEndpoint"], "the only path there is"
        finally:
            keeper.close()

    asyncio.run(main())


def test_an_endpoint_that_health_forbids_goes_before_anything_is_looked_at() -> None:
    host = Shaky()
    for number in (1, 2):
        host.set_link(f"wan{number}")
        network = ip_network(f"10.{number}.1.0/24")
        address = ip_address(f"10.{number}.1.78")
        host.set_addresses(f"wan{number}", Address(index=0, address=address, network=network))
        gateway = ip_address(f"10.{number}.1.1")
        index = host.links[f"wan{number}"].index
        host.add_route(Route(dst=ip_network("0.0.0.0/0"), oif=index, table=254, gateway=gateway))
    config = replace(CONFIG, paths=(*CONFIG.paths, Path(interface="wan2", name="wan2")))

    async def main() -> None:
        keeper = Keeper(host, config, PEERS, changed=lambda view: None, before=lambda _: None)
        try:
            keeper.reconcile()
            assert sorted(host.endpoints) == [201, 202]
            looks = host.looks
            keeper.health = {"wan1": Standing(condition=Condition.DOWN)}
            keeper.sever()
            keeper.sever()
            assert sorted(host.endpoints) == [202]
            assert host.looks == looks
            assert len([change for change in host.applied if type(change).__name__ == "DeleteEndpoint"]) == 1
            keeper.health = {}
            keeper.reconcile()
            assert sorted(host.endpoints) == [201, 202]
        finally:
            keeper.close()

    asyncio.run(main())
