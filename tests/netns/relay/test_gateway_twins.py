"""Two modems that are alike: the same subnet, the same router, the same Ethernet address."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.netns.relay.saying import endpoints, say_twice
from tests.netns.relay.street import ENDS, EXIT_OUT, Street, exit_config, gateway_config, plain_log
from tests.netns.relay.transfer import transfer

from plait.lab.node import wait_for
from plait.lab.topology import Lab

MODEMS = """
gateway:wan1 192.168.8.100/24 -- 100mbit -- modem1:lan 192.168.8.1/24
gateway:wan2 192.168.8.101/24 -- 100mbit -- modem2:lan 192.168.8.1/24
modem1:wan 10.1.1.78/24 -- 100mbit -- exit:w1 10.1.1.70/24
modem2:wan 10.2.2.78/24 -- 100mbit -- exit:w2 10.2.2.70/24
"""
PUBLIC = EXIT_OUT[4]


@pytest.fixture
def street(make_lab: Callable[..., Lab]) -> Street:
    """Two modems that are the same in all that the gateway can see: subnet, address, Ethernet address."""
    street = Street(make_lab(ENDS + MODEMS, routers=("gateway", "exit")))
    for name in ("modem1", "modem2"):
        modem = street.lab[name]
        modem.run("ip", "link", "set", "lan", "address", "02:00:00:00:08:01")
        modem.run("ip", "route", "add", "default", "via", "10.1.1.70" if name == "modem1" else "10.2.2.70")
        modem.forward()
        modem.masquerade("wan")
    for name, metric in (("wan1", "10"), ("wan2", "20")):
        street.gateway.run(
            "ip", "route", "add", "default", "via", "192.168.8.1", "dev", name, "metric", metric
        )
    return street


def test_identical_modems_are_used_together(street: Street) -> None:
    gateway, exit = street.pair(gateway_config(address=f'["{PUBLIC}"]'), exit_config())
    stream = transfer(street, "download")
    try:
        wait_for(
            "a subflow through each modem",
            lambda: all(path["subflows"] for path in gateway.status()["paths"]),
            within=20,
        )
        gateway.until("both to measure", lambda status: all(path["rtt_ms"] for path in status["paths"]))
    finally:
        stream.end()
    assert stream.faults == []
    for plait in (gateway, exit):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()


def test_modems_that_even_give_the_same_address_stand_in_for_each_other(street: Street) -> None:
    """MPTCP knows one link for an address. The other one is dialled when the first is gone."""
    street.gateway.run("ip", "addr", "del", "192.168.8.101/24", "dev", "wan2")
    street.gateway.run("ip", "addr", "add", "192.168.8.100/24", "dev", "wan2")
    street.gateway.run(
        "ip", "route", "replace", "default", "via", "192.168.8.1", "dev", "wan2", "metric", "20"
    )
    gateway, exit = street.pair(gateway_config(address=f'["{PUBLIC}"]'), exit_config())
    assert endpoints(street) == ["192.168.8.100 wan1"]
    assert "wan2: 192.168.8.100 is the address of another link too" in gateway.log()
    assert say_twice(street) == PUBLIC
    street.gateway.run("ip", "link", "set", "wan1", "down")
    wait_for("the twin to have the endpoint", lambda: endpoints(street) == ["192.168.8.100 wan2"], within=20)
    gateway.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
    assert say_twice(street) == PUBLIC
    for plait in (gateway, exit):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()
