"""What the tunnels to exits need of a gateway: an nftables table of their own, and routes. Pure.

A table beside ``inet plait``, since a host may be exit and gateway in two programs. Each exit that serves
has a TUN device, a *slot*, and by that a mark and a routing table. For what comes in by a LAN interface and
is not taken otherwise:

* New conversations are decided upon as TCP connections are: not to this host, the exits or a bypassed
  range; rules in their order; the reserved ranges; all else to the first exit. What is to go through a
  tunnel gets its mark in conntrack, and so do its later packets: a conversation that was there before the
  tunnel stays where it was, and one in a tunnel stays in it, whichever exit serves new ones by then.
* The mark leads to a routing table whose default route is the TUN device. Without the device there is no
  route in it, and the next rules decide; or where the owner wants the LAN blocked, nobody: what bears the
  mark leaves by the device or not at all.
* What goes in leaves under the tunnel's address, which the exit has given. What comes out must answer
  something: nobody at the far end begins a conversation with the LAN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from plait.config.model import (
    Config,
    Gateway,
    IPAddress,
    OwnVia,
    Rule,
    TcpVia,
    UdpVia,
    Verdict,
    WhenExitLost,
)
from plait.paths.marks import (
    FWMARK_MASK,
    NFT_NEAR_TABLE,
    PRIORITY_TUNNEL,
    PROTOCOL,
    ROUTE_METRIC,
    table_of_tunnel,
    tunnel_mark,
)
from plait.paths.model import PolicyRule, Route, Ruleset
from plait.paths.nftext import (
    RESERVED,
    addresses,
    braces,
    chain,
    collapsed,
    digested,
    fit,
    matches,
    return_to,
)

_KEEP = f"{~FWMARK_MASK & 0xFFFFFFFF:#010x}"
_MASK = f"{FWMARK_MASK:#010x}"
_SRCNAT = "type nat hook postrouting priority srcnat; policy accept;"
_NAME_MAX = 15
"""IFNAMSIZ, less the NUL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearEnd:
    """Our end of the tunnel to one exit."""

    exit: str
    slot: int
    """Which mark, routing table and device are its own; the same for as long as the exit is in the config."""
    device: str
    versions: frozenset[int]
    """IP versions for which the exit has given an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What is known of the exits' tunnels now."""

    ends: Mapping[str, NearEnd] = field(default_factory=dict)
    """Those that are open, by exit."""
    without: frozenset[str] = frozenset()
    """Exits that have said that they serve no tunnel, or are no plait."""
    serving: Mapping[str, str | None] = field(default_factory=dict)
    """Which exit serves what is new and meant for each; None while none can."""

    def end(self, config: Config, name: str, version: int, *, alone: bool = False) -> NearEnd | None:
        """The tunnel for what is meant for an exit: its own, or while it is not well that of the next one
        that is; ``alone``: its own or none."""
        names = [peer.name for peer in config.peers]
        at = names.index(name)
        for each in [name] if alone else names[at:] + names[:at]:
            found = self.ends.get(each)
            if found is not None and version in found.versions and self.serving.get(each, each) == each:
                return found
        return None

    def is_without(self, name: str) -> bool:
        """Whether an exit is well and serves no tunnel."""
        return name in self.without and self.serving.get(name, name) == name


class _Else(Enum):
    """What becomes of what no tunnel carries."""

    LEAVE = "return"
    REFUSE = "goto refuse"


def wants_tunnel(gateway: Gateway) -> bool:
    """Whether anything is to go through a tunnel."""
    return gateway.udp is UdpVia.TUNNEL or gateway.tcp is TcpVia.TUNNEL


def device_of(name: str, slot: int) -> str:
    """The TUN device of a slot: ``name``, and counted on from it."""
    if not slot:
        return name
    found = re.fullmatch(r"(.*?)(\d{0,4})", name)
    assert found is not None
    number = str(int(found[2] or 0) + slot)
    return found[1][: _NAME_MAX - len(number)] + number


