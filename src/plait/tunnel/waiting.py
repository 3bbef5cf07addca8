"""What waits to be sent: a queue for each flow, served in turn, kept short.

Bulk that comes faster than the paths take it must be told so, and the only way of telling is
to drop. CoDel (RFC 8289) does that for each flow: when its datagrams have waited too long for
a whole interval, one segment is left out, then others at a growing pace. One *segment*: a
superpacket is up to 46 of them, and a sender that loses all at once stops. Numbers are given
when segments leave, so what is left out makes no gap. Who does not listen loses all that has
waited for a quarter of a second.

Flows take turns (deficit round robin, RFC 8290), and a flow that was empty goes first.
"""

from __future__ import annotations

from collections import deque
from math import sqrt

from plait.tunnel.classes import Temper, Wish, treatment

INTERVAL = 0.100
"""Seconds above the target before the first is dropped."""
MOST_WAIT = 0.250
"""Seconds above the target after which all is dropped: whoever sends it does not mind."""
MOST_BYTES = 16 * 1024 * 1024
"""Bytes that may wait in all."""
TURN = 16 * 1024
"""Bytes that a flow may send in its turn."""


class Load:
    """One payload that waits: ``count`` segments of ``size`` bytes, of which ``next`` is the next to go."""

    __slots__ = ("count", "next", "open", "since", "size", "token")

    def __init__(self, token: int, count: int, size: int, now: float) -> None:
        self.token = token
        self.count = count
        self.size = size
        self.next = 0
        self.since = now
        self.open = 0
        """Runs of it that may have to be sent again."""


class Flow:
    """One inner flow."""

    __slots__ = (
        "_above_since",
        "_drop_at",
        "_dropping",
        "_drops",
        "credit",
        "dropped",
        "key",
        "lane",
        "loads",
        "number",
        "pinned",
        "temper",
        "thin",
        "treatment",
        "twice",
        "used_at",
        "wish",
    )

    def __init__(self, key: bytes, wish: Wish, now: float) -> None:
        self.key = key
        self.wish = wish
        self.temper = Temper(now)
        self.thin = True
        self.treatment, self.twice = treatment(key, wish, True)
        """What `classes.treatment` says of it at present."""
        self.lane = -1
        """Its own lane, once it has been in order."""
        self.number = 0
        """The number of its next segment there."""
        self.loads: deque[Load] = deque()
        self.credit = 0
        self.used_at = now
        self.pinned = wish is Wish.FAILOVER
        self.dropped = 0
        self._above_since: float | None = None
        self._dropping = False
        self._drop_at = 0.0
        self._drops = 0

    def must_drop(self, target: float, now: float) -> bool:
        """Whether the next segment is to be left out, for what has waited (CoDel, RFC 8289, section 5)."""
        waited = now - self.loads[0].since
        if waited > MOST_WAIT + target:
            self.dropped += 1
            return True
        if waited < target or len(self.loads) < 2:
            self._above_since = None
            self._dropping = False
            return False
        if self._above_since is None:
            self._above_since = now
            return False
        if not self._dropping:
            if now - self._above_since < INTERVAL:
                return False
            self._dropping = True
            # Resume near the pace that was needed a short while ago.
            self._drops = self._drops - 2 if self._drops > 2 and now - self._drop_at < 16 * INTERVAL else 1
        elif now < self._drop_at:
            return False
        else:
            self._drops += 1
        self._drop_at = now + INTERVAL / sqrt(self._drops)
        self.dropped += 1
        return True


class Waiting:
    """The queues of all flows that have something to send."""

    __slots__ = ("_turns", "bytes")

    def __init__(self) -> None:
        self._turns: deque[Flow] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._turns)

    def put(self, flow: Flow, load: Load) -> None:
        """A payload waits from now on."""
        if not flow.loads:
            flow.credit = TURN
            self._turns.appendleft(flow)
        flow.loads.append(load)
        self.bytes += load.size * load.count

    def head(self) -> Flow:
        """The flow whose turn it is. There must be one."""
        return self._turns[0]

    def take(self, flow: Flow, count: int) -> Load:
        """``count`` segments of the head flow's first payload leave, or are dropped."""
        load = flow.loads[0]
        load.next += count
        size = count * load.size
        self.bytes -= size
        flow.credit -= size
        if load.next == load.count:
            flow.loads.popleft()
            if not flow.loads:
                self._turns.popleft()
                return load
        if flow.credit <= 0:
            flow.credit += TURN
            self._turns.rotate(-1)
        return load
