"""A real mptcpd in the gateway's network: noticed, named, and no fight, whoever came first.

client ── gateway ══ two links ══ exit ── server
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns.relay.street import Plait, Street, exit_config, gateway_config

from plait.lab.node import Process, wait_for

MPTCPD = "/usr/libexec/mptcpd"
WITHIN = 20.0
OURS = ("10.1.1.78", "10.2.2.78")

pytestmark = pytest.mark.skipif(
    not (Path(MPTCPD).exists() and list(Path("/usr/lib").glob("*/mptcpd/addr_adv.so"))),
    reason="mptcpd and its plugins are not installed",
)


def endpoints(street: Street) -> dict[str, int]:
    """Ids by address."""
    shown = street.gateway.run("ip", "mptcp", "endpoint", "show").stdout
    return {address: int(number) for address, number in re.findall(r"^(\S+) id (\d+)", shown, re.MULTILINE)}


def rival(street: Street) -> Process:
    """Start it, and wait until it has done what it does: an endpoint for each address."""
    flags = ("--addr-flags=subflow", "--notify-flags=existing,skip_link_local,skip_loopback")
    started = street.gateway.popen(MPTCPD, "--log=stderr", *flags)
    wait_for("mptcpd's endpoints", lambda: "192.168.78.1" in endpoints(street), within=WITHIN)
    return started


@pytest.fixture(autouse=True)
def _tidy(street: Street) -> Iterator[None]:
    yield
    street.gateway.run("ip", "mptcp", "endpoint", "flush")


def quiet(street: Street, plait: Plait) -> None:
    """Nobody undoes what the other has done: no endpoint moves, and the log has no more to say of them."""
    before, said = endpoints(street), plait.log().count("mptcp endpoint")
    for _ in range(4):
        street.gateway.run("ip", "link", "set", "wan2", "alias", "look again")
    since = plait.status()["uptime"]
    plait.until("a later look", lambda status: status["uptime"] > since + 2.0)
    assert endpoints(street) == before
    assert plait.log().count("mptcp endpoint") == said
    assert "again and again" not in plait.log()


def test_who_comes_later_leaves_ours_alone_and_takes_an_address_that_is_renewed(street: Street) -> None:
    gateway, exit = street.pair(gateway_config(), exit_config())
    mptcpd = rival(street)
    found = endpoints(street)
    assert [found[address] for address in OURS] == [201, 202]
    quiet(street, gateway)
    # It hears of a new address as soon as we do, and asks nobody.
    street.gateway.run("ip", "addr", "del", "10.2.2.78/24", "dev", "wan2")
    wait_for("the endpoint to go", lambda: OURS[1] not in endpoints(street), within=WITHIN)
    street.gateway.run("ip", "addr", "add", "10.2.2.78/24", "dev", "wan2")
    wait_for("the endpoint to be back", lambda: OURS[1] in endpoints(street), within=WITHIN)
    if endpoints(street)[OURS[1]] != 202:
        gateway.until_log("is another program's", within=WITHIN)
    quiet(street, gateway)
    assert mptcpd.stop() is not None
    assert gateway.stop() == exit.stop() == 0
    assert not set(endpoints(street).values()) & {201, 202}, "ours went with us, and only ours"
    assert "192.168.78.1" in endpoints(street)


def test_who_came_first_is_named_and_keeps_what_it_has(street: Street) -> None:
    mptcpd = rival(street)
    wait_for("an endpoint on both links", lambda: set(OURS) <= set(endpoints(street)), within=WITHIN)
    gateway, exit = street.pair(gateway_config(), exit_config())
    line = gateway.until_log("mptcpd runs on this host, too", within=WITHIN)
    assert line.endswith("systemctl disable --now mptcp"), "the unit has a name of its own"
    for link in ("wan1", "wan2"):
        gateway.until_log(f"{link}: MPTCP endpoint", within=WITHIN)
    quiet(street, gateway)
    paths = gateway.status()["paths"]
    assert [path["state"] for path in paths] == ["up", "up"], "links are used all the same"
    assert gateway.stop() == exit.stop() == 0
    assert set(OURS) <= set(endpoints(street))
    assert mptcpd.stop() is not None
