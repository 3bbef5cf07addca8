"""Subflows that are killed while their link is well: live connections get them back.

client ── gateway ══ bridge1 ══ exit ── server
                  ══ bridge2 ══
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.netns.relay.places import inside
from tests.netns.relay.street import ENDS, Plait, Street, exit_config, gateway_config, plain_log
from tests.netns.relay.transfer import LINKS, RATE, Stream, pause, transfer

from plait.kernel.netlink import Netlink
from plait.lab.node import wait_for
from plait.lab.topology import Lab

BOTH = 1.5 * RATE


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with Lab(ENDS + LINKS, directory=tmp_path_factory.mktemp("repairs")) as lab:
        lab.forward("gateway", "exit")
        yield Street(lab)


@pytest.fixture(scope="module")
def plaits(street: Street) -> Iterator[tuple[Plait, Plait]]:
    gateway, exit = street.pair(gateway_config(), exit_config())
    yield gateway, exit
    assert gateway.stop() == exit.stop() == 0
    assert plain_log(gateway.log()), gateway.log()
    assert plain_log(exit.log()), exit.log()


@pytest.fixture(params=["download", "upload"])
def stream(request: pytest.FixtureRequest, street: Street, plaits: tuple[Plait, Plait]) -> Iterator[Stream]:
    found = transfer(street, request.param)
    try:
        wait_for("both links to be used", lambda: found.at_rate(BOTH), within=20)
        yield found
    finally:
        found.end()
    assert found.faults == []
    assert not found.wrong


def on_path(gateway: Plait, number: int) -> int:
    return int(gateway.status()["paths"][number - 1]["subflows"])


@pytest.mark.parametrize("number", [1, 2])
def test_a_reset_subflow_comes_back(
    street: Street, plaits: tuple[Plait, Plait], stream: Stream, number: int
) -> None:
    """As a firewall does that restarts: whatever comes over one link is answered with RST for a moment."""
    gateway, _ = plaits
    rules = "add table inet cutter; add chain inet cutter in { type filter hook input priority 0; };"
    rule = f"add rule inet cutter in iifname w{number} tcp dport 8388 reject with tcp reset"
    street.exit.run("nft", rules + rule)
    try:
        wait_for("the subflow to be gone", lambda: on_path(gateway, number) == 0, within=20)
        assert on_path(gateway, 3 - number) == 1
    finally:
        street.exit.run("nft", "delete table inet cutter")
    wait_for("the subflow to be back", lambda: on_path(gateway, number) == 1, within=20)
    wait_for("both links again", lambda: stream.at_rate(BOTH), within=20)


def forget(street: Street) -> None:
    """Flush what the gateway's kernel knows of connections (IPCTNL_MSG_CT_DELETE without a tuple)."""
    with inside(street.gateway):
        netfilter = Netlink(12)
    try:
        netfilter.request(1 << 8 | 2, bytes(4))
    finally:
        netfilter.close()


def test_a_nat_forgets(street: Street, plaits: tuple[Plait, Plait], stream: Stream) -> None:
    """What was mapped gets another port then, which the exit has never heard of."""
    gateway, _ = plaits
    street.gateway.run(
        "nft",
        "add table inet natbox;"
        " add chain inet natbox out { type nat hook postrouting priority 100; };"
        " add rule inet natbox out oifname wan2 tcp dport 8388 masquerade random",
    )
    try:
        before = gateway.log().count("making it anew")
        forget(street)
        wait_for("the loss to be seen", lambda: gateway.log().count("making it anew") > before, within=30)
        wait_for("both links again", lambda: stream.at_rate(BOTH), within=20)
        pause(1.0)
        assert on_path(gateway, 2) == 1
    finally:
        street.gateway.run("nft", "delete table inet natbox")
