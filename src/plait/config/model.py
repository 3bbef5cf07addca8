"""What the owner wants, as frozen values. This file is the reference manual.

Every loader (TOML today; shadowsocks JSON and UCI later) builds these and
nothing else; every consumer reads these and nothing else. The docstring under
a field is its documentation: docs/reference/config.md follows it.

Units: times are seconds, sizes are bytes, ports are host-order integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Mode(Enum):
    """What the owner wants of a path (the five words of the OpenWrt multipath page)."""

    ON = "on"
    """No special rule."""
    MASTER = "master"
    """Like ``on``, and the default route for all other traffic. At most one path."""
    OFF = "off"
    """Not used."""
    BACKUP = "backup"
    """A subflow stands ready and carries nothing while another path works."""
    HANDOVER = "handover"
    """No subflow at all until no other path works."""


class Intercept(Enum):
    """How TCP is taken from the LAN."""

    TPROXY = "tproxy"
    REDIRECT = "redirect"


class TcpVia(Enum):
    """How the LAN's TCP is carried."""

    MPTCP = "mptcp"
    TUNNEL = "tunnel"
    DIRECT = "direct"


class UdpVia(Enum):
    """How everything that is not TCP is carried."""

    TUNNEL = "tunnel"
    DIRECT = "direct"
    SHADOWSOCKS = "shadowsocks"
    """UDP only, one datagram a packet as Shadowsocks does it; the rest as with ``direct``."""


class OwnVia(Enum):
    """What the gateway itself sends through the tunnel."""

    DIRECT = "direct"
    """Nothing."""
    DNS = "dns"
    """Questions to DNS servers outside."""
    TUNNEL = "tunnel"
    """All that it would carry for the LAN."""


class WhenExitLost(Enum):
    """What becomes of the LAN while no exit answers."""

    DIRECT = "direct"
    BLOCK = "block"


class Method(Enum):
    """The Shadowsocks method: how the bytes between gateway and exit are sealed."""

    NONE = "none"
    AES_128_GCM = "aes-128-gcm"
    AES_256_GCM = "aes-256-gcm"
    CHACHA20_IETF_POLY1305 = "chacha20-ietf-poly1305"
    AES_128_GCM_2022 = "2022-blake3-aes-128-gcm"
    AES_256_GCM_2022 = "2022-blake3-aes-256-gcm"
    CHACHA20_POLY1305_2022 = "2022-blake3-chacha20-poly1305"

    @property
    def key_bytes(self) -> int:
        """What the password must be for SIP022's methods: base64 of so many bytes. 0 for all others."""
        return _KEY_BYTES.get(self, 0)

    @property
    def tells_users_apart(self) -> bool:
        """Whether one exit may have several users: by trying keys, or by SIP023's identity headers."""
        return self not in (Method.NONE, Method.CHACHA20_POLY1305_2022)


_KEY_BYTES = {
    Method.AES_128_GCM_2022: 16,
    Method.AES_256_GCM_2022: 32,
    Method.CHACHA20_POLY1305_2022: 32,
}


class ProxyProtocol(Enum):
    """What a ``[[proxy]]`` speaks to the application."""

    SOCKS5 = "socks5"
    HTTP = "http"


class Protocol(Enum):
    """What a ``[[rule]]`` may be limited to."""

    TCP = "tcp"
    UDP = "udp"


class Period(Enum):
    """When a user's volume begins anew, by the exit's clock in UTC."""

    NEVER = ""
    DAY = "day"
    MONTH = "month"


class Verdict(Enum):
    """Where a ``[[rule]]`` sends what it matches, when not to an exit."""

    DIRECT = "direct"
    BLOCK = "block"


