"""What was measured: series of figures, one figure a round. Pure values."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Series:
    """The figures of one peer in one measure."""

    measure: str
    """``bulk up``, ``connections wrk``, …"""
    peer: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """NaN while there is no figure."""
        return statistics.median(self.values) if self.values else float("nan")

    @property
    def spread(self) -> tuple[float, float]:
        """Least and most."""
        return (min(self.values), max(self.values)) if self.values else (float("nan"), float("nan"))


class Results:
    """All series of a run, in the order in which they were begun."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}

    def add(self, measure: str, peer: str, value: float, unit: str) -> None:
        """One more figure."""
        key = measure, peer
        if key not in self._series:
            self._series[key] = Series(measure=measure, peer=peer, unit=unit)
        self._series[key].values.append(value)

    def get(self, measure: str, peer: str) -> Series | None:
        """A series, if it was measured."""
        return self._series.get((measure, peer))

    @property
    def all(self) -> list[Series]:
        """Every series."""
        return list(self._series.values())

    @property
    def measures(self) -> list[str]:
        """Names of the measures, in order."""
        return list(dict.fromkeys(series.measure for series in self.all))
