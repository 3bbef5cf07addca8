"""The host itself: observe and apply by netlink, nft and /proc/sys."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import assert_never

from plait.errors import KernelError, PlaitError
from plait.kernel import nft, sysctl
from plait.kernel.carrier import CarrierProbe
from plait.kernel.mptcp_pm import MptcpPm
from plait.kernel.netlink import NetlinkError
from plait.kernel.rtnl import LinkCounters, Rtnl
from plait.paths.changes import (
    AddEndpoint,
    AddRule,
    Change,
    DeleteEndpoint,
    DeleteRoute,
    DeleteRule,
    DropTable,
    FlagEndpoint,
    LoadTable,
    PutRoute,
    SetLimits,
    SetSysctl,
)
from plait.paths.marks import PROTOCOL, is_our_rule
from plait.paths.model import Endpoint, Interest, MptcpLimits, Route, Snapshot

_GONE = {errno.ENODEV, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH}
"""A link or an address went between look and change."""
_NOTHING_THERE = {errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL}
"""What was to be removed is not there."""


class Host:
    """The network namespace in which this was made. Not for use by several threads at once."""

    def __init__(self) -> None:
        self._rtnl = Rtnl()
        self._nft = nft.NftQuestion()
        self._carrier = CarrierProbe()
        self._mptcp: MptcpPm | None = None
        try:
            self._mptcp = MptcpPm()
        except NetlinkError:
            pass  # a kernel without MPTCP: capabilities.missing() says so, `down` works all the same

    def close(self) -> None:
        """Give descriptors back. What was applied stays."""
        self._rtnl.close()
        self._nft.close()
        self._carrier.close()
        if self._mptcp is not None:
            self._mptcp.close()

    def counters(self) -> dict[str, LinkCounters]:
        """What each interface has carried, by name."""
        return self._rtnl.counters()

    def neighbours(self) -> dict[str, str]:
        """MAC addresses of the hosts on all links, by address."""
        return self._rtnl.neighbours()

    def carriers(self, names: Iterable[str]) -> tuple[bool, ...]:
        """Whether each link has its carrier, some microseconds each: events can be a second late."""
        return self._carrier.read(names)

    def observe(self, interest: Interest) -> Snapshot:
        """The host as it is now, as far as ``interest`` reaches."""
        links = self._rtnl.links()
        watched = [link.index for link in links if link.name in interest.interfaces]
        routes = list(self._rtnl.routes_by_protocol(PROTOCOL))
        for index in watched:
            found: list[Route] = list(self._rtnl.routes_by_link(index, interest.destinations))
            routes += [route for route in found if route.protocol != PROTOCOL]
        endpoints: list[Endpoint] = []
        limits: MptcpLimits | None = None
        if self._mptcp is not None:
            endpoints = self._mptcp.endpoints()
            limits = self._mptcp.limits()
        return Snapshot(
            links=tuple(links),
            addresses=tuple(self._rtnl.addresses()),
            routes=tuple(routes),
            rules=tuple(rule for rule in self._rtnl.rules() if is_our_rule(rule.priority, rule.protocol)),
            endpoints=tuple(endpoints),
            limits=limits,
            sysctls=sysctl.read(interest.sysctls),
            nft_digest=self._nft.digest(),
        )

    def apply(self, changes: Sequence[Change]) -> list[KernelError]:
        """Carry out changes in order; what is refused is collected and the rest done all the same."""
        failures = []
        for change in changes:
            try:
                self._apply(change)
            except PlaitError as error:
                failures.append(KernelError(f"{_first_line(change)}: {error.message}", error.hint))
            except OSError as error:
                if not _quiet(change, error.errno or 0):
                    failures.append(KernelError(f"{_first_line(change)}: {error.strerror}", _hint(error)))
        return failures

    def _apply(self, change: Change) -> None:
        match change:
            case AddEndpoint(endpoint):
                self._path_manager().add(endpoint)
            case DeleteEndpoint(endpoint):
                self._path_manager().delete(endpoint)
            case FlagEndpoint(endpoint):
                self._path_manager().set_backup(endpoint)
            case SetLimits(limits):
                self._path_manager().set_limits(limits)
            case PutRoute(route):
                self._rtnl.put_route(route)
            case DeleteRoute(route):
                self._rtnl.delete_route(route)
            case AddRule(rule):
                self._rtnl.add_rule(rule)
            case DeleteRule(rule):
                self._rtnl.delete_rule(rule)
            case SetSysctl(key, value):
                sysctl.write(key, value)
            case LoadTable(ruleset):
                nft.load(ruleset)
            case DropTable():
                nft.drop()
            case _:
                assert_never(change)

    def _path_manager(self) -> MptcpPm:
        if self._mptcp is None:
            raise KernelError("this kernel has no MPTCP path manager")
        return self._mptcp


def _quiet(change: Change, code: int) -> bool:
    match change:
        case DeleteRoute() | DeleteRule():
            return code in _NOTHING_THERE
        case AddRule():
            return code == errno.EEXIST
        case PutRoute() | AddEndpoint():
            return code in _GONE
        case FlagEndpoint() | DeleteEndpoint():
            return code in (errno.EINVAL, errno.ENOENT)  # the path manager's words for an unknown one
        case SetSysctl():
            return code == errno.ENOENT
        case _:
            return False


def _hint(error: OSError) -> str | None:
    if error.errno in (errno.EPERM, errno.EACCES):
        return "run as root, or with CAP_NET_ADMIN"
    return None


def _first_line(change: Change) -> str:
    return change.line().split("\n", 1)[0]
