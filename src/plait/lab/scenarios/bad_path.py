"""A good link of 50 Mbit/s, and one that only hurts: 2 Mbit/s, 300 ms, every twentieth frame lost.

Whatever the second does, the two together must not give less than the first alone.
"""

from __future__ import annotations

from plait.lab import bonding
from plait.lab.scenario import Scenario
from plait.lab.scenarios import two_links

SCENARIO = Scenario(
    name="bad-path",
    summary="50 Mbit/s with 10 ms, beside 2 Mbit/s with 300 ms and 5 % loss",
    drawing=two_links.drawing("50mbit 10ms", "2mbit 300ms loss 5%"),
    links=two_links.LINKS,
    courses=two_links.COURSES,
    prepare=two_links.prepare,
    weave=two_links.weave,
    study=bonding.study(bonding.Promise(share=0.95, of_sum=False), bonding.Profile(title=""), rounds=3),
)
