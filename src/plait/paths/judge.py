"""The judgement as a whole: health, bench, handover and exits behind one door. No clock, no socket.

Feed it what is seen; ask it how paths and exits stand, and what it would like to be asked of those who
probe. ``links`` must have been told of a look at the host before ``standings`` are used for what that
look found; `tick` when the `deadline` has come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from plait.config.model import Config, Mode
from plait.paths.asking import Asks
from plait.paths.bench import Bench, Measured
from plait.paths.capacity import BUSY, Capacity
from plait.paths.estimate import Figures
from plait.paths.exits import Exits, ExitStanding
from plait.paths.health import Health
from plait.paths.least import Least
from plait.paths.pair import Carried
from plait.paths.standing import Condition, Standing
from plait.paths.training import FIRST, Training

_CARRYING = (Mode.ON, Mode.MASTER)
_LOOK = 1.0
"""Seconds between two looks at the bench."""
_LATELY = 10.0
_BASE = 300.0
_LINGER = 1.5
"""Seconds for which a handover path stays as a backup when others work again, and four round trips: until
they have their subflows."""
_FRESH = 8.0
"""Seconds after its first answer in which a path's rate is found out."""


class _Path:
    """What is known of one path beside its health."""

    __slots__ = ("appeared", "base", "capacity", "lately", "training")

    def __init__(self) -> None:
        self.capacity = Capacity()
        self.lately = Least(_LATELY)
        self.base = Least(_BASE)
        self.training = Training()
        self.appeared = inf
        """When it first answered."""


