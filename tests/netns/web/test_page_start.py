"""The page's server when plait starts, in odd circumstances.

client ── lan:gateway ══ exit ── server
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.netns.relay.street import Street
from tests.netns.web.visits import Visitor, page_pid, served

from plait.lab.node import wait_for


def test_control_that_is_killed_takes_the_page_along_and_another_brings_it_back(street: Street) -> None:
    with served(street) as gateway:
        pid = page_pid(gateway)
        gateway.process.kill()
        wait_for("the page to end", lambda: not Path(f"/proc/{pid}").exists(), within=20)
    # `served` has stopped what it could; a new one takes over what the killed one left.
    with served(street):
        assert Visitor(street.client).log_in().status == 200


def test_a_port_that_is_taken_costs_the_page_and_nothing_else(street: Street) -> None:
    other = street.gateway.popen(sys.executable, "-m", "http.server", "8390", "--bind", "192.168.78.1")
    wait_for("the other program", lambda: street.gateway.listening(8390), within=20)
    try:
        with served(street) as gateway:
            gateway.until_log("no web page on 192.168.78.1:8390: it is taken")
            assert gateway.status()["exits"][0]["state"] == "up"
            assert Visitor(street.client, page="http://[fd78::1]:8390").ask("/api/me").status == 200
    finally:
        other.stop()