def near_table(config: Config, exits: Mapping[str, tuple[IPAddress, ...]], offers: Offers) -> Ruleset | None:
    """The table; None when it would change nothing."""
    gateway = config.gateway
    assert gateway is not None
    if not offers.ends and not _refuses(config, gateway, offers):
        return None
    own = [address for each in exits.values() for address in each]
    lan = braces(f'"{name}"' for name in gateway.lan)
    ends = sorted(offers.ends.values(), key=lambda end: end.slot)
    devices = braces(f'"{end.device}"' for end in ends)
    decide = [
        "type filter hook prerouting priority mangle + 1; policy accept;",
        f"iifname != {lan} return",
        *_living(ends),
        *_protocols(gateway),
        "ct state != new return",
        # The middle of a connection that conntrack did not see begin: it began outside.
        *(["tcp flags & (fin | syn | rst | ack) != syn return"] if gateway.tcp is TcpVia.TUNNEL else []),
        "fib daddr type { local, broadcast, anycast, multicast } return",
        f"fib daddr oifname {lan} return",
        *return_to("exits"),
        *return_to("bypass"),
        *_rules(config, gateway, offers),
        *return_to("reserved"),
        *_to_exit(config, gateway, offers, config.peers[0].name, ""),
    ]
    body = [
        *addresses("exits", own),
        *addresses("bypass", gateway.bypass),
        *addresses("reserved", RESERVED),
        *(line for end in ends for line in chain(_into(end), [_mark(end)])),
        *chain("refuse", ["meta l4proto tcp reject with tcp reset", "reject"]),
        *chain("carry", decide),
        *_own(config, gateway, offers, ends),
    ]
    if ends:
        body += [
            *chain("leave", [_SRCNAT, *_leave(gateway, devices)]),
            *chain("fit", fit(devices)),
            *chain("guard", [*_guard_head("forward"), *_entering(gateway, ends), _strangers(devices)]),
            *chain("guard_host", [*_guard_head("input"), _strangers(devices)]),
        ]
    if gateway.when_exit_lost is WhenExitLost.BLOCK:
        body += chain("stay", _stay(ends))
    return digested(NFT_NEAR_TABLE, body)


def _own(config: Config, gateway: Gateway, offers: Offers, ends: Sequence[NearEnd]) -> list[str]:
    """What this host itself sends. Its way was looked up before; a mark has it looked up anew."""
    if gateway.own is OwnVia.DIRECT or not ends:
        return []
    lan = braces(f'"{name}"' for name in gateway.lan)
    dns = ["meta l4proto { tcp, udp } th dport { 53, 853 } goto own_new", "return"]
    begin = [
        "fib daddr type { local, broadcast, anycast, multicast } return",
        f"oifname {lan} return",
        *return_to("exits"),
        *return_to("bypass"),
        *return_to("reserved"),
    ]
    for version in (4, 6):
        end = offers.end(config, config.peers[0].name, version)
        if end is not None:
            begin.append(f"meta nfproto ipv{version} goto {_into(end)}")
    first = [
        "type route hook output priority mangle; policy accept;",
        # What we have marked ourselves answers in others' names.
        f"meta mark & {_MASK} != 0x00000000 return",
        *_living(ends),
        *_protocols(gateway),
        "ct state != new return",
        *(dns if gateway.own is OwnVia.DNS else ["goto own_new"]),
    ]
    return [*chain("own_new", begin), *chain("own", first)]


def _refuses(config: Config, gateway: Gateway, offers: Offers) -> bool:
    """Whether somebody's traffic would be refused."""
    return any(
        _fallback(gateway, offers, peer.name, version) is _Else.REFUSE
        for peer in config.peers
        for version in (4, 6)
    )


def _protocols(gateway: Gateway) -> list[str]:
    if gateway.tcp is not TcpVia.TUNNEL:
        return ["meta l4proto tcp return"]
    if gateway.udp is not UdpVia.TUNNEL:
        return ["meta l4proto != tcp return"]
    return []


def _living(ends: Sequence[NearEnd]) -> list[str]:
    """What is in a tunnel stays there."""
    if not ends:
        return []
    where = ", ".join(f"{tunnel_mark(end.slot):#010x} : goto {_into(end)}" for end in ends)
    return [f"ct mark & {_MASK} vmap {{ {where} }}"]


def _into(end: NearEnd) -> str:
    return f"into_{end.slot}"


def _mark(end: NearEnd) -> str:
    mark = f"{tunnel_mark(end.slot):#010x}"
    return f"ct mark set ct mark & {_KEEP} | {mark} meta mark set meta mark & {_KEEP} | {mark} accept"


def _to_exit(
    config: Config, gateway: Gateway, offers: Offers, name: str, match: str, *, alone: bool = False
) -> list[str]:
    """What is meant for an exit, and matches; one rule where both IP versions fare alike."""
    fates: dict[int, str] = {}
    for version in (4, 6):
        end = offers.end(config, name, version, alone=alone)
        fates[version] = (
            f"goto {_into(end)}" if end is not None else _fallback(gateway, offers, name, version).value
        )
    said = {"ip": [4], "ip6": [6]}.get(match.partition(" ")[0], [4, 6])
    if len({fates[version] for version in said}) == 1:
        return [f"{match} {fates[said[0]]}".strip()]
    return [f"meta nfproto ipv{version} {match} {fates[version]}".replace("  ", " ") for version in said]


