"""How a path stands: what the judgement says of it to those who choose, dial and report.

A :class:`Standing` changes rarely, on purpose: each change makes the keeper look at the host and the
workers learn new ways. What moves all the time (smoothed RTT, jitter, loss) is in
:class:`plait.paths.health.Figures`; here is only what was settled from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Condition(Enum):
    """What is known of a path by evidence, whatever its link and its mode are."""

    UNKNOWN = "unknown"
    """Nothing was heard and nothing missed yet: taken for healthy."""
    UP = "up"
    DOUBT = "doubt"
    """Answers are missing; still used, but dialled last."""
    RETURNING = "returning"
    """It answers again, or its link is back, but not for long enough yet: not used."""
    DOWN = "down"
    """Silent while another path answers: not used."""
    LOST = "lost"
    """Silent like all others: it is the exits that are ill, or our whole side. Left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The verdict on one path."""

    condition: Condition = Condition.UNKNOWN
    why: str = ""
    """In words; empty for a path that is simply up."""
    benched: str = ""
    """Why the path is treated as a backup although it works; empty when it is not."""
    lingering: bool = False
    """A handover path whose turn is over: kept as a backup until the others have their subflows."""
    rtt: float | None = None
    """Seconds, settled: it changes only when the true one has moved by a third."""
    loss: float = 0.0
    """Share of probes lost, settled in coarse steps."""
    plain: str = ""
    """Why MPTCP does not work over it, though it works; empty when it does, or nobody knows."""
    unanswered: frozenset[str] = frozenset()
    """Exits that do not answer over this path although they do over another one."""
    returns: int = 0
    """How often the path has come back. While its endpoint was kept through the silence, a change of this
    means: delete and add it, as its subflows wait for a retransmission timer that has backed off."""

    @property
    def usable(self) -> bool:
        """Whether the path may be used."""
        return self.condition not in (Condition.DOWN, Condition.RETURNING)

    @property
    def cost(self) -> float | None:
        """Seconds that opening a connection may be expected to take: a lost SYN costs a second
        (RFC 6298, section 2). None while the RTT is not known."""
        return None if self.rtt is None else self.rtt + self.loss


HEALTHY = Standing()
"""What is taken for granted of a path of which nothing is known."""

Health = Mapping[str, Standing]
"""How each path stands, by its name; a path that is not in it is taken for healthy."""
