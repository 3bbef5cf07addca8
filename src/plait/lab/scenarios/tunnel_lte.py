"""Two radio links of 30 Mbit/s: round trips of 20 to 40 and of 40 to 80 ms, and 0.5 % loss each way."""

from __future__ import annotations

from plait.lab import filling
from plait.lab.scenario import Scenario
from plait.lab.scenarios import tunnel_links, two_links

SCENARIO = Scenario(
    name="tunnel-lte",
    summary="two radio links of 30 Mbit/s that jitter and lose, woven by the tunnel",
    drawing=two_links.drawing("30mbit 10ms jitter 10ms loss 0.5%", "30mbit 20ms jitter 20ms loss 0.5%"),
    links=two_links.LINKS,
    courses=tunnel_links.COURSES,
    prepare=two_links.prepare,
    weave=tunnel_links.weave,
    study=filling.study(filling.Aims(tcp=0.8), longer=2.0),
)
