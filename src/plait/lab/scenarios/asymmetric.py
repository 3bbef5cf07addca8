"""300 Mbit/s with 10 ms and 80 Mbit/s with 30 ms: the pair on which others lose a third."""

from __future__ import annotations

from plait.lab import bonding
from plait.lab.scenario import Scenario
from plait.lab.scenarios import two_links

SCENARIO = Scenario(
    name="asymmetric",
    summary="300 Mbit/s with 10 ms and 80 Mbit/s with 30 ms, woven for one connection",
    drawing=two_links.drawing("300mbit 10ms", "80mbit 30ms"),
    links=two_links.LINKS,
    courses=two_links.COURSES,
    prepare=two_links.prepare,
    weave=two_links.weave,
    study=bonding.study(bonding.Promise(share=0.88), bonding.Profile(title=""), rounds=3),
)
