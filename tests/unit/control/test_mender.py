from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from plait.config.model import Mode
from plait.control.keeper import View
from plait.control.mender import Mender
from plait.paths.model import Way
from plait.paths.standing import Condition, Standing
from plait.relay.orders import Lacking

UP, DOUBT = Standing(condition=Condition.UP), Standing(condition=Condition.DOUBT)


def way(path: str, local: str) -> Way:
    return Way(
        exit_name="attic",
        path=path,
        interface=path,
        mode=Mode.ON,
        local=ip_address(local),
        remote=ip_address("10.1.1.70"),
        port=8388,
    )


@dataclass
class Keeping:
    """As much of a keeper as a mender needs."""

    view: View
    health: dict[str, Standing]
    renewed: list[str] = field(default_factory=list)

    def renew(self, paths: Iterable[str]) -> None:
        self.renewed += paths


def mended(health: dict[str, Standing], *ways: Way, lacks: dict[str, float]) -> list[str]:
    """Which paths are renewed when one connection of one lacks a subflow from each of these addresses."""
    keeper = Keeping(View(ways={"attic": ways}), health)

    async def main() -> None:
        mender = Mender(keeper)  # type: ignore[arg-type]
        told = [
            Lacking(exit="attic", local=local, count=1, looked=1, longest_s=seconds)
            for local, seconds in lacks.items()
        ]
        mender.heard(1, told)

    asyncio.run(main())
    return keeper.renewed


def test_a_path_is_known_by_the_address_of_its_subflows() -> None:
    both = (way("dsl", "10.1.1.78"), way("lte", "10.2.2.78"))
    lacks = {"10.2.2.78": 1.0, "10.1.1.78": 0.1, "10.9.9.9": 5.0}
    assert mended({"dsl": UP, "lte": UP}, *both, lacks=lacks) == ["lte"]


def test_a_path_in_doubt_is_let_be() -> None:
    assert mended({"lte": DOUBT}, way("lte", "10.2.2.78"), lacks={"10.2.2.78": 9.0}) == []
    assert mended({}, way("lte", "10.2.2.78"), lacks={"10.2.2.78": 9.0}) == []


def test_where_mptcp_does_not_work_nothing_is_mended() -> None:
    plain = Standing(condition=Condition.UP, plain="options are taken out")
    assert mended({"lte": plain}, way("lte", "10.2.2.78"), lacks={"10.2.2.78": 9.0}) == []


def test_an_address_of_two_links_says_nothing_of_either() -> None:
    twins = (way("usb0", "192.168.8.100"), way("usb1", "192.168.8.100"))
    assert mended({"usb0": UP, "usb1": UP}, *twins, lacks={"192.168.8.100": 9.0}) == []


def test_what_several_exits_show_is_added_up() -> None:
    keeper = Keeping(View(ways={"attic": (way("lte", "10.2.2.78"),)}), {"lte": UP})

    async def main() -> None:
        mender = Mender(keeper)  # type: ignore[arg-type]
        calm = Lacking(exit="attic", local="10.2.2.78", count=1, looked=40, longest_s=0.5, moving=39)
        mender.heard(1, [calm])
        assert keeper.renewed == []
        mender.heard(
            1, [calm, Lacking(exit="a", local="10.2.2.78", count=1, looked=1, longest_s=0.4, stranded=1)]
        )

    asyncio.run(main())
    assert keeper.renewed == ["lte"]
