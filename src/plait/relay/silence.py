"""What one subflow has shown since the last look, and what all subflows of a path show together.

Values and numbers: what the kernel said comes in as `Subflow` with the time ``now`` (seconds), what
follows from it goes out. Ages are what the kernel counts, for it hears packets when we are not awake.
But how long something *waits* is only what we have seen ourselves, look by look, so that a process
that was not let run, or a whole machine that stood still, makes no path look dead.
"""

from __future__ import annotations

from plait.kernel.mptcp_info import Subflow
from plait.relay.orders import Traffic

PATIENCE_MS = 100.0
"""Silence that no path needs to explain: several times what schedulers and radios hold a packet for."""

LONE_PATIENCE_MS = 250.0
"""The same for a single segment in flight: its acknowledgement may be delayed by up to 200 ms
(TCP_DELACK_MAX, include/net/tcp.h)."""

_HEAD_START_MS = 50.0
_PATIENCE_RTTS = 2.0
_STREAMING = 4
"""Looks in a row that saw data come in, before its absence means anything."""
_FORGET_MS = 1000.0
"""A stream that has stood still for so long has just ended."""


class FlowRecord:
    """What was seen of one subflow at the last look, and how long it waits."""

    __slots__ = (
        "_acked", "_looked", "_received", "_retrans", "_sent", "_streak",
        "acked", "flow", "outrun_ms", "quiet_ms", "received", "retrans", "sent", "waiting_ms",
    )  # fmt: skip

    def __init__(self, flow: Subflow, now: float) -> None:
        self.flow = flow
        self._looked = now
        self._acked = flow.bytes_acked
        self._received = flow.bytes_received
        self._sent = flow.segments_out
        self._retrans = flow.segments_retrans
        self._streak = 0
        self.acked = self.received = self.sent = self.retrans = 0
        self.waiting_ms = 0.0
        self.quiet_ms = 0.0
        self.outrun_ms = 0.0

    def look(self, flow: Subflow, now: float, longest: float, *, reading: bool) -> None:
        """Another look. ``longest`` is the time in seconds that may count as seen by ourselves since the
        last one; ``reading`` whether we take what comes in (a reader that pauses silences its peer)."""
        elapsed_ms = min(now - self._looked, longest) * 1000.0
        self.acked = flow.bytes_acked - self._acked
        self.received = flow.bytes_received - self._received
        self.sent = flow.segments_out - self._sent
        self.retrans = flow.segments_retrans - self._retrans
        waited = flow.unacked > 0 and self.flow.unacked > 0 and not self.acked
        self.waiting_ms = _grown(self.waiting_ms, elapsed_ms, flow.last_heard_ms) if waited else 0.0
        if self.received:
            self._streak += 1
            self.quiet_ms = 0.0
        elif self._streak >= _STREAMING and self.quiet_ms < _FORGET_MS:
            if reading:
                self.quiet_ms = _grown(self.quiet_ms, elapsed_ms, flow.last_received_ms)
        else:
            self._streak = 0
            self.quiet_ms = 0.0
        self.flow = flow
        self._looked = now
        self._acked, self._received = flow.bytes_acked, flow.bytes_received
        self._sent, self._retrans = flow.segments_out, flow.segments_retrans

    def beside(self, received: int) -> None:
        """So many bytes came in since the last look over all subflows of the connection."""
        if not self.quiet_ms:
            self.outrun_ms = 0.0
        elif received > self.received:
            self.outrun_ms = self.quiet_ms

    @property
    def idle(self) -> bool:
        """Whether nothing moved since the last look, is under way or is missed."""
        return not (self.acked or self.received or self.sent or self.flow.unacked or self.quiet_ms)


def _grown(before_ms: float, elapsed_ms: float, kernel_ms: float) -> float:
    """An age, one look older: what the kernel says, but no more than we have seen. What had passed
    before the first look that saw it begin is taken to be a look's time at most."""
    return min((before_ms or _HEAD_START_MS) + elapsed_ms, kernel_ms)


def fold(exit_name: str, local: str, records: list[FlowRecord], now: float) -> Traffic:
    """What the subflows of one path, at least one, show together."""
    heard_ms = float(min(record.flow.last_heard_ms for record in records))
    waiting_ms = min(heard_ms, max(record.waiting_ms for record in records))
    quiet_ms = min(heard_ms, max(record.quiet_ms for record in records))
    outrun_ms = min(heard_ms, max(record.outrun_ms for record in records))
    rtt_ms = min(record.flow.rtt_us for record in records) / 1000.0
    patience = max(PATIENCE_MS, _PATIENCE_RTTS * rtt_ms)
    waiting = [record.flow.unacked for record in records if record.waiting_ms]
    lone = sum(waiting) == 1
    return Traffic(
        exit=exit_name,
        local=local,
        at=round(now, 6),
        flows=len(records),
        acked=sum(record.acked for record in records),
        received=sum(record.received for record in records),
        sent=sum(record.sent for record in records),
        retrans=sum(record.retrans for record in records),
        unacked=sum(record.flow.unacked for record in records),
        heard_ms=heard_ms,
        waiting_ms=round(waiting_ms, 3),
        quiet_ms=round(quiet_ms, 3),
        outrun_ms=round(outrun_ms, 3),
        suspicious=waiting_ms > (max(LONE_PATIENCE_MS, patience) if lone else patience)
        or quiet_ms > patience,
        rtt_ms=rtt_ms,
        min_rtt_ms=min(record.flow.min_rtt_us for record in records) / 1000.0,
        rate_bps=max(record.flow.rate_bps for record in records),
    )
