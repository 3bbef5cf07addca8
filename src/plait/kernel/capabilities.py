"""What this host lacks for a config, named, with how to get it. Features are tried, versions not read.

Everything is tried in a way that leaves no trace: sockets are closed again,
and ``nft -c`` checks a ruleset against this kernel without loading it.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import socket

from plait.config.model import Config, Intercept, TcpVia
from plait.errors import KernelError, MissingCapability
from plait.kernel import nft
from plait.kernel.mptcp_info import IPPROTO_MPTCP
from plait.kernel.mptcp_pm import MptcpPm
from plait.kernel.netlink import NetlinkError
from plait.paths.carrying import NearEnd, Offers, near_table
from plait.paths.intercept import ruleset, takes_tcp, takes_udp

_CAP_NET_ADMIN = 12
_PAGE = ("aiohttp", "prometheus_client")
_IP_TRANSPARENT = 19


def missing(config: Config) -> list[MissingCapability]:
    """All that this host lacks to do what the config says; empty when it can start."""
    found: list[MissingCapability | None] = []
    gateway = config.gateway
    if gateway is not None:
        found.append(_net_admin())
    found.append(page_lacks(config))
    if gateway is None or gateway.tcp is TcpVia.MPTCP:
        found.append(_mptcp_socket())
        found.append(_path_manager())
    if gateway is not None and (takes_tcp(gateway) or takes_udp(gateway)) and found[0] is None:
        found.append(_nftables(config))
        if _uses_tproxy(config):
            found.append(_transparent_socket())
    if gateway is not None and gateway.tcp is TcpVia.TUNNEL and found[0] is None:
        # Without it all TCP would be lost. Where only the rest wants it, it is done without, and said so.
        found += [_tunnel_table(config), _tun()]
    return [lack for lack in found if lack is not None]


def page_lacks(config: Config) -> MissingCapability | None:
    """What the web page needs, if there is to be one: Python packages that a small router does without."""
    lacks = [name for name in _PAGE if config.web is not None and importlib.util.find_spec(name) is None]
    if not lacks:
        return None
    which = " and ".join(lacks)
    return MissingCapability(
        f"[web] needs the Python package{'s' if len(lacks) > 1 else ''} {which}",
        f"pip install {' '.join(lacks)}, or take [web] out of the config",
    )


def has_net_admin() -> bool:
    """Whether this process may configure the network of its namespace."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("CapEff:"):
                    return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    except OSError:
        pass
    return False


def _net_admin() -> MissingCapability | None:
    if has_net_admin():
        return None
    return MissingCapability("the privilege CAP_NET_ADMIN is missing", "run as root")


def _mptcp_socket() -> MissingCapability | None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return MissingCapability("MPTCP is switched off", "sysctl -w net.mptcp.enabled=1")
        return MissingCapability(
            "this kernel has no MPTCP",
            "it needs Linux 5.6 or later with CONFIG_MPTCP: Debian 11 and later have it, OpenWrt 24.10 and"
            " later but for small-flash targets",
        )
    return None


def _path_manager() -> MissingCapability | None:
    try:
        MptcpPm().close()
    except NetlinkError:
        return MissingCapability(
            "this kernel has no MPTCP path manager (generic netlink family mptcp_pm)",
            "it needs Linux 5.7 or later with CONFIG_MPTCP",
        )
    return None


def _nftables(config: Config) -> MissingCapability | None:
    """Try our own ruleset, without loading it."""
    exits = {peer.name: () for peer in config.peers}
    try:
        nft.run(ruleset(config, exits).text, check_only=True)
    except MissingCapability as error:
        return error
    except KernelError as error:
        if _uses_tproxy(config):
            packages, modules = "kmod-nft-tproxy kmod-nft-socket kmod-nft-fib", "nft_tproxy nft_socket"
        else:
            packages, modules = "kmod-nft-nat kmod-nft-fib", "nft_redir nft_chain_nat"
        hint = f"`modprobe -a {modules} nft_fib_inet nft_reject_inet`; on OpenWrt `opkg install {packages}`"
        if _uses_tproxy(config):
            hint += '; or set intercept = "redirect"'
        return MissingCapability(f"this kernel can't load the interception rules ({error.message})", hint)
    return None


def _tunnel_table(config: Config) -> MissingCapability | None:
    """Try our table for the tunnel, without loading it."""
    end = NearEnd(exit=config.peers[0].name, slot=0, device=config.tunnel.name, versions=frozenset({4, 6}))
    table = near_table(config, {}, Offers(ends={end.exit: end}))
    try:
        nft.run(table.text if table is not None else "", check_only=True)
    except MissingCapability as error:
        return error
    except KernelError as error:
        return MissingCapability(
            f"this kernel can't load the tunnel's rules ({error.message})",
            "`modprobe -a nft_fib_inet nft_reject_inet nft_masq nft_ct`; on OpenWrt"
            " `opkg install kmod-nft-nat kmod-nft-fib`",
        )
    return None


def _tun() -> MissingCapability | None:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return MissingCapability(
            f"no TUN devices here: {error.strerror}", "modprobe tun; OpenWrt `opkg install kmod-tun`"
        )
    return None


def _uses_tproxy(config: Config) -> bool:
    gateway = config.gateway
    return gateway is not None and (gateway.intercept is Intercept.TPROXY or takes_udp(gateway))


def _transparent_socket() -> MissingCapability | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        except OSError:
            return MissingCapability("transparent sockets are refused (IP_TRANSPARENT)", "run as root")
    return None
