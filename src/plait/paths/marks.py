"""The numbers by which plait knows its own in the kernel (DESIGN.md, rule 5).

Everything that plait puts into a host lies in one of these ranges, so that
``plait down`` needs no memory of ``plait up`` and a crash leaves nothing that
the next start does not find. Another program that uses the same numbers would
have its work removed; docs/reference lists them for that reason.
"""

from __future__ import annotations

NFT_TABLE = "plait"
"""Name of the one nftables table, family ``inet``."""

NFT_NEAR_TABLE, NFT_FAR_TABLE = "plait_near", "plait_far"
"""The tunnel's tables, of a gateway and of an exit; they need the TUN device to do anything."""

PROTOCOL = 178
"""``RTPROT``/``FRA_PROTOCOL`` on each of our routes and rules: neither in rtnetlink.h nor among FRR's
(186 to 198; 188 is OSPF, and FRR sweeps away what bears its numbers when it starts)."""

TABLE_INTERCEPT = 18800
"""Routing table that delivers intercepted packets to this host."""
TABLE_TUNNEL = 18899
"""… and this one leads into the first tunnel, those before it into further ones."""
TABLES = range(18800, 18900)
"""All our routing tables; path *i* of the config has ``18801 + i``, the tunnel of slot *n* ``18899 - n``."""

PRIORITIES = range(800, 900)
"""All our policy rules: before those of other programs (mwan3 1001, main 32766)."""
PRIORITY_INTERCEPT = 800
PRIORITY_TUNNEL = 805
PRIORITY_LINK_SPECIFIC = 810
PRIORITY_LINK = 811
PRIORITY_SOURCE_SPECIFIC = 820
PRIORITY_SOURCE = 821
PRIORITY_MASTER_SPECIFIC = 890
PRIORITY_MASTER = 891

FWMARK = 0x0100_0000
FWMARK_MASK = 0x0F00_0000
"""The bits of a packet's mark that are ours; all others are left as they were."""
FWMARK_ANSWER = 0x0200_0000
"""In those bits: a datagram that we send with an address which is not ours."""
FWMARK_TUNNEL = 0x0300_0000
"""In those bits: what goes through the first tunnel, and one more for each further one. In conntrack's
mark, too."""
MOST_TUNNELS = 13
"""As many as those bits can tell apart."""

ENDPOINT_IDS = range(201, 209)
"""MPTCP endpoint ids. Eight, as the kernel has no room for more (MPTCP_PM_ADDR_MAX)."""

ROUTE_METRIC = 1024
"""Given explicitly, as IPv6 would turn 0 into this and the diff would never be empty."""

MAX_PATHS = len(TABLES) - 1 - MOST_TUNNELS


def table_of(index: int) -> int:
    """Routing table of the path at ``index`` in the config."""
    return TABLE_INTERCEPT + 1 + index


def table_of_tunnel(slot: int) -> int:
    """Routing table of a tunnel."""
    return TABLE_TUNNEL - slot


def tunnel_mark(slot: int) -> int:
    """Mark of what goes through a tunnel."""
    return FWMARK_TUNNEL + slot * FWMARK


def is_our_rule(priority: int, protocol: int) -> bool:
    """Whether a policy rule carries our mark. Both must agree: users choose priorities too."""
    return protocol == PROTOCOL and priority in PRIORITIES


def is_our_route(table: int, protocol: int) -> bool:
    """Whether a route carries our mark."""
    return protocol == PROTOCOL and table in TABLES