class Judge:
    """Everything that is judged of a gateway's paths and exits."""

    def __init__(self, config: Config, now: float) -> None:
        self._config = Config()
        self._health = Health((), {})
        self._bench = Bench()
        self.exits = Exits((), now)
        """How exits stand, and which one serves whom."""
        self._paths: dict[str, _Path] = {}
        self._linked: dict[str, bool] = {}
        self._standings: dict[str, Standing] = {}
        self._benched: Mapping[str, str] = {}
        self._looked = self._settled = -inf
        self._lingering: dict[str, float] = {}
        self._handed_over = False
        self.configure(config, now)

    def configure(self, config: Config, now: float) -> None:
        """Another config, or other modes; what is known of exits and paths that stay is kept."""
        self._config = config
        names = [peer.name for peer in config.peers]
        self._health.configure(names, {path.name: path.metered for path in config.paths})
        self.exits.configure(names, now)
        self._paths = {path.name: self._paths.get(path.name) or _Path() for path in config.paths}
        for path in config.paths:
            self._paths[path.name].training.metered = path.metered
        self._linked = {name: self._linked.get(name, True) for name in self._paths}
        self._looked = -inf
        self._settle(now)

    # Evidence; see `plait.paths.health`.

    def links(self, ready: Mapping[str, bool], now: float) -> None:
        """Which paths have a link with carrier, an address and a way to an exit now."""
        for name, linked in ready.items():
            if name in self._linked and linked is not self._linked[name]:
                self._linked[name] = linked
                self._paths[name].training.anew()
        self._health.links(ready, now)
        self._settle(now)

    def moved(self, path: str, now: float) -> None:
        """The path has another address, or another next hop."""
        self._health.moved(path, now)

    def session(self, exit_name: str, echoing: bool) -> None:
        """Whether that exit can be asked for echoes."""
        self._health.session(exit_name, echoing)

    def echo(self, exit_name: str, path: str, sent: float, rtt: float, now: float) -> None:
        """An echo that was sent at ``sent`` has come back after ``rtt`` seconds on the way."""
        self._health.echo(exit_name, path, sent, rtt, now)
        self._took(path, rtt, now)
        self._settle(now)

    def silent(self, exit_name: str, path: str, sent: float, now: float) -> None:
        """An echo that was sent at ``sent`` has had no answer for longer than is usual."""
        self._health.silent(exit_name, path, sent, now)
        self._settle(now)

    def connect(self, exit_name: str, path: str, sent: float, rtt: float | None, now: float) -> None:
        """A TCP handshake that began at ``sent`` took ``rtt`` seconds, or failed (None)."""
        self._health.connect(exit_name, path, sent, rtt, now)
        if rtt is not None:
            self._took(path, rtt, now)
        self._settle(now)

    def traffic(self, exit_name: str, path: str, report: Carried, now: float) -> None:
        """What live connections to that exit show of that path."""
        matters = self._health.traffic(exit_name, path, report, now)
        known = self._paths.get(path)
        if known is not None:
            known.capacity.carried(report.acked, report.received, report.rate, report.at)
            if known.capacity.fallen(now):
                self._suspect(known, now)
        if matters or now >= self._settled + _LOOK / 2:
            self._settle(now)

    def train(self, path: str, up: int | None, down: int | None, now: float) -> None:
        """A train of probes has found these rates, in bits a second; None: not found out."""
        known = self._paths.get(path)
        if known is not None:
            if known.capacity.contradicted(up, down, now):
                self._suspect(known, now)
            known.capacity.train(up, down, now)
            self._settle(now)

    def probed(self, exit_name: str, state: str, why: str, now: float) -> None:
        """A probe through the real transport has ended; see `Exits.probed`."""
        self.exits.probed(exit_name, state, why, now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        self._health.tick(now)
        self.exits.tick(now)
        self._settle(now)

    # Verdicts and wishes.

    def standings(self, now: float) -> dict[str, Standing]:
        """How each path stands."""
        found = dict(self._standings)
        for name, why in self._benched.items():
            found[name] = replace(found[name], benched=why)
        for name, until in self._lingering.items():
            if until > now:
                found[name] = replace(found[name], lingering=True)
        return found

    def exit_standings(self) -> Mapping[str, ExitStanding]:
        """How each exit stands."""
        return self.exits.standings()

    def figures(self, path: str) -> Figures:
        """What a path measures."""
        return self._health.figures(path)

    def rates(self, path: str, now: float) -> tuple[float | None, float | None]:
        """Bits a second that a path is thought to carry at most, up and down; None while nobody knows."""
        known = self._paths.get(path)
        return (None, None) if known is None else (known.capacity.up(now), known.capacity.down(now))

    def asks(self, now: float) -> Asks:
        """What to ask of those who probe; what is asked once is not asked again."""
        due = tuple(name for name, at in self._train_times(now).items() if at <= now)
        for name in due:
            known = self._paths[name]
            known.training.sent(known.lately.value(now), self._health.sure_loss(name), now)
        return replace(self._health.asks(now), trains=due)

    def deadline(self, now: float) -> float | None:
        """When to `tick` and ask again, if nothing happens before."""
        times = [at for at in (self._health.deadline(now), self.exits.deadline()) if at is not None]
        times += self._train_times(now).values()
        times += [until for until in self._lingering.values() if until > now]
        bench = self._bench.deadline(now)
        if bench is not None:
            times.append(max(bench, self._looked + _LOOK))
        return min((max(at, now) for at in times), default=None)

    # Inside.

    def _took(self, path: str, rtt: float, now: float) -> None:
        known = self._paths.get(path)
        if known is not None:
            known.appeared = min(known.appeared, now)
            known.lately.see(rtt, now)
            known.base.see(rtt, now)

    def _settle(self, now: float) -> None:
        """What follows from what is known now."""
        self._settled = now
        standings = self._standings = self._health.standings(now)
        silent = self._health.silent_exits()
        for peer in self._config.peers:
            rtt, loss = self._health.quality(peer.name)
            self.exits.reached(peer.name, silent=peer.name in silent, rtt=rtt, loss=loss, now=now)
        players = [
            path.name
            for path in self._config.paths
            if path.mode in _CARRYING
            and self._linked[path.name]
            and standings[path.name].condition in (Condition.UNKNOWN, Condition.UP, Condition.DOUBT)
        ]
        if now >= self._looked + _LOOK or any(name not in players for name in self._benched):
            self._looked = now
            self._benched = self._bench.look({name: self._measured(name, now) for name in players}, now)
            for name in self._benched:
                known = self._paths[name]
                if known.training.differs(known.lately.value(now), self._health.sure_loss(name)):
                    self._suspect(known, now)
        self._hand_over(standings, now)

    @staticmethod
    def _suspect(known: _Path, now: float) -> None:
        """That path may have become another: measure it at once, and believe that."""
        if known.training.suspect(now):
            known.capacity.doubt(FIRST)

    def _measured(self, name: str, now: float) -> Measured:
        known = self._paths[name]
        return Measured(
            rtt=known.lately.value(now),
            base=known.base.value(now),
            loss=self._health.sure_loss(name),
            up=known.capacity.up(now),
            down=known.capacity.down(now),
            carrying=known.capacity.carrying(now),
            shown=known.capacity.shown(now),
            fresh=now < known.appeared + _FRESH,
        )

    def _hand_over(self, standings: Mapping[str, Standing], now: float) -> None:
        """Notice when handover paths are needed, and when no longer."""

        def works(wanted: bool) -> bool:
            return any(
                (path.mode is Mode.HANDOVER) is wanted
                and path.mode is not Mode.OFF
                and self._linked[path.name]
                and standings[path.name].usable
                for path in self._config.paths
            )

        others = works(wanted=False)
        if self._handed_over and others:
            for path in self._config.paths:
                if path.mode is Mode.HANDOVER:
                    rtt = standings[path.name].rtt or 0.0
                    self._lingering[path.name] = now + _LINGER + 4 * min(rtt, 1.0)
        self._handed_over = not others and works(wanted=True)
        self._lingering = {
            name: until
            for name, until in self._lingering.items()
            if until > now and name in standings and not self._handed_over
        }

    def _train_times(self, now: float) -> dict[str, float]:
        """When the capacity of each path is to be measured next. Not while it is busy, nor while it is
        silent, nor where there is nothing to compare it with."""
        times: dict[str, float] = {}
        candidates = [
            path for path in self._config.paths if path.mode in _CARRYING and self._linked[path.name]
        ]
        if len(candidates) < 2:
            return times
        carried = {path.name: self._paths[path.name].capacity.carrying(now) for path in candidates}
        for path in candidates:
            known = self._paths[path.name]
            if known.lately.value(now) is None:
                continue
            due = known.training.due(
                benched=path.name in self._benched,
                wanted=any(rate >= BUSY for name, rate in carried.items() if name != path.name),
                busy=known.capacity.busy(now),
            )
            if due is not None:
                times[path.name] = due
        return times
