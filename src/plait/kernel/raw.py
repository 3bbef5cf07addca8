"""SYNs that no socket of the kernel's stands behind: to see what a path does to TCP's options.

Needs CAP_NET_RAW. Nothing is left behind: an answer to such a SYN meets a port where nobody listens, and
the kernel resets it. The ports are held meanwhile by sockets that are bound and do nothing else.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from plait.config.model import IPAddress
from plait.wire.faults import Malformed
from plait.wire.segments import RST, SYN, Options, payload_of, quoted, read, syn

_SO_ATTACH_FILTER = 26
_IP_PKTINFO = 8
_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")
_IPV6_CHECKSUM = 7
_LARGEST = 2048
_CONTROL = 256

# Classic BPF, include/uapi/linux/bpf_common.h.
_LDX_IP_HEADER, _LDH_X, _LDH, _JEQ, _RET = 0xB1, 0x48, 0x28, 0x15, 0x06


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One SYN to send."""

    capable: bool
    """Whether with MP_CAPABLE."""
    hops: int = 0
    """After so many routers it expires; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of it."""

    answered: bool = False
    """By a SYN and ACK."""
    refused: bool = False
    """By a reset."""
    mptcp: Options = Options.UNKNOWN
    """In the answer; or in what a router quotes."""
    mss: int | None = None
    router: IPAddress | None = None
    """Where it expired."""
    came_in: int = 0
    """Index of the link by which the answer came in."""


@dataclass(slots=True)
class Prober:
    """Sends SYNs from an address over a link to a port. Raises OSError where it may not; close it."""

    remote: IPAddress
    port: int
    local: IPAddress
    interface: str
    _sender: socket.socket = field(init=False)
    _tcp: socket.socket = field(init=False)
    _icmp: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if self.remote.version == 6 else socket.AF_INET
        icmp = socket.IPPROTO_ICMPV6 if self.remote.version == 6 else socket.IPPROTO_ICMP
        opened: list[socket.socket] = []
        try:
            for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_TCP, icmp):
                opened.append(socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol))
            self._sender, self._tcp, self._icmp = opened
            self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode())
            self._sender.bind((str(self.local), 0))
            _attach(self._sender, [])
            if self.remote.version == 6:
                # We have summed it up ourselves.
                self._sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, -1)
                self._tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._tcp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        except OSError:
            for sock in opened:
                sock.close()
            raise

    def close(self) -> None:
        """Give the sockets back."""
        for sock in (self._sender, self._tcp, self._icmp):
            sock.close()

    def ask(self, probes: Iterable[Probe], patience: float, tries: int = 2) -> list[Reply]:
        """Send these at once, those without an answer again after ``patience`` seconds; the replies in
        the same order. Takes at most ``tries * patience`` seconds."""
        wanted = list(probes)
        replies: list[Reply | None] = [None] * len(wanted)
        holders = [self._hold() for _ in wanted]
        try:
            ports = [int(holder.getsockname()[1]) for holder in holders]
            _attach(self._tcp, _for_ports(ports, self.remote.version))
            for _ in range(tries):
                for probe, port, reply in zip(wanted, ports, replies, strict=True):
                    if reply is None:
                        self._send(probe, port)
                deadline = time.monotonic() + patience
                while None in replies and (left := deadline - time.monotonic()) > 0:
                    select.select([self._tcp, self._icmp], [], [], left)
                    self._take_tcp(ports, replies)
                    self._take_icmp(ports, replies)
        finally:
            for holder in holders:
                holder.close()
        return [reply or Reply() for reply in replies]

    def _hold(self) -> socket.socket:
        holder = socket.socket(self._sender.family, socket.SOCK_STREAM)
        holder.bind((str(self.local), 0))
        return holder

    def _send(self, probe: Probe, port: int) -> None:
        sequence = int.from_bytes(os.urandom(4), "big")
        ports = port, self.port
        segment = syn(self.local.packed, self.remote.packed, ports, sequence, capable=probe.capable)
        if self.remote.version == 6:
            self._sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, probe.hops or -1)
        else:
            self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, probe.hops or -1)
        try:
            self._sender.sendto(segment, (str(self.remote), 0))
        except OSError:
            pass  # no route, or no room: then there is no answer either

    def _take_tcp(self, ports: list[int], replies: list[Reply | None]) -> None:
        while True:
            try:
                data, control, _, peer = self._tcp.recvmsg(_LARGEST, _CONTROL)
            except OSError:
                return
            if ip_address(peer[0].partition("%")[0]) != self.remote:
                continue
            try:
                segment = read(data if self.remote.version == 6 else payload_of(data))
            except Malformed:
                continue
            if segment.source_port != self.port or segment.target_port not in ports:
                continue
            if segment.flags & RST:
                reply = Reply(refused=True, came_in=_link(control))
            elif segment.flags & SYN:
                reply = Reply(answered=True, mptcp=segment.mptcp, mss=segment.mss, came_in=_link(control))
            else:
                continue
            at = ports.index(segment.target_port)
            replies[at] = replies[at] or reply

    def _take_icmp(self, ports: list[int], replies: list[Reply | None]) -> None:
        while True:
            try:
                data, peer = self._icmp.recvfrom(_LARGEST)
            except OSError:
                return
            version = self.remote.version
            try:
                quote = quoted(data if version == 6 else payload_of(data), version)
            except Malformed:
                continue
            # Somebody on the way may have translated the address; ports tell enough.
            if quote.target_port == self.port and quote.source_port in ports:
                at = ports.index(quote.source_port)
                router = ip_address(peer[0].partition("%")[0])
                replies[at] = replies[at] or Reply(router=router, mptcp=quote.mptcp)


def _link(control: list[tuple[int, int, bytes]]) -> int:
    """By which link it came in."""
    for level, kind, value in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return int(_IN_PKTINFO.unpack(value)[0])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return int(_IN6_PKTINFO.unpack(value)[1])
    return 0


def _for_ports(ports: list[int], version: int) -> list[tuple[int, int, int, int]]:
    """A filter that lets through TCP to these ports: all else of this host's TCP would drown us."""
    load = [(_LDX_IP_HEADER, 0, 0, 0), (_LDH_X, 0, 0, 2)] if version == 4 else [(_LDH, 0, 0, 2)]
    tests = [(_JEQ, len(ports) - at, 0, port) for at, port in enumerate(ports)]
    return [*load, *tests, (_RET, 0, 0, 0), (_RET, 0, 0, 0xFFFF)]


def _attach(sock: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    """Set a filter; an empty one lets nothing through."""
    code = b"".join(struct.pack("=HBBI", *each) for each in program or [(_RET, 0, 0, 0)])
    room = ctypes.create_string_buffer(code)
    # struct sock_fprog: a count and a pointer, with the padding of the machine between.
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(code) // 8, ctypes.addressof(room))
    )
