"""Links that die and come back under live connections, and addresses that change.

client ── gateway ══ bridge1 ══ exit ── server
                  ══ bridge2 ══
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.netns.relay.places import accept, connect, listen, reset
from tests.netns.relay.street import ENDS, SERVER, Plait, Street, exit_config, gateway_config, plain_log
from tests.netns.relay.transfer import LINKS, RATE, Stream, transfer, up

from plait.lab.node import wait_for
from plait.lab.topology import Lab


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with Lab(ENDS + LINKS, directory=tmp_path_factory.mktemp("bridges")) as lab:
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
        wait_for("both links to be used", lambda: found.at_rate(1.5 * RATE), within=10)
        yield found
    finally:
        for bridge in street.lab.bridges:
            bridge.plug()
        found.end()
    assert found.faults == []
    assert not found.wrong, "bytes were lost, doubled or mixed up"


def test_a_link_is_pulled_and_put_back(street: Street, plaits: tuple[Plait, Plait], stream: Stream) -> None:
    gateway, _ = plaits
    for number in (1, 2):
        bridge = street.lab.bridge(f"bridge{number}")
        pulled = bridge.unplug()
        wait_for("a second alone", lambda since=pulled: time.monotonic() > since + 1.5, within=5)
        assert stream.longest_gap(pulled, pulled + 1.5) < 0.3
        assert stream.rate(pulled + 0.5, pulled + 1.5) > 0.7 * RATE
        assert up(gateway, f"wan{number}", "down")
        put_back = bridge.plug()
        wait_for("full speed again", lambda: stream.at_rate(1.5 * RATE), within=3.5)
        assert time.monotonic() - put_back < 4
        assert up(gateway, f"wan{number}")


def test_an_address_changes_under_a_transfer(
    street: Street, plaits: tuple[Plait, Plait], stream: Stream
) -> None:
    """As after a reconnect of a modem: the old address goes, a new one comes."""
    for old, new in (("10.2.2.78", "10.2.2.99"), ("10.2.2.99", "10.2.2.78")):
        changed = time.monotonic()
        street.gateway.run("ip", "addr", "del", f"{old}/24", "dev", "wan2")
        street.gateway.run("ip", "addr", "add", f"{new}/24", "dev", "wan2")
        wait_for("the new endpoint", lambda new=new: new in endpoints(street), within=5)
        assert old not in endpoints(street)
        wait_for("a moment to measure", lambda since=changed: time.monotonic() > since + 1, within=5)
        wait_for("both links again", lambda: stream.at_rate(1.5 * RATE), within=6)
        assert stream.longest_gap(changed, time.monotonic()) < 0.5


def endpoints(street: Street) -> str:
    return street.gateway.run("ip", "mptcp", "endpoint").stdout


def test_both_links_go_and_one_comes_back(
    street: Street, plaits: tuple[Plait, Plait], stream: Stream
) -> None:
    """Nothing is lost while nothing works; it goes on when something does."""
    for bridge in street.lab.bridges:
        bridge.unplug()
    gone = time.monotonic()
    wait_for("a second without any link", lambda: time.monotonic() > gone + 1, within=5)
    back = street.lab.bridge("bridge2").plug()
    wait_for("the transfer to go on", lambda: stream.at_rate(0.5 * RATE), within=10)
    assert time.monotonic() - back < 10
    street.lab.bridge("bridge1").plug()
    wait_for("both", lambda: stream.at_rate(1.5 * RATE), within=10)


def test_new_clients_are_served_over_what_is_left(street: Street, plaits: tuple[Plait, Plait]) -> None:
    for number in (1, 2):
        bridge = street.lab.bridge(f"bridge{number}")
        bridge.unplug()
        try:
            for _ in range(5):
                begun = time.monotonic()
                with listen(street.server, SERVER[4]) as listener:
                    client = connect(street.client, SERVER[4], listener.getsockname()[1])
                    client.sendall(b"x")
                    server = accept(listener)
                assert time.monotonic() - begun < 1.0
                reset(client)
                server.close()
        finally:
            bridge.plug()
        wait_for("the path", lambda number=number: up(plaits[0], f"wan{number}"), within=5)
