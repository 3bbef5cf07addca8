"""What is going on, as one frozen value. Views only translate it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plait.control.tunnel_status import TunnelStatus
from plait.relay.accounts import OTHERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Sessions of all workers."""

    open: int = 0
    total: int = 0
    failed: int = 0
    """Those that never relayed: refused, unreachable, forbidden, timed out."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """How the ended ones ended."""
    strangers: Mapping[str, int] = field(default_factory=dict)
    """What peers did that could not prove themselves."""
    up_bytes: int = 0
    down_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagrams:
    """UDP as Shadowsocks datagrams, since the courier began."""

    open: int = 0
    """Associations: a client's address and port, with one exit."""
    total: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Clients' datagrams that went nowhere."""
    names: Mapping[str, int] = field(default_factory=dict)
    """What became of DNS answers that were looked at for rules by domain."""
    strangers: Mapping[str, int] = field(default_factory=dict)
    """Datagrams of any kind, probes and the tunnel's too, that nobody could prove to have sent just now."""
    up_bytes: int = 0
    down_bytes: int = 0


def datagrams(tally: Mapping[str, object] | None) -> Datagrams:
    """What the courier told; None when it did not."""
    if tally is None:
        return Datagrams()
    strangers, udp = tally["strangers"], tally["udp"]
    assert isinstance(strangers, dict)
    assert isinstance(udp, dict)
    told = ("open", "total", "outcomes", "names", "up_bytes", "down_bytes")
    return Datagrams(strangers=strangers, **{name: udp[name] for name in told if name in udp})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """One exit, seen from a gateway. Bytes and rates are payload of TCP."""

    name: str
    state: str
    rtt_ms: float | None
    why: str = ""
    open: int = 0
    """Sessions with it now."""
    total: int = 0
    """Sessions with it that ever relayed."""
    up_bytes: int = 0
    down_bytes: int = 0
    up_bps: int = 0
    down_bps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStatus:
    """One path. Rates are bits a second over the last second; bytes are the interface's own counters."""

    name: str
    interface: str
    mode: str
    """In force now."""
    state: str
    """``up``, ``down``, ``standby`` or ``off``."""
    configured: str = ""
    """The mode in the config; another one than ``mode`` after ``plait paths``."""
    why: str = ""
    rtt_ms: float | None = None
    """Smoothed RTT of echoes over it; without any, the mean of the subflows' RTTs."""
    jitter_ms: float | None = None
    """Mean deviation of that RTT."""
    loss: float | None = None
    """Share of echoes and segments lost lately; without any echo, the retransmitted share."""
    tx_bytes: int = 0
    rx_bytes: int = 0
    tx_bps: int = 0
    rx_bps: int = 0
    subflows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStatus:
    """One user of our exit."""

    name: str
    state: str
    """``ok``, or ``spent``: the volume is used up."""
    open: int
    """Sessions now."""
    total: int
    """Sessions that ever relayed."""
    up_bytes: int
    """Payload from the user to targets since control started, datagrams included."""
    down_bytes: int
    rate: int
    """Bits a second each direction; 0 without a limit."""
    volume: int
    """Bytes in a period; 0 without a limit."""
    used_bytes: int
    """Bytes in this period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker process."""

    pid: int
    open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubflowStatus:
    """One subflow of a connection between a gateway and an exit; of plain TCP the connection itself."""

    path: str
    """The path's name; empty at an exit, which knows addresses only."""
    local: str
    """Address and port."""
    remote: str
    state: str
    """As TCP calls it: ``established``, ``syn sent``, ..."""
    backup: bool
    """Carries nothing while another one works."""
    rtt_ms: float
    cwnd: int
    """Congestion window, in segments."""
    tx_bytes: int
    """Sent, retransmissions included."""
    rx_bytes: int
    retrans_bytes: int
    tx_bps: int
    """Bits a second since the last look, as are the other rates here."""
    rx_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One session. Bytes and rates are payload, upwards from the client."""

    id: str
    """Stays the same as long as the session lives."""
    client: str
    """Address and port; at an exit, the gateway's."""
    target: str
    exit: str
    """Empty at the exit itself."""
    user: str
    """At an exit with users; else empty."""
    age: float
    """Seconds."""
    up_bytes: int
    down_bytes: int
    up_bps: int
    down_bps: int
    transport: str
    """``mptcp`` or ``tcp``; empty when it was not looked at."""
    token: str
    """MPTCP's, hexadecimal, as ``ss -M`` shows it; empty without."""
    subflows: tuple[SubflowStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """One device of the LAN, or one of those that come to an exit. Payload of TCP."""

    name: str
    """Its host name where a lease of dnsmasq tells one, else its address."""
    mac: str
    """Empty when it is not a neighbour."""
    addresses: tuple[str, ...]
    open: int
    """Sessions now."""
    total: int
    """Sessions that ever relayed."""
    up_bytes: int
    down_bytes: int
    up_bps: int
    down_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has changed."""

    id: int
    """Counts up from 1 since control started."""
    at: float
    """Seconds since the epoch."""
    kind: str
    """``path``, ``exit``, ``user``, ``worker`` or ``plait``."""
    name: str
    """Which of them; empty for plait itself."""
    what: str
    """The new state, or what happened."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything."""

    role: str
    version: str
    pid: int
    uptime: float
    """Seconds since control started."""
    sessions: Sessions
    datagrams: Datagrams = field(default_factory=Datagrams)
    exits: tuple[ExitStatus, ...] = ()
    paths: tuple[PathStatus, ...] = ()
    users: tuple[UserStatus, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    restarts: int = 0
    """Workers that died and were replaced."""
    intercepting: bool = False
    """Whether the LAN's TCP is taken right now."""
    at: float = 0.0
    """When this was seen: seconds since the epoch."""
    clients: tuple[ClientStatus, ...] = ()
    """The busiest devices, those with the highest rates first."""
    connections: tuple[Connection, ...] = ()
    """As many of the sessions as were asked for, sorted as asked."""
    matched: int = 0
    """Sessions that those were chosen from."""
    tunnels: tuple[TunnelStatus, ...] = ()
    """A gateway's tunnels, one for each exit that serves."""
    events: tuple[Event, ...] = ()
    """As many of the last ones as were asked for, oldest first."""

    def to_json(self) -> dict[str, object]:
        """As ``plait status --json`` prints it."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


def plain(value: object) -> object:
    """A value of this snapshot as dicts and lists. `dataclasses.asdict` does the same and copies what can't
    change, for four times as long: too long for once a second."""
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    names = getattr(value, "__slots__", None)
    if names is None:
        return value
    return {name: plain(getattr(value, name)) for name in names}


_RELAYED = frozenset(
    {
        "done",
        "reset by the near side",
        "reset by the far side",
        "idle too long",
        "wrongly sealed",
        "closed by us",
    }
)
_NOT_FAILED = _RELAYED | {"gone"}


_SUMS = ("open", "opening", "total", "up_bytes", "down_bytes")
_COUNTS = ("outcomes", "strangers")
_MOST = 4096


def fold(tallies: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The tallies of workers that are no more, as one. Their sessions are over, whatever they told last."""
    sums = dict.fromkeys(_SUMS, 0)
    counts: dict[str, dict[str, int]] = {kind: {} for kind in _COUNTS}
    for tally in tallies:
        _add(tally, sums, counts)
    ended: dict[str, object] = {
        kind: _few({key: [0, *figures[1:]] for key, figures in by_key(tallies, kind).items()})
        for kind in ("users", "clients", "exits")
    }
    return {**sums, **counts, **ended, "open": 0, "opening": 0}


def _few(counts: dict[str, list[int]]) -> dict[str, list[int]]:
    """Of very many, those that carried most, and the others together: workers come and go for months."""
    if len(counts) <= _MOST:
        return counts
    ranked = sorted(counts, key=lambda key: counts[key][2] + counts[key][3], reverse=True)
    found = {key: counts[key] for key in ranked[:_MOST] if key != OTHERS}
    rest = [counts[key] for key in counts if key not in found]
    found[OTHERS] = [sum(column) for column in zip(*rest, strict=True)]
    return found


def by_user(
    tallies: Iterable[Mapping[str, object]], udp: Mapping[str, object] | None = None
) -> dict[str, list[int]]:
    """What several workers counted of each user: open sessions, all sessions, bytes up, bytes down. ``udp``
    is what the courier tells of datagrams."""
    found = by_key(tallies, "users")
    carried = udp.get("users", {}) if udp is not None else {}
    assert isinstance(carried, dict)
    for user, (up, down) in carried.items():
        into = found.setdefault(user, [0, 0, 0, 0])
        into[2] += up
        into[3] += down
    return found


def by_key(tallies: Iterable[Mapping[str, object]], kind: str) -> dict[str, list[int]]:
    """What several workers counted of each of a ``kind`` (users, clients, exits): the same four."""
    found: dict[str, list[int]] = {}
    for tally in tallies:
        counts = tally.get(kind, {})
        assert isinstance(counts, dict)
        for key, figures in counts.items():
            into = found.setdefault(key, [0, 0, 0, 0])
            for index, figure in enumerate(figures):
                into[index] += figure
    return found


def add_up(tallies: Iterable[Mapping[str, object]]) -> Sessions:
    """The tallies of several workers as one."""
    sums = dict.fromkeys(_SUMS, 0)
    counts: dict[str, dict[str, int]] = {kind: {} for kind in _COUNTS}
    for tally in tallies:
        _add(tally, sums, counts)
    return Sessions(
        open=sums["open"],
        total=sums["total"],
        failed=sum(count for word, count in counts["outcomes"].items() if word not in _NOT_FAILED),
        outcomes=counts["outcomes"],
        strangers=counts["strangers"],
        up_bytes=sums["up_bytes"],
        down_bytes=sums["down_bytes"],
    )


def _add(tally: Mapping[str, object], sums: dict[str, int], counts: dict[str, dict[str, int]]) -> None:
    for name in sums:
        value = tally[name]
        assert isinstance(value, int)
        sums[name] += value
    for kind, into in counts.items():
        found = tally[kind]
        assert isinstance(found, dict)
        for word, count in found.items():
            into[word] = into.get(word, 0) + count
