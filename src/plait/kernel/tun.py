"""The TUN device: whole superpackets in and out, with what the kernel says of them.

Each read and write is a ``virtio_net_hdr`` of 10 bytes and an IP packet, which may be longer than the MTU:
then the kernel has left it to us to cut it (TSO, USO), or we leave it to the kernel.

Sources: include/uapi/linux/if_tun.h, virtio_net.h; drivers/net/tun.c; include/linux/virtio_net.h. Note that
``hdr_len`` of what is read is the linear part of the skb, not the length of the headers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface

from plait.errors import KernelError, MissingCapability
from plait.kernel.netlink import (
    F_CREATE,
    F_REPLACE,
    NETLINK_ROUTE,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    nested,
    string,
    text,
    u32,
)
from plait.kernel.rtnl import Rtnl
from plait.paths.marks import PROTOCOL, ROUTE_METRIC
from plait.paths.model import TABLE_MAIN, Address

HEADER = 10
"""Bytes of a virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset."""
LARGEST = 65535 + HEADER
_LEAST_IPV6 = 1280
"""Bytes of an MTU below which the kernel does no IPv6 on a link."""

NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 4, 5
GSO_ECN = 0x80

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETOFFLOAD = 0x400454D0
_TUNSETVNETHDRSZ = 0x400454D8
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_CSUM, _TSO4, _TSO6, _TSO_ECN, _USO4, _USO6 = 1, 2, 4, 8, 0x20, 0x40
_IFREQ = struct.Struct("16sH22x")


def open_tun(name: str) -> tuple[int, bool]:
    """A non-blocking descriptor of a TUN device, and whether it takes superpackets of UDP (Linux 6.2).

    The device is made, or it is one that was left by `persist`. It lasts as long as the descriptor. Raises
    `MissingCapability` or `KernelError`.
    """
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MissingCapability(
            f"no TUN devices here: {error.strerror}", "modprobe tun; OpenWrt kmod-tun"
        ) from None
    try:
        fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(name.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR))
        fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("i", HEADER))
        persist(fd, False)
        return fd, _offloads(fd)
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EPERM:
            raise MissingCapability(f"making {name} is not permitted", "run as root") from None
        raise KernelError(f"can't make {name}: {error.strerror}", f"see: ip link show {name}") from None


def persist(fd: int, stays: bool) -> None:
    """Whether the device outlives its descriptors. Takes no privilege. Raises OSError."""
    fcntl.ioctl(fd, _TUNSETPERSIST, int(stays))


def _offloads(fd: int) -> bool:
    tcp = _CSUM | _TSO4 | _TSO6 | _TSO_ECN
    try:
        fcntl.ioctl(fd, _TUNSETOFFLOAD, tcp | _USO4 | _USO6)
    except OSError:
        fcntl.ioctl(fd, _TUNSETOFFLOAD, tcp)
        return False
    return True


_RTM_DELLINK, _RTM_GETLINK, _RTM_SETLINK, _RTM_NEWADDR, _RTM_DELADDR = 17, 18, 19, 20, 21
_IFINFO = struct.Struct("=BBHiII")
_IFADDR = struct.Struct("=BBBBI")
_IFF_UP = 1
_RTM_NEWROUTE, _RTM_DELROUTE = 24, 25
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTA_DST, _RTA_OIF, _RTA_PRIORITY, _RTA_METRICS, _RTAX_MTU = 1, 4, 6, 8, 2
_IFLA_IFNAME, _IFLA_IFALIAS = 3, 20
_IFLA_MTU, _IFLA_TXQLEN, _IFLA_GSO_MAX_SEGS, _IFLA_GSO_MAX_SIZE, _IFLA_GSO_IPV4_MAX_SIZE = 4, 13, 40, 41, 63
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD, _IFA_F_NOPREFIXROUTE = 0x02, 0x200
_SUPERPACKET = 65536
"""Bytes of the largest superpacket, as of any other device: one that is forwarded and larger than what the
device takes, the kernel would cut into single packets (net/core/dev.c `gso_features_check`)."""
MOST_SEGMENTS = 128
"""Segments that one superpacket may have; those of small ones the kernel makes several of."""
_QUEUE = 1000

Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device of ours that is there."""

    name: str
    index: int
    alias: str
    addresses: tuple[Interface, ...]


def ours(prefix: str) -> list[FoundDevice]:
    """The devices whose alias begins with ``prefix``."""
    rtnl, netlink = Rtnl(), Netlink(NETLINK_ROUTE)
    found = []
    try:
        addresses = rtnl.addresses()
        for body in netlink.dump(_RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0, 0)):
            index, said = _IFINFO.unpack_from(body)[3], dict(attributes(body, _IFINFO.size))
            alias = string(said.get(_IFLA_IFALIAS, b""))
            if alias.startswith(prefix):
                found.append(
                    FoundDevice(string(said[_IFLA_IFNAME]), index, alias, _addresses(addresses, index))
                )
    finally:
        rtnl.close()
        netlink.close()
    return found


