"""A browser's kind of traffic: 100 kB at a time, each on a connection of its own."""

from __future__ import annotations

from plait.lab import fetching
from plait.lab.scenario import Scenario
from plait.lab.scenarios import two_links
from plait.lab.stage import Stage

_COLD = """
[relay]
warm = 0
"""


def _weave_cold(stage: Stage) -> None:
    stage.lab.plait("exit", "exit", {"exit.toml": two_links.EXIT})
    stage.lab.plait("gateway", "gateway", {"gateway.toml": two_links.GATEWAY + _COLD})
    stage.lab.exits_up("gateway")


def _warm_up(stage: Stage) -> None:
    fetching.reload(stage, "gateway", "gateway.toml", two_links.GATEWAY)


SCENARIO = Scenario(
    name="short-flows",
    summary="100 kB fetched again and again over two links of 20 Mbit/s with 25 ms",
    drawing=two_links.drawing("20mbit 25ms", "20mbit 25ms"),
    links=two_links.LINKS,
    courses=(two_links.DOWN,),
    prepare=two_links.prepare,
    weave=two_links.weave,
    study=fetching.study(_weave_cold, _warm_up),
)
