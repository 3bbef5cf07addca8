"""Links under a gateway that vanish, addresses by router advertisements, an exit whose host falls silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from tests.netns.relay.saying import endpoints, say_twice
from tests.netns.relay.street import (
    CLIENT,
    ENDS,
    EXIT_OUT,
    WAYS,
    Plait,
    Street,
    exit_config,
    gateway_config,
    plain_log,
)
from tests.netns.relay.transfer import transfer, up

from plait.lab.errors import program
from plait.lab.node import wait_for
from plait.lab.topology import Lab


@pytest.fixture
def street(make_lab: Callable[..., Lab]) -> Street:
    return Street(make_lab(ENDS + WAYS, routers=("gateway", "exit")))


def end(*plaits: Plait) -> None:
    for plait in plaits:
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()


def test_a_link_vanishes_under_a_transfer_and_appears_again(street: Street) -> None:
    gateway, exit = street.pair(gateway_config(), exit_config())
    stream = transfer(street, "download")
    try:
        for name in ("wan1", "wan2"):
            wait_for("both paths", lambda: up(gateway, "wan1") and up(gateway, "wan2"), within=20)
            street.gateway.run("ip", "link", "set", name, "down")
            street.gateway.run("ip", "link", "set", name, "name", "elsewhere")
            gone = time.monotonic()
            wait_for("it to be missed", lambda name=name: up(gateway, name, "down"), within=20)
            wait_for("the transfer to go on", lambda since=gone: _arrived(stream.arrivals, since), within=20)
            street.gateway.run("ip", "link", "set", "elsewhere", "name", name)
            street.gateway.run("ip", "link", "set", name, "up")
            wait_for("it to be used again", lambda name=name: up(gateway, name), within=20)
            number = 0 if name == "wan1" else 1

            def joined(number: int = number) -> bool:
                return bool(gateway.status()["paths"][number]["subflows"])

            wait_for("its subflow", joined, within=20)
    finally:
        stream.end()
    assert stream.faults == []
    assert not stream.wrong
    end(gateway, exit)


def _arrived(arrivals: list[tuple[float, int]], since: float) -> bool:
    return arrivals[-1][0] > since + 0.5


@pytest.fixture
def advertised(street: Street) -> Iterator[Callable[[str], None]]:
    """The exit advertises a prefix on the second link, and itself as the router."""
    gateway, exit = street.gateway, street.exit
    gateway.run("ip", "addr", "flush", "dev", "wan2", "scope", "global")
    gateway.sysctl(**{"net.ipv6.conf.wan2.accept_ra": 2, "net.ipv6.conf.wan2.use_tempaddr": 2})
    running = []

    def advertise(prefix: str) -> None:
        for process in running:
            process.stop()
        running.clear()
        exit.run("ip", "-6", "addr", "flush", "dev", "w2", "scope", "global")
        exit.run("ip", "addr", "add", f"{prefix}1/64", "dev", "w2", "nodad")
        options = ("--no-daemon", "--port=0", "--conf-file=/dev/null", "--no-hosts", "--no-resolv")
        running.append(
            exit.popen(
                program("dnsmasq"), *options, "--enable-ra", "--interface=w2", "--bind-dynamic",
                f"--dhcp-range={prefix},ra-only,64,120", "--ra-param=w2,4,60",
            )
        )  # fmt: skip

    yield advertise
    for process in running:
        process.stop()


def test_addresses_and_routers_by_advertisement(street: Street, advertised: Callable[[str], None]) -> None:
    """Several addresses of each prefix, temporary ones among them; then the prefix changes."""
    advertised("fd02::")
    gateway, exit = street.pair(gateway_config(address=f'["10.1.1.70", "{EXIT_OUT[6]}"]'), exit_config())

    def addresses() -> list[str]:
        return [each.split()[0] for each in endpoints(street) if each.endswith("wan2")]

    def lasting() -> str:
        listed = street.gateway.run("ip", "-6", "-o", "addr", "show", "dev", "wan2", "scope", "global").stdout
        found = [line.split()[3].partition("/")[0] for line in listed.splitlines() if "temporary" not in line]
        return next((each for each in found if each.startswith("fd02:")), "")

    wait_for("an endpoint by advertisement", addresses, within=40)
    assert addresses() == [lasting()], "not a temporary one, which would change every day"
    gateway.until("the path to be up", lambda _: up(gateway, "wan2"), within=20)
    routes = street.gateway.run("ip", "-6", "route", "show", "table", "18802").stdout
    assert "default via fe80::" in routes
    # The provider renumbers: the old prefix is deprecated, or gone.
    before = addresses()[0]
    advertised("fd12::")
    street.gateway.run("ip", "-6", "addr", "change", f"{before}/64", "dev", "wan2", "preferred_lft", "0")
    wait_for(
        "an endpoint of the new prefix",
        lambda: addresses() and all(each.startswith("fd12:") for each in addresses()),
        within=40,
    )
    end(gateway, exit)


def test_an_exit_whose_host_falls_silent_is_lost_and_found_soon(street: Street) -> None:
    street.direct_route()
    gateway, exit = street.pair(gateway_config(relay="connect_timeout = 2"), exit_config())
    assert say_twice(street) == EXIT_OUT[4]
    for _ in range(2):
        silenced = time.monotonic()
        # What is routed through it passes still: it is its own sockets that nobody answers for.
        street.exit.run("nft", "add table inet mute; add chain inet mute in"
                        " { type filter hook input priority -300; policy accept; };"
                        " add rule inet mute in meta l4proto { tcp, udp } drop")  # fmt: skip
        gateway.until("the LAN to go out directly", lambda status: not status["intercepting"], within=20)
        assert time.monotonic() - silenced < 10
        assert gateway.status()["exits"][0]["state"] == "down"
        assert say_twice(street) == CLIENT[4]
        street.exit.run("nft", "delete table inet mute")
        back = time.monotonic()
        gateway.until("the LAN to be taken again", lambda status: status["intercepting"], within=20)
        assert time.monotonic() - back < 5
        assert say_twice(street) == EXIT_OUT[4]
    states = [line for line in gateway.log().splitlines() if "no exit answers: the LAN" in line]
    assert len(states) == 2, "no flapping"
    end(gateway, exit)


def test_a_watchdog_wakes_a_link_and_hooks_are_told(street: Street) -> None:
    said = street.gateway.directory / "hooks"
    note = f'"echo $PLAIT_PATH $PLAIT_STATE $PLAIT_WHY >> {said}"'
    text = gateway_config().replace(
        'interface = "wan2"',
        f'interface = "wan2"\nwatchdog = "link"\nwatchdog_after = 5\non_up = {note}\non_down = {note}',
    )
    gateway, exit = street.pair(text, exit_config())

    def lines() -> list[str]:
        return said.read_text().splitlines() if said.exists() else []

    wait_for("the first hook", lambda: lines() == ["wan2 up"], within=20)
    street.gateway.run("ip", "link", "set", "wan2", "down")
    # It takes the addresses of IPv6 with it, and gives back those of IPv4.
    wait_for("the second", lambda: lines()[1:] == ["wan2 down the interface is down"], within=20)
    wait_for("the link to be woken", lambda: lines()[2:] == ["wan2 up"], within=40)
    gateway.until("it to be used again", lambda _: up(gateway, "wan2"))
    end(gateway, exit)
