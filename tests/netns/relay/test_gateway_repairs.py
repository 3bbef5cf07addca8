"""Subflows that are killed while their link is well: live connections get them back.

client ── gateway ══ bridge1 ══ exit ── server
                  ══ bridge2 ══
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.netns.relay.street import ENDS, Plait, Street, exit_config, gateway_config, plain_log
from tests.netns.relay.transfer import LINKS, RATE, Stream, transfer

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


def test_one_that_has_lost_all_its_subflows_goes_on_each_time(
    street: Street, plaits: tuple[Plait, Plait], stream: Stream
) -> None:
    """It stands still with both links well; and that it was mended before does not count against it."""
    gateway, _ = plaits
    rules = "add table inet cutter; add chain inet cutter in { type filter hook input priority 0; };"
    rule = "add rule inet cutter in tcp dport 8388 reject with tcp reset"
    for _ in range(5):
        street.exit.run("nft", rules + rule)
        try:
            wait_for(
                "all subflows to be gone", lambda: on_path(gateway, 1) + on_path(gateway, 2) == 0, within=20
            )
        finally:
            street.exit.run("nft", "delete table inet cutter")
        wait_for("both links again", lambda: stream.at_rate(BOTH), within=20)
    assert "taken out" not in gateway.log()


def test_something_on_the_way_forgets(street: Street, plaits: tuple[Plait, Plait], stream: Stream) -> None:
    """As a NAT does that starts afresh: what it knew of one link's connections vanishes, without a word to
    either side, while new ones and echoes pass."""
    gateway, _ = plaits
    listed = street.gateway.run("ss", "-Htn", "src", "10.2.2.78").stdout
    ports = sorted({line.split()[3].rpartition(":")[2] for line in listed.splitlines()})
    assert ports
    known = ", ".join(ports)
    street.exit.run(
        "nft",
        "add table inet natbox;"
        " add chain inet natbox in { type filter hook input priority -300; };"
        " add chain inet natbox out { type filter hook output priority -300; };"
        f" add rule inet natbox in iifname w2 tcp sport {{ {known} }} drop;"
        f" add rule inet natbox out oifname w2 tcp dport {{ {known} }} drop",
    )
    try:
        wait_for("the loss to show", lambda: not stream.at_rate(1.2 * RATE), within=20)
        wait_for("both links again", lambda: stream.at_rate(BOTH), within=40)
        wait_for("a subflow of its own", lambda: on_path(gateway, 2) >= 1, within=20)
    finally:
        street.exit.run("nft", "delete table inet natbox")
