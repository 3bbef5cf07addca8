"""300 Mbit/s with a round trip of 10 ms and 80 Mbit/s with one of 30 ms, woven by the tunnel."""

from __future__ import annotations

from plait.lab import filling
from plait.lab.scenario import Scenario
from plait.lab.scenarios import tunnel_links, two_links

SCENARIO = Scenario(
    name="tunnel-asymmetric",
    summary="300 Mbit/s with 5 ms and 80 Mbit/s with 15 ms, woven by the tunnel",
    drawing=two_links.drawing("300mbit 5ms", "80mbit 15ms"),
    links=two_links.LINKS,
    courses=tunnel_links.COURSES,
    prepare=two_links.prepare,
    weave=tunnel_links.weave,
    study=filling.study(filling.Aims(tcp=0.85)),
)
