"""Applications for the simulated tunnel: a TCP or QUIC sender that minds reordering, and steady UDP.

The TCP is deliberately touchy: a segment that three later ones have overtaken is lost to it (RFC
5681; today's Linux would wait a quarter of a round trip, RFC 8985). CUBIC (RFC 9438) with a
delay-sensed end of slow start (HyStart), SACK, an RTO of at least 200 ms.
"""

from __future__ import annotations

from itertools import pairwise

from tests.sim.tunnel_world import INNER, End, Packet, World

TCP_HEADERS = 52
PAYLOAD = INNER - TCP_HEADERS


def key(protocol: int, port: int, source: int = 40000) -> bytes:
    """A flow's key, with addresses of no importance."""
    return bytes([protocol, 10, 0, 0, 1, 10, 0, 0, 2]) + source.to_bytes(2, "big") + port.to_bytes(2, "big")


class Tcp:
    """One bulk transfer from ``source`` to ``sink``; ``delivered`` counts payload bytes in order."""

    def __init__(
        self,
        world: World,
        source: End,
        sink: End,
        *,
        flow: bytes | None = None,
        start: float = 0.0,
        window: int = 6_000_000,
    ) -> None:
        self.world, self.source, self.sink = world, source, sink
        self.there = flow or key(6, 5201)
        self.back = self.there[:1] + self.there[5:9] + self.there[1:5] + self.there[-2:] + self.there[-4:-2]
        self.most = window // PAYLOAD
        # Sender: segments [0, una) are acknowledged, [una, next) sent.
        self.una = self.next = 0
        self.cwnd, self.ssthresh = 10.0, 1e9
        self.srtt = self.rttvar = 0.0
        self.least_rtt = 1e9
        self.recover = 0
        self.round_rtts: list[float] = []
        self.round_end = 0
        self.cuts = self.timeouts = self.resent = 0
        self.sacked: set[int] = set()
        self.sent_at: dict[int, float] = {}
        self.again: dict[int, float] = {}
        self.w_max, self.epoch, self.k = 0.0, -1.0, 0.0
        self.timer = 0.0
        self.rto = 1.0
        # Receiver
        self.cum = 0
        self.early: set[int] = set()
        self.unacked = 0
        self.echo = 0.0
        self.arrivals: list[tuple[float, int]] = []
        world.at(start, self.push)

    # Receiver

    def on_segments(self, first: int, count: int, born: float) -> None:
        before = self.cum
        for number in range(first, first + count):
            if number >= self.cum:
                self.early.add(number)
        while self.cum in self.early:
            self.early.discard(self.cum)
            self.cum += 1
        if self.cum > before:
            self.arrivals.append((self.world.now, (self.cum - before) * PAYLOAD))
        self.unacked += count
        self.echo = born
        if self.early or self.unacked >= 2:
            self.ack()
        else:
            self.world.at(self.world.now + 0.04, lambda: self.ack() if self.unacked else None)

    def ack(self) -> None:
        self.unacked = 0
        cum, early, echo = self.cum, frozenset(self.early), self.echo
        self.sink.give(
            self.back, Packet(lambda *_: self.on_ack(cum, early, echo), 0, 1, TCP_HEADERS, self.world.now)
        )

    # Sender

    def on_ack(self, cum: int, early: frozenset[int], echo: float) -> None:
        now = self.world.now
        rtt = now - echo
        self.least_rtt = min(self.least_rtt, rtt)
        if self.srtt:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) / 4
            self.srtt += (rtt - self.srtt) / 8
        else:
            self.srtt, self.rttvar = rtt, rtt / 2
        self.rto = self.srtt + max(0.2, 4 * self.rttvar)  # tcp_rto_min bounds the second term in Linux
        self.sacked |= early
        if cum > self.una:
            for number in range(self.una, cum):
                self.sacked.discard(number)
                self.again.pop(number, None)
                self.sent_at.pop(number, None)
            grown = cum - self.una
            self.una = cum
            self.timer = now + self.rto
            if self.una >= self.recover:
                self._grow(grown, rtt)
        self._losses()
        self.push()

    def _grow(self, acked: int, rtt: float) -> None:
        if self.cwnd < self.ssthresh:
            self.cwnd += acked
            self.round_rtts.append(rtt)
            if len(self.round_rtts) == 8:
                longer = min(0.016, max(0.004, self.least_rtt / 8))
                if min(self.round_rtts) > self.least_rtt + longer and self.cwnd > 16:
                    self.ssthresh = self.cwnd
            if self.una >= self.round_end:
                self.round_end = self.next
                self.round_rtts = []
            return
        now = self.world.now
        if self.epoch < 0:
            self.epoch = now
            self.w_max = max(self.w_max, self.cwnd)
            self.k = ((self.w_max - self.cwnd) / 0.4) ** (1 / 3)
        target = 0.4 * (now - self.epoch + self.srtt - self.k) ** 3 + self.w_max
        if target > self.cwnd:
            self.cwnd += min(acked * (target - self.cwnd) / self.cwnd, acked / 2)
        self.cwnd += 0.53 * acked / self.cwnd if self.cwnd < self.w_max else 0.01 * acked / self.cwnd

    def _losses(self) -> None:
        if not self.sacked:
            return
        now = self.world.now
        high = max(self.sacked)
        for number in range(self.una, high - 2):
            if number in self.sacked or now - self.again.get(number, -1.0) < self.srtt + 4 * self.rttvar:
                continue
            if number >= self.recover:
                self._cut(0.7)
            self.again[number] = now
            self.resent += 1
            self._emit(number, 1)

    def _cut(self, factor: float) -> None:
        self.cuts += 1
        self.recover = self.next
        self.w_max = self.cwnd
        self.cwnd = max(2.0, self.cwnd * factor)
        self.ssthresh = self.cwnd
        self.epoch = -1.0

    def push(self) -> None:
        now = self.world.now
        if self.next > self.una and now >= self.timer:
            self.timeouts += 1
            self._cut(0.5)
            self.cwnd = 2.0
            self.rto = min(self.rto * 2, 4.0)
            self.again = dict.fromkeys((n for n in range(self.una, self.next) if n not in self.sacked), now)
            self.timer = now + self.rto
            self._emit(self.una, 1)
        while True:
            lost = sum(1 for n in self.again if n not in self.sacked and now - self.again[n] > self.srtt)
            room = min(int(self.cwnd), self.most) - (self.next - self.una - len(self.sacked) - lost)
            # TSO autosizing: about a millisecond at the pace of the window, at least two segments.
            size = int(min(44, max(2, self.cwnd * 0.001 / max(self.srtt, 0.001))))
            if room < min(size, self.cwnd / 2):
                break
            count = min(size, room)
            if self.next == self.una:
                self.timer = now + self.rto
            self._emit(self.next, count)
            self.next += count
        if self.next > self.una:
            when = self.timer
            self.world.at(when, lambda: self.push() if self.timer <= self.world.now else None)

    def _emit(self, first: int, count: int) -> None:
        self.source.give(self.there, Packet(self.on_segments, first, count, INNER, self.world.now))

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time in which nothing came out."""
        times = [since, *(at for at, _ in self.arrivals if since <= at < until), until]
        return max(later - earlier for earlier, later in pairwise(times))

    def rate(self, since: float, until: float) -> float:
        """Payload Mbit/s that came out in order."""
        return sum(size for at, size in self.arrivals if since <= at < until) * 8 / (until - since) / 1e6


class Steady:
    """UDP at a steady rate; loss, order and delay are what counts."""

    def __init__(
        self,
        world: World,
        source: End,
        *,
        rate: float,
        size: int,
        flow: bytes,
        start: float = 0.0,
        stop: float = 1e9,
        burst: int = 1,
    ) -> None:
        self.world, self.source, self.flow = world, source, flow
        self.size, self.stop, self.burst = size, stop, burst
        self.gap = burst * size * 8 / (rate * 1e6)
        self.sent = 0
        self.born: list[float] = []
        self.got: dict[int, float] = {}
        self.twice = self.late = 0
        self._high = -1
        world.at(start, self._tick)

    def _tick(self) -> None:
        now = self.world.now
        if now >= self.stop:
            return
        first = self.sent
        self.sent += self.burst
        self.born += [now] * self.burst
        self.world.at(now + self.gap, self._tick)
        self.source.give(self.flow, Packet(self._arrived, first, self.burst, self.size, now))

    def _arrived(self, first: int, count: int, born: float) -> None:
        for number in range(first, first + count):
            self.twice += number in self.got
            self.late += number < self._high
            self._high = max(self._high, number)
            self.got[number] = self.world.now

    def delays(self, since: float, until: float) -> list[float]:
        """Sorted one-way delays of what was sent then and arrived."""
        return sorted(
            at - self.born[number] for number, at in self.got.items() if since <= self.born[number] < until
        )

    def loss(self, since: float, until: float) -> float:
        """Share of what was sent then that never arrived."""
        sent = [number for number, born in enumerate(self.born) if since <= born < until]
        return sum(1 for number in sent if number not in self.got) / len(sent)

    def rate(self, since: float, until: float) -> float:
        """Mbit/s that arrived."""
        return (
            sum(1 for at in self.got.values() if since <= at < until) * self.size * 8 / (until - since) / 1e6
        )

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time in which nothing arrived."""
        times = [since, *sorted(at for at in self.got.values() if since <= at < until), until]
        return max(later - earlier for earlier, later in pairwise(times))


def percentile(values: list[float], share: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))]
