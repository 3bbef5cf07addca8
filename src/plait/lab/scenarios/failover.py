"""Links that fail in every way there is, many times over, while data flows, down and then up.

The cable pulled at the gateway, at the exit, and silence: carrier stays, but nothing comes through in
one direction or in either. The master is cut first, then the other link, in turns.
"""

from __future__ import annotations

from plait.lab import cutting
from plait.lab.scenario import Scenario
from plait.lab.scenarios import two_links

SCENARIO = Scenario(
    name="failover",
    summary="two links of 20 Mbit/s, cut in five ways, ten times each",
    drawing=two_links.drawing("20mbit 3ms queue 80ms", "20mbit 5ms queue 80ms", fixed=True),
    links=two_links.LINKS,
    courses=two_links.COURSES,
    prepare=two_links.prepare_fixed,
    weave=two_links.weave,
    study=cutting.study(),
)
