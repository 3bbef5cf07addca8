"""Two links of 20 Mbit/s with 10 ms, woven by the tunnel."""

from __future__ import annotations

from plait.lab import filling
from plait.lab.scenario import Scenario
from plait.lab.scenarios import tunnel_links, two_links

SCENARIO = Scenario(
    name="tunnel-equal",
    summary="two of 20 Mbit/s with 10 ms, woven by the tunnel",
    drawing=two_links.drawing("20mbit 10ms", "20mbit 10ms"),
    links=two_links.LINKS,
    courses=tunnel_links.COURSES,
    prepare=two_links.prepare,
    weave=tunnel_links.weave,
    study=filling.study(filling.Aims(tcp=0.9)),
)
