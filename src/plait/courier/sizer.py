"""Finds out how large a packet paths let through: a process that is started, asks, answers and ends.

``python -m plait.courier.sizer FD``: one JSON line comes in over the unix socket at FD (`Order`), then one
goes out for each way, ``{"path", "mtu"}``: the largest IP packet that gets through both ways, or null when
the exit does not say. It has no privileges: what it reads comes from the network.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import asdict, dataclass

from plait.courier.orders import AwayOrder, WayOrder
from plait.courier.visit import Visit
from plait.relay import privileges
from plait.relay.orders import JsonObject, Lines, line
from plait.wire import noise

_GREET, _PATIENCE = 3.0, 0.5
_LEAST = 576
_ECHOES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to find out."""

    identity: str
    """32 hexadecimal digits; not the courier's."""
    away: AwayOrder
    ways: list[WayOrder]
    mtus: list[int]
    """Of the ways' links."""
    uid: int
    gid: int

    def to_json(self) -> JsonObject:
        """As it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: JsonObject) -> Order:
        """The opposite of `to_json`. Both ends are the same program, so there is nothing to check."""
        fields = dict(raw)
        fields["away"] = AwayOrder(**raw["away"])  # type: ignore[arg-type]
        fields["ways"] = [WayOrder(**way) for way in raw["ways"]]  # type: ignore[attr-defined]
        return cls(**fields)  # type: ignore[arg-type]


def find(order: Order, way: WayOrder, most: int) -> int | None:
    """The largest packet that gets through one way, at most ``most`` bytes."""
    try:
        visit = Visit(way, order.away, bytes.fromhex(order.identity))
    except OSError:
        return None
    try:
        if not visit.greet(_GREET):
            return None
        rtt, _ = visit.echoes(_ECHOES, 0.02, _PATIENCE)
        if rtt is None:
            return None
        # Its answer comes back as long as it went out, so one search finds what passes both ways.
        return visit.largest(_LEAST, most, min(1.0, 0.1 + 3 * rtt), back=True)
    finally:
        visit.close()


def main() -> int:
    """The process."""
    # Those who carry come first.
    os.nice(10)
    channel = socket.socket(fileno=int(sys.argv[1]))
    lines = Lines()
    found: list[JsonObject] = []
    while not found:
        data = channel.recv(65536)
        if not data:
            return 0
        found = list(lines.feed(data))
    order = Order.from_json(found[0])
    if order.away.method != "none":
        noise.load()
    privileges.drop(order.uid, order.gid)
    for way, most in zip(order.ways, order.mtus, strict=True):
        channel.sendall(line({"path": way.path, "mtu": find(order, way, most)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
