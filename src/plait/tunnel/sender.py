"""The sending end of one direction of a session: what leaves now, on which path, and what becomes of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from plait.tunnel.classes import Wish, treatment
from plait.tunnel.flight import Parcel, Verdict
from plait.tunnel.frames import LANES, MOST_SEGMENTS, Ack, Treatment
from plait.tunnel.receipts import DELAY, THIN_DELAY
from plait.tunnel.scheduler import Mode, Way, choose, rank, soonest, usable, wake
from plait.tunnel.waiting import MOST_BYTES, Flow, Load, Waiting

MOST_RUNS = 64
"""Runs that one `Sender.poll` gives, so that the driver gets to read in between."""
MOST_FLOWS = 2048
"""Flows that are remembered: half of what the far end has lanes for."""
FLOW_IDLE = 30.0
"""Seconds after which an idle flow is forgotten."""
MOST_ATTEMPTS = 3
"""How often a segment that must be in order is sent again."""
TARGET = 0.020
"""Seconds that bulk may wait here, beside the fastest path's round trip and what the slowest lags behind.

A sender that keeps twice of what the path holds under way (BBR) has one round trip of it waiting here.
"""
AHEAD = 0.005
"""Seconds by which what is sent again may be ahead of the pace."""
STICKY = 0.020
"""Seconds by which another path must be faster to become the one of flows that are kept to one path."""
PROBE_FIRST = 0.05
PROBE_LAST = 1.0
"""Seconds between probes of a silent path: first, and at most."""
_DOUBLINGS = 8
"""As often as that is doubled. A path may stay silent for months."""
CHECK_EVERY = 0.005
"""Seconds between two looks for silent paths."""
DOUBT = 0.005
"""Seconds beyond a round trip, its variation and the delay of an ACK after which something in order is sent
once more: what was sent last may be lost, and then no ACK of anything later tells."""
MOST_DOUBTED = 16
"""Segments of one path that are doubted in one round trip: its oldest are those that others wait for."""
MOST_GRACE = 0.300
"""Seconds by which a path that has stalled before is waited for longer, at most."""
GRACE_FADES = 0.999
"""What is left of it after each ACK: half a minute of traffic forgets it."""
_LOOSE_LANE, _REDUNDANT_LANE, _FIRST_LANE = 0, 1, 2
_STARVED = 0.050
"""Seconds of lateness that mean that this process had no time."""


def _has_room(way: Way, now: float) -> bool:
    """Whether a path takes what is to be sent again."""
    return way.pace.next_at <= now + AHEAD and way.flight.bytes < way.pace.window


def _auto(key: bytes) -> Wish:
    return Wish.AUTO


class Sender:
    """All paths of one session in one direction. It handles tokens and sizes, never bytes."""

    __slots__ = (
        "_best",
        "_check_at",
        "_flows",
        "_loads",
        "_loose",
        "_next_lane",
        "_pinned",
        "_pinned_next",
        "_redundant",
        "_released",
        "_resend",
        "_target",
        "_urgent",
        "_usable",
        "_waiting",
        "_ways",
        "_wish",
        "dropped",
        "given_up",
        "refused",
        "resent",
    )

    def __init__(self, now: float, wish: Callable[[bytes], Wish] = _auto) -> None:
        """``wish`` is asked once for each new flow what the rules say about it."""
        self._wish = wish
        self._ways: dict[int, Way] = {}
        self._usable: list[Way] = []
        self._best: Way | None = None  # where flows are that are kept to one path
        self._flows: OrderedDict[bytes, Flow] = OrderedDict()
        self._loads: dict[int, Load] = {}
        self._waiting = Waiting()
        self._pinned = Waiting()  # of flows that are kept to the best path; they take turns with the others
        self._pinned_next = True
        self._urgent: deque[Load] = deque()
        self._resend: deque[Parcel] = deque()
        self._released: list[int] = []
        self._next_lane = _FIRST_LANE
        self._loose = 0
        self._redundant = 0
        self._target = TARGET
        self._check_at = now
        self.dropped = 0
        """Segments left out because bulk had waited for too long."""
        self.refused = 0
        """Payloads refused because too much was waiting, or there was no path."""
        self.resent = 0
        """Segments sent again."""
        self.given_up = 0
        """Segments that were lost and not sent again."""

    # Paths

    def set_path(self, path: int, now: float, *, mode: Mode, weight: float = 1.0, up: bool = True) -> None:
        """A path is there, or is to be used in another way.

        A weight lowers the share of its rate that is used: 0.25 beside 1.0 is a quarter.
        """
        way = self._ways.get(path)
        if way is None:
            way = self._ways[path] = Way(path, now)
        if up and not way.up:
            way.silent = False
        way.mode, way.weight, way.up = mode, weight, up
        if not up:
            self._settle(way.flight.abandon())
        self._renew()

    def drop_path(self, path: int) -> None:
        """A path is gone for good. What was under way on it is sent again elsewhere."""
        way = self._ways.pop(path, None)
        if way is not None:
            self._settle(way.flight.abandon())
            self._renew()

    def way(self, path: int) -> Way | None:
        """What is known of a path: for status, and to tell the far end."""
        return self._ways.get(path)

    def _renew(self) -> None:
        self._usable = usable(list(self._ways.values()))
        heaviest = max((way.weight for way in self._usable), default=1.0)
        for way in self._usable:
            way.pace.share = way.weight / heaviest if heaviest > 0 else 1.0
        self._rank()

    def _rank(self) -> None:
        ways = self._usable
        lag = rank(ways)
        if ways:
            self._target = TARGET + ways[0].pace.estimate.base + lag
            if self._best is None or self._best not in ways or self._best.lag > STICKY:
                self._best = ways[0]

    # Payloads

    def offer(self, key: bytes, token: int, count: int, size: int, now: float) -> bool:
        """``count`` segments of one flow, each ``size`` bytes on the wire (the last may be shorter).

        ``key`` is the protocol number, the addresses and, at its end, the ports of the flow, two bytes
        each (zeros where there are none). The driver keeps the payload until `released` names its
        ``token``. False: too much is waiting already or no path can be used; the token was not taken.
        """
        flow = self._flows.get(key)
        if flow is None:
            flow = self._new_flow(key, now)
        else:
            self._flows.move_to_end(key)
        waiting = self._waiting.bytes + self._pinned.bytes
        if waiting > MOST_BYTES or not self._usable or not 0 < count <= MOST_SEGMENTS:
            self.refused += 1
            return False
        flow.used_at = now
        thin = flow.temper.sent(count * size, now)
        if thin is not flow.thin:
            flow.thin = thin
            flow.treatment, flow.twice = treatment(key, flow.wish, thin)
        load = self._loads[token] = Load(token, count, size, now)
        if flow.treatment is Treatment.REDUNDANT:
            self._urgent.append(load)
        else:
            (self._pinned if flow.pinned else self._waiting).put(flow, load)
        return True

    def _new_flow(self, key: bytes, now: float) -> Flow:
        flows = self._flows
        while flows:
            oldest = next(iter(flows.values()))
            if len(flows) < MOST_FLOWS and now - oldest.used_at < FLOW_IDLE:
                break
            del flows[oldest.key]
        flow = flows[key] = Flow(key, self._wish(key), now)
        return flow

    # Sending

    def poll(self, now: float) -> list[Parcel]:
        """The runs that are to leave now, in this order. Report each with `sent`."""
        if now >= self._check_at:
            self._check(now)
        ways = self._usable
        out: list[Parcel] = []
        if not ways:
            return out
        while self._urgent:
            self._send_copies(self._urgent.popleft(), now, out)
        while self._resend and self._send_again(self._resend[0], now, out):
            self._resend.popleft()
        while len(out) < MOST_RUNS and self._send_next(ways, now, out):
            pass
        return out

    def _send_next(self, ways: list[Way], now: float, out: list[Parcel]) -> bool:
        """One run of what waits, if a path takes it."""
        queue, best = self._waiting, self._best
        way: Way | None = None
        if not self._pinned or best is None or not best.pace.ready(best.flight.bytes, now):
            best = None
        if queue and (best is None or not self._pinned_next):
            way = choose(ways, queue.bytes, now)
        if way is not None:
            self._pinned_next = self._pinned_next or way is self._best
        elif best is not None:
            queue, way = self._pinned, best
            self._pinned_next = False
        else:
            return False
        flow = queue.head()
        if flow.must_drop(self._target, now):
            self._leave_out(queue, flow)
        else:
            self._send(queue, flow, way, now, out)
        return True

    def _send(self, queue: Waiting, flow: Flow, way: Way, now: float, out: list[Parcel]) -> None:
        load = flow.loads[0]
        first = load.next
        count = way.pace.quantum // load.size or 1
        if count > load.count - first:
            count = load.count - first
        queue.take(flow, count)
        if flow.treatment is Treatment.ORDERED:
            if flow.lane < 0:
                flow.lane = self._next_lane
                self._next_lane = self._next_lane + 1 if self._next_lane + 1 < LANES else _FIRST_LANE
            number = flow.number
            flow.number += count
            load.open += 1
            parcel = Parcel(
                way.id, load.token, first, count, load.size, Treatment.ORDERED, flow.lane, number, 0
            )
            if flow.twice and not self._waiting.bytes and len(self._usable) > 1:
                other = next(each for each in soonest(self._usable, now, 2) if each is not way)
                copy = parcel.copy(other.id)
                other.pace.spend(copy, now)
                out.append(copy)
        else:
            number = self._loose
            self._loose += count
            parcel = Parcel(
                way.id, load.token, first, count, load.size, Treatment.LOOSE, _LOOSE_LANE, number, 0
            )
            if load.next == load.count:
                self._release(load)
        way.pace.spend(parcel, now)
        out.append(parcel)

    def _send_copies(self, load: Load, now: float, out: list[Parcel]) -> None:
        number = self._redundant
        self._redundant += load.count
        for nth, way in enumerate(soonest(self._usable, now, 2)):
            parcel = Parcel(
                way.id,
                load.token,
                0,
                load.count,
                load.size,
                Treatment.REDUNDANT,
                _REDUNDANT_LANE,
                number,
                -nth,
            )
            way.pace.spend(parcel, now)
            out.append(parcel)
        self._release(load)

    def _send_again(self, parcel: Parcel, now: float, out: list[Parcel]) -> bool:
        """Before anything else, but no faster than a path can take it: it may be all that was under way.

        What is lost a second time stops its whole flow for long: a second copy is cheaper.
        """
        ways = soonest([way for way in self._usable if _has_room(way, now)], now, 2)
        if not ways:
            return False
        first = ways[0]
        fits = max(1, first.pace.quantum // parcel.size)
        if parcel.count > fits:
            # A path may be much slower than the one that was to carry it.
            rest = parcel.cut(fits)
            self._loads[parcel.token].open += 1
            self._resend.insert(1, rest)
        self.resent += parcel.count
        parcel.path = first.id
        first.pace.spend(parcel, now)
        out.append(parcel)
        if len(ways) > 1 and (parcel.attempt > 1 or first.pace.estimate.loss < 0.02):
            copy = parcel.copy(ways[1].id)
            ways[1].pace.spend(copy, now)
            out.append(copy)
        return True

    def _leave_out(self, queue: Waiting, flow: Flow) -> None:
        """Drop one segment of the flow whose turn it is."""
        self.dropped += 1
        load = queue.take(flow, 1)
        if load.next == load.count and not load.open:
            self._release(load)

    def sent(self, parcel: Parcel, counter: int, now: float) -> None:
        """A run of the last `poll` went out, its first datagram with ``counter``.

        What the socket refused is reported all the same: it is lost like anything else.
        """
        way = self._ways.get(parcel.path)
        if way is not None:
            way.flight.sent(parcel, counter, now)

    def released(self) -> list[int]:
        """Tokens that are not needed any more, once all runs given so far have been sent."""
        tokens, self._released = self._released, []
        return tokens

    def _release(self, load: Load) -> None:
        del self._loads[load.token]
        self._released.append(load.token)

    # What comes back

    def on_ack(self, ack: Ack, now: float) -> None:
        """The far end says what of one path has reached it. What makes no sense changes nothing."""
        way = self._ways.get(ack.path)
        if way is None:
            return
        estimate = way.pace.estimate
        if ack.newest > way.flight.newest:
            if way.silent:
                # It was only slow. Sending all of it again was a waste: be more patient for some time.
                way.grace = min(MOST_GRACE, max(way.grace, 2 * (now - way.silent_since)))
            self._alive(way, now)
        verdict = way.flight.on_ack(ack, 0.002 + estimate.srtt / 8, now)
        if verdict.newest is None and not verdict.done:
            return
        way.grace *= GRACE_FADES
        way.pace.on_ack(ack, verdict, way.flight, now)
        self._settle(verdict)
        self._rank()

    def on_alive(self, path: int, now: float) -> None:
        """Something proved that a path works in both directions: an echo came back."""
        way = self._ways.get(path)
        if way is not None:
            self._alive(way, now)

    def _alive(self, way: Way, now: float) -> None:
        way.heard_at = now
        if way.silent:
            way.silent = False
            self._renew()

    def _settle(self, verdict: Verdict) -> None:
        """Send again what has to be, and let go of what has arrived."""
        loads = self._loads
        for parcel, offset, count in verdict.lost:
            if parcel.treatment is not Treatment.ORDERED or parcel.attempt < 0:
                continue
            if parcel.attempt >= MOST_ATTEMPTS:
                self.given_up += count
                continue
            again = Parcel(
                parcel.path,
                parcel.token,
                parcel.first + offset,
                count,
                parcel.size,
                Treatment.ORDERED,
                parcel.lane,
                parcel.number + offset,
                parcel.attempt + 1,
            )
            loads[parcel.token].open += 1
            self._resend.append(again)
        for parcel in verdict.done:
            if parcel.treatment is Treatment.ORDERED and parcel.attempt >= 0:
                load = loads[parcel.token]
                load.open -= 1
                if not load.open and load.next == load.count:
                    self._release(load)

    # Silence

    def _check(self, now: float) -> None:
        """Notice paths from which nothing comes back."""
        self._check_at = now + CHECK_EVERY
        for way in self._ways.values():
            if way.flight.idle:
                continue
            late = now - self._silent_at(way)
            if late < 0:
                if now >= way.doubt_at:
                    self._doubt(way, now)
                continue
            if late > _STARVED:
                # It is we who have been silent: first read what may have come in the meantime.
                way.heard_at = max(way.heard_at, way.flight.oldest.sent_at) + late + _STARVED / 2
                continue
            if not way.silent:
                way.silent = True
                way.silent_since = now
                way.probes = 0
                way.probe_at = now
            self._settle(way.flight.abandon())
            self._renew()

    def _doubt(self, way: Way, now: float) -> None:
        """Send once more what should have been acknowledged by now; whichever comes first is taken."""
        patience = self._doubt_after(way)
        if patience is None:
            return
        doubted = way.flight.doubtful(now - patience, MOST_DOUBTED)
        if not doubted:
            return
        way.doubt_at = now + way.pace.estimate.srtt
        for parcel, missing in doubted:
            if parcel.attempt >= MOST_ATTEMPTS:
                continue
            # The copies answer for the segments from now on.
            self._loads[parcel.token].open += len(missing) - 1
            attempt, parcel.attempt = parcel.attempt, -1
            for offset, count in missing:
                again = parcel.copy(parcel.path)
                again.first += offset
                again.number += offset
                again.count = count
                again.attempt = attempt + 1
                self._resend.append(again)

    def _doubt_after(self, way: Way) -> float | None:
        """Seconds from its sending; None where there is no other path, or no round trip is known."""
        estimate = way.pace.estimate
        if not estimate.srtt or len(self._usable) < 2:
            return None
        return estimate.srtt + max(3 * estimate.rttvar, DOUBT) + DELAY + DOUBT

    @staticmethod
    def _silent_at(way: Way) -> float:
        oldest = way.flight.oldest
        delay = DELAY if oldest.treatment is Treatment.ORDERED else THIN_DELAY
        return max(way.heard_at, oldest.sent_at) + way.pace.estimate.patience(delay + 0.005) + way.grace

    def probes(self, now: float) -> list[int]:
        """Paths on which the driver should send an ECHO now, to see whether they have come back."""
        due = []
        for way in self._ways.values():
            if way.silent and way.up and way.probe_at <= now:
                way.probe_at = now + min(PROBE_LAST, PROBE_FIRST * 2 ** min(way.probes, _DOUBLINGS))
                way.probes += 1
                due.append(way.id)
        return due

    def deadline(self) -> float | None:
        """When `poll` or `probes` have something to say, if nothing comes before; 0: at once."""
        if self._urgent and self._usable:
            return 0.0
        times: list[float] = []
        if self._resend:
            times += (way.pace.next_at - AHEAD for way in self._usable if way.flight.bytes < way.pace.window)
        for way in self._ways.values():
            if not way.flight.idle:
                oldest = way.flight.oldest
                times.append(max(self._silent_at(way), self._check_at))
                if oldest.treatment is Treatment.ORDERED and oldest.attempt >= 0:
                    patience = self._doubt_after(way)
                    if patience is not None:
                        times.append(max(oldest.sent_at + patience, way.doubt_at, self._check_at))
            if way.silent and way.up:
                times.append(way.probe_at)
        best = [self._best] if self._best else []
        for queue, ways in ((self._waiting, self._usable), (self._pinned, best)):
            if queue and ways and (when := wake(ways, queue.bytes)) is not None:
                times.append(when)
        return min(times, default=None)
