"""Two mesh nodes: each serves its own LAN and is the far end for the other's.

Both run ``plait node``. The clients of either LAN begin connections to the other one.
"""

from __future__ import annotations

from plait.lab.scenario import Course, Link, Scenario
from plait.lab.topology import Lab

DRAWING = """
anna:eth0 192.168.78.100/24 via 192.168.78.1 -- west:lan 192.168.78.1/24
west:wan1 10.1.1.78/24 == bridge1 20mbit 3ms queue 80ms == east:wan1 10.1.1.70/24
west:wan2 10.2.2.78/24 == bridge2 20mbit 5ms queue 80ms == east:wan2 10.2.2.70/24
east:lan 192.168.70.1/24 -- bert:eth0 192.168.70.107/24 via 192.168.70.1
"""

_LAST = {"west": 78, "east": 70}
"""What the addresses of each node end in, and what its LAN is called by."""


def _gateway(other: str) -> str:
    last = _LAST[other]
    return f"""
[gateway]
lan = ["lan"]

[[exit]]
name = "{other}"
address = ["10.1.1.{last}", "10.2.2.{last}"]
password = "from roof to roof"

[[path]]
interface = "wan1"

[[path]]
interface = "wan2"

[[rule]]
destination = ["192.168.{last}.0/24"]
to = "exit:{other}"
"""


def _exit(own: str) -> str:
    return f"""
[exit]
password = "from roof to roof"
allow = ["192.168.{_LAST[own]}.0/24"]
"""


def _prepare(lab: Lab) -> None:
    lab.forward("west", "east")
    for own, other in (("west", "east"), ("east", "west")):
        far = _LAST[other]
        for metric, (interface, network) in enumerate((("wan1", "10.1.1"), ("wan2", "10.2.2"))):
            lab[own].sysctl(**{f"net.ipv4.conf.{interface}.ignore_routes_with_linkdown": 1})
            route = (f"192.168.{far}.0/24", "via", f"{network}.{far}", "dev", interface)
            lab[own].run("ip", "route", "add", *route, "metric", str(10 + 10 * metric))


def _weave(lab: Lab) -> None:
    for own, other in (("west", "east"), ("east", "west")):
        lab.plait(own, "node", {"gateway.toml": _gateway(other), "exit.toml": _exit(own)})
    for node in ("west", "east"):
        lab.exits_up(node)


SCENARIO = Scenario(
    name="lan-to-lan",
    summary="two mesh nodes, both gateway and exit; clients of each LAN reach the other's",
    drawing=DRAWING,
    links=(
        Link(bridge="bridge1", node="west", interface="wan1"),
        Link(bridge="bridge2", node="west", interface="wan2"),
    ),
    courses=(
        Course(
            title="west asks east",
            client="anna",
            server="bert",
            address="192.168.70.107",
            download=True,
            inward=True,
        ),
        Course(
            title="east asks west",
            client="bert",
            server="anna",
            address="192.168.78.100",
            download=True,
            inward=False,
        ),
    ),
    prepare=_prepare,
    weave=_weave,
)
