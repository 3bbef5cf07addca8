"""What control and a worker say to each other: one JSON object a line, over a unix socket pair.

    control → worker   {"job": {...}}            once, first: all that a worker needs to know
                       {"ways": {exit: [...]}}   the ways to the exits have changed, best first
                       {"own": [...]}            the host's addresses have changed
                       {"ask": id, "what": "tally" | "sessions" | "probe", ...}
                       {"drain": true}           accept no more; leave when the last session ends
    worker → control   {"ready": true}           listening, privileges dropped
                       {"answer": id, ...}
                       {"tally": {...}}          every now and then, and last of all
                       {"fault": "..."}          can't do the job; the worker ends

Keys travel here and nowhere else: not in arguments, not in the environment.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOrder:
    """A listening socket that the worker inherits."""

    fd: int
    kind: str
    """``tproxy`` or ``redirect`` (towards ``exit``), or ``exit``: the door of our own exit."""
    exit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitOrder:
    """An exit that interceptors lead to."""

    name: str
    method: str
    secret: str = ""
    """Master key, hexadecimal."""
    mptcp: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOrder:
    """Our own exit."""

    method: str
    secrets: dict[str, str] = field(default_factory=dict)
    """Master keys by user, hexadecimal; the exit's own password is the user ``""``."""
    allow: list[str] = field(default_factory=list)
    trust: list[str] = field(default_factory=list)
    salts_fd: int = -1
    """Shared memory of the replay filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that a worker needs to know when it starts."""

    listeners: list[ListenOrder]
    exits: list[ExitOrder]
    door: DoorOrder | None
    own: list[str]
    ways: dict[str, list[list[str | int]]]
    connect_timeout: float
    handshake_timeout: float
    idle_timeout: float
    half_close_timeout: float
    sessions: int
    uid: int
    gid: int
    verbose: int

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
