"""History on disk: what each path did in the last day, month and year, within a budget of bytes.

Three rings (`rings`) with rows of ten seconds, five minutes and an hour; fewer and longer ones where the
budget is small. A row is written when its time is over and every minute while it grows, so that a process
that is killed takes a minute with it at most, and a router's flash is written to once a minute. What is
read is the rows, and the ones that still grow.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plait.views.web.rings import NOTHING, Cell, Damaged, Ring, Row, Shape, open_ring, put_aside

log = logging.getLogger("plait.web")

HOUR, DAY, MONTH, YEAR = 3600, 86400, 32 * 86400, 400 * 86400

_PLANS = (
    ((10, 25 * HOUR), (300, MONTH), (3600, YEAR)),
    ((30, 25 * HOUR), (900, MONTH), (7200, YEAR)),
    ((60, 25 * HOUR), (1800, MONTH), (21600, YEAR)),
    ((300, 25 * HOUR), (3600, MONTH), (86400, YEAR)),
)
"""Seconds of a row and of the whole ring, by ring; the first that the budget can hold is taken."""
_FILES = ("day.ring", "month.ring", "year.ring")
_FLUSH = 60.0
"""Seconds after which a row that still grows is written, too."""
_MOST_COLUMNS = 64
_MOST_POINTS = 720
"""Points of a curve: more can't be told apart on a screen."""

SPANS: Mapping[str, int] = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": MONTH, "year": 366 * DAY}
"""What may be asked for, in seconds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of one path at one moment."""

    tx: float
    """Bits a second over the last second or so."""
    rx: float
    rtt: float | None
    """Milliseconds."""
    loss: float | None
    """Share, 0 to 1."""
    up: bool


@dataclass(slots=True)
class _Sum:
    """Figures of one path that are still coming in."""

    totals: list[float] = field(default_factory=lambda: [0.0] * 7)
    counts: list[int] = field(default_factory=lambda: [0] * 7)

    def add(self, cell: Cell, weight: int) -> None:
        for index, value in enumerate(cell):
            if math.isnan(value):
                continue
            if index in (2, 3):
                self.totals[index] = max(self.totals[index], value)
                self.counts[index] = 1
            else:
                self.totals[index] += value * weight
                self.counts[index] += weight

    def cell(self) -> Cell:
        return Cell(
            *(
                total / count if count else math.nan
                for total, count in zip(self.totals, self.counts, strict=True)
            )
        )


@dataclass(slots=True)
class _Growing:
    """A row whose time is not over."""

    slot: int
    samples: int = 0
    sums: dict[str, _Sum] = field(default_factory=dict)

    def add(self, cells: Mapping[str, Cell], weight: int) -> None:
        self.samples += weight
        for name, cell in cells.items():
            self.sums.setdefault(name, _Sum()).add(cell, weight)

    def row(self) -> Row:
        return Row(self.slot, self.samples, {name: each.cell() for name, each in self.sums.items()})


@dataclass(slots=True)
class _Tier:
    ring: Ring
    growing: _Growing | None = None


