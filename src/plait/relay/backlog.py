"""How much of a connection may wait in the kernel for its turn: enough to keep its paths busy, no more.

What has been handed to a path and not sent when that path dies is sent again over the others, behind
all that waits there already. By default the kernel lets megabytes wait: over two links of 20 Mbit/s
a seventh of a second for each, which a transfer then stands still for. SO_SNDBUF would bound that,
but it bounds what is in flight, too, and turns off the kernel's own tuning for good: over unequal
paths, where much must be in flight, that was measured to take nineteen parts of twenty. So what waits
is bounded apart from what flies: a leg gives its sink a little at a time while enough waits there.

No path that carries may run dry meanwhile, for congestion control takes that for the path's limit (a
subflow does not know that it is the application that holds back), and stays there. So each has a share of
its own. It follows what congestion control wants to send, or would (its pacing rate: while it still finds
out how much the path takes that is twice or three times what arrives). And it makes up for what is in
flight: the kernel's scheduler gives the next bytes to the path on which all that is queued *or in flight*
is least, in seconds (`mptcp_subflow_get_send`, net/mptcp/protocol.c), so that a far path gets something
only once the near one has as much more waiting. Where a path still has nothing to send at one look in ten
all wait for a little longer, and a connection that has nearly run dry is left alone for a while.
"""

from __future__ import annotations

from plait.config.model import IPAddress
from plait.kernel.mptcp_info import Look, Subflow

WAIT = 0.03
"""Seconds of sending that may wait for each path, at the rate that it has, or had of late."""
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

_MORE, _LESS, _MOST = 0.005, 0.0005, 0.3
"""Seconds by which more may wait after a look at which a path had nothing to send, and less after any other;
and the most of it."""
_YOUNG = 0.7
"""Seconds after a path was first seen to carry in which nothing is done: congestion control finds out what it
takes, by doubling."""
_LEFT_ALONE = 0.5
"""Seconds for which nothing is done about a connection whose paths had nearly run dry."""

_Name = tuple[IPAddress, int]


class _Share:
    """What is known of one subflow."""

    __slots__ = ("acked", "born", "moved_at", "rate")

    def __init__(self, acked: int) -> None:
        self.acked = acked
        self.born = float("inf")
        """When it was first seen to carry anything."""
        self.moved_at = float("-inf")
        self.rate = 0.0

    def look(self, acked: int, now: float, elapsed: float) -> None:
        """So many bytes are acknowledged in all by now."""
        if acked > self.acked:
            self.rate = max((acked - self.acked) / elapsed, self.rate * _FADE)
            self.born = min(self.born, now)
            self.moved_at = now
            self.acked = acked


class Backlog:
    """Of one connection: whether it is held back, and how much may wait."""

    __slots__ = ("_alone_until", "_at", "_extra", "_shares", "engaged")

    def __init__(self) -> None:
        self._extra = 0.0
        self._at = self._alone_until = 0.0
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
                share = _Share(flow.bytes_acked)
            else:
                share.look(flow.bytes_acked, now, elapsed)
            self._shares[name] = share
        if any(now < share.born + _YOUNG for share in self._shares.values() if share.moved_at == now):
            self.engaged = False
        elif not self.engaged and now >= self._alone_until:
            waits, may_wait, _ = self._weigh(seen, unsent)
            self.engaged = waits > _ENGAGE * may_wait
        elif self.engaged:
            starved = any(
                share.moved_at == now and flow.not_sent < flow.segment
                for flow, share in zip(seen.flows, self._shares.values(), strict=False)
            )
            self._extra = min(_MOST, max(0.0, self._extra + (_MORE if starved else -_LESS)))
        return self.engaged

    def helping(self, seen: Look, unsent: int) -> int:
        """Bytes that the sink may be given now; when it has nearly run dry, no longer `engaged`."""
        waits, may_wait, room = self._weigh(seen, unsent)
        if waits < _DRY * may_wait:
            self.engaged = False
            self._alone_until = self._at + _LEFT_ALONE
        return room

    def _weigh(self, seen: Look, unsent: int) -> tuple[int, int, int]:
        """How much waits, may wait, and has room, on the paths that carry."""
        unassigned = waits = max(0, unsent - seen.handed)
        carrying: list[tuple[Subflow, float]] = []
        farthest = 0.0
        for flow in seen.flows:
            share = self._shares.get((flow.local, flow.local_port))
            if share is not None and self._at - share.moved_at < _CARRIES:
                pace = max(share.rate, flow.pacing, 1.0)
                carrying.append((flow, pace))
                farthest = max(farthest, flow.unacked * flow.segment / pace)
        may_wait = room = 0
        for flow, pace in carrying:
            bound = max(_LEAST, int(pace * (WAIT + self._extra + farthest)) - flow.unacked * flow.segment)
            may_wait += bound
            waits += flow.not_sent
            room += max(0, bound - flow.not_sent)
        return waits, may_wait or _LEAST, max(0, room - unassigned)
