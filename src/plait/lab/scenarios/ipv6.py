"""The two bridges once more, with IPv6 only: on the LANs, on the WANs, to the exit."""

from __future__ import annotations

from plait.lab.scenario import Course, Link, Scenario
from plait.lab.topology import Lab

DRAWING = """
laptop:eth0 fd78::100/64 via fd78::1 -- gateway:lan fd78::1/64
gateway:wan1 fd10:1::2/64 == bridge1 20mbit 3ms queue 80ms == exit:wan1 fd10:1::70/64
gateway:wan2 fd10:2::2/64 == bridge2 20mbit 5ms queue 80ms == exit:wan2 fd10:2::70/64
exit:lan fd70::1/64 -- pc:eth0 fd70::107/64 via fd70::1
"""

GATEWAY = """
[gateway]
lan = ["lan"]

[[exit]]
name = "attic"
address = ["fd10:1::70", "fd10:2::70"]
password = "two roofs, one street"

[[path]]
interface = "wan1"
mode = "master"
gateway = ["fd10:1::70"]

[[path]]
interface = "wan2"
gateway = ["fd10:2::70"]

[[rule]]
destination = ["fd70::/64"]
to = "exit:attic"
"""

EXIT = """
[exit]
password = "two roofs, one street"
allow = ["fd70::/64"]
"""


def _prepare(lab: Lab) -> None:
    lab.forward("gateway", "exit")
    gateway = lab["gateway"]
    gateway.masquerade("wan1", "wan2")
    for metric, (interface, via) in enumerate((("wan1", "fd10:1::70"), ("wan2", "fd10:2::70"))):
        # Routers prefer what has carrier: without this switch the kernel keeps to a dead next hop.
        gateway.sysctl(**{f"net.ipv6.conf.{interface}.ignore_routes_with_linkdown": 1})
        route = ("default", "via", via, "dev", interface, "metric", str(10 + 10 * metric))
        gateway.run("ip", "-6", "route", "replace", *route)


def _weave(lab: Lab) -> None:
    lab.plait("exit", "exit", {"exit.toml": EXIT})
    lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY})
    lab.exits_up("gateway")


SCENARIO = Scenario(
    name="ipv6",
    summary="wifi-bridges with IPv6 on the LANs and on the WANs, and no IPv4 at all",
    drawing=DRAWING,
    links=(
        Link(bridge="bridge1", node="gateway", interface="wan1"),
        Link(bridge="bridge2", node="gateway", interface="wan2"),
    ),
    courses=(
        Course(title="down", client="laptop", server="pc", address="fd70::107", download=True, inward=True),
        Course(title="up", client="laptop", server="pc", address="fd70::107", download=False, inward=False),
    ),
    prepare=_prepare,
    weave=_weave,
)
