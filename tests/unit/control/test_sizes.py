"""What becomes of a size that was found: a clamp where the link takes more, and subflows made anew."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from plait.config.model import Mode
from plait.control.keeper import View
from plait.control.sizes import Sizes
from plait.paths.clamping import Clamp
from plait.paths.model import Link, Snapshot, Way


@dataclass
class Keeping:
    """As much of a keeper as is needed."""

    view: View
    clamps: tuple[Clamp, ...] = ()
    renewed: list[str] = field(default_factory=list)
    wakes: int = 0

    def wake(self) -> None:
        self.wakes += 1

    def renew(self, paths: Iterable[str]) -> None:
        self.renewed += paths


def way(name: str) -> Way:
    return Way(
        exit_name="attic",
        path=name,
        interface=name,
        mode=Mode.ON,
        local=ip_address("10.1.1.2"),
        remote=ip_address("10.1.1.70"),
        port=8388,
    )


def keeping() -> Keeping:
    links = tuple(
        Link(index=index, name=name, up=True, carrier=True, mtu=mtu)
        for index, (name, mtu) in enumerate((("wan1", 1500), ("wan2", 1492)), 2)
    )
    return Keeping(View(Snapshot(links=links)))


@pytest.mark.parametrize(
    ("found", "clamps", "renewed"),
    [
        ([("wan1", 1500)], [], []),
        ([("wan2", 1492)], [], []),
        ([("wan1", 1400)], [("wan1", 1400)], ["wan1"]),
        ([("wan1", 1400), ("wan1", 1400)], [("wan1", 1400)], ["wan1"]),
        ([("wan1", 1400), ("wan1", 1300)], [("wan1", 1300)], ["wan1", "wan1"]),
        ([("wan1", 1300), ("wan1", 1400)], [("wan1", 1400)], ["wan1"]),
        ([("wan1", 1400), ("wan1", 1500)], [], ["wan1"]),
        ([("wan2", 1400), ("wan1", 1300)], [("wan1", 1300), ("wan2", 1400)], ["wan2", "wan1"]),
    ],
)
def test_clamps(found: list[tuple[str, int]], clamps: list[tuple[str, int]], renewed: list[str]) -> None:
    keeper = keeping()
    sizes = Sizes(keeper, lambda: (65534, 65534))  # type: ignore[arg-type]

    async def main() -> None:
        for name, mtu in found:
            sizes._took(way(name), mtu)

    asyncio.run(main())
    assert [(each.interface, each.mtu) for each in keeper.clamps] == clamps
    assert keeper.renewed == renewed
