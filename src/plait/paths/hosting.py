"""What the tunnels of gateways need of an exit: an nftables table of its own. Pure.

What comes out of the TUN device may go where connections through the exit may be dialled, and not into this
host, but for a ping.
"""

from __future__ import annotations

from plait.config.model import Config, IPNetwork
from plait.paths.marks import NFT_FAR_TABLE
from plait.paths.model import Ruleset
from plait.paths.nftext import RESERVED, addresses, chain, digested, fit


def far_table(config: Config, device: str, subnets: tuple[IPNetwork, ...]) -> Ruleset:
    """The table of an exit that hands out addresses of ``subnets``, one of each version that it carries."""
    role = config.exit
    assert role is not None
    body = [
        *addresses("deny", role.deny),
        *addresses("allow", role.allow),
        *addresses("reserved", RESERVED),
        *addresses("lodging", (*subnets, *config.tunnel.networks)),
        *addresses("routed", config.tunnel.networks),
        *chain("admit", _admit(device, subnets)),
        *chain("guard_host", _guard_host(device, subnets)),
        *chain("fit", fit(f'"{device}"')),
    ]
    if config.tunnel.masquerade:
        body += chain(
            "leave",
            [
                "type nat hook postrouting priority srcnat; policy accept;",
                *(
                    f'{_word(each)} saddr @lodging{each.version} oifname != "{device}" masquerade'
                    for each in subnets
                ),
            ],
        )
    return digested(NFT_FAR_TABLE, body)


def _admit(device: str, subnets: tuple[IPNetwork, ...]) -> list[str]:
    lines = [
        "type filter hook forward priority filter; policy accept;",
        *(
            f'oifname "{device}" iifname != "{device}" {_word(each)} daddr @routed{each.version} accept'
            for each in subnets
        ),
        f'oifname "{device}" ct state != {{ established, related }} drop',
        f'iifname != "{device}" return',
    ]
    if {each.version for each in subnets} != {4, 6}:
        lines.append(f"meta nfproto != ipv{subnets[0].version} drop")
    lines += [f"{_word(each)} saddr != @lodging{each.version} drop" for each in subnets]
    for each in subnets:
        word, version = _word(each), each.version
        lines += [
            f"{word} daddr @deny{version} reject",
            f"{word} daddr @allow{version} accept",
            f"{word} daddr @reserved{version} reject",
        ]
    return lines


def _guard_host(device: str, subnets: tuple[IPNetwork, ...]) -> list[str]:
    return [
        "type filter hook input priority filter; policy accept;",
        f'iifname != "{device}" return',
        *(f"{_word(each)} daddr {each[1]} meta l4proto {{ icmp, ipv6-icmp }} accept" for each in subnets),
        "drop",
    ]


def _word(network: IPNetwork) -> str:
    return "ip" if network.version == 4 else "ip6"
