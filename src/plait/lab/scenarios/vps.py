"""A household with DSL and LTE, and an exit with one public address somewhere else.

Both modems masquerade, so the gateway's WAN addresses are private and mean nothing to the exit; and
the exit has one address only, which the gateway reaches through either modem. The links are unequal,
and neither is the same in both directions. When one is unplugged the exit sees nothing of it: its
own cable is fine.
"""

from __future__ import annotations

from plait.lab import dhcp
from plait.lab.scenario import Course, Link, Scenario
from plait.lab.topology import Lab

DRAWING = """
laptop:eth0 192.168.5.100/24 via 192.168.5.1 -- gateway:lan 192.168.5.1/24
gateway:dsl dhcp == copper 10/30mbit 12ms queue 100ms == fritz:lan 192.168.178.1/24
gateway:lte dhcp == radio 10/20mbit 20ms queue 100ms == stick:lan 192.168.8.1/24
fritz:line 198.18.1.2/24 via 198.18.1.1 -- 1gbit -- isp:copper 198.18.1.1/24
stick:line 198.18.2.2/24 via 198.18.2.1 -- 1gbit -- isp:radio 198.18.2.1/24
isp:vps 203.0.113.1/24 -- 1gbit -- exit:eth0 203.0.113.10/24 via 203.0.113.1
isp:web 198.51.100.1/24 -- 1gbit -- server:eth0 198.51.100.80/24 via 198.51.100.1
"""

GATEWAY = """
[gateway]
lan = ["lan"]

[[exit]]
name = "vps"
address = ["203.0.113.10"]
password = "far away, well connected"

[[path]]
interface = "dsl"
mode = "master"

[[path]]
interface = "lte"
"""

EXIT = """
[exit]
password = "far away, well connected"
"""


def _prepare(lab: Lab) -> None:
    lab.forward("gateway", "fritz", "stick", "isp")
    lab["gateway"].masquerade("dsl", "lte")
    for modem, own in (("fritz", "192.168.178.1/24"), ("stick", "192.168.8.1/24")):
        lab[modem].masquerade("line")
        dhcp.serve(lab[modem], lan=own)
    lab.dhcp_clients()


def _weave(lab: Lab) -> None:
    lab.plait("exit", "exit", {"exit.toml": EXIT})
    lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY})
    lab.exits_up("gateway")


SCENARIO = Scenario(
    name="vps",
    summary="DSL and LTE behind masquerading modems, and an exit with one public address",
    drawing=DRAWING,
    links=(
        Link(bridge="copper", node="gateway", interface="dsl"),
        Link(bridge="radio", node="gateway", interface="lte"),
    ),
    courses=(
        Course(
            title="down",
            client="laptop",
            server="server",
            address="198.51.100.80",
            download=True,
            inward=True,
        ),
        Course(
            title="up",
            client="laptop",
            server="server",
            address="198.51.100.80",
            download=False,
            inward=False,
        ),
    ),
    prepare=_prepare,
    weave=_weave,
    # What was under way on DSL must come after all that waits in the 100 ms queue of LTE, and then
    # take a round trip of 40 ms: 300 ms are for bridges of a few ms.
    stall=0.600,
)
