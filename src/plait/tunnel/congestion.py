"""How fast one path may be used, found out from acknowledgements alone.

The model is BBR's (draft-cardwell-iccrg-bbr-congestion-control): a path has a rate, the largest
at which it has delivered lately, and a base round trip, that without a queue. Datagrams are
spaced at that rate, and not much more is under way than rate times base. Loss alone changes
nothing, so that a radio link's 5 % don't either. Where this differs, it is for the sake of the
delay, since voice waits in the same modem's buffer:

* every few round trips a little more is sent for one, so that a faster path is found; the
  queue that this builds is limited to some ms, and is let drain before going on;
* in between, the rate follows the queue: it is 2 % over what was measured where there is none,
  and up to 10 % below where there is one;
* what is measured while less is sent than the path can take says nothing about it. Only when the
  delay has stood high for a tenth of a second, and less came through than the path is believed to carry, it
  has become slower: then what it could do before is forgotten at once.

The pacer allows bursts of 2 ms, since nobody can wake up more often: what a run may hold at
most follows from that, and the driver makes fewer, longer runs the faster the path.
"""

from __future__ import annotations

from enum import Enum, auto

from plait.tunnel.estimate import Estimate, Extreme
from plait.tunnel.flight import Flight, Parcel, Verdict
from plait.tunnel.frames import Ack
from plait.tunnel.receipts import BYTES as ACK_BYTES
from plait.tunnel.receipts import DELAY as ACK_DELAY

FIRST_RATE = 12_500_000.0
"""Bytes/s while nothing is known: 100 Mbit/s, which `FIRST_WINDOW` bounds."""
FIRST_WINDOW = 64 * 1024
"""Bytes that may be under way while nothing is known; 26 ms of a path of 20 Mbit/s, once."""
LEAST_RATE = 12_500.0
BURST = 0.002
"""Seconds of sending that may be made up for after a sleep."""
CATCH_UP = 0.012
"""The same where something had been waiting for its turn: it is the process that was late, and meanwhile
the path's queue has drained."""
LONGEST_RUN = 128 * 1024
RATE_WINDOW = 1.0
"""Seconds for which a delivery rate is remembered, at least; else ten round trips."""
HICCUP = 0.100
"""Seconds for which a path may stand still before it is taken for slower than it was."""
PROBE_QUEUE = 0.008
"""Seconds of queue that probing for more may build."""
PROBE_GAIN = 0.25
_STARTUP_GAIN = 2.0
_DRAIN_GAIN = 0.6
_ROUNDS_WITHOUT_GROWTH = 3
_CRUISE_ROUNDS = 6
_LEAST_ROUND = 0.025
_REFRESH = 5.0
"""Seconds after which a base that has not been met is looked for with less under way."""
_MOST_COMPENSATED = 0.10


class Phase(Enum):
    """What is being found out."""

    STARTUP = auto()
    DRAIN = auto()
    CRUISE = auto()
    UP = auto()
    REFRESH = auto()


