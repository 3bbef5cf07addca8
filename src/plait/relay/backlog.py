"""How much of a connection may wait in the kernel for its turn: enough to keep its paths busy, no more.

What has been handed to a path and not sent when that path dies is sent again over the others, behind
all that waits there already. By default the kernel lets megabytes wait: over two links of 20 Mbit/s
a seventh of a second for each, which a transfer then stands still for. SO_SNDBUF would bound that,
but it bounds what is in flight, too, and turns off the kernel's own tuning for good: over unequal
paths, where much must be in flight, that was measured to take nineteen parts of twenty. So what waits
is bounded apart from what flies: a leg gives its sink a little at a time while enough waits there.

No path that carries may run dry meanwhile, for congestion control takes that for the path's limit (a
subflow does not know that it is the application that holds back). So each has a share of its own, a
connection is left alone until its rate has settled, and again as soon as that grows.
"""

from __future__ import annotations

from plait.config.model import IPAddress
from plait.kernel.mptcp_info import Look

WAIT = 0.03
"""Seconds of sending that may wait for each path, at the rate that it had of late."""
HOLD = 0.006
"""Seconds between two helpings."""

_LEAST = 49152
"""Bytes that may wait for a path in any case: three sealed chunks."""
_ENGAGE = 2.0
"""Times the bound that has to wait before anything is done about it; then nothing is done for links
that are faster than the kernel's buffers are large."""
_DRY = 0.2
"""Share of the bound under which a helping has come too late."""
_FADE = 0.97
"""Of a path's best rate, from one look (20 a second) to the next: half is left after a second."""
_CARRIES = 0.3
"""Seconds after its last acknowledgement for which a path is held to carry."""

_GROWTH = 1.2
"""Times its best rate of late that a path must carry to be held to grow."""
_SETTLED = 0.5
"""Seconds without growth …"""
_GROWN_UP = 2.0
"""… and since it was first seen, after which a path's rate is held to be its own."""

_Name = tuple[IPAddress, int]


class _Share:
    """What is known of one subflow."""

    __slots__ = ("acked", "moved_at", "rate", "settled_at")

    def __init__(self, acked: int, now: float) -> None:
        self.acked = acked
        self.moved_at = 0.0
        self.rate = 0.0
        self.settled_at = now + _GROWN_UP

    def look(self, acked: int, now: float, elapsed: float) -> None:
        """So many bytes are acknowledged in all by now."""
        if acked > self.acked:
            rate = (acked - self.acked) / elapsed
            if rate > _GROWTH * self.rate:
                self.settled_at = max(self.settled_at, now + _SETTLED)
            self.rate = max(rate, self.rate * _FADE)
            self.moved_at = now
            self.acked = acked


class Backlog:
    """Of one connection: whether it is held back, and how much may wait."""

    __slots__ = ("_at", "_shares", "engaged")

    def __init__(self) -> None:
        self._at = 0.0
        self._shares: dict[_Name, _Share] = {}
        self.engaged = False

    def look(self, seen: Look, unsent: int, now: float) -> bool:
        """The regular look; gives `engaged`. ``unsent`` is SIOCOUTQ: all that is not acknowledged."""
        elapsed = now - self._at
        self._at = now
        former, self._shares = self._shares, {}
        for flow in seen.flows:
            name = flow.local, flow.local_port
            share = former.get(name)
            if share is None:
                share = _Share(flow.bytes_acked, now)
            else:
                share.look(flow.bytes_acked, now, elapsed)
            self._shares[name] = share
        if any(now < share.settled_at for share in self._shares.values()):
            self.engaged = False
        elif not self.engaged:
            waits, may_wait, _ = self._weigh(seen, unsent)
            self.engaged = waits > _ENGAGE * may_wait
        return self.engaged

    def helping(self, seen: Look, unsent: int) -> int:
        """Bytes that the sink may be given now; when it has nearly run dry, no longer `engaged`."""
        waits, may_wait, room = self._weigh(seen, unsent)
        if waits < _DRY * may_wait:
            self.engaged = False
            for share in self._shares.values():
                share.settled_at = self._at + _SETTLED
        return room

    def _weigh(self, seen: Look, unsent: int) -> tuple[int, int, int]:
        """How much waits, may wait, and has room, on the paths that carry."""
        unassigned = waits = max(0, unsent - seen.handed)
        may_wait = room = 0
        for flow in seen.flows:
            share = self._shares.get((flow.local, flow.local_port))
            if share is not None and self._at - share.moved_at < _CARRIES:
                bound = max(_LEAST, int(share.rate * WAIT))
                may_wait += bound
                waits += flow.not_sent
                room += max(0, bound - flow.not_sent)
        return waits, may_wait or _LEAST, max(0, room - unassigned)
