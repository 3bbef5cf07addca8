"""Modems that give out new addresses, resets from nowhere, and a NAT that has forgotten everything.

Two modems masquerade, and the exit has one public address, as in `vps`. None of the links goes down:

* *new address by DHCP*: the modem's server denies what it had given and gives an address of another range;
* *subflows reset*: for a moment, a firewall before the exit answers what comes over one link with resets;
* *NAT forgets*: the modem's public address changes, and its connections are forgotten with the old one.
"""

from __future__ import annotations

from plait.lab import dhcp, renumbering
from plait.lab.node import wait_for
from plait.lab.scenario import Course, Link, Scenario
from plait.lab.scenarios import vps
from plait.lab.stage import Stage
from plait.lab.topology import Lab

DRAWING = """
laptop:eth0 192.168.5.100/24 via 192.168.5.1 -- gateway:lan 192.168.5.1/24
gateway:dsl dhcp == copper 20mbit 5ms queue 80ms == fritz:lan 192.168.178.1/24
gateway:lte dhcp == radio 20mbit 8ms queue 80ms == stick:lan 192.168.8.1/24
fritz:line 198.18.1.2/24 via 198.18.1.1 -- 1gbit -- isp:copper 198.18.1.1/24
stick:line 198.18.2.2/24 via 198.18.2.1 -- 1gbit -- isp:radio 198.18.2.1/24
isp:vps 203.0.113.1/24 -- 1gbit -- exit:eth0 203.0.113.10/24 via 203.0.113.1
isp:web 198.51.100.1/24 -- 1gbit -- server:eth0 198.51.100.80/24 via 198.51.100.1
"""

_MODEMS = ("fritz", "stick")
_OWN = ("192.168.178.1/24", "192.168.8.1/24")
_POOLS = ((100, 199), (20, 99))
_RESET = """table inet lab_reset { chain in { type filter hook input priority -10;
ip saddr 198.18.%d.0/24 tcp dport 8388 reject with tcp reset
}
}
"""
_RESETTING = 0.1
"""Seconds that the firewall resets: long enough to meet each subflow that carries something."""


def _prepare(lab: Lab) -> None:
    lab.forward("gateway", "isp", *_MODEMS)
    lab["gateway"].masquerade("dsl", "lte")
    for modem, own in zip(_MODEMS, _OWN, strict=True):
        lab[modem].masquerade("line")
        dhcp.serve(lab[modem], pool=_POOLS[0], lan=own)
    lab.dhcp_clients()


def _renumber(stage: Stage, number: int) -> None:
    link, modem = stage.scenario.links[number], stage.lab[_MODEMS[number]]
    (server,) = (each for each in modem.processes if "dnsmasq" in each.name and each.status is None)
    gateway = stage.lab[link.node]
    before = gateway.addresses(link.interface)
    first = before[0].rsplit(".", 1)[1]
    low, high = _POOLS[0]
    pool = _POOLS[1] if low <= int(first) <= high else _POOLS[0]
    server.stop()
    dhcp.serve(modem, pool=pool, lan=_OWN[number])
    stage.lab.renew(link.node)

    def renumbered() -> bool:
        now = gateway.addresses(link.interface)
        return bool(now) and now != before

    wait_for(f"{link.interface} to get another address", renumbered, within=15.0)


def _reset(stage: Stage, number: int) -> None:
    wall = stage.lab["exit"]
    wall.run("nft", "-f", "-", stdin=_RESET % (number + 1))
    stage.pause(_RESETTING)
    wall.run("nft", "delete", "table", "inet", "lab_reset")


def _forget(stage: Stage, number: int) -> None:
    modem, net = stage.lab[_MODEMS[number]], f"198.18.{number + 1}"
    (old,) = modem.addresses("line")
    new = f"{net}.3" if old == f"{net}.2" else f"{net}.2"
    # The kernel forgets what it masqueraded as an address that goes (nf_nat_masquerade.c, masq_inet_event).
    modem.run(
        *("sh", "-c"),
        f"ip addr del {old}/24 dev line && ip addr add {new}/24 dev line"
        f" && ip route replace default via {net}.1 dev line",
    )


SCENARIO = Scenario(
    name="renumber",
    summary="links that stay but change: a new address by DHCP, resets, a NAT that forgets",
    drawing=DRAWING,
    links=(
        Link(bridge="copper", node="gateway", interface="dsl"),
        Link(bridge="radio", node="gateway", interface="lte"),
    ),
    courses=tuple(
        Course(
            title="down" if down else "up",
            client="laptop",
            server="server",
            address="198.51.100.80",
            download=down,
            inward=down,
        )
        for down in (True, False)
    ),
    prepare=_prepare,
    weave=vps.SCENARIO.weave,
    study=renumbering.study(
        renumbering.Mishap(title="new address", happen=_renumber),
        renumbering.Mishap(title="subflows reset", happen=_reset),
        renumbering.Mishap(title="NAT forgets", happen=_forget),
    ),
)
