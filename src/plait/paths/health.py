"""Which paths are well: evidence in, verdicts and wishes out. No clock, no socket.

A path is called silent only *beside a witness*: probes over it stay unanswered although another path to
the same exit was answered in the same moments. So neither an exit that restarts, nor a machine of ours
that stands still for a while, nor a far end without power makes a path look dead; then all are silent
together, and all are left as they are (`Condition.LOST`).

How much silence is enough depends on the path: on one that never loses anything three missing answers
are one chance in a million, on one that loses every third it takes a dozen. Live connections that wait
weigh as a missing answer each quarter of a second; what they bring in acquits.

Every method takes the present as ``now`` (seconds). Feed it, then ask `standings`, `asks` and
`deadline`, and feed it again (`tick` if nothing else) when the deadline has come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, log

from plait.paths.asking import Asks, Bursts, next_handshake, pace
from plait.paths.estimate import Figures
from plait.paths.pair import GOOD, Carried, Pair
from plait.paths.settled import Settled
from plait.paths.standing import Condition, Standing

ENOUGH = log(1e6) - 0.4
"""Weight of evidence at which a path is silent: three answers missing where one in a hundred does."""
_SAME_TIME = 0.2
"""A witness must have been asked no later than this after the one who does not answer."""
_SAME_TIME_TCP = 1.0
"""… or this long, where handshakes have to do: there are few of them."""
_GRACE = 0.04
"""… and have answered this long before judgement: two answers to the same question do not come at once."""
_LOOK_AGAIN = 0.02
_JOINING = 0.3
"""Seconds, and two round trips, in which connections get their subflow on a path that is used again."""
_WITNESSED = 10.0
_SILENT = (Condition.DOWN, Condition.LOST)
_BEST = (
    Condition.UP,
    Condition.UNKNOWN,
    Condition.DOUBT,
    Condition.RETURNING,
    Condition.DOWN,
    Condition.LOST,
)


@dataclass(slots=True)
class _Line:
    """What is known of a path as a whole."""

    linked: bool = True
    metered: bool = False
    settled: Settled = field(default_factory=Settled)


class Health:
    """All pairs of exits and paths."""

    def __init__(self, exits: Iterable[str], paths: Mapping[str, bool]) -> None:
        """``paths`` are the names of the paths and whether they are metered."""
        self._exits: tuple[str, ...] = ()
        self._lines: dict[str, _Line] = {}
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._proofs: dict[str, deque[tuple[float, float, str]]] = {}
        self._echoless: set[str] = set()
        self._bursts = Bursts()
        self._connects: dict[tuple[str, str], float] = {}
        self._handshakes: dict[tuple[str, str], int] = {}
        self.configure(exits, paths)

    def configure(self, exits: Iterable[str], paths: Mapping[str, bool]) -> None:
        """Other exits or paths; what is known of those that stay is kept."""
        self._exits = tuple(exits)
        self._lines = {name: self._lines.get(name, _Line()) for name in paths}
        for name, metered in paths.items():
            self._lines[name].metered = metered
        self._proofs = {name: self._proofs.get(name, deque(maxlen=48)) for name in self._exits}
        self._echoless &= set(self._exits)

        def known(exit_name: str, path: str) -> bool:
            return exit_name in self._proofs and path in self._lines

        self._pairs = {key: pair for key, pair in self._pairs.items() if known(*key)}
        self._connects = {key: at for key, at in self._connects.items() if known(*key)}
        self._handshakes = {key: n for key, n in self._handshakes.items() if known(*key)}

    # Evidence.

    def links(self, ready: Mapping[str, bool], now: float) -> None:
        """Which paths have a link with carrier, an address and a way to an exit now. One that was
        away has to answer before it is used again, if others have shown that answers can be had."""
        for name, linked in ready.items():
            line = self._lines.get(name)
            if line is None or line.linked is linked:
                continue
            line.linked = linked
            for pair in self._of_path(name):
                if not linked:
                    if pair.state not in _SILENT:
                        pair.returns.failed(now - pair.since)
                    pair.enter(Condition.DOWN, now)
                elif self._witnessed(pair, now):
                    pair.enter(Condition.RETURNING, now)
                else:
                    pair.enter(Condition.UNKNOWN, now)
                    pair.returns.returned()
            if linked:
                self._bursts.now(name)
        self._weigh(now)

    def moved(self, path: str, now: float) -> None:
        """The path has another address, or another next hop: look at once whether it still works."""
        if path in self._lines:
            self._bursts.strong(path, now)

    def session(self, exit_name: str, echoing: bool) -> None:
        """Whether that exit can be asked for echoes; one that is no plait, or whose UDP is blocked, is
        asked for TCP handshakes instead."""
        if echoing:
            self._echoless.discard(exit_name)
        elif exit_name in self._proofs:
            self._echoless.add(exit_name)

    def echo(self, exit_name: str, path: str, sent: float, rtt: float, now: float) -> None:
        """An echo that was sent at ``sent`` has come back; ``rtt`` seconds on the way."""
        pair = self._pair(exit_name, path, now)
        if pair is not None:
            if pair.state is Condition.DOWN and pair.condemned <= sent < pair.since:
                pair.enter(Condition.UP, now)
                pair.returns.forgive()
            pair.answered(sent, rtt, now)
            self._proofs[exit_name].append((sent, sent + rtt, path))
            self._handshakes.pop((exit_name, path), None)
            self._heard(pair, now)

    def silent(self, exit_name: str, path: str, sent: float, now: float) -> None:
        """An echo that was sent at ``sent`` has had no answer for longer than is usual."""
        pair = self._pair(exit_name, path, now)
        if pair is not None and pair.echoing and pair.unanswered(sent):
            self._alarm(pair, now)
            self._weigh(now)

    def connect(self, exit_name: str, path: str, sent: float, rtt: float | None, now: float) -> None:
        """A TCP handshake that began at ``sent`` took ``rtt`` seconds, or failed (None)."""
        pair = self._pair(exit_name, path, now)
        if pair is None:
            return
        key = (exit_name, path)
        if rtt is not None:
            if pair.echoing and pair.state is Condition.DOWN:
                # Echoes are lost here and handshakes are not: somebody drops UDP.
                self._handshakes[key] = self._handshakes.get(key, 0) + 1
                if self._handshakes[key] < GOOD:
                    return
                pair.echoing = False
            pair.answered(sent, rtt, now, echo=False)
            self._proofs[exit_name].append((sent, sent + rtt, path))
            self._heard(pair, now)
        elif pair.echoing:
            self._handshakes.pop(key, None)
        else:
            # The kernel has sent two SYNs meanwhile.
            if pair.unanswered(sent) and pair.unanswered(sent + 1.0):
                self._alarm(pair, now)
                self._weigh(now)

    def traffic(self, exit_name: str, path: str, report: Carried, now: float) -> bool:
        """What live connections to that exit show of that path. Whether a verdict may follow: mostly
        they just carry, twenty times a second."""
        pair = self._pair(exit_name, path, now)
        if pair is None:
            return False
        pair.carried(report)
        progress = bool(report.acked or report.received)
        waited = max(report.waiting, report.quiet)
        if report.suspicious:
            self._alarm(pair, now)
        elif waited >= pair.usual_gap(report.rtt):
            self._bursts.weak(path, now)
        elif progress and pair.state is Condition.UP and not pair.missed:
            return False
        if progress:
            self._heard(pair, now)
        else:
            self._weigh(now)
        return True

    def tick(self, now: float) -> None:
        """Time has passed."""
        self._weigh(now)

    # Verdicts.

    def standings(self, now: float) -> dict[str, Standing]:
        """How each path stands, modes and benches apart."""
        return {name: self._standing(name, line, now) for name, line in self._lines.items()}

    def figures(self, path: str) -> Figures:
        """What that path measures, to the first exit that answers over it."""
        pair = self._best(path)
        return pair.estimate.figures if pair else Figures()

    def sure_loss(self, path: str) -> float:
        """Its loss by probes alone."""
        pair = self._best(path)
        return pair.estimate.sure_loss if pair else 0.0

    def quality(self, exit_name: str) -> tuple[float | None, float]:
        """RTT and loss of the best path to that exit."""
        working = [pair.estimate for pair in self._of_exit(exit_name) if pair.state not in _SILENT]
        best = min(
            (each for each in working if each.rtt is not None),
            key=lambda each: (each.rtt or 0.0) + each.sure_loss,
            default=None,
        )
        return (None, 0.0) if best is None else (best.rtt, best.sure_loss)

    def silent_exits(self) -> frozenset[str]:
        """Exits of which nothing is heard over any path."""
        found = set()
        for name in self._exits:
            pairs = [pair for pair in self._of_exit(name) if self._lines[pair.path].linked]
            if pairs and all(pair.state in _SILENT for pair in pairs):
                found.add(name)
        return frozenset(found)

    def asks(self, now: float) -> Asks:
        """What to ask of those who probe; what is asked once is not asked again."""
        due = [key for key, at in self._handshake_times().items() if at <= now]
        for key in due:
            self._connects[key] = now
        return Asks(
            pace={name: self._pace(name, line, now) for name, line in self._lines.items()},
            bursts=tuple(name for name in self._bursts.take() if name in self._lines),
            connects=tuple(due),
        )

    def deadline(self, now: float) -> float | None:
        """When to `tick` and ask again, if nothing happens before."""
        times = list(self._handshake_times().values())
        for pair in self._pairs.values():
            matures = pair.matures(now)
            if matures is not None:
                times.append(matures)
            if pair.state is Condition.RETURNING and pair.good >= GOOD:
                times.append(pair.since + pair.returns.hold)
            elif pair.missing(now) and pair.state not in _SILENT:
                times.append(now + _LOOK_AGAIN)
        return min((max(at, now) for at in times), default=None)

    # Inside.

    def _pair(self, exit_name: str, path: str, now: float) -> Pair | None:
        """None for names that the config no longer knows: news may be on its way while it changes."""
        key = (exit_name, path)
        pair = self._pairs.get(key)
        if pair is None and exit_name in self._proofs and path in self._lines:
            pair = self._pairs[key] = Pair(exit_name, path, now)
        return pair

    def _of_path(self, path: str) -> list[Pair]:
        return [pair for pair in self._pairs.values() if pair.path == path]

    def _of_exit(self, exit_name: str) -> list[Pair]:
        return [pair for pair in self._pairs.values() if pair.exit == exit_name]

    def _best(self, path: str) -> Pair | None:
        return min(
            self._of_path(path),
            key=lambda pair: (_BEST.index(pair.state), pair.estimate.rtt is None),
            default=None,
        )

    def _witnessed(self, pair: Pair, now: float) -> bool:
        """Whether another path to the exit was heard lately, and this one has ever answered probes."""
        return pair.echoing and any(
            other is not pair and other.heard > now - _WITNESSED for other in self._of_exit(pair.exit)
        )

    def _heard(self, pair: Pair, now: float) -> None:
        if pair.state is Condition.UNKNOWN:
            pair.enter(Condition.UP, now)
        elif pair.state is Condition.LOST:
            # The exit is back, or we are. What the others missed meanwhile says nothing of them.
            pair.enter(Condition.UP, now)
            pair.returns.returned()
            for other in self._of_exit(pair.exit):
                other.missed.clear()
                self._bursts.now(other.path)
        elif pair.state is Condition.DOWN and pair.proven > pair.since and self._lines[pair.path].linked:
            pair.enter(Condition.RETURNING, now)
            pair.good = 1
            self._bursts.now(pair.path)
        self._weigh(now)

    def _alarm(self, pair: Pair, now: float) -> None:
        """An answer is missing: ask this path again at once, and others for comparison."""
        if pair.state in (*_SILENT, Condition.RETURNING):
            return
        self._bursts.strong(pair.path, now)
        if len(pair.missed) > 1 or pair.estimate.surprise > ENOUGH / 4:
            for other in self._of_exit(pair.exit):
                if other is not pair and self._lines[other.path].linked:
                    self._bursts.strong(other.path, now)

    def _weigh(self, now: float) -> None:
        """Judge all pairs by what is known now."""
        for name in self._exits:
            self._weigh_exit(name, now)

    def _weigh_exit(self, exit_name: str, now: float) -> None:
        pairs = self._of_exit(exit_name)
        doubted = False
        for pair in pairs:
            if pair.state is Condition.DOWN or not (
                pair.missed or pair.waiting or pair.outrun or pair.state is not Condition.UP
            ):
                continue
            weight, attested = self._evidence(pair, pairs, now)
            if pair.state in (Condition.UP, Condition.UNKNOWN, Condition.DOUBT, Condition.LOST):
                if attested >= ENOUGH and self._relieved(pair, now):
                    pair.condemn(now)
                    self._bursts.drop(pair.path)
                elif pair.state is Condition.LOST:
                    pass
                elif weight >= ENOUGH / 2:
                    if pair.state is not Condition.DOUBT:
                        self._doubt(pair)
                    doubted = doubted or weight >= ENOUGH
                elif pair.state is Condition.DOUBT:
                    pair.state = Condition.UP
            elif pair.state is Condition.RETURNING:
                if weight >= ENOUGH:
                    pair.enter(Condition.DOWN, now)
                elif pair.good >= GOOD and (
                    now >= pair.since + pair.returns.hold or not self._others_serve(pair)
                ):
                    pair.enter(Condition.UP, now)
                    pair.returns.returned()
        if doubted:
            self._all_lost(pairs, now)

    @staticmethod
    def _doubt(pair: Pair) -> None:
        # Not `enter`: how long it has served goes on counting.
        pair.state = Condition.DOUBT

    def _evidence(self, pair: Pair, pairs: list[Pair], now: float) -> tuple[float, float]:
        """What speaks against a pair, and how much of it while others of the exit were answered."""
        missing, stuck = pair.missing(now), pair.stuck(now)
        if not missing and not stuck:
            return 0.0, 0.0
        earliest = min(missing, default=now)
        # A witness speaks of the moment when the exit had its question: halfway between.
        proofs = [
            (sent, (sent + arrived) / 2)
            for sent, arrived, path in self._proofs[pair.exit]
            if path != pair.path and arrived <= now - _GRACE and arrived >= earliest
        ]
        way = (pair.estimate.rtt or 0.0) / 2
        window = _SAME_TIME if pair.echoing else _SAME_TIME_TCP
        attested = sum(
            any(answered >= each + way and sent <= each + window for sent, answered in proofs)
            for each in missing
        )
        waiting_since = pair.stuck_at - max(pair.waiting, pair.outrun)
        beside = stuck if any(o is not pair and o.proven > waiting_since for o in pairs) else 0
        surprise = pair.estimate.surprise
        return surprise * (len(missing) + stuck), surprise * (attested + beside)

    def _all_lost(self, pairs: list[Pair], now: float) -> None:
        """When every path to an exit is silent, it is the exit."""
        here = [pair for pair in pairs if self._lines[pair.path].linked]
        for pair in here:
            if pair.state not in _SILENT and self._evidence(pair, pairs, now)[0] < ENOUGH:
                return
        for pair in here:
            if pair.state is not Condition.DOWN:
                pair.enter(Condition.LOST, now)

    def _relieved(self, pair: Pair, now: float) -> bool:
        """Whether another path has been in use for long enough to have its subflows: connections must
        not lose their last one."""
        return any(
            each.path != pair.path
            and self._lines[each.path].linked
            and each.state in (Condition.UP, Condition.DOUBT)
            and now >= each.since + _JOINING + 2 * (each.estimate.rtt or 0.0)
            for each in self._pairs.values()
        )

    def _others_serve(self, pair: Pair) -> bool:
        """Whether another path is there to be used while this one proves itself."""
        return any(
            line.linked
            and name != pair.path
            and any(each.state in (Condition.UP, Condition.DOUBT) for each in self._of_path(name))
            for name, line in self._lines.items()
        )

    def _standing(self, name: str, line: _Line, now: float) -> Standing:
        pairs = self._of_path(name)
        if not pairs:
            return Standing()
        best = min(pairs, key=lambda pair: _BEST.index(pair.state))
        condition = best.state
        if condition is Condition.DOWN and any(pair.state is Condition.LOST for pair in pairs):
            condition = Condition.LOST
        settled = line.settled
        settled.look(best.estimate.rtt, best.estimate.loss, now)
        working = best.state not in (Condition.DOWN, Condition.LOST, Condition.RETURNING)
        return Standing(
            condition=condition,
            why=_WHY.get(condition, ""),
            rtt=settled.rtt,
            loss=settled.loss,
            unanswered=frozenset(
                pair.exit for pair in pairs if working and pair.state in (Condition.DOWN, Condition.RETURNING)
            ),
            returns=sum(pair.returns.count for pair in pairs),
        )

    def _pace(self, name: str, line: _Line, now: float) -> float:
        pairs = self._of_path(name)
        witness = any(self._doubted(pair.exit) for pair in pairs)
        return pace(line.metered, pairs, now, witness=witness)

    def _doubted(self, exit_name: str) -> bool:
        """Whether a path to that exit needs others for comparison."""
        return any(len(pair.missed) > 1 and pair.state not in _SILENT for pair in self._of_exit(exit_name))

    def _handshake_times(self) -> dict[tuple[str, str], float]:
        """When each pair that needs it is to be tried by a TCP handshake."""
        times = {}
        for exit_name in self._exits:
            doubted = self._doubted(exit_name)
            for name, line in self._lines.items():
                key = (exit_name, name)
                if line.linked:
                    at = next_handshake(
                        self._pairs.get(key),
                        self._connects.get(key, -inf),
                        echoless=exit_name in self._echoless,
                        witness=doubted,
                    )
                    if at is not None:
                        times[key] = at
        return times


_WHY = {
    Condition.DOUBT: "answers are missing",
    Condition.RETURNING: "it answers again, not for long enough yet",
    Condition.DOWN: "probes get no answer",
    Condition.LOST: "no exit answers over any path",
}
