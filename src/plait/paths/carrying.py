"""What the tunnel needs of the host at either end: an nftables table of its own, and routes. Pure.

Tables beside ``inet plait``, since an exit has no interception, and a host may be exit and gateway in
two programs.

At a gateway, for what comes in by a LAN interface and is not taken otherwise:

* New conversations are decided upon as TCP connections are: not to this host, the exits or a bypassed
  range; rules in their order; the reserved ranges; all else to the first exit. What is to go through the
  tunnel gets a mark in conntrack, and so do its later packets: a conversation that was there before the
  tunnel stays where it was, and one in the tunnel stays in it.
* The mark leads to a routing table whose default route is the TUN device. Without the device there is no
  route in it, and the next rules decide.
* What goes in leaves under the tunnel's address, which the exit has given. What comes out must answer
  something: nobody at the far end begins a conversation with the LAN.

At an exit, what comes out of the TUN device may go where connections through the exit may be dialled, and
not into this host, but for a ping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network

from plait.config.model import Config, Gateway, IPAddress, TcpVia, UdpVia, Verdict, WhenExitLost
from plait.paths.marks import (
    FWMARK_MASK,
    FWMARK_TUNNEL,
    NFT_FAR_TABLE,
    NFT_NEAR_TABLE,
    PRIORITY_TUNNEL,
    PROTOCOL,
    ROUTE_METRIC,
    TABLE_TUNNEL,
)
from plait.paths.model import PolicyRule, Route, Ruleset
from plait.paths.nftext import RESERVED, addresses, braces, indent, matches, return_to

_KEEP = f"{~FWMARK_MASK & 0xFFFFFFFF:#010x}"
_MASK, _MARK = f"{FWMARK_MASK:#010x}", f"{FWMARK_TUNNEL:#010x}"
_CARRY = f"ct mark set ct mark & {_KEEP} | {_MARK} meta mark set meta mark & {_KEEP} | {_MARK} accept"
_FIT = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"


def wants_tunnel(gateway: Gateway) -> bool:
    """Whether anything is to go through the tunnel."""
    return gateway.udp is UdpVia.TUNNEL or gateway.tcp is TcpVia.TUNNEL


def near_table(
    config: Config, exits: Mapping[str, tuple[IPAddress, ...]], device: str, *, taking: bool
) -> Ruleset:
    """A gateway's table. With ``taking`` false the exit is lost: what is new goes out directly, or is
    refused, as the owner said."""
    gateway = config.gateway
    assert gateway is not None
    own = [address for each in exits.values() for address in each]
    lan = braces(f'"{name}"' for name in gateway.lan)
    protocols = {
        (True, True): [],
        (True, False): ["meta l4proto != tcp return"],
        (False, True): ["meta l4proto tcp return"],
    }[gateway.tcp is TcpVia.TUNNEL, gateway.udp is UdpVia.TUNNEL]
    refused = not taking and gateway.when_exit_lost is WhenExitLost.BLOCK
    verdict = _CARRY if taking else "reject" if refused else "return"
    decide = [
        "type filter hook prerouting priority mangle + 1; policy accept;",
        f"iifname != {lan} return",
        *protocols,
        f"ct mark & {_MASK} == {_MARK} meta mark set meta mark & {_KEEP} | {_MARK} accept",
        "ct state != new return",
        "fib daddr type { local, broadcast, anycast, multicast } return",
        f"fib daddr oifname {lan} return",
        *return_to("exits"),
        *return_to("bypass"),
        *_rules(config, verdict),
        *return_to("reserved"),
        verdict,
    ]
    body = [
        *addresses("exits", own),
        *addresses("bypass", gateway.bypass),
        *addresses("reserved", RESERVED),
        *_chain("carry", decide),
        *_chain(
            "leave",
            ["type nat hook postrouting priority srcnat; policy accept;", f'oifname "{device}" masquerade'],
        ),
        *_chain("fit", _fit(device)),
        *_chain("guard", _guard("forward", device)),
        *_chain("guard_host", _guard("input", device)),
    ]
    return _ruleset(NFT_NEAR_TABLE, body)


def _rules(config: Config, verdict: str) -> list[str]:
    gateway = config.gateway
    assert gateway is not None
    carried = [
        word
        for word, through in (
            ("tcp", gateway.tcp is TcpVia.TUNNEL),
            ("udp", gateway.udp is UdpVia.TUNNEL),
        )
        if through
    ]
    lines = []
    for rule in config.rules:
        if rule.domain:
            continue  # not served yet, and without it the rule would match too much
        if rule.to is Verdict.DIRECT:
            word = "return"
        elif rule.to is Verdict.BLOCK:
            word = "reject"
        elif config.peers and rule.to == config.peers[0].name:
            word = verdict
        else:
            word = "return"  # the tunnel leads to the first exit
        if rule.port or rule.protocol:
            found = [f"meta l4proto {each} {match}" for each in carried for match in matches(rule, each)]
        else:
            found = matches(rule, carried[0])
        lines += [f"{match.rstrip()} {word}".strip() for match in found]
    return lines


def far_table(config: Config, device: str, subnet: IPv4Network | IPv6Network) -> Ruleset:
    """An exit's table."""
    role = config.exit
    assert role is not None
    word = "ip" if subnet.version == 4 else "ip6"
    version = subnet.version
    admit = [
        "type filter hook forward priority filter; policy accept;",
        f'oifname "{device}" ct state != {{ established, related }} drop',
        f'iifname != "{device}" return',
        f"{word} saddr != {subnet} drop",
        f"{word} daddr @deny{version} reject",
        f"{word} daddr @allow{version} accept",
        f"{word} daddr @reserved{version} reject",
    ]
    body = [
        *addresses("deny", role.deny),
        *addresses("allow", role.allow),
        *addresses("reserved", RESERVED),
        *_chain("admit", admit),
        *_chain(
            "guard_host",
            [
                "type filter hook input priority filter; policy accept;",
                f'iifname != "{device}" return',
                f"{word} daddr {subnet[1]} meta l4proto {{ icmp, ipv6-icmp }} accept",
                "drop",
            ],
        ),
        *_chain("fit", _fit(device)),
    ]
    if config.tunnel.masquerade:
        body += _chain(
            "leave",
            [
                "type nat hook postrouting priority srcnat; policy accept;",
                f'{word} saddr {subnet} oifname != "{device}" masquerade',
            ],
        )
    return _ruleset(NFT_FAR_TABLE, body)


