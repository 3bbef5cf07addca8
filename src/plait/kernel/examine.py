"""Looks at the host that only an examination takes: nothing is changed, and what can't be read is None."""

from __future__ import annotations

import array
import fcntl
import os
import select
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from plait.kernel import sysctl
from plait.kernel.rtnl import Rtnl
from plait.paths.marks import PRIORITIES, is_our_rule

_SIOCETHTOOL = 0x8946
_ETHTOOL_GFLAGS = 0x25
_ETH_FLAG_LRO = 1 << 15
_DNS = 53
_PROC = Path("/proc")
_RESOLVERS = (
    "/run/systemd/resolve/resolv.conf",
    "/tmp/resolv.conf.d/resolv.conf.auto",  # OpenWrt's
    "/etc/resolv.conf",
)
NOBODY = "192.0.2.53"
"""An address that is nobody's (RFC 5737): whoever answers from there is somebody else."""
_QUESTION = (
    b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x0cplait-doctor\x07invalid\x00" + b"\x00\x01\x00\x01"
)


def foreign_rules() -> list[str]:
    """Policy rules of others that are looked at before the last of ours, as lines of ``ip rule``."""
    rtnl = Rtnl()
    try:
        rules = rtnl.rules()
    finally:
        rtnl.close()
    found = []
    for rule in rules:
        # Priority 0 is the kernel's own: the table of local addresses.
        if 0 < rule.priority < PRIORITIES.stop and not is_our_rule(rule.priority, rule.protocol):
            words = [f"{rule.priority}: from {rule.source or 'all'}"]
            words += [f"oif {rule.oif}"] if rule.oif else []
            words += [f"fwmark {rule.mark:#x}/{rule.mask:#x}"] if rule.mask else []
            words += [f"lookup {rule.table}"] if rule.table else []
            found.append(" ".join(words))
    return list(dict.fromkeys(found))


def nft_listing() -> str:
    """All nftables rules as text; empty when they can't be listed."""
    program = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "-n", "list", "ruleset"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def large_receive(interface: str) -> bool:
    """Whether an interface joins what it receives in a way that can't be undone (LRO)."""
    value = array.array("I", [_ETHTOOL_GFLAGS, 0])
    request = struct.pack("16sP16x", interface.encode()[:15], value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
        except OSError:
            return False
    return bool(value[1] & _ETH_FLAG_LRO)


def conntrack() -> tuple[int, int] | None:
    """Connections that the kernel tracks in this network, and how many it may."""
    count, most = "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max"
    found = sysctl.read((count, most))
    try:
        return int(found[count]), int(found[most])
    except (KeyError, ValueError):
        return None


def descriptors(pid: int | None) -> int | None:
    """Most descriptors of a process; without one, of a process that we start."""
    try:
        lines = (_PROC / (str(pid) if pid else "self") / "limits").read_text().splitlines()
        words = next(line for line in lines if line.startswith("Max open files")).split()
        if pid is None and os.geteuid() == 0:
            # A worker raises its own as far as the kernel lets root.
            return int((_PROC / "sys/fs/nr_open").read_text())
        return int(words[4 if pid is None else 3])
    except (OSError, StopIteration, ValueError):
        return None


def free_bytes(directory: Path) -> int | None:
    """What may still be written there, or where it would be made."""
    for place in (directory, *directory.parents):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return None


def resolves_for_others() -> bool:
    """Whether a program of this host listens for DNS questions on more than loopback."""
    for family in ("udp", "udp6"):
        try:
            lines = (_PROC / "net" / family).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            address, _, port = line.split()[1].rpartition(":")
            loopback = address.endswith("7F") or address == "00000000000000000000000001000000"
            if int(port, 16) == _DNS and not loopback:
                return True
    return False


def resolvers(files: Iterable[str] = _RESOLVERS) -> list[str]:
    """The resolvers that this host asks, without those on itself."""
    for name in files:
        try:
            lines = Path(name).read_text(errors="replace").splitlines()
        except OSError:
            continue
        found = []
        for line in lines:
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                try:
                    address = ip_address(words[1].partition("%")[0])
                except ValueError:
                    continue
                if not address.is_loopback:
                    found.append(str(address))
        if found:
            return found
    return []


def leaves_from(address: str) -> str:
    """Our address on packets to ``address``, as the routes are now; empty without a route. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, _DNS))
            return str(sock.getsockname()[0])
        except OSError:
            return ""


def answers_for_nobody(local: str, interface: str, patience: float) -> bool | None:
    """Whether a DNS question to nobody's address is answered over a link (IPv4); None where it can't be
    asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sock.bind((local, 0))
            sock.connect((NOBODY, _DNS))
            for _ in range(2):
                number = os.urandom(2)
                sock.send(number + _QUESTION)
                readable, _, _ = select.select([sock], [], [], patience)
                if readable and sock.recv(512)[:2] == number:
                    return True
        except OSError:
            return None
    return False
