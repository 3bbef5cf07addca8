"""The states of paths, in the words of the status contract."""

from __future__ import annotations

import pytest

from plait.config.model import Mode
from plait.paths.model import Snapshot
from plait.paths.standing import Condition, Standing
from plait.paths.state import states

from .scene import ATTIC, config, host, path, told

WANS = host(wan1="10.1.1.78/24", wan2="10.2.2.78/24")


def words(second: Mode, snapshot: Snapshot, health: dict[str, bool] | None = None) -> list[str]:
    found = states(config(path("wan1"), path("wan2", second)), snapshot, ATTIC, told(health))
    return [f"{each.state.value}: {each.why}".rstrip(": ") for each in found]


@pytest.mark.parametrize(
    ("second", "snapshot", "health", "expected"),
    [
        (Mode.ON, WANS, {}, ["up", "up"]),
        (Mode.MASTER, WANS, {}, ["up", "up"]),
        (Mode.OFF, WANS, {}, ["up", "off: switched off"]),
        (Mode.BACKUP, WANS, {}, ["up", "standby: another path works"]),
        (Mode.HANDOVER, WANS, {}, ["up", "standby: another path works"]),
        (Mode.ON, host(wan1="10.1.1.78/24"), {}, ["up", "down: no such interface"]),
        (
            Mode.ON,
            host(wan1="10.1.1.78/24", wan2="10.2.2.78/24 down"),
            {},
            ["up", "down: the interface is down"],
        ),
        (Mode.ON, host(wan1="10.1.1.78/24", wan2="10.2.2.78/24 no-carrier"), {}, ["up", "down: no carrier"]),
        (Mode.ON, host(wan1="10.1.1.78/24", wan2=""), {}, ["up", "down: no address"]),
        (Mode.ON, host(wan1="10.1.1.78/24", wan2="10.9.9.78/24"), {}, ["up", "down: no route to an exit"]),
        (Mode.ON, WANS, {"wan2": False}, ["up", "down: probes get no answer"]),
        # with the first one gone, those that stood by carry
        (Mode.BACKUP, host(wan1="no-carrier", wan2="10.2.2.78/24"), {}, ["down: no carrier", "up"]),
        (Mode.HANDOVER, host(wan1="no-carrier", wan2="10.2.2.78/24"), {}, ["down: no carrier", "up"]),
        (Mode.BACKUP, WANS, {"wan1": False}, ["down: probes get no answer", "up"]),
    ],
)
def test_states(second: Mode, snapshot: Snapshot, health: dict[str, bool], expected: list[str]) -> None:
    assert words(second, snapshot, health) == expected


def test_a_path_without_mptcp_is_up_and_says_so() -> None:
    health = {"wan1": Standing(condition=Condition.UP, plain="options are taken out")}
    found = states(config(path("wan1"), path("wan2")), WANS, ATTIC, health)
    assert [(each.state.value, each.why) for each in found] == [("up", "options are taken out"), ("up", "")]