class Pace:
    """The rate of one path: when the next run may leave, and how much may be under way."""

    __slots__ = (
        "_below",
        "_best",
        "_busy_at",
        "_floor",
        "_full",
        "_high_rate",
        "_high_since",
        "_limited_at",
        "_losses",
        "_met_at",
        "_phase_rate",
        "_phase_since",
        "_rates",
        "_round_since",
        "_stale_rounds",
        "_wanted_at",
        "_was_cut",
        "bandwidth",
        "estimate",
        "next_at",
        "phase",
        "quantum",
        "rate",
        "share",
        "window",
    )

    def __init__(self, now: float) -> None:
        self.estimate = Estimate()
        self.phase = Phase.STARTUP
        self.bandwidth = 0.0
        """Bytes/s that the path delivers; 0 while unknown."""
        self.rate = FIRST_RATE
        """Bytes/s at which datagrams leave now."""
        self.share = 1.0
        """The part of the rate that is to be used, by the owner's weights."""
        self.window = float(FIRST_WINDOW)
        """Bytes that may be under way."""
        self.quantum = 4096
        """Bytes that one run may hold."""
        self.next_at = now
        """When the next run may leave."""
        self._rates = Extreme()
        self._losses: list[float] = []
        self._floor = 0.0
        self._best = 0.0
        self._full = False
        self._phase_rate = 0.0
        self._high_since: float | None = None
        self._high_rate = 0.0
        self._below = False
        self._was_cut = False
        self._wanted_at = now - 1.0
        self._stale_rounds = 0
        self._round_since = now
        self._phase_since = now
        self._met_at = now
        self._limited_at = now
        self._busy_at = now

    def ready(self, in_flight: int, now: float) -> bool:
        """Whether a run may leave now."""
        if self.next_at > now:
            self._wanted_at = self.next_at
            return False
        if in_flight >= self.window:
            self._busy_at = now
            return False
        return True

    def spend(self, parcel: Parcel, now: float) -> None:
        """A run leaves. An urgent one may do so at any time; those after it wait the longer."""
        rate = self.rate * self.share
        begin = now - BURST
        if self.next_at < begin:
            if now - CATCH_UP <= self._wanted_at < begin:
                begin = self._wanted_at
            elif now - max(self.next_at, self._busy_at) > BURST + 2 * self.quantum / rate:
                self._limited_at = now
            if self.next_at < begin:
                self.next_at = begin
        if self.share < 1.0:
            self._limited_at = now
        parcel.limited = self._below or now - self._limited_at <= self.estimate.srtt + BURST
        self.next_at += parcel.size * parcel.count / rate

    def on_ack(self, ack: Ack, verdict: Verdict, flight: Flight, now: float) -> None:
        """An ACK has been applied to the flight."""
        estimate = self.estimate
        estimate.count(verdict.datagrams, verdict.lost_datagrams)
        newest = verdict.newest
        if newest is None:
            return
        rtt = now - newest.sent_at - ack.held * 1e-6
        owd = ack.arrived * 1e-6 - newest.sent_at
        if rtt > 0 and ack.newest < newest.counter + newest.count:
            # Else the newest is one of those between our runs, an ACK, and its times are not those of a run.
            estimate.sample(rtt, owd)
        rate, span = flight.rate(ack, newest)
        if span > max(0.0005, estimate.srtt / 4):
            # Who sends little learns nothing of the rate, but if even that has queued.
            queued = self.phase is not Phase.STARTUP and owd - estimate.least_owd > self._high()
            self._rate_sample(rate, newest.limited and not queued, now)
        if newest.sent_at >= self._round_since:
            self._end_round(now)
        self._cycle(flight.bytes, now)
        self._set()

    def _rate_sample(self, rate: float, limited: bool, now: float) -> None:
        if rate > self._high_rate:
            self._high_rate = rate
        if limited and rate <= self.bandwidth:
            return
        self.bandwidth = self._rates.add(rate, now, max(RATE_WINDOW, 10 * self.estimate.srtt))
        if not limited:
            self._full = True

    def _end_round(self, now: float) -> None:
        estimate = self.estimate
        estimate.end_round(now)
        if estimate.queue <= 0.001 + estimate.base / 20:
            self._met_at = now
        self._losses = [*self._losses[-5:], estimate.loss]
        self._floor = min(_MOST_COMPENSATED, min(self._losses))
        high = self._high()
        if self.phase is Phase.STARTUP:
            if self.bandwidth > self._best * 1.25:
                self._best = self.bandwidth
                self._stale_rounds = 0
            elif self._full:
                self._stale_rounds += 1
            if self._stale_rounds >= _ROUNDS_WITHOUT_GROWTH:
                self._enter(Phase.DRAIN, now)
        elif estimate.queue <= high:
            self._high_since = None
        elif self._high_since is None:
            self._high_since = now
            self._high_rate = 0.0
        elif now - self._high_since > HICCUP and self._high_rate:
            if self._high_rate < 0.85 * min(self.rate, self.bandwidth):
                # Less came than was sent: slower than it was. No single time is believed all.
                self.bandwidth = max(self._high_rate, 0.5 * self.bandwidth)
                self._rates.forget(now)
                self._rates.add(self.bandwidth, now, RATE_WINDOW)
                self._was_cut = True
            self._high_since = None
            self._enter(Phase.DRAIN, now)
        self._round_since = now
        self._full = False

    def _high(self) -> float:
        """Seconds of queue that are more than jitter or our own probing makes."""
        estimate = self.estimate
        return max(0.5 * estimate.base, 2 * PROBE_QUEUE, 3 * estimate.jitter)

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self._phase_since = now
        self._phase_rate = self.bandwidth

    def _cycle(self, in_flight: int, now: float) -> None:
        base = self.estimate.base
        lasted = now - self._phase_since
        long = max(base, _LEAST_ROUND)
        if self.phase is Phase.STARTUP:
            if self.bandwidth and self.estimate.owd - self.estimate.least_owd > self._high():
                self._enter(Phase.DRAIN, now)
        elif self.phase is Phase.DRAIN:
            if in_flight <= self.bandwidth * (base + ACK_DELAY) or lasted > 4 * long:
                # It may have been a hiccup, of the path or of a process: see whether there is more.
                self._enter(Phase.UP if self._was_cut else Phase.CRUISE, now)
                self._was_cut = False
        elif self.phase is Phase.UP:
            if lasted > long:
                grown = self.bandwidth > self._phase_rate * (1 + PROBE_GAIN / 3)
                calm = self.estimate.queue < PROBE_QUEUE
                # What helps is done again at once: a path that has become much faster is soon found out.
                self._enter(Phase.UP if grown and calm else Phase.DRAIN, now)
        elif self.phase is Phase.REFRESH:
            if lasted > 1.5 * long:
                self._met_at = now
                self._enter(Phase.CRUISE, now)
        elif self.phase is Phase.CRUISE and lasted > _CRUISE_ROUNDS * long:
            self._enter(Phase.REFRESH if now - self._met_at > _REFRESH else Phase.UP, now)

    def _set(self) -> None:
        """Rate, window and the longest run that follow from what is known."""
        bandwidth = self.bandwidth
        if not bandwidth:
            return
        base = max(self.estimate.base, 0.001)
        spare = 1.25
        match self.phase:
            case Phase.STARTUP:
                gain, spare = _STARTUP_GAIN, 2.0
            case Phase.DRAIN:
                gain = _DRAIN_GAIN
            case Phase.UP:
                gain = 1 + min(PROBE_GAIN, PROBE_QUEUE / base)
            case Phase.REFRESH:
                gain, spare = 0.8, 0.75
            case Phase.CRUISE:
                aim = 0.002 + base / 32
                gain = min(1.02, max(0.9, 1.02 + (aim - self.estimate.queue) / (4 * base + 0.020)))
        self._below = gain < 1
        self.rate = max(LEAST_RATE, bandwidth * gain / (1 - self._floor))
        self.quantum = int(min(LONGEST_RUN, max(1500, self.rate * self.share * BURST)))
        # What has arrived and is not acknowledged yet counts as under way, too.
        unsaid = min(ACK_DELAY * bandwidth, 2.0 * ACK_BYTES)
        self.window = bandwidth * (base * spare + 2 * BURST) + unsaid + 3 * self.quantum
        if self.phase is Phase.STARTUP:
            self.rate = max(self.rate, FIRST_RATE)
            self.window = max(self.window, float(FIRST_WINDOW))