def _addresses(addresses: Iterable[Address], index: int) -> tuple[Interface, ...]:
    """Those of one link, without the link-local one that the kernel gives it."""
    return tuple(
        ip_interface((each.address, each.network.prefixlen))
        for each in addresses
        if each.index == index and not each.address.is_link_local
    )


def remove(index: int) -> None:
    """Take a device away, whoever has it open."""
    netlink = Netlink(NETLINK_ROUTE)
    try:
        netlink.request(_RTM_DELLINK, _IFINFO.pack(socket.AF_UNSPEC, 0, 0, index, 0, 0))
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise
    finally:
        netlink.close()


class TunDevice:
    """A TUN device of ours, from making to `close`, which takes it away."""

    def __init__(self, name: str, mtu: int, alias: str = "") -> None:
        """One that was left by `persist` is taken over as it is. By the ``alias`` `ours` knows it again.
        Raises `MissingCapability` or `KernelError`."""
        self.name = name
        self.fd, self.udp_superpackets = open_tun(name)
        self._netlink = Netlink(NETLINK_ROUTE)
        self.index = socket.if_nametoindex(name)
        self._addresses: set[Interface] = set()
        self.mtu = mtu
        try:
            if alias:
                self._set(text(_IFLA_IFALIAS, alias))
                rtnl = Rtnl()
                self._addresses.update(_addresses(rtnl.addresses(), self.index))
                rtnl.close()
            self._set(u32(_IFLA_TXQLEN, _QUEUE))
            for kind, most in (
                (_IFLA_GSO_MAX_SEGS, MOST_SEGMENTS),
                (_IFLA_GSO_MAX_SIZE, _SUPERPACKET),
                (_IFLA_GSO_IPV4_MAX_SIZE, _SUPERPACKET),
            ):
                try:
                    self._set(u32(kind, most))
                except NetlinkError:
                    pass  # before Linux 6.3 there is one for both families, before 5.19 none to be set
            self.resize(mtu)
        except NetlinkError as error:
            self.close()
            raise KernelError(f"can't set up {name}: {error.strerror}", f"see: ip link show {name}") from None

    def resize(self, mtu: int) -> None:
        """Give it another MTU, and set it up."""
        self._set(u32(_IFLA_MTU, mtu), up=True)
        self.mtu = mtu
        if mtu < _LEAST_IPV6:
            # The kernel takes them away itself (addrconf_notify, net/ipv6/addrconf.c).
            self._addresses = {each for each in self._addresses if each.version == 4}

    def route(self, network: IPv4Network | IPv6Network, mtu: int, *, needed: bool) -> None:
        """What is behind it, and that packets of ``mtu`` bytes fit; the kernel tells who sends longer ones.

        A route of its own, which goes with the device; none when it is not ``needed``.
        """
        family = socket.AF_INET if network.version == 4 else socket.AF_INET6
        scope = 253 if network.version == 4 else 0  # RT_SCOPE_LINK
        body = _RTMSG.pack(family, network.prefixlen, 0, 0, TABLE_MAIN, PROTOCOL, scope, 1, 0)
        body += attribute(_RTA_DST, network.network_address.packed) + u32(_RTA_OIF, self.index)
        body += u32(_RTA_PRIORITY, ROUTE_METRIC)
        if needed:
            metrics = nested(_RTA_METRICS, u32(_RTAX_MTU, mtu))
            self._netlink.request(_RTM_NEWROUTE, body + metrics, F_CREATE | F_REPLACE)
            return
        try:
            self._netlink.request(_RTM_DELROUTE, body)
        except NetlinkError as error:
            if error.errno != errno.ESRCH:
                raise

    def address(self, addresses: set[Interface], *, routed: bool) -> None:
        """These are its addresses, and no others; ``routed`` is whether their subnets are behind it. Those of
        IPv6 only where packets are large enough for it (RFC 8200, section 5)."""
        if self.mtu < _LEAST_IPV6:
            addresses = {each for each in addresses if each.version == 4}
        for address in self._addresses - addresses:
            try:
                self._change(_RTM_DELADDR, address, 0, routed)
            except NetlinkError:
                pass  # it is gone already
        for address in addresses - self._addresses:
            self._change(_RTM_NEWADDR, address, F_CREATE | F_REPLACE, routed)
        self._addresses = set(addresses)

    def close(self) -> None:
        """Take it away."""
        os.close(self.fd)
        self._netlink.close()

    def _set(self, *attributes: bytes, up: bool = False) -> None:
        flags = _IFF_UP if up else 0
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, self.index, flags, flags)
        self._netlink.request(_RTM_SETLINK, body + b"".join(attributes))

    def _change(self, kind: int, address: Interface, flags: int, routed: bool) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        packed = address.ip.packed
        self._netlink.request(
            kind,
            _IFADDR.pack(family, address.network.prefixlen, 0, 0, self.index)
            + attribute(_IFA_LOCAL, packed)
            + attribute(_IFA_ADDRESS, packed)
            + u32(_IFA_FLAGS, _IFA_F_NODAD | (0 if routed else _IFA_F_NOPREFIXROUTE)),
            flags,
        )
