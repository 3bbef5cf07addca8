"""Subflows that have gone quiet beside others: asked whether the far end still knows them.

A NAT that forgot, or a far end that has given a subflow up, leaves one behind that only received: it sends
nothing, so nothing tells it, and it stays for as long as the connection does. Keep-alive probes would, but
every few minutes at most, or they would keep radios awake. So they are made frequent for some seconds when
a subflow that has carried stands still while others of its connection do not.

When all that have carried stand still together there is mostly nothing to say any more; but if all of them
were forgotten there is, and nobody would ever hear of it. So they are asked as well, once for what they have
carried, and an answer is all that can come of it: silence may mean that the whole house is offline for a
moment, which a connection outlives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plait.kernel.mptcp_info import Subflow

_QUIET_MS = 700.0
_LIVELY_MS = 300.0
_CARRIED = 4000
"""Bytes from which on a subflow has carried."""
_FOR = 8.0
"""Seconds of frequent probes, one a second."""
_DEADLY = 3
"""Probes without an answer that end a subflow while others are lively."""
_HARMLESS = 60
"""More than are sent."""

Ask = Callable[[int], None]
"""Makes probes frequent, so many without an answer being the end of a subflow; 0: as usual again."""


class Nudge:
    """For one connection."""

    __slots__ = ("_asked", "_until", "_vouched")

    def __init__(self) -> None:
        self._until = 0.0
        self._asked: dict[int, int] = {}
        """What those had carried that are being asked, by local port."""
        self._vouched: dict[int, int] = {}
        """The same of those that have answered: they simply are not used."""

    def look(self, flows: Sequence[Subflow], now: float, ask: Ask) -> None:
        """What the subflows look like now."""
        if not self._asked:
            heard_ms = min((flow.last_heard_ms for flow in flows), default=0.0)
            if _LIVELY_MS < heard_ms <= _QUIET_MS:
                return
            quiet = {
                flow.local_port: _carried(flow)
                for flow in flows
                if flow.last_heard_ms > _QUIET_MS
                and _carried(flow) > _CARRIED
                and self._vouched.get(flow.local_port) != _carried(flow)
            }
            if quiet:
                self._asked, self._until = quiet, now + _FOR
                ask(_DEADLY if heard_ms <= _LIVELY_MS else _HARMLESS)
            return
        here = {flow.local_port: flow for flow in flows}
        waiting = [port for port in self._asked if port in here and here[port].last_heard_ms > _QUIET_MS]
        if now >= self._until or not waiting:
            self._vouched = {port: _carried(flow) for port, flow in here.items() if port in self._asked}
            self._asked = {}
            ask(0)

    @property
    def asking(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self._asked)


def _carried(flow: Subflow) -> int:
    return flow.bytes_received + flow.bytes_acked
