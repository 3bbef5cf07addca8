"""What state each path is in, and why, in the words that status and log use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from plait.config.model import Config, Mode
from plait.paths.choice import Chosen, Peers, chosen
from plait.paths.model import Snapshot
from plait.paths.reach import Reach, survey
from plait.paths.standing import HEALTHY, Condition, Health, Standing

_CARRYING = (Mode.ON, Mode.MASTER)
_SILENT = (Condition.DOWN, Condition.RETURNING, Condition.LOST)


class State(Enum):
    """The four states of the status contract."""

    UP = "up"
    DOWN = "down"
    STANDBY = "standby"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class PathState:
    """One path's state."""

    reach: Reach
    state: State
    why: str
    """In words; empty for a path that is simply up."""


def states(config: Config, snapshot: Snapshot, peers: Peers, health: Health) -> tuple[PathState, ...]:
    """The state of every path, in the order of the config."""
    reaches = survey(config, snapshot)
    used = {each.reach.index: each for each in chosen(config, reaches, peers, health)}
    carried = any(reach.index in used and reach.path.mode in _CARRYING for reach in reaches)
    return tuple(
        PathState(
            reach,
            *_judge(reach, used.get(reach.index), health.get(reach.path.name, HEALTHY), carried=carried),
        )
        for reach in reaches
    )


def _judge(reach: Reach, used: Chosen | None, standing: Standing, *, carried: bool) -> tuple[State, str]:
    link, mode = reach.link, reach.path.mode
    if mode is Mode.OFF:
        return State.OFF, "switched off"
    if link is None:
        return State.DOWN, "no such interface"
    if not link.up:
        return State.DOWN, "the interface is down"
    if not link.carrier:
        return State.DOWN, "no carrier"
    if not reach.sources:
        return State.DOWN, "no address"
    if standing.condition in _SILENT:
        return State.DOWN, standing.why or "probes get no answer"
    if mode in (Mode.BACKUP, Mode.HANDOVER) and carried:
        return State.STANDBY, "another path works"
    if used is None:
        return State.DOWN, "no route to an exit"
    if used.backup and standing.benched:
        return State.STANDBY, f"benched: {standing.benched}"
    return State.UP, standing.why or standing.plain
