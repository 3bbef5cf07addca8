"""A hundred random failures one after the other, and not one connection may be lost."""

from __future__ import annotations

from plait.lab import flapping
from plait.lab.scenario import Scenario
from plait.lab.scenarios import two_links

SCENARIO = Scenario(
    name="flaps",
    summary="two links that fail by chance, a hundred times, while 21 connections are open",
    drawing=two_links.drawing("20mbit 3ms queue 80ms", "20mbit 5ms queue 80ms", fixed=True),
    links=two_links.LINKS,
    courses=two_links.COURSES,
    prepare=two_links.prepare_fixed,
    weave=two_links.weave,
    study=flapping.study(),
)
