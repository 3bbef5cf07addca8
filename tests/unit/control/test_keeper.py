"""The keeper on a host in memory: what it does when a look at the host goes wrong, and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network

from plait.config.model import Config, Gateway, IPAddress, Path, Peer, Secret
from plait.control.keeper import Keeper, View
from plait.kernel.fake import FakeHost
from plait.paths.model import Address, Interest, Snapshot

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
