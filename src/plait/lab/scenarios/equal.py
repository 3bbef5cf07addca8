"""Two links of 100 Mbit/s with 25 ms one way, and one connection."""

from __future__ import annotations

from plait.lab import bonding
from plait.lab.scenario import Scenario
from plait.lab.scenarios import two_links

SCENARIO = Scenario(
    name="equal",
    summary="two links of 100 Mbit/s with 25 ms, woven for one connection",
    drawing=two_links.drawing("100mbit 25ms", "100mbit 25ms"),
    links=two_links.LINKS,
    courses=two_links.COURSES,
    prepare=two_links.prepare,
    weave=two_links.weave,
    study=bonding.study(bonding.Promise(share=0.95), bonding.Profile(title=""), rounds=3),
)
