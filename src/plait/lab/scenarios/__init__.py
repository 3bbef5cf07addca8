"""The scenarios, one file each."""

from __future__ import annotations

import difflib

from plait.lab.errors import UnknownName
from plait.lab.scenario import Scenario
from plait.lab.scenarios import (
    asymmetric,
    bad_path,
    equal,
    failover,
    flaps,
    ipv6,
    lan_to_lan,
    renumber,
    short_flows,
    small,
    tunnel_asymmetric,
    tunnel_equal,
    tunnel_lte,
    tunnel_voice,
    vps,
    wifi_bridges,
)

ALL: tuple[Scenario, ...] = (
    wifi_bridges.SCENARIO,
    ipv6.SCENARIO,
    lan_to_lan.SCENARIO,
    vps.SCENARIO,
    failover.SCENARIO,
    flaps.SCENARIO,
    renumber.SCENARIO,
    asymmetric.SCENARIO,
    equal.SCENARIO,
    small.SCENARIO,
    bad_path.SCENARIO,
    short_flows.SCENARIO,
    tunnel_equal.SCENARIO,
    tunnel_asymmetric.SCENARIO,
    tunnel_lte.SCENARIO,
    tunnel_voice.SCENARIO,
)


def find(name: str) -> Scenario:
    """The scenario of that name, or :class:`UnknownName` with the nearest one."""
    by_name = {scenario.name: scenario for scenario in ALL}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(by_name)}"
    raise UnknownName(f"no scenario {name!r}", hint)
