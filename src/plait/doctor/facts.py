"""What a check-up looks at, as values: of the host, and of each path to each exit.

A field that is None was not found out: nothing is concluded from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from plait.config.model import IPAddress
from plait.wire.segments import Options


class Answer(Enum):
    """What came back to something that was sent."""

    UNTRIED = "untried"
    SILENT = "silent"
    REFUSED = "refused"
    PLAIN = "plain"
    """A SYN and ACK without MPTCP's option."""
    MPTCP = "mptcp"
    """… with it."""

    @property
    def came(self) -> bool:
        """Whether the far end took the connection."""
        return self in (Answer.PLAIN, Answer.MPTCP)


class Carried(Enum):
    """How a connection of the kernel's own fared."""

    UNTRIED = "untried"
    NEVER = "never"
    """It was not established."""
    TCP = "tcp"
    """It was plain TCP from its beginning."""
    FELL_BACK = "fell back"
    """It was MPTCP after the handshake, and plain TCP after the first data."""
    BROKE = "broke"
    """It was established, and then nothing came."""
    MPTCP = "mptcp"


class Greeted(Enum):
    """Whom a greeting through the real transport met; the words are those of the probe."""

    UNTRIED = "untried"
    UP = "up"
    FOREIGN = "foreign"
    """It answers, but not as a plait does."""
    SILENT = "silent"
    """It listens and does not answer."""
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A router on the way."""

    distance: int
    """1 is the first."""
    address: IPAddress
    mptcp: Options
    """What was still there of MPTCP's option when it got there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What a pause has done to those who were silent in it."""

    seconds: float
    tcp_lives: bool | None = None
    udp_port_kept: bool | None = None
    """Whether the exit sees the same port afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayFacts:
    """One exit over one path."""

    exit: str
    local: IPAddress
    remote: IPAddress
    port: int
    syn: Answer = Answer.UNTRIED
    """Of a SYN without MPTCP's option."""
    capable: Answer = Answer.UNTRIED
    """Of one with it."""
    came_in: str = ""
    """The interface by which the answer came in."""
    hops: tuple[Hop, ...] = ()
    carried: Carried = Carried.UNTRIED
    greeted: Greeted = Greeted.UNTRIED
    greeted_why: str = ""
    udp: bool | None = None
    """Whether sealed datagrams are answered."""
    tunnel: bool | None = None
    """Whether the exit serves a tunnel."""
    rtt: float | None = None
    """Seconds, the median of the echoes."""
    loss: float | None = None
    """Share of echoes lost."""
    mtu_up: int | None = None
    """Largest IP packet that arrives at the exit."""
    mtu_down: int | None = None
    """… and from there, as far as it is not larger than ``mtu_up``."""
    icmp_told: bool = False
    """Whether a router said that packets were too large."""
    seen: IPAddress | None = None
    """The address that the exit sees."""
    skew: float | None = None
    """Seconds that the exit's clock is ahead of ours."""
    up_bps: int | None = None
    down_bps: int | None = None
    idle: Idle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """One path."""

    name: str
    interface: str
    state: str = ""
    """Why it can't be examined: in the words of the status; empty when it can."""
    metered: bool = False
    mtu: int = 0
    """The link's own."""
    strict_filter: bool = False
    """Whether the reverse path filter drops what comes back by another link than routes say."""
    hijacked: bool | None = None
    """Whether somebody answers DNS questions that were put to nobody."""
    ways: tuple[WayFacts, ...] = ()
    running: str = ""
    """What the running plait says of it, where it says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitFacts:
    """What the config says of an exit, as far as it matters here."""

    name: str
    clock_bound: bool
    """Its method needs clocks that agree within 30 seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Something that this host lacks, in the words of the one who noticed."""

    text: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """This host."""

    kernel: str = ""
    lacks: tuple[Lack, ...] = ()
    contenders: tuple[tuple[str, str], ...] = ()
    """Programs that set what plait sets, and what to do about each."""
    sysctls: dict[str, str] = field(default_factory=dict)
    """Those that exist, by their key below /proc/sys."""
    gateway: bool = False
    serves_tunnel: bool = False
    tproxy: bool = False
    udp_direct: bool = False
    blocks: bool = False
    """The owner wants nothing to leave directly (``when_exit_lost = "block"``)."""
    running: bool = False
    """A plait with this run directory runs."""
    descriptors: int | None = None
    """Most that a worker may have."""
    descriptors_wanted: int = 0
    conntrack: tuple[int, int] | None = None
    """Entries, and how many there may be."""
    run_dir: str = ""
    run_dir_free: int | None = None
    """Bytes."""
    foreign_rules: tuple[str, ...] = ()
    """Policy rules of others that come before ours, or between them."""
    foreign_tables: tuple[str, ...] = ()
    """nftables tables of others that hand packets to local programs (TPROXY), or use our bits of the mark."""
    flowtables: tuple[str, ...] = ()
    foreign_endpoints: tuple[str, ...] = ()
    large_receive: tuple[str, ...] = ()
    """Interfaces with large receive offload."""
    missing_lans: tuple[str, ...] = ()
    """Interfaces of the LAN that are not there."""
    resolvers: tuple[str, ...] = ()
    """Resolvers that this host asks for the LAN, and that are not asked through plait."""
    notes: tuple[str, ...] = ()
    """What the config makes one wonder about."""
