"""What an exit may dial: the last word, after names have been resolved.

Loopback, link-local, private and the exit's own addresses are closed unless the config names them
(``allow``); so is everything that is no unicast destination. What ``deny`` names is closed whatever
else is said. Addresses that carry another one inside
(IPv4-mapped, NAT64, 6to4) are judged by what they carry, so that no spelling gets around the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_CLOSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Beside the usual ones: what a network of its own translates to IPv4 (RFC 8215, RFC 7915), private or not.
_CLOSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "::/127",
        "::ffff:0:0:0/96",
        "64:ff9b:1::/48",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_V4_COMPATIBLE = IPv6Network("::/96")

_REMEMBERED = 4096


def carried(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one that is only a wrapping, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    value = int(address)
    if address in _NAT64 or (address in _V4_COMPATIBLE and value > 0xFFFF):
        return IPv4Address(value & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(value >> 80 & 0xFFFFFFFF)
    return address


def private(packed: bytes) -> bool:
    """Whether an address (4 or 16 bytes) belongs to no place that everybody means by it."""
    inner = carried(ip_address(packed))
    closed = _CLOSED_V4 if isinstance(inner, IPv4Address) else _CLOSED_V6
    return any(inner in network for network in closed)


class Admission:
    """Answers "may this address be dialled?"."""

    def __init__(
        self, allow: Iterable[IPNetwork], own: Iterable[IPAddress] = (), *, deny: Iterable[IPNetwork] = ()
    ) -> None:
        self._own = frozenset(own)
        self._known: dict[str, bool] = {}
        self.renew(allow, deny)

    def renew(self, allow: Iterable[IPNetwork], deny: Iterable[IPNetwork]) -> None:
        """The owner's lists have changed."""
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._known.clear()

    def own(self, addresses: Iterable[IPAddress]) -> None:
        """The host's addresses have changed."""
        self._own = frozenset(addresses)
        self._known.clear()

    def admits(self, text: str) -> bool:
        """Whether the address written ``text`` may be dialled. An IPv6 zone is ignored."""
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[text] = self._judge(ip_address(text.partition("%")[0]))
        return known

    def _judge(self, address: IPAddress) -> bool:
        inner = carried(address)
        if any(address in network or inner in network for network in self._deny):
            return False
        if any(address in network or inner in network for network in self._allow):
            return True
        if address in self._own or inner in self._own:
            return False
        closed = _CLOSED_V4 if isinstance(inner, IPv4Address) else _CLOSED_V6
        return not any(inner in network for network in closed)