def _fallback(gateway: Gateway, offers: Offers, name: str, version: int) -> _Else:
    """What becomes of what is meant for an exit and finds no tunnel."""
    if gateway.when_exit_lost is not WhenExitLost.BLOCK or offers.is_without(name):
        return _Else.LEAVE
    end = offers.ends.get(name)
    if end is not None and version not in end.versions and offers.serving.get(name, name) == name:
        return _Else.LEAVE  # it is there, and carries the other version only
    return _Else.REFUSE


def _rules(config: Config, gateway: Gateway, offers: Offers) -> list[str]:
    carried = [
        word
        for word, through in (
            ("tcp", gateway.tcp is TcpVia.TUNNEL),
            ("udp", gateway.udp is UdpVia.TUNNEL),
        )
        if through
    ]
    lines: list[str] = []
    for rule in config.rules:
        if rule.domain:
            continue  # not served yet, and without it the rule would match too much
        if rule.port or rule.protocol:
            found = [f"meta l4proto {each} {match}" for each in carried for match in matches(rule, each)]
        else:
            found = matches(rule, carried[0])
        for match in found:
            lines += _of_rule(config, gateway, offers, rule, match.strip())
    return lines


def _of_rule(config: Config, gateway: Gateway, offers: Offers, rule: Rule, match: str) -> list[str]:
    if rule.to is Verdict.DIRECT:
        return [f"{match} return".strip()]
    if rule.to is Verdict.BLOCK:
        return [f"{match} goto refuse".strip()]
    name = str(rule.to)
    lines = []
    if rule.destination:
        # Private destinations are behind their own exit or nowhere.
        for version, word in ((4, "ip"), (6, "ip6")):
            if f"{word} daddr {{" in match:
                lines += _to_exit(
                    config, gateway, offers, name, f"{word} daddr @reserved{version} {match}", alone=True
                )
    return lines + _to_exit(config, gateway, offers, name, match)


def routing(slot: int, device: int, versions: Iterable[int]) -> tuple[list[Route], list[PolicyRule]]:
    """What leads packets with a slot's mark into the TUN device with this index."""
    routes, rules = [], []
    table = table_of_tunnel(slot)
    for version in sorted(set(versions)):
        everywhere = IPv4Network("0.0.0.0/0") if version == 4 else IPv6Network("::/0")
        routes.append(Route(dst=everywhere, oif=device, table=table, metric=ROUTE_METRIC, protocol=PROTOCOL))
        rules.append(
            PolicyRule(
                priority=PRIORITY_TUNNEL,
                family=version,
                table=table,
                mark=tunnel_mark(slot),
                mask=FWMARK_MASK,
                protocol=PROTOCOL,
            )
        )
    return routes, rules


def _stay(ends: Sequence[NearEnd]) -> list[str]:
    """Where the LAN is to be blocked, what bears a tunnel's mark leaves by its device or not at all, should
    the device have gone."""
    return [
        "type filter hook postrouting priority filter; policy accept;",
        *(
            f'meta mark & {_MASK} == {tunnel_mark(end.slot):#010x} oifname != "{end.device}" drop'
            for end in ends
        ),
    ]


def _leave(gateway: Gateway, devices: str) -> list[str]:
    """What bears the tunnel's address: all but what is of a routed network."""
    lines = []
    for version, word in ((4, "ip"), (6, "ip6")):
        routed = collapsed(gateway.routed, version)
        lines.append(
            f"oifname {devices} {word} saddr != {braces(routed)} masquerade"
            if routed
            else f"oifname {devices} meta nfproto ipv{version} masquerade"
        )
    return lines


def _entering(gateway: Gateway, ends: Sequence[NearEnd]) -> list[str]:
    """Whoever begins something with a routed network is answered through the tunnel that he came by."""
    lines = []
    for version, word in ((4, "ip"), (6, "ip6")):
        routed = collapsed(gateway.routed, version)
        for end in ends if routed else ():
            mark = f"ct mark set ct mark & {_KEEP} | {tunnel_mark(end.slot):#010x}"
            lines.append(f'iifname "{end.device}" {word} daddr {braces(routed)} ct state new {mark} return')
    return lines


def _guard_head(hook: str) -> list[str]:
    return [f"type filter hook {hook} priority filter; policy accept;"]


def _strangers(devices: str) -> str:
    return f"iifname {devices} ct state != {{ established, related }} drop"
