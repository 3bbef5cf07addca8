"""What acknowledgements tell of one path, in one direction: round trip, rate, loss, one-way delay.

Times are seconds, sizes bytes, rates bytes/s. Rates are measured by the receiver's clock: bytes
between two arrivals over the time between them, so that nothing that delays the ACKs can
disturb it. One-way delays are differences between two clocks that nobody has set: only their
changes, and their differences between paths, mean anything.
"""

from __future__ import annotations

from collections import deque

LEAST_PATIENCE = 0.030
"""Seconds beyond the round trip that nothing may come back: the far end is a process among others, too."""
BASE_WINDOW = 10.0
"""Seconds for which a round without a queue is remembered (draft-cardwell-iccrg-bbr, MinRTT).

Two clocks drift apart by less than a millisecond in that time, by 5 ms where one is being set right."""


class Extreme:
    """The largest (or, of negated values, smallest) of a sliding window of time; amortised O(1)."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()  # (time, value), values falling

    def add(self, value: float, now: float, window: float) -> float:
        """Take a sample; gives the largest of the last ``window`` seconds. The newest always counts."""
        samples = self._samples
        while samples and samples[-1][1] <= value:
            samples.pop()
        samples.append((now, value))
        oldest = now - window
        while samples[0][0] < oldest:
            samples.popleft()
        return samples[0][1]

    def forget(self, before: float) -> float:
        """Drop what is older than ``before``; gives the largest of what is left, 0 if nothing is."""
        samples = self._samples
        while samples and samples[0][0] < before:
            samples.popleft()
        return samples[0][1] if samples else 0.0


class Estimate:
    """Round trip, one-way delay and loss of one path (RFC 6298 for the smoothing).

    Whether *we* fill the path is seen in the one-way delay alone: the round trip grows as well when
    the other direction is full, and that is none of our business.
    """

    __slots__ = (
        "_base",
        "_count",
        "_jitter",
        "_lost",
        "_owd_sum",
        "_owdvar",
        "_rtt_sum",
        "_sent",
        "base",
        "jitter",
        "least_owd",
        "loss",
        "owd",
        "queue",
        "round_mean",
        "rttvar",
        "srtt",
    )

    def __init__(self) -> None:
        self.srtt = 0.0
        """0 until the first sample."""
        self.rttvar = 0.0
        self.round_mean = 0.0
        """The mean round trip of the last round."""
        self.base = 0.0
        """The round trip without our own queue."""
        self.owd = 0.0
        """Smoothed one-way delay, but for a constant that is the same for all paths of the session."""
        self.least_owd = 0.0
        """The least mean one-way delay of any round lately: that without our queue.

        A mean and not a minimum: where the delay jitters, nobody can send at the rate that the
        luckiest datagram suggests.
        """
        self.queue = 0.0
        """Seconds of queue in the last round."""
        self.jitter = 0.0
        """The least variation of the one-way delay lately: a queue that grows is none of it."""
        self.loss = 0.0
        """Share of datagrams lost, smoothed over some hundreds of them."""
        self._base = Extreme()
        self._jitter = Extreme()
        self._owdvar = 0.0
        self._rtt_sum = self._owd_sum = 0.0
        self._count = 0
        self._sent = 0
        self._lost = 0

    def sample(self, rtt: float, owd: float) -> None:
        """One acknowledged run: its round trip, without the time that the ACK was held, and its way there."""
        if self.srtt:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) * 0.25
            self.srtt += (rtt - self.srtt) * 0.125
            self._owdvar += (abs(self.owd - owd) - self._owdvar) * 0.25
            self.owd += (owd - self.owd) * 0.125
        else:
            self.srtt, self.rttvar, self.owd = rtt, rtt / 2, owd
            self.base = self.round_mean = rtt
            self.least_owd = owd
            self._owdvar = self.jitter = rtt / 4
        self._rtt_sum += rtt
        self._owd_sum += owd
        self._count += 1

    def count(self, delivered: int, lost: int) -> None:
        """Datagrams that were acknowledged, or are taken for lost."""
        self._sent += delivered + lost
        self._lost += lost
        if self._sent >= 64:
            share = self._lost / self._sent
            weight = min(1.0, self._sent / 512)
            self.loss += (share - self.loss) * weight
            self._sent = self._lost = 0

    def end_round(self, now: float) -> None:
        """A round trip has passed: take its means."""
        if not self._count:
            return
        self.round_mean = self._rtt_sum / self._count
        owd = self._owd_sum / self._count
        self._rtt_sum = self._owd_sum = 0.0
        self._count = 0
        self.least_owd = -self._base.add(-owd, now, BASE_WINDOW)
        self.jitter = -self._jitter.add(-self._owdvar, now, BASE_WINDOW)
        self.queue = owd - self.least_owd
        self.base = max(self.round_mean - self.queue, 0.0)

    def patience(self, ack_delay: float) -> float:
        """Seconds after which something unacknowledged means silence (RFC 9002, section 6.2.1)."""
        return self.srtt + max(4 * self.rttvar, LEAST_PATIENCE) + ack_delay if self.srtt else 0.5
