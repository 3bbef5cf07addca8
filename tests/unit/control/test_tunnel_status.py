"""What the courier tells of tunnels, as the status has it."""

from __future__ import annotations

import dataclasses
import json

from plait.control.tunnel_status import tunnels

TOLD = {
    "exit": "attic",
    "state": "open",
    "addresses": ["10.188.0.2/16", "fd88::2/64"],
    "mtu": 1400,
    "refused": 1,
    "dropped": 2,
    "resent": 3,
    "given_up": 4,
    "paths": [{"name": "wan1", "tx_bytes": 10, "rx_bytes": 20, "fits": None}],
}


def test_it_is_told_as_it_came() -> None:
    found = tunnels({"tunnels": [TOLD]})
    assert [json.loads(json.dumps(dataclasses.asdict(each))) for each in found] == [TOLD]


def test_a_courier_that_says_nothing_has_none() -> None:
    assert tunnels(None) == tunnels({}) == ()
