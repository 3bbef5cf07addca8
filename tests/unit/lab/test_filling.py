"""Verdicts of made-up fillings."""

from __future__ import annotations

import pytest

from plait.lab.filling import Aims, Case, judge
from plait.lab.scenarios.tunnel_links import COURSES

GOOD = {"tcp": [36e6], "udp": [38.2e6], "quic": [37e6], "loss": [0.001]}


@pytest.mark.parametrize(
    ("changed", "own_loss", "broken"),
    [
        ({}, 0.0, []),
        ({"tcp": [35.9e6]}, 0.0, ["one TCP flow"]),
        ({"tcp": [10e6, 36e6, 37e6]}, 0.0, []),  # the median counts
        ({"udp": [37.9e6]}, 0.0, ["UDP"]),
        ({"quic": [18.9e6]}, 0.0, ["UDP on port 443"]),
        ({"loss": [0.0051]}, 0.0, ["UDP lost"]),
        ({"loss": [0.0051]}, 0.005, []),  # the link itself loses as much
        (
            {"tcp": [], "udp": [], "quic": [], "loss": []},
            0.0,
            ["one TCP flow", "UDP", "UDP on port 443", "UDP lost"],
        ),
    ],
)
def test_promises(changed: dict[str, list[float]], own_loss: float, broken: list[str]) -> None:
    case = Case(COURSES[0], alone=[20e6, 20e6], own_loss=own_loss, **{**GOOD, **changed})
    result = judge(["bridge1", "bridge2"], Aims(tcp=0.9), [case])
    assert [check.promise for check in result.checks if not check.kept] == broken
    assert len(result.tables[0].rows[0].cells) == 1
    assert result.facts["cases"][0]["alone_bps"] == [20e6, 20e6]  # type: ignore[index]


def test_a_connection_that_breaks_is_counted() -> None:
    case = Case(COURSES[1], alone=[20e6, 20e6], lost=1, **GOOD)
    result = judge(["one", "two"], Aims(tcp=0.9), [case])
    assert [check.promise for check in result.checks if not check.kept] == ["connections lost"]
