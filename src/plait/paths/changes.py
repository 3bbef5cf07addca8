"""The steps by which a host is changed: frozen values, each of which one could type.

``line()`` gives the shell command that does the same (``plait plan`` prints
it, the log echoes it). ``plait.kernel`` does the same by netlink.
"""

from __future__ import annotations

from dataclasses import dataclass

from plait.config.model import IPNetwork
from plait.paths.marks import NFT_TABLE
from plait.paths.model import Endpoint, EndpointFlags, MptcpLimits, PolicyRule, Route, RouteKind, Ruleset


@dataclass(frozen=True, slots=True)
class AddEndpoint:
    """Tell the path manager that subflows may start from an address."""

    endpoint: Endpoint
    device: str

    def line(self) -> str:
        flags = " ".join(str(flag.name).lower() for flag in EndpointFlags if flag in self.endpoint.flags)
        return (
            f"ip mptcp endpoint add {self.endpoint.address} dev {self.device} id {self.endpoint.id} {flags}"
        )


@dataclass(frozen=True, slots=True)
class DeleteEndpoint:
    """Take an endpoint away; the kernel ends its subflows and sends what was in flight elsewhere."""

    endpoint: Endpoint
    device: str

    def line(self) -> str:
        return f"ip mptcp endpoint delete id {self.endpoint.id}"


@dataclass(frozen=True, slots=True)
class FlagEndpoint:
    """Make an endpoint a backup, or no longer one, on all live connections (MP_PRIO, RFC 8684, 3.3.8)."""

    endpoint: Endpoint
    """As it shall be."""

    def line(self) -> str:
        word = "backup" if EndpointFlags.BACKUP in self.endpoint.flags else "nobackup"
        return f"ip mptcp endpoint change id {self.endpoint.id} {word}"


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Set how many subflows a connection may have."""

    limits: MptcpLimits

    def line(self) -> str:
        return (
            f"ip mptcp limits set subflows {self.limits.subflows}"
            f" add_addr_accepted {self.limits.add_addr_accepted}"
        )


@dataclass(frozen=True, slots=True)
class PutRoute:
    """Add a route, or put it in the place of one with the same destination, table and metric."""

    route: Route
    device: str

    def line(self) -> str:
        return _route_line("replace", self.route, self.device)


@dataclass(frozen=True, slots=True)
class DeleteRoute:
    """Remove a route."""

    route: Route
    device: str

    def line(self) -> str:
        return _route_line("delete", self.route, self.device)


@dataclass(frozen=True, slots=True)
class AddRule:
    """Add a policy rule."""

    rule: PolicyRule

    def line(self) -> str:
        return _rule_line("add", self.rule)


@dataclass(frozen=True, slots=True)
class DeleteRule:
    """Remove a policy rule."""

    rule: PolicyRule

    def line(self) -> str:
        return _rule_line("delete", self.rule)


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Write a kernel parameter. ``before`` is what it was, for who wants to put it back."""

    key: str
    value: str
    before: str

    def line(self) -> str:
        value = " ".join(self.value.split())
        return f'sysctl -w {self.key}="{value}"' if " " in value else f"sysctl -w {self.key}={value}"


@dataclass(frozen=True, slots=True)
class LoadTable:
    """Put our nftables table in place, whole, in one transaction."""

    ruleset: Ruleset

    def line(self) -> str:
        return f"nft -f - <<'EOF'\n{self.ruleset.text.rstrip()}\nEOF"


@dataclass(frozen=True, slots=True)
class DropTable:
    """Remove our nftables table."""

    def line(self) -> str:
        return f"nft delete table inet {NFT_TABLE}"


Change = (
    AddEndpoint
    | DeleteEndpoint
    | FlagEndpoint
    | SetLimits
    | PutRoute
    | DeleteRoute
    | AddRule
    | DeleteRule
    | SetSysctl
    | LoadTable
    | DropTable
)


def _prefix(network: IPNetwork) -> str:
    if network.prefixlen == 0:
        return "default"
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _route_line(verb: str, route: Route, device: str) -> str:
    words = ["ip"] if route.dst.version == 4 else ["ip", "-6"]
    words += ["route", verb]
    if route.kind is RouteKind.LOCAL:
        words.append("local")
    words.append(_prefix(route.dst))
    if route.gateway is not None:
        words += [
            "via",
            *(["inet6"] if route.gateway.version > route.dst.version else []),
            str(route.gateway),
        ]
    words += ["dev", device, "table", str(route.table), "proto", str(route.protocol)]
    words += ["metric", str(route.metric)]
    if route.onlink:
        words.append("onlink")
    return " ".join(words)


def _rule_line(verb: str, rule: PolicyRule) -> str:
    words = ["ip"] if rule.family == 4 else ["ip", "-6"]
    words += ["rule", verb, "pref", str(rule.priority)]
    if rule.source is not None:
        words += ["from", _prefix(rule.source)]
    if rule.mark or rule.mask:
        words += ["fwmark", f"{rule.mark:#x}/{rule.mask:#x}"]
    if rule.oif is not None:
        words += ["oif", rule.oif]
    words += ["lookup", "main" if rule.table == 254 else str(rule.table)]
    if rule.suppress is not None:
        words += ["suppress_prefixlength", str(rule.suppress)]
    words += ["protocol", str(rule.protocol)]
    return " ".join(words)
