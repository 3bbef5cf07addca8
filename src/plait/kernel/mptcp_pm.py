"""The in-kernel MPTCP path manager: endpoints and limits, by generic netlink ``mptcp_pm``.

Source: include/uapi/linux/mptcp.h, Documentation/netlink/specs/mptcp_pm.yaml.
The path manager acts on nothing by itself, not on a cut cable and not on a
new address (anchored by experiment on Linux 6.18): who sets endpoints has to
take them away and bring them back.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from plait.kernel.netlink import Generic, attribute, attributes, nested, number, u32
from plait.paths.model import Endpoint, EndpointFlags, MptcpLimits

_ADD, _DELETE, _GET, _SET_LIMITS, _GET_LIMITS, _SET_FLAGS = 1, 2, 3, 5, 6, 7
_PM_ADDR, _PM_ACCEPTED, _PM_SUBFLOWS = 1, 2, 3
_FAMILY, _ID, _ADDR4, _ADDR6, _PORT, _FLAGS, _IFINDEX = 1, 2, 3, 4, 5, 6, 7


class MptcpPm:
    """The path manager of the network namespace in which this was made.

    Raises ``NetlinkError`` (ENOENT) when the kernel has none.
    """

    def __init__(self) -> None:
        self._family = Generic("mptcp_pm")

    def close(self) -> None:
        """Give the descriptor back."""
        self._family.close()

    def endpoints(self) -> list[Endpoint]:
        """All endpoints, other programs' too."""
        result = []
        for body in self._family.dump(_GET):
            for kind, value in attributes(body):
                if kind == _PM_ADDR:
                    result.append(_endpoint(dict(attributes(value))))
        return result

    def add(self, endpoint: Endpoint) -> None:
        """Add an endpoint; live connections make a subflow from it at once."""
        self._family.request(_ADD, nested(_PM_ADDR, *_describe(endpoint)))

    def delete(self, endpoint: Endpoint) -> None:
        """Remove an endpoint; its subflows end, and what they had in flight is sent again elsewhere."""
        self._family.request(_DELETE, nested(_PM_ADDR, *_describe(endpoint)))

    def set_backup(self, endpoint: Endpoint) -> None:
        """Make an endpoint a backup, or not one, as its flags say; live connections tell the far end."""
        flags = endpoint.flags & EndpointFlags.BACKUP
        self._family.request(
            _SET_FLAGS,
            nested(_PM_ADDR, attribute(_ID, bytes([endpoint.id])), u32(_FLAGS, flags), *_where(endpoint)),
        )

    def limits(self) -> MptcpLimits:
        """The limits of this namespace."""
        found = {
            kind: number(value)
            for body in self._family.request(_GET_LIMITS)
            for kind, value in attributes(body)
        }
        return MptcpLimits(subflows=found.get(_PM_SUBFLOWS, 0), add_addr_accepted=found.get(_PM_ACCEPTED, 0))

    def set_limits(self, limits: MptcpLimits) -> None:
        """Set both limits."""
        payload = u32(_PM_ACCEPTED, limits.add_addr_accepted) + u32(_PM_SUBFLOWS, limits.subflows)
        self._family.request(_SET_LIMITS, payload)


def _where(endpoint: Endpoint) -> list[bytes]:
    if endpoint.address.version == 4:
        family, kind = socket.AF_INET, _ADDR4
    else:
        family, kind = socket.AF_INET6, _ADDR6
    return [attribute(_FAMILY, struct.pack("=H", family)), attribute(kind, endpoint.address.packed)]


def _describe(endpoint: Endpoint) -> list[bytes]:
    parts = [*_where(endpoint), attribute(_ID, bytes([endpoint.id])), u32(_FLAGS, endpoint.flags)]
    if endpoint.ifindex:
        parts.append(u32(_IFINDEX, endpoint.ifindex))
    return parts


def _endpoint(found: dict[int, bytes]) -> Endpoint:
    packed = found.get(_ADDR4) or found.get(_ADDR6) or bytes(4)
    return Endpoint(
        id=number(found.get(_ID, b"")),
        address=IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed),
        flags=EndpointFlags(number(found.get(_FLAGS, b""))),
        ifindex=number(found.get(_IFINDEX, b"")),
    )
