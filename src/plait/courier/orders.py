"""What control and the courier say to each other: one JSON object a line, over a unix socket pair.

    control → courier   {"job": {...}}                     once, first
                        {"ways": {exit: [way, ...]}}       every path that could be probed now, see `WayOrder`
                        {"pace": {path: seconds}}          between two echoes on a path; 1.0 unless told
                        {"burst": [path, ...]}             four echoes at once, 40 ms apart
                        {"train": [path, ...]}             measure capacity, once
                        {"lead": {exit: [path, ...]}}      the paths that work, best first
                        {"own": [address, ...]}            the host's addresses
                        {"serving": {exit: exit}}          which exit serves new clients meant for each
                        {"terms": {path: [mode, weight, up]}}   how the tunnel may use paths
                        {"bar": [user, ...]}               whom our exit serves no more
                        {"home": {...}}                    our exit's order, changed where it can be
                        {"learnt": id, "kept": true}       whether what "learn" told is in its sets now
                        {"ask": id, "what": "tally"}
    courier → control   {"ready": true}                    privileges dropped, listening
                        {"echo": {"exit", "path", "sent", "rtt_us"}}
                        {"silent": {"exit", "path", "sent"}}
                        {"capacity": {"exit", "path", "up_bps", "down_bps"}}    null: not found out
                        {"session": {"exit", "state", "why"}}    state "up" or "none"
                        {"offer": {"exit", "serves"}}      whether it serves a tunnel; said when that changes
                        {"tunnel": {"exit", "addresses", "mtu"}}  what the exit gives us
                        {"lodger": {"addresses", "networks", "mtu"}}   what leads to a gateway of our exit
                        {"learn": id, "found": [[set, address, seconds], ...]}   see `courier.names`
                        {"answer": id, "tally": {...}}
                        {"tally": {...}}                   last of all

``sent`` is CLOCK_MONOTONIC in seconds, the same in both processes. Keys travel here and nowhere else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

from plait.relay.orders import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOrder:
    """One path to one exit."""

    path: str
    remote: str
    port: int
    local: str
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AwayOrder:
    """An exit that this gateway uses."""

    name: str
    method: str
    psk: str = field(default="", repr=False)
    """Hexadecimal, `wire.greeting.preshared`; empty for method ``none``."""
    exit_key: str = ""
    """The exit's public key, hexadecimal; empty when the config does not name it."""
    secret: str = field(default="", repr=False)
    """For Shadowsocks datagrams: `wire.cipher.Key.told`."""
    doors: list[int] = field(default_factory=list)
    """Inherited sockets at which nftables hands over datagrams for this exit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeOrder:
    """Our own exit."""

    doors: list[int]
    """Inherited UDP sockets."""
    method: str
    psks: dict[str, str] = field(default_factory=dict, repr=False)
    """By user, hexadecimal; the exit's own password is the user ``""``."""
    private_key: str = field(default="", repr=False)
    """Hexadecimal; empty when the exit has none."""
    trust: list[str] = field(default_factory=list)
    """Networks that may come with method ``none``."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """For Shadowsocks datagrams, by user: `wire.cipher.Key.told`."""
    allow: list[str] = field(default_factory=list)
    deny: list[str] = field(default_factory=list)
    tun: int = -1
    """The exit's TUN device, inherited; -1 without tunnels."""
    subnets: list[str] = field(default_factory=list)
    """Out of which gateways get their addresses, one of each."""
    networks: list[str] = field(default_factory=list)
    """What gateways may have behind them."""
    mtu: int = 0
    """Most bytes of an inner packet."""
    rates: dict[str, int] = field(default_factory=dict)
    """Bits a second, of users that have a limit."""
    cells: dict[str, int] = field(default_factory=dict)
    """Where those users' cells begin; see `plait.relay.allowance`."""
    rates_fd: int = -1
    """The memory that holds the cells, inherited."""
    seen_fd: int = -1
    """The memory of greetings that were seen, inherited; -1: the courier has its own."""

    def lasting(self) -> HomeOrder:
        """What of it can't be changed while a courier runs: all but who may come, how fast, and where to."""
        return replace(self, psks={}, secrets={}, trust=[], allow=[], deny=[], rates={}, cells={})


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelOrder:
    """A gateway's tunnel to one exit."""

    exit: str
    tun: int
    """The TUN device, inherited."""
    mtu: int
    """Most bytes of an inner packet."""
    networks: list[str] = field(default_factory=list)
    """What is behind us with addresses of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesOrder:
    """That DNS answers are looked at."""

    doors: list[int]
    """Inherited sockets at which nftables hands over answers."""
    sets: dict[str, list[str]]
    """The domains for each pair of sets, by the sets' name without its version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierJob:
    """All that a courier needs to know when it starts."""

    identity: str
    """32 hexadecimal digits by which exits know this gateway again."""
    aways: list[AwayOrder]
    home: HomeOrder | None
    uid: int
    gid: int
    verbose: int
    lender: int = -1
    """Our end of the pair over which `faces` are lent; -1 when nothing is intercepted."""
    tunnels: list[TunnelOrder] = field(default_factory=list)
    """The gateway's, one for each exit that serves."""
    names: NamesOrder | None = None
    """None where no rule is about domains."""

    def to_json(self) -> JsonObject:
        """As it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: JsonObject) -> CourierJob:
        """The opposite of `to_json`. Both ends are the same program, so there is nothing to check."""
        fields = dict(raw)
        fields["aways"] = [AwayOrder(**order) for order in raw["aways"]]  # type: ignore[attr-defined]
        fields["tunnels"] = [TunnelOrder(**order) for order in raw["tunnels"]]  # type: ignore[attr-defined]
        home = raw["home"]
        fields["home"] = HomeOrder(**home) if isinstance(home, dict) else None
        names = raw["names"]
        fields["names"] = NamesOrder(**names) if isinstance(names, dict) else None
        return cls(**fields)  # type: ignore[arg-type]
