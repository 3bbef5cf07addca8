"""The test bed of most studies: two routers with two links between them, a LAN at either end.

Studies of speed get their addresses by DHCP, so that the plain routes follow the cables; studies of
cuts have fixed ones, so that what is measured is plait and not a DHCP client.
"""

from __future__ import annotations

from plait.lab import dhcp
from plait.lab.scenario import Course, Link
from plait.lab.topology import Lab

PC = "192.168.70.107"

GATEWAY = """
[gateway]
lan = ["lan"]

[[exit]]
name = "attic"
address = ["10.1.1.70", "10.2.2.70"]
password = "two roofs, one street"

[[path]]
interface = "wan1"
mode = "master"

[[path]]
interface = "wan2"

[[rule]]
destination = ["192.168.70.0/24"]
to = "exit:attic"
"""

EXIT = """
[exit]
password = "two roofs, one street"
allow = ["192.168.70.0/24"]
"""

LINKS = (
    Link(bridge="bridge1", node="gateway", interface="wan1"),
    Link(bridge="bridge2", node="gateway", interface="wan2"),
)

DOWN = Course(title="down", client="laptop", server="pc", address=PC, download=True, inward=True)
UP = Course(title="up", client="laptop", server="pc", address=PC, download=False, inward=False)
COURSES = (DOWN, UP)


def drawing(first: str, second: str, *, fixed: bool = False) -> str:
    """``first`` and ``second`` say how the links are, e.g. ``20mbit 3ms queue 80ms``."""
    one, two = ("10.1.1.100/24", "10.2.2.100/24") if fixed else ("dhcp", "dhcp")
    return f"""
laptop:eth0 192.168.78.100/24 via 192.168.78.1 -- gateway:lan 192.168.78.1/24
gateway:wan1 {one} == bridge1 {first} == exit:wan1 10.1.1.70/24
gateway:wan2 {two} == bridge2 {second} == exit:wan2 10.2.2.70/24
exit:lan 192.168.70.1/24 -- pc:eth0 {PC}/24 via 192.168.70.1
"""


def prepare(lab: Lab) -> None:
    """Routers that route, masquerading, and DHCP."""
    lab.forward("gateway", "exit")
    lab["gateway"].masquerade("wan1", "wan2")
    dhcp.serve(lab["exit"], wan1="10.1.1.70/24", wan2="10.2.2.70/24")
    lab.dhcp_clients()


def prepare_fixed(lab: Lab) -> None:
    """The same with fixed addresses, and default routes that prefer the first link."""
    lab.forward("gateway", "exit")
    lab["gateway"].masquerade("wan1", "wan2")
    for metric, (interface, hop) in enumerate((("wan1", "10.1.1.70"), ("wan2", "10.2.2.70")), 1):
        route = ("ip", "route", "add", "default", "via", hop, "dev", interface)
        lab["gateway"].run(*route, "metric", str(10 * metric))


def weave(lab: Lab) -> None:
    """Start plait at both ends."""
    lab.plait("exit", "exit", {"exit.toml": EXIT})
    lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY})
    lab.exits_up("gateway")
