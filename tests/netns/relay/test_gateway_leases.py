"""Leases that are renewed, endpoints that are made anew, and dial-up links, which have no router."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.netns.relay.dial_up import DialUp
from tests.netns.relay.saying import endpoints
from tests.netns.relay.street import ENDS, Plait, Street, exit_config, gateway_config, plain_log
from tests.netns.relay.transfer import LINKS, Stream, pause, transfer, up

from plait.lab import dhcp
from plait.lab.bridge import tap_allowed
from plait.lab.node import Node, Process, wait_for
from plait.lab.topology import Lab

LEASED = """
gateway:wan1 dhcp == bridge1 20mbit 3ms == exit:w1 10.1.1.70/24
gateway:wan2 dhcp == bridge2 20mbit 5ms == exit:w2 10.2.2.70/24
"""
RENEWED = 0.5
"""Seconds: what a transfer over two paths may stand still at most while an endpoint is made anew.
Goal: not at all; a machine with other things to do stalls, too."""

ONE_LINK = """
gateway:wan1 10.1.1.78/24 -- 100mbit -- exit:w1 10.1.1.70/24
"""


@pytest.fixture
def street(request: pytest.FixtureRequest, make_lab: Callable[..., Lab]) -> Street:
    """With the links that the test names."""
    return Street(make_lab(ENDS + request.param, routers=("gateway", "exit")))


@contextmanager
def events(node: Node, *words: str) -> Iterator[Process]:
    """What ``ip … monitor`` says meanwhile."""
    process = node.popen("ip", *words, name="monitor " + " ".join(words).replace(" ", "-"))
    pause(0.5)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def streaming(street: Street) -> Iterator[Stream]:
    """A download over both paths."""
    stream = transfer(street, "download")
    try:
        yield stream
    finally:
        stream.end()
    assert stream.faults == []
    assert not stream.wrong


def both(gateway: Plait) -> bool:
    """Whether connections have a subflow over each path."""
    return all(path["state"] == "up" and path["subflows"] for path in gateway.status()["paths"])


@pytest.mark.parametrize("street", [LEASED], indirect=True)
def test_a_lease_that_is_renewed_without_a_change_touches_nothing(street: Street) -> None:
    dhcp.serve(street.exit, w1="10.1.1.70/24", w2="10.2.2.70/24")
    street.lab.dhcp_clients()
    gateway, exit = street.pair(gateway_config(), exit_config())
    with streaming(street) as stream:
        wait_for("a subflow over each path", lambda: both(gateway), within=20)
        pause(2)
        before, logged = endpoints(street), gateway.log()
        with (
            events(street.gateway, "mptcp", "monitor") as subflows,
            events(street.gateway, "-4", "monitor", "address") as addresses,
        ):
            begun = time.monotonic()
            street.lab.renew("gateway")
            wait_for("both leases", lambda: addresses.text().count("wan") >= 2, within=20)
            pause(2)
        # Probes are connections, too: they begin and end all the time.
        told = [line.replace("[", "").replace("]", " ").split() for line in subflows.text().splitlines()]
        probes = {token for kind, token, *_ in told if kind == "CREATED"}
        assert not [
            words for words in told if words[1] not in probes and words[0] in ("SF_CLOSED", "REMOVED")
        ]
        gap = stream.longest_gap(begun, time.monotonic())
        print(f"longest silence: {1e3 * gap:.0f} ms")
        assert gap < RENEWED
        assert endpoints(street) == before
        assert "[#]" not in gateway.log()[len(logged) :], "commands were run"
        assert all(up(gateway, name) for name in ("wan1", "wan2"))
    for plait in (gateway, exit):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()


@pytest.mark.parametrize("street", [LINKS], indirect=True)
def test_an_endpoint_that_is_made_anew_does_not_disturb_connections(street: Street) -> None:
    """Deleting one closes its subflows, and what was in flight there goes over the other path."""
    gateway, exit = street.pair(gateway_config(), exit_config())
    with streaming(street) as stream:
        wait_for("a subflow over each path", lambda: both(gateway), within=20)
        pause(2)
        gaps = []
        for number in (1, 2, 1, 2):
            ident, address = f"20{number}", f"10.{number}.{number}.78"
            begun = time.monotonic()
            street.gateway.run("ip", "mptcp", "endpoint", "delete", "id", ident)
            # plait notices by itself that it is gone.
            wait_for(
                "the endpoint",
                lambda address=address: f"{address} wan" in " ".join(endpoints(street)),
                within=20,
            )
            wait_for("its subflow", lambda: both(gateway), within=20)
            pause(1)
            gaps.append(stream.longest_gap(begun, time.monotonic()))
        print("longest silence: " + ", ".join(f"{1e3 * gap:.0f} ms" for gap in gaps))
        assert max(gaps) < RENEWED
    for plait in (gateway, exit):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()


@pytest.mark.skipif(not tap_allowed(), reason="no TUN devices here")
@pytest.mark.parametrize("street", [ONE_LINK], indirect=True)
def test_a_dial_up_link_without_a_router_carries_and_takes_over(street: Street) -> None:
    """It falls silent, hangs up, and dials again with another address."""
    link = DialUp(street.gateway, street.exit, "ppp0", "10.64.0.2", "10.2.2.70")
    try:
        config = gateway_config().replace('interface = "wan2"', 'interface = "ppp0"')
        gateway, exit = street.pair(config, exit_config())
        with streaming(street) as stream:
            wait_for("a subflow over each path", lambda: both(gateway), within=20)
            assert "10.64.0.2 ppp0" in endpoints(street)

            street.gateway.run("ip", "link", "set", "wan1", "down")
            cut = time.monotonic()
            wait_for("it to be missed", lambda: up(gateway, "wan1", "down"), within=20)
            pause(2)
            print(f"the Ethernet link is cut: {1e3 * stream.longest_gap(cut, time.monotonic()):.0f} ms")
            assert stream.longest_gap(cut, time.monotonic()) < 3
            assert _arrived(stream, cut + 1)
            street.gateway.run("ip", "link", "set", "wan1", "up")
            wait_for("both again", lambda: both(gateway), within=20)

            link.open = False
            silent = time.monotonic()
            wait_for("silence to be noticed", lambda: up(gateway, "ppp0", "down"), within=20)
            pause(2)
            print(f"the dial-up link is silent: {1e3 * stream.longest_gap(silent, time.monotonic()):.0f} ms")
            assert _arrived(stream, silent + 1)

            link.hang_up()
            pause(1)
            link = DialUp(street.gateway, street.exit, "ppp0", "10.64.0.3", "10.2.2.70")
            wait_for("both again", lambda: both(gateway), within=40)
            assert "10.64.0.3 ppp0" in endpoints(street)
    finally:
        link.hang_up()
    for plait in (gateway, exit):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()


def _arrived(stream: Stream, since: float) -> bool:
    return stream.arrivals[-1][0] > since
