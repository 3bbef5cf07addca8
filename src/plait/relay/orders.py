"""What control and a worker say to each other: one JSON object a line, over a unix socket pair.

    control → worker   {"job": {...}}            once, first: all that a worker needs to know
                       {"ways": {exit: [...]}}   the ways to the exits have changed, best first; a way is
                                                 [remote, port, local, interface, path, rtt in s or 0]
                       {"own": [...]}            the host's addresses have changed
                       {"bar": [user, ...]}      who is not served any more: ends sessions, too
                       {"serving": {exit: exit}} which exit serves new connections meant for each
                       {"plain": [exit, ...]}    to which exits MPTCP's SYNs get over no path: dialled in TCP
                       {"ask": id, "what": "tally" | "survey" | "probe" | "connect", ...}
                       {"drain": true}           accept no more; leave when the last session ends
    worker → control   {"ready": true}           listening, privileges dropped
                       {"answer": id, ...}
                       {"tally": {...}}          every now and then, and last of all
                       {"traffic": [...]}        what live connections show of the paths (`Traffic`): while
                                                 something moves or waits, and at once when it gets stuck
                       {"subflows": [...]}       which paths live connections lack (`Lacking`): once a
                                                 second while some do, and once more, empty, when none does
                       {"fault": "..."}          can't do the job; the worker ends

What is asked: ``tally`` takes nothing more; ``survey`` takes what `plait.relay.survey` says, and has the
tally in its answer; ``probe`` takes ``exit``, and with ``way`` goes over that alone and as MPTCP whatever
"plain" said; ``connect`` takes
``exit`` and ``path`` (one of the ways that the worker knows) or ``way`` (as above: of a path that is
not among them now), makes one plain TCP handshake over it, sends nothing, and answers
``{"connect": {"ok": bool, "rtt_ms": float or null, "why": str}}`` within two seconds.

Keys travel here and nowhere else: not in arguments, not in the environment.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

JsonObject = dict[str, object]

ListedWay = list[str | int | float]
"""A way as it travels: remote, port, local, interface, path, RTT in seconds (0: not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOrder:
    """A listening socket that the worker inherits."""

    fd: int
    kind: str
    """``tproxy`` or ``redirect`` (towards ``exit``); ``socks5`` or ``http``, a proxy towards ``exit``; or
    ``exit``: the door of our own exit."""
    exit: str = ""
    salt: str = ""
    proof: str = ""
    """A proxy's `Pass`, hexadecimal, when it asks who comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitOrder:
    """An exit that interceptors lead to."""

    name: str
    method: str
    secret: str = ""
    """Master key, hexadecimal."""
    mptcp: bool = True
    plain: bool = False
    """MPTCP's SYNs get there over no path now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOrder:
    """Our own exit."""

    method: str
    secrets: dict[str, str] = field(default_factory=dict)
    """Master keys by user, hexadecimal; the exit's own password is the user ``""``."""
    allow: list[str] = field(default_factory=list)
    deny: list[str] = field(default_factory=list)
    trust: list[str] = field(default_factory=list)
    salts_fd: int = -1
    """Shared memory of the replay filter."""
    fallback: list[str | int] = field(default_factory=list)
    """Host and port that strangers are handed on to; empty: nobody."""
    rates: dict[str, int] = field(default_factory=dict)
    """Bits a second each direction, of users that have a limit."""
    cells: dict[str, int] = field(default_factory=dict)
    """The first of their two cells each in the shared memory of allowances."""
    salts_since: float = 0.0
    """Since when they have been remembered, seconds of the monotonic clock."""
    rates_fd: int = -1
    barred: list[str] = field(default_factory=list)
    """Users that are not served now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that a worker needs to know when it starts."""

    listeners: list[ListenOrder]
    exits: list[ExitOrder]
    door: DoorOrder | None
    own: list[str]
    serving: dict[str, str] = field(default_factory=dict)
    """Which exit serves new connections that are meant for each; itself, when all is well."""
    ways: dict[str, list[ListedWay]]
    connect_timeout: float
    handshake_timeout: float
    idle_timeout: float
    half_close_timeout: float
    sessions: int
    uid: int
    gid: int
    verbose: int
    warm: int = 0
    """Connections to each exit that are dialled in advance."""

    def to_json(self) -> JsonObject:
        """As it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, object]) -> Job:
        """The opposite of `to_json`. Both ends are the same program, so there is nothing to check."""
        fields: dict[str, object] = dict(raw)
        fields["listeners"] = [ListenOrder(**order) for order in raw["listeners"]]  # type: ignore[attr-defined]
        fields["exits"] = [ExitOrder(**order) for order in raw["exits"]]  # type: ignore[attr-defined]
        door = raw["door"]
        fields["door"] = DoorOrder(**door) if isinstance(door, dict) else None
        return cls(**fields)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a worker's connections to one exit showed of one path since its last such message.

    Of the busiest connections, not of all. Byte counts are those of TCP (seals included,
    retransmissions not). All subflows of the path are folded into one; where ages are given that is
    the youngest one, so that a single subflow that is heard of speaks for the path.
    """

    exit: str
    local: str
    """The path, by the address that its subflows leave from."""
    at: float
    """When the kernel was asked: CLOCK_MONOTONIC, in seconds."""
    flows: int
    """Live subflows looked at."""
    acked: int
    """Bytes that the far end has acknowledged in the meantime."""
    received: int
    """Bytes that came in in the meantime."""
    sent: int
    """Segments that carried data, retransmissions included, in the meantime."""
    retrans: int
    """Those among them that were sent again."""
    unacked: int
    """Segments in flight now."""
    heard_ms: float
    """Since anything at all came in over the path (data or acknowledgement); steps of a jiffy, 1 to 10 ms."""
    waiting_ms: float
    """How long what is in flight has waited with nothing heard over the path; 0 when nothing does.
    Never more than what was seen by ourselves: our own absence does not count as silence."""
    quiet_ms: float
    """How long a stream that had been coming in has stood still; 0 when none had, or it goes on.
    Weak evidence: a server may just pause, or the hole that another path has left holds this one up."""
    outrun_ms: float
    """The longest ``quiet_ms`` of a subflow while others of the same connection brought data: its sender has
    not paused. 0 while there is none."""
    suspicious: bool
    """``waiting_ms`` or ``quiet_ms`` is over max(100 ms, 2 RTT). Then one message follows at each look
    (20 a second) until something is heard or nobody waits any more."""
    rtt_ms: float
    """Smoothed RTT of the quickest subflow."""
    min_rtt_ms: float
    """Smallest RTT that any of them has ever seen."""
    rate_bps: int
    """Delivery rate upwards of the fastest subflow, bit/s, where the path and not the application was
    the limit; 0 when none was so."""

    def to_json(self) -> JsonObject:
        """As it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, object]) -> Traffic:
        """The opposite of `to_json`."""
        return cls(**raw)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Connections to an exit that have no subflow on a path which is among its ways."""

    exit: str
    local: str
    """The path, by the address that the subflow should leave from."""
    count: int
    """Connections that were last seen without."""
    looked: int
    """Connections of that exit that were last seen as MPTCP at all."""
    longest_s: float
    """How long the longest of them has been without. One is not counted before it is a second old."""
    moving: int = 0
    """Connections that have one there, and move."""
    stranded: int = 0
    """Connections that have no subflow at all."""
    gained: int = 0
    """Connections that lacked one, and have got it since the last report."""

    def to_json(self) -> JsonObject:
        """As it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, object]) -> Lacking:
        """The opposite of `to_json`."""
        return cls(**raw)  # type: ignore[arg-type]


def line(message: JsonObject) -> bytes:
    """A message as it travels."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[JsonObject]:
        """The messages that ``data`` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(text) for text in lines if text]
