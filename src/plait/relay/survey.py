"""Looking at live sessions: for whoever asks, and never more often than asked.

A look at one connection's subflows costs some 10 µs (one getsockopt), so a worker with thousands of
sessions looks at the busiest and says how many it has.
"""

from __future__ import annotations

from heapq import nlargest

from plait.kernel.mptcp_info import subflows as subflows_of
from plait.relay.pump import Pump, Session

_LOOKS = 256
"""Most connections whose subflows are looked at in one go."""
_LISTED = 1000

Flow = list[int]
"""Smoothed RTT in µs, data segments sent (retransmissions included), segments retransmitted."""


def subflows(pump: Pump) -> dict[str, list[Flow]]:
    """The subflows towards exits, by local address."""
    found: dict[str, list[Flow]] = {}
    outward = (session for session in pump.sessions if session.exit)
    for session in nlargest(_LOOKS, outward, key=_carried):
        for flow in subflows_of(session.far):
            figures = [flow.rtt_us, flow.segments_out, flow.segments_retrans]
            found.setdefault(str(flow.local), []).append(figures)
    return found


def sessions(pump: Pump, now: float) -> list[dict[str, object]]:
    """The sessions that carried most, as facts."""
    return [
        {
            "client": session.peer,
            "target": session.target,
            "exit": session.exit,
            "user": session.user,
            "age": round(now - session.born, 1),
            "up_bytes": session.up.count,
            "down_bytes": session.down.count,
        }
        for session in nlargest(_LISTED, pump.sessions, key=_carried)
    ]


def _carried(session: Session) -> int:
    return session.up.count + session.down.count
