"""Words of nftables that several of our tables use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from plait.config.model import IPAddress, IPNetwork, Protocol, Rule, Verdict
from plait.paths.model import Ruleset

RESERVED: tuple[IPNetwork, ...] = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("240.0.0.0/4"),
    IPv6Network("::/128"),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),
    IPv6Network("fe80::/10"),
    IPv6Network("ff00::/8"),
)
"""Not taken unless a rule names them: what RFC 6890 does not let into the Internet. The documentation
and benchmark ranges are left out: nobody lives there, and labs use them as their Internet."""

SEEN_MOST = 16384
"""Addresses of one version that a rule's domains have at most, as we have read them."""


def matches(rule: Rule, protocol: str) -> list[str]:
    """What a rule is about; one nftables rule for each IP version it can be about, two where it is about
    domains. None when it is not about ``protocol`` at all."""
    if rule.protocol and Protocol(protocol) not in rule.protocol:
        return []
    more = [f"ether saddr {braces(rule.mac)}"] if rule.mac else []
    if rule.port:
        more.append(f"{protocol} dport {braces(port_ranges(rule.port))}")
    if not rule.source and not rule.destination and not rule.domain and rule.to is Verdict.DIRECT:
        return [" ".join(more)]
    found = []
    for version, word in ((4, "ip"), (6, "ip6")):
        sources = collapsed(rule.source, version)
        destinations = collapsed(rule.destination, version)
        if (rule.source and not sources) or (rule.destination and not destinations):
            continue
        parts = []
        if sources:
            parts.append(f"{word} saddr {braces(sources)}")
        if destinations:
            parts.append(f"{word} daddr {braces(destinations)}")
        elif rule.to is not Verdict.DIRECT:
            parts.append(f"{word} daddr != @reserved{version}")
        if not rule.domain:
            found.append(" ".join(parts + more))
        for name in (learnt(rule), seen(rule)) if rule.domain else ():
            found.append(" ".join([*parts, f"{word} daddr @{name}v{version}", *more]))
    return found


def learnt(rule: Rule) -> str:
    """The name of a rule's sets of addresses that its domains were found to have, but for ``v4`` and
    ``v6``. It follows from the domains, so that another order of rules leaves it as it is."""
    return "names_" + sha256(" ".join(sorted(rule.domain)).encode()).hexdigest()[:8]


def seen(rule: Rule) -> str:
    """The same for those that we have read in answers ourselves. They are apart, as they live as long as
    the answer says, and must not fill the others or cut their lives short."""
    return learnt(rule).replace("names", "seen")


def learning(rule: Rule) -> list[str]:
    """Those sets, empty. An element that nobody adds again goes after a day: longer than any answer
    that a resolver gives is kept by clients."""
    return [
        line
        for name, life, size in ((learnt(rule), "1d", 65535), (seen(rule), "60s", SEEN_MOST))
        for version in (4, 6)
        for line in (
            f"set {name}v{version} {{",
            f"\ttype ipv{version}_addr; flags timeout; timeout {life}; size {size};",
            "}",
            "",
        )
    ]


def return_to(name: str) -> list[str]:
    """Rules that leave a chain for what goes to one of two `addresses` sets."""
    return [f"ip daddr @{name}4 return", f"ip6 daddr @{name}6 return"]


def addresses(name: str, values: Iterable[IPAddress | IPNetwork]) -> list[str]:
    """Two sets, one of each IP version."""
    found = list(values)
    lines: list[str] = []
    for version in (4, 6):
        elements = collapsed(found, version)
        lines += _set(f"{name}{version}", f"ipv{version}_addr", elements)
    return lines


def _set(name: str, kind: str, elements: list[str]) -> list[str]:
    lines = [f"set {name} {{", f"\ttype {kind}; flags interval;"]
    if elements:
        lines += ["\telements = {", *(f"\t\t{element}," for element in elements), "\t}"]
    return [*lines, "}", ""]


def collapsed(values: Iterable[IPAddress | IPNetwork], version: int) -> list[str]:
    """Those of one IP version, without overlaps, which nft does not take in an anonymous set."""
    merged: Iterable[IPNetwork]
    if version == 4:
        merged = collapse_addresses(
            IPv4Network(value) for value in values if isinstance(value, IPv4Address | IPv4Network)
        )
    else:
        merged = collapse_addresses(
            IPv6Network(value) for value in values if isinstance(value, IPv6Address | IPv6Network)
        )
    return [str(each.network_address if each.num_addresses == 1 else each) for each in merged]


def port_ranges(ranges: Iterable[tuple[int, int]]) -> list[str]:
    """Port ranges, without overlaps."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return [str(first) if first == last else f"{first}-{last}" for first, last in merged]


def braces(values: Iterable[object]) -> str:
    """An anonymous set."""
    return "{ " + ", ".join(str(value) for value in values) + " }"


def indent(lines: Iterable[str]) -> list[str]:
    """One level deeper."""
    return ["\t" + line if line else line for line in lines]


def chain(name: str, lines: Iterable[str]) -> list[str]:
    """A chain of a table."""
    return [f"chain {name} {{", *indent(lines), "}", ""]


def fit(devices: str) -> list[str]:
    """A base chain by which TCP sends no segments that are too long for these devices, whichever way it
    opens; where the route knows of less room, that counts."""
    size = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"
    return [
        "type filter hook forward priority mangle; policy accept;",
        f"iifname {devices} {size}",
        f"oifname {devices} {size}",
    ]


def digested(table: str, body: Sequence[str]) -> Ruleset:
    """A whole table, which replaces the one before, with a digest of itself as its comment."""
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