class Secret:
    """A password that does not print itself: ``repr`` and ``str`` give ``***``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The password itself. Every caller is a place to review."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """``[gateway]``: the edge of a LAN."""

    lan: tuple[str, ...]
    """Interfaces of the LAN whose TCP is taken. Required. They may appear later."""
    intercept: Intercept = Intercept.TPROXY
    """``tproxy`` keeps addresses untouched; ``redirect`` for kernels without TPROXY."""
    tcp: TcpVia = TcpVia.MPTCP
    """How TCP is carried."""
    udp: UdpVia = UdpVia.TUNNEL
    """How the rest is carried. Where no exit serves a tunnel, it is routed as without plait."""
    routed: tuple[IPNetwork, ...] = ()
    """Networks of the LAN that keep their addresses in the tunnel, and can be reached from its far end."""
    own: OwnVia = OwnVia.DIRECT
    """What the gateway itself sends through the tunnel. It is never blocked."""
    when_exit_lost: WhenExitLost = WhenExitLost.DIRECT
    """``direct`` lets the LAN out without plait while no exit answers; ``block`` does not."""
    bypass: tuple[IPNetwork, ...] = ()
    """Destinations never taken, beside the reserved ranges. Beats every rule."""
    port: int = 1080
    """First local port of the interceptor; one more per further exit. Never reachable from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """``[[exit]]``: an exit that this gateway uses."""

    name: str
    """What rules, status and logs call it. Required."""
    address: tuple[str, ...]
    """IP addresses or host names under which it can be reached. Required."""
    port: int = 8388
    """Its TCP port; the tunnel's UDP port too."""
    method: Method = Method.AES_128_GCM
    """Must be the exit's."""
    password: Secret = field(default_factory=lambda: Secret(""))
    """Required unless the method is ``none``."""
    public_key: str = ""
    """The exit's, base64 of 32 bytes: the tunnel then knows the exit by more than the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """``[[path]]``: a link as a way to the exits."""

    interface: str
    """The link's network interface. Required. It may appear later."""
    name: str
    """What status and logs call it; the interface's name by default."""
    mode: Mode = Mode.ON
    """What the owner wants of it."""
    gateway: tuple[IPAddress, ...] = ()
    """Next hop, at most one of each family. By default found in the routing tables."""
    metered: bool = False
    """Each byte costs: it is probed half as often."""
    weight: float = 1.0
    """How much of the tunnel's traffic this path should carry, beside what it is able to."""
    on_up: str = ""
    """Shell command, run when the path comes up; its environment tells which path, and why."""
    on_down: str = ""
    """Shell command, run when it goes down."""
    on_standby: str = ""
    """Shell command, run when it works and carries nothing."""
    watchdog: str = ""
    """Wakes a link that stays down: ``pppd``, ``ifup``, ``networkctl``, ``link`` or a shell command."""
    watchdog_after: float = 60.0
    """How long a path must be down before that."""
    watchdog_limit: int = 5
    """Most attempts in one hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``[[rule]]``: where some of the traffic goes. First match wins; else the first exit."""

    to: str | Verdict
    """The name of an exit, or ``direct`` or ``block``. Required (written ``exit:NAME``)."""
    source: tuple[IPNetwork, ...] = ()
    """Clients it is for; all when empty."""
    destination: tuple[IPNetwork, ...] = ()
    """Destinations it is for; all when empty. Naming one beats the reserved ranges."""
    port: tuple[tuple[int, int], ...] = ()
    """Destination port ranges, both ends included; all when empty."""
    protocol: tuple[Protocol, ...] = ()
    """Protocols it is for; all when empty."""
    mac: tuple[str, ...] = ()
    """Ethernet addresses of clients it is for, in lower case; all when empty."""
    domain: tuple[str, ...] = ()
    """Domains it is for, each with all below it, in lower case; all when empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """``[[proxy]]``: for applications that choose an exit themselves."""

    listen: tuple[IPAddress, int]
    """Address and port to listen on. Required."""
    protocol: ProxyProtocol = ProxyProtocol.SOCKS5
    """What applications speak to it."""
    exit: str
    """The exit it leads to. Required."""
    username: str = ""
    """Who may use it; anybody who reaches the address when empty."""
    password: Secret = field(default_factory=lambda: Secret(""))
    """Required with a ``username``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """``[[user]]``: who may use the exit, beside the exit's own password."""

    name: str
    """What counters and logs call them. Required."""
    password: Secret
    """Theirs alone. Required."""
    rate: int = 0
    """Most bits in a second, each direction; 0 is no limit. Written as a number or as ``"20 Mbit/s"``."""
    volume: int = 0
    """Most bytes in a period, both directions together; 0 is no limit. A number, or ``"100 GB"``."""
    volume_period: Period = Period.NEVER
    """``day``, ``month``, or empty: counted for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """``[exit]``: the far end, which dials what the LAN asked for."""

    listen: tuple[IPAddress, ...] = (IPv4Address("0.0.0.0"), IPv6Address("::"))
    """Addresses to listen on."""
    port: int = 8388
    """TCP port; the tunnel's UDP port too."""
    method: Method = Method.AES_128_GCM
    """How gateways must seal."""
    password: Secret = field(default_factory=lambda: Secret(""))
    """Required unless the method is ``none`` or there are ``[[user]]`` tables."""
    allow: tuple[IPNetwork, ...] = ()
    """Private, link-local, loopback or own addresses that may be dialled all the same."""
    deny: tuple[IPNetwork, ...] = ()
    """Addresses that may not be dialled, whatever ``allow`` says."""
    trust: tuple[IPNetwork, ...] = ()
    """Who may come when the method is ``none``; required then."""
    fallback: tuple[str, int] | None = None
    """Where strangers' connections are handed on to, as host and port; they are left hanging when empty."""
    private_key: Secret = field(default_factory=lambda: Secret(""))
    """The tunnel's, base64 of 32 bytes; its public half goes into the gateways' ``[[exit]]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """``[tunnel]``: the datagram tunnel, the same for both roles."""

    serve: bool = False
    """Whether the exit forwards what gateways send through the tunnel. Its kernel must forward packets."""
    subnet: IPv4Network | IPv6Network = IPv4Network("10.188.0.0/16")
    """Addresses that the exit hands to gateways. Where it is IPv6, the tunnel carries no IPv4."""
    subnet6: IPv6Network | None = IPv6Network("fd70:6c61:6974::/64")
    """The same for IPv6 beside IPv4; none when empty."""
    networks: tuple[IPNetwork, ...] = ()
    """At an exit: networks that gateways may have behind them, each the first that names it."""
    masquerade: bool = True
    """Whether tunnelled packets leave the exit under its own address."""
    mtu: int = 0
    """Largest packet inside the tunnel in bytes; 0 means 1400."""
    name: str = "plait0"
    """The tunnel's network interface; with several exits the others' follow from it."""

    @property
    def subnets(self) -> tuple[IPNetwork, ...]:
        """One of each IP version that is carried."""
        if self.subnet.version == 6 or self.subnet6 is None:
            return (self.subnet,)
        return (self.subnet, self.subnet6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """``[web]``: a page that shows what is going on, the same for both roles."""

    listen: tuple[tuple[IPAddress, int], ...]
    """Addresses and ports to listen on. Required. An address may come later."""
    password: Secret = field(default_factory=lambda: Secret(""))
    """Whoever knows it may see everything and change the modes of paths. Required unless ``insecure``."""
    token: Secret = field(default_factory=lambda: Secret(""))
    """Programs that send it may read: Prometheus, scripts."""
    insecure: bool = False
    """Nobody is asked for a password: whoever reaches the page may change modes."""
    exposed: bool = False
    """Served to those who come by a path's interface too, and on any address."""
    names: tuple[str, ...] = ()
    """Host names by which the page may be called, beside its addresses."""
    metrics: bool = True
    """Whether Prometheus finds ``/metrics``."""
    history: int = 16_000_000
    """Bytes that history on disk may take; 0 for none. Written as a number or as ``"16 MB"``."""
    history_directory: str = ""
    """Where that is; systemd's state directory or else the run directory when empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """``[relay]``: the pump, the same for both roles."""

    workers: int = 0
    """Worker processes; 0 means one per core."""
    connect_timeout: float = 10.0
    """How long a dial may take, all addresses together."""
    handshake_timeout: float = 60.0
    """How long an accepted connection may take to say where it wants to go."""
    idle_timeout: float = 7440.0
    """A session that carries nothing for so long is ended (RFC 5382, REQ-5: at least 2 h 4 min)."""
    half_close_timeout: float = 600.0
    """The same once one side has said it is done (RFC 5382 asks for at least 4 min)."""
    sessions: int = 20000
    """Most sessions at once in one worker; further clients wait in the kernel's queue."""
    warm: int = 4
    """Connections to each exit that a worker keeps dialled in advance; 0 means none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that the owner said, from one file or several."""

    gateway: Gateway | None = None
    exit: Exit | None = None
    peers: tuple[Peer, ...] = ()
    paths: tuple[Path, ...] = ()
    rules: tuple[Rule, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    users: tuple[User, ...] = ()
    tunnel: Tunnel = field(default_factory=Tunnel)
    relay: Relay = field(default_factory=Relay)
    web: Web | None = None
