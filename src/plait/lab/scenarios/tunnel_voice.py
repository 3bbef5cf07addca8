"""A call over two links of 20 Mbit/s, beside bulk that fills them, and while they are cut."""

from __future__ import annotations

from plait.lab import calling
from plait.lab.scenario import Scenario
from plait.lab.scenarios import tunnel_links, two_links

SCENARIO = Scenario(
    name="tunnel-voice",
    summary="a call through the tunnel over two links of 20 Mbit/s, beside bulk and cuts",
    drawing=two_links.drawing("20mbit 10ms", "20mbit 10ms", fixed=True),
    links=two_links.LINKS,
    courses=(tunnel_links.COURSES[0],),
    prepare=two_links.prepare_fixed,
    weave=tunnel_links.weave,
    study=calling.study(),
)
