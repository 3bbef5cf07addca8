"""Two routers on two roofs, and two Wi-Fi bridges of 20 Mbit/s between them.

The test bed of the Freifunk project "Multipath Wi-Fi bridging": the gateway router gets the
addresses of its two WANs by DHCP from the exit router. One bridge is unplugged during the transfer.
"""

from __future__ import annotations

from plait.lab import dhcp
from plait.lab.scenario import Course, Link, Scenario
from plait.lab.topology import Lab

DRAWING = """
laptop:eth0 192.168.78.100/24 via 192.168.78.1 -- gateway:lan 192.168.78.1/24
gateway:wan1 dhcp == bridge1 20mbit 3ms queue 80ms == exit:wan1 10.1.1.70/24
gateway:wan2 dhcp == bridge2 20mbit 5ms queue 80ms == exit:wan2 10.2.2.70/24
exit:lan 192.168.70.1/24 -- pc:eth0 192.168.70.107/24 via 192.168.70.1
"""

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


def _prepare(lab: Lab) -> None:
    lab.forward("gateway", "exit")
    lab["gateway"].masquerade("wan1", "wan2")
    dhcp.serve(lab["exit"], wan1="10.1.1.70/24", wan2="10.2.2.70/24")
    lab.dhcp_clients()


def _weave(lab: Lab) -> None:
    lab.plait("exit", "exit", {"exit.toml": EXIT})
    lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY})
    lab.exits_up("gateway")


SCENARIO = Scenario(
    name="wifi-bridges",
    summary="two Wi-Fi bridges of 20 Mbit/s between two routers; one is unplugged and replugged",
    drawing=DRAWING,
    links=(
        Link(bridge="bridge1", node="gateway", interface="wan1"),
        Link(bridge="bridge2", node="gateway", interface="wan2"),
    ),
    courses=(
        Course(
            title="down",
            client="laptop",
            server="pc",
            address="192.168.70.107",
            download=True,
            inward=True,
        ),
        Course(
            title="up",
            client="laptop",
            server="pc",
            address="192.168.70.107",
            download=False,
            inward=False,
        ),
    ),
    prepare=_prepare,
    weave=_weave,
)