class History:
    """All rings. Without any (`why` says so) it keeps nothing and answers with nothing."""

    def __init__(self, rings: Sequence[Ring], why: str = "") -> None:
        self._tiers = [_Tier(ring) for ring in rings]
        self._flushed = 0.0
        self._failing = False
        self.why = why
        """Why nothing is kept, in words."""

    def add(self, now: float, samples: Mapping[str, Sample]) -> None:
        """Take the figures of this moment (``now``: seconds since the epoch)."""
        cells = {name: _cell(sample) for name, sample in samples.items()}
        due = not 0 <= now - self._flushed < _FLUSH
        for tier in self._tiers:
            slot = int(now // tier.ring.shape.step)
            if tier.growing is None or tier.growing.slot != slot:
                self._put(tier)
                tier.growing = self._resumed(tier.ring, slot)
            tier.growing.add(cells, 1)
        if due:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Write what grows."""
        self._flushed = now
        for tier in self._tiers:
            self._put(tier)

    def close(self, now: float) -> None:
        """Write what grows and end."""
        self.flush(now)
        for tier in self._tiers:
            tier.ring.close()
        self._tiers = []

    def curves(self, now: float, span: int) -> dict[str, object]:
        """What was in the ``span`` seconds up to now: ``step``, ``times`` (seconds since the epoch, the
        beginning of each step), and by path a list for each of ``tx``, ``rx`` (bits a second), their highest
        ``tx_most``, ``rx_most``, ``rtt`` (ms), ``loss`` and ``up`` (shares); null where nothing is known."""
        if not self._tiers:
            return {"step": 0, "times": [], "paths": {}, "why": self.why}
        tier = self._fit(span)
        step = tier.ring.shape.step
        group = max(1, math.ceil(span / step / _MOST_POINTS))
        wide = step * group
        first, last = int((now - span) // wide) + 1, int(now // wide)
        sums = [_Growing(slot) for slot in range(first, last + 1)]
        for row in self._rows(tier, first * group, (last + 1) * group - 1):
            sums[row.slot // group - first].add(row.cells, row.samples)
        rows = [each.row() for each in sums]
        names = list(dict.fromkeys(name for row in rows for name in row.cells))
        return {
            "step": wide,
            "times": [row.slot * wide for row in rows],
            "paths": {name: _listed([row.cells.get(name, NOTHING) for row in rows]) for name in names},
            "why": self.why,
        }

    def _fit(self, span: int) -> _Tier:
        """The finest ring that reaches back so far."""
        for tier in self._tiers:
            if tier.ring.shape.step * tier.ring.shape.rows >= span:
                return tier
        return self._tiers[-1]

    def _rows(self, tier: _Tier, first: int, last: int) -> Iterator[Row]:
        growing = tier.growing
        try:
            for row in tier.ring.between(first, last):
                if growing is None or row.slot != growing.slot:
                    yield row
        except OSError as error:
            self._failed(error)
        if growing is not None and first <= growing.slot <= last:
            yield growing.row()

    def _resumed(self, ring: Ring, slot: int) -> _Growing:
        """A row that a former process had begun is gone on with."""
        growing = _Growing(slot)
        try:
            begun = ring.read(slot)
        except OSError as error:
            self._failed(error)
            begun = None
        if begun is not None:
            growing.add(begun.cells, begun.samples)
        return growing

    def _put(self, tier: _Tier) -> None:
        if tier.growing is None or not tier.growing.samples:
            return
        try:
            tier.ring.write(tier.growing.row())
        except OSError as error:
            self._failed(error)
        else:
            self._failing = False

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            log.error("history can't be kept: %s; it is tried again every minute", error.strerror)
        self._failing = True


def open_history(
    directory: str, names: Sequence[str], budget: int, told: Callable[[str], None] = log.warning
) -> History:
    """The history in a directory, which is made where it is missing. Never raises for what is or is not
    there: what is damaged is put aside, and what can't be had is told and done without."""
    if not budget:
        return History([], "the config keeps none")
    if not names:
        return History([], "there are no paths here")
    plan = next((plan for plan in _PLANS if _size(plan, len(names)) <= budget), None)
    if plan is None:
        least = math.ceil(_size(_PLANS[-1], len(names)) / 1e6)
        why = f'{len(names)} paths need more room; set history = "{least} MB"'
        told(f"no history: {why}")
        return History([], why)
    most = len(names)
    while most < _MOST_COLUMNS and _size(plan, most + 1) <= budget:
        most += 1
    rings: list[Ring] = []
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        where = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _tidy(where)
            for name, (step, whole) in zip(_FILES, plan, strict=True):
                rings.append(_opened(where, name, step, whole // step, names, most, told))
        finally:
            os.close(where)
    except OSError as error:
        for ring in rings:
            ring.close()
        why = f"{directory}: {error.strerror}"
        told(f"no history: {why}")
        return History([], why)
    return History(rings)


def _opened(
    where: int, name: str, step: int, rows: int, names: Sequence[str], most: int, told: Callable[[str], None]
) -> Ring:
    try:
        return open_ring(where, name, step, rows, names, most)
    except Damaged as damage:
        aside = put_aside(where, name)
        told(f"history begins anew: {name}: {damage}; it is now {aside}")
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        # A link that somebody has put there: nothing of ours.
        told(f"history begins anew: {name} was a link")
        os.unlink(name, dir_fd=where)
    return open_ring(where, name, step, rows, names, most)


def _tidy(where: int) -> None:
    """Remove what a crash left half made."""
    for name in os.listdir(where):
        if name.endswith(".new"):
            os.unlink(name, dir_fd=where)


def _size(plan: Sequence[tuple[int, int]], columns: int) -> int:
    """Bytes of all files, one of them put aside or being made anew included."""
    sizes = [Shape(step, whole // step, ("",) * columns).size for step, whole in plan]
    return sum(sizes) + max(sizes)


def _cell(sample: Sample) -> Cell:
    return Cell(
        sample.tx,
        sample.rx,
        sample.tx,
        sample.rx,
        math.nan if sample.rtt is None else sample.rtt,
        math.nan if sample.loss is None else sample.loss,
        1.0 if sample.up else 0.0,
    )


def _listed(cells: Sequence[Cell]) -> dict[str, list[float | None]]:
    """A list for each figure, to the digits that mean something."""
    digits = {"rtt": 2, "loss": 5, "up": 3}
    return {
        name: [None if math.isnan(cell[index]) else round(cell[index], digits.get(name, 0)) for cell in cells]
        for index, name in enumerate(Cell._fields)
    }
