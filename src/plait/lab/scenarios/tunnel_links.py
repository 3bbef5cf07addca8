"""Two links with a tunnel that carries everything, TCP too: the test bed of the tunnel's studies."""

from __future__ import annotations

import dataclasses

from plait.lab.node import wait_for
from plait.lab.scenarios import two_links
from plait.lab.topology import Lab

GATEWAY = two_links.GATEWAY.replace('lan = ["lan"]', 'lan = ["lan"]\ntcp = "tunnel"\nudp = "tunnel"')
EXIT = f"{two_links.EXIT}\n[tunnel]\nserve = true\n"

COURSES = tuple(dataclasses.replace(course, congestion="cubic") for course in two_links.COURSES)
"""CUBIC, since that is what most hosts have."""


def weave(lab: Lab) -> None:
    """Start plait at both ends, and wait until the tunnel is open."""
    lab.plait("exit", "exit", {"exit.toml": EXIT})
    gateway = lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY})
    lab.exits_up("gateway")
    wait_for("the tunnel to open", lambda: "tunnel: open" in gateway.text(), within=20.0, every=0.1)