def routing(device: int, versions: Iterable[int]) -> tuple[list[Route], list[PolicyRule]]:
    """What leads marked packets into the TUN device with this index."""
    routes, rules = [], []
    for version in sorted(set(versions)):
        everywhere = IPv4Network("0.0.0.0/0") if version == 4 else IPv6Network("::/0")
        routes.append(
            Route(dst=everywhere, oif=device, table=TABLE_TUNNEL, metric=ROUTE_METRIC, protocol=PROTOCOL)
        )
        rules.append(
            PolicyRule(
                priority=PRIORITY_TUNNEL,
                family=version,
                table=TABLE_TUNNEL,
                mark=FWMARK_TUNNEL,
                mask=FWMARK_MASK,
                protocol=PROTOCOL,
            )
        )
    return routes, rules


def _fit(device: str) -> list[str]:
    """TCP must not send segments that are too long for the tunnel, whichever way it opens."""
    return [
        "type filter hook forward priority mangle; policy accept;",
        f'iifname "{device}" {_FIT}',
        f'oifname "{device}" {_FIT}',
    ]


def _guard(hook: str, device: str) -> list[str]:
    return [
        f"type filter hook {hook} priority filter; policy accept;",
        f'iifname "{device}" ct state != {{ established, related }} drop',
    ]


def _chain(name: str, lines: list[str]) -> list[str]:
    return [f"chain {name} {{", *indent(lines), "}", ""]


def _ruleset(table: str, body: list[str]) -> Ruleset:
    digest = sha256("\n".join(body).encode()).hexdigest()[:16]
    lines = [
        f"table inet {table}",
        f"delete table inet {table}",
        f"table inet {table} {{",
        f'\tcomment "{digest}"',
        "",
        *indent(body),
        "}",
    ]
    return Ruleset(text="\n".join(lines) + "\n", digest=digest)
