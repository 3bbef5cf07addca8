"""Small links, near and far: 10 and 10 Mbit/s, 15 and 5 Mbit/s, each with 1 ms and with 25 ms."""

from __future__ import annotations

from plait.lab import bonding
from plait.lab.scenario import Scenario
from plait.lab.scenarios import two_links


def _profile(first: int, second: int, delay: int) -> bonding.Profile:
    shapes = tuple({"rate": rate * 1e6, "delay": delay / 1e3} for rate in (first, second))
    return bonding.Profile(title=f"{first} and {second} Mbit/s, {delay} ms", shapes=shapes)


SCENARIO = Scenario(
    name="small",
    summary="10+10 and 15+5 Mbit/s, with 1 and with 25 ms, woven for one connection",
    drawing=two_links.drawing("10mbit 1ms", "10mbit 1ms"),
    links=two_links.LINKS,
    courses=two_links.COURSES,
    prepare=two_links.prepare,
    weave=two_links.weave,
    study=bonding.study(
        bonding.Promise(share=0.9),
        _profile(10, 10, 1),
        _profile(10, 10, 25),
        _profile(15, 5, 1),
        _profile(15, 5, 25),
    ),
)
