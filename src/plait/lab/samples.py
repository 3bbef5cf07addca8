"""What the watcher saw, and the questions a verdict asks of it. No clocks, no files.

The receiver's interface is looked at every millisecond. Its payload is *bytes - packets x header*:
a packet of these counters may be many segments that travelled as one (TSO, GRO), and has one header
either way, so the same formula holds for a routed transfer and for a relayed one.

Times are seconds of the monotonic clock, speeds are bit/s.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

ETHERNET, IPV4, IPV6, TCP = 14, 20, 40, 32
"""Header lengths in bytes; TCP with the time stamp option, as Linux uses it."""
_PROGRESS = 500
"""Bytes of payload that count as progress; less is an ARP or a lone acknowledgement."""


@dataclass(slots=True)
class Samples:
    """Counter readings of one transfer."""

    paths: tuple[str, ...]
    header: int = ETHERNET + IPV4 + TCP
    times: list[float] = field(default_factory=list)
    payload: list[int] = field(default_factory=list)
    """What the receiver had at each of ``times``; only readings that show progress."""
    polled: float = 0.0
    """When the receiver was last looked at."""
    path_times: list[float] = field(default_factory=list)
    path_bytes: list[tuple[int, ...]] = field(default_factory=list)
    """Bytes of each path at each of ``path_times``, ten times a second."""

    def receiver(self, at: float, size: int, packets: int) -> None:
        """Take a reading of the receiver's interface."""
        self.polled = max(self.polled, at)
        payload = size - packets * self.header
        if not self.payload or payload - self.payload[-1] >= _PROGRESS:
            self.times.append(at)
            self.payload.append(payload)

    def path(self, at: float, counters: tuple[int, ...]) -> None:
        """Take a reading of all paths."""
        self.polled = max(self.polled, at)
        self.path_times.append(at)
        self.path_bytes.append(counters)

    def received(self, at: float) -> int:
        """Payload that had arrived by ``at``."""
        index = bisect_right(self.times, at) - 1
        return self.payload[max(index, 0)] if self.payload else 0

    def began(self, size: int = 50_000) -> float | None:
        """When the first ``size`` bytes had arrived, None if they have not."""
        if not self.payload:
            return None
        index = bisect_left(self.payload, self.payload[0] + size)
        return self.times[index] if index < len(self.times) else None

    def speed(self, start: float, end: float) -> float:
        """Mean payload speed between two times."""
        return (self.received(end) - self.received(start)) * 8 / (end - start) if end > start else 0.0

    def longest_gap(self, start: float, end: float) -> float:
        """The longest time without progress that touches ``start`` … ``end``.

        A gap that reaches beyond is counted whole; one that has not ended lasts until ``end``.
        """
        first = max(bisect_right(self.times, start) - 1, 0)
        longest = 0.0
        previous: float | None = None
        for time in self.times[first:]:
            if previous is not None:
                longest = max(longest, time - previous)
            previous = time
            if time >= end:
                return longest
        if previous is None:
            return end - start
        return max(longest, end - previous)

    def reached(self, wanted: float, start: float, end: float, window: float = 0.5) -> float | None:
        """Seconds after ``start`` until the speed over the last ``window`` was at least ``wanted``.

        None if that did not happen before ``end``.
        """
        step = 0.02
        count = int((end - start) / step)
        for index in range(count + 1):
            now = start + index * step
            if now - start >= window and self.speed(now - window, now) >= wanted:
                return now - start
        return None

    def path_speeds(self, index: int) -> tuple[list[float], list[float]]:
        """Times and speeds (all bytes, headers too) of one path, for a chart."""
        times: list[float] = []
        speeds: list[float] = []
        for number in range(1, len(self.path_times)):
            span = self.path_times[number] - self.path_times[number - 1]
            moved = self.path_bytes[number][index] - self.path_bytes[number - 1][index]
            times.append(self.path_times[number])
            speeds.append(max(moved, 0) * 8 / span if span > 0 else 0.0)
        return times, speeds

    def recent(self, span: float = 1.0) -> tuple[float, list[float]]:
        """Speeds of the last ``span`` seconds: the receiver's payload, and each path's bytes."""
        if len(self.path_times) < 2:
            return 0.0, [0.0] * len(self.paths)
        end = self.path_times[-1]
        first = min(bisect_left(self.path_times, end - span), len(self.path_times) - 2)
        start = self.path_times[first]
        moved = (last - old for last, old in zip(self.path_bytes[-1], self.path_bytes[first], strict=True))
        return self.speed(start, end), [max(size, 0) * 8 / (end - start) for size in moved]
