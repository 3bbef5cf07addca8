"""Which paths are used for what, and in which order they are dialled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.model import Config, Mode
from plait.paths.choice import chosen, probe_ways, ways, with_modes
from plait.paths.model import Snapshot
from plait.paths.reach import survey
from plait.paths.standing import Condition, Health, Standing

from .scene import ATTIC, DOWN, FAR, UP, config, host, path, with_routes

WANS = host(wan1="10.1.1.78/24", wan2="10.2.2.78/24")
DEFAULTS = ("default via 10.1.1.1 dev wan1", "default via 10.2.2.1 dev wan2")
BOTH = config(path("wan1"), path("wan2"))


def used(configured: Config, health: Health, snapshot: Snapshot = WANS) -> str:
    """``wan1 wan2b``: the paths in the owner's order, with b for those that stand by."""
    found = chosen(configured, survey(configured, snapshot), ATTIC, health)
    return " ".join(f"{each.reach.path.name}{'b' if each.backup else ''}" for each in found)


def dialled(configured: Config, health: Health, snapshot: Snapshot = WANS) -> str:
    return " ".join(way.path for way in ways(configured, snapshot, ATTIC, health)["attic"])


def modes(configured: Config) -> str:
    return " ".join(each.mode.value for each in configured.paths)


def test_a_way_says_all_that_a_dial_needs() -> None:
    way = ways(config(path("wan2")), WANS, ATTIC, {"wan2": replace(UP, rtt=0.02)})["attic"][0]
    assert (way.exit_name, way.path, way.interface, way.mode) == ("attic", "wan2", "wan2", Mode.ON)
    assert (str(way.local), str(way.remote), way.port) == ("10.2.2.78", "10.2.2.70", 8388)
    assert way.rtt == 0.02


def test_ways_name_every_exit_also_one_that_can_not_be_reached() -> None:
    configured = config(path("wan1"), peers=("attic", "vps"))
    assert {name: len(found) for name, found in ways(configured, WANS, ATTIC, {}).items()} == {
        "attic": 1,
        "vps": 0,
    }


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ({}, "master on backup"),
        ({"wan2": Mode.OFF}, "master off backup"),
        ({"wan2": Mode.MASTER}, "on master backup"),
        ({"wan1": Mode.HANDOVER}, "handover on backup"),
        ({"wan1": Mode.MASTER}, "master on backup"),
        ({"wan9": Mode.MASTER}, "master on backup"),
    ],
)
def test_modes_set_live_replace_those_of_the_config(live: dict[str, Mode], expected: str) -> None:
    configured = config(path("wan1", Mode.MASTER), path("wan2"), path("wan3", Mode.BACKUP))
    assert modes(with_modes(configured, live)) == expected


def benched(why: str = "it hurts") -> Standing:
    return replace(UP, benched=why)


@pytest.mark.parametrize(
    ("first", "second", "health", "expected"),
    [
        (Mode.ON, Mode.ON, {"wan2": benched()}, "wan1 wan2b"),
        (Mode.MASTER, Mode.ON, {"wan1": benched()}, "wan1b wan2"),
        # nobody plays without those on the bench
        (Mode.ON, Mode.ON, {"wan1": benched(), "wan2": benched()}, "wan1 wan2"),
        (Mode.ON, Mode.ON, {"wan1": DOWN, "wan2": benched()}, "wan2"),
        (Mode.ON, Mode.BACKUP, {"wan1": benched()}, "wan1 wan2b"),
        # a handover path leaves once the others have had time to get their subflows
        (Mode.ON, Mode.HANDOVER, {"wan2": replace(UP, lingering=True)}, "wan1 wan2b"),
        (Mode.ON, Mode.HANDOVER, {"wan2": UP}, "wan1"),
        (Mode.ON, Mode.HANDOVER, {"wan1": DOWN, "wan2": UP}, "wan2"),
        (Mode.ON, Mode.HANDOVER, {"wan2": replace(DOWN, lingering=True)}, "wan1"),
        (Mode.HANDOVER, Mode.HANDOVER, {"wan2": replace(UP, lingering=True)}, "wan1 wan2"),
        # not used until it has answered for a while; as it was when all are silent
        (Mode.ON, Mode.ON, {"wan1": replace(UP, condition=Condition.RETURNING)}, "wan2"),
        (Mode.ON, Mode.ON, {"wan1": replace(UP, condition=Condition.LOST), "wan2": DOWN}, "wan1"),
    ],
)
def test_who_carries_and_who_stands_by(first: Mode, second: Mode, health: Health, expected: str) -> None:
    assert used(config(path("wan1", first), path("wan2", second)), health) == expected


def like(rtt: float | None, loss: float = 0.0, condition: Condition = Condition.UP) -> Standing:
    return Standing(condition=condition, rtt=rtt, loss=loss)


@pytest.mark.parametrize(
    ("second", "health", "expected"),
    [
        (Mode.ON, {"wan1": like(0.2), "wan2": like(0.02)}, "wan2 wan1"),
        (Mode.ON, {"wan1": like(0.021), "wan2": like(0.02)}, "wan1 wan2"),  # as good as the same
        (Mode.MASTER, {"wan1": like(0.021), "wan2": like(0.02)}, "wan2 wan1"),
        (Mode.MASTER, {"wan1": like(0.02), "wan2": like(0.2)}, "wan1 wan2"),
        (Mode.BACKUP, {"wan1": like(0.2), "wan2": like(0.02)}, "wan1 wan2"),
        (Mode.ON, {"wan1": like(0.001), "wan2": like(0.0001)}, "wan1 wan2"),
        (Mode.ON, {"wan1": like(0.02, loss=0.25), "wan2": like(0.1)}, "wan2 wan1"),
        (Mode.ON, {"wan1": like(None), "wan2": like(0.1)}, "wan2 wan1"),
        (Mode.ON, {"wan1": like(0.02, condition=Condition.DOUBT), "wan2": like(0.2)}, "wan2 wan1"),
        (Mode.BACKUP, {"wan1": like(0.02, condition=Condition.DOUBT), "wan2": like(0.02)}, "wan1 wan2"),
        (Mode.ON, {"wan1": replace(like(0.15), benched="it hurts"), "wan2": like(0.2)}, "wan2 wan1"),
        (Mode.HANDOVER, {"wan2": replace(like(0.02), lingering=True)}, "wan1"),
        (Mode.ON, {"wan1": replace(like(0.02), benched="it is thin"), "wan2": like(0.6)}, "wan1 wan2"),
        (Mode.ON, {"wan1": replace(like(0.02), benched="it is thin"), "wan2": like(0.02)}, "wan2 wan1"),
        # MPTCP does not work over one of them: last, whatever else speaks for it
        (Mode.ON, {"wan1": replace(like(0.02), plain="x"), "wan2": like(0.6)}, "wan2 wan1"),
        (Mode.BACKUP, {"wan1": replace(like(0.02), plain="x"), "wan2": like(0.6)}, "wan2 wan1"),
        (Mode.ON, {name: replace(like(0.02), plain="x") for name in ("wan1", "wan2")}, "wan1 wan2"),
        # another exit answers over wan1, this one does not
        (Mode.ON, {"wan1": replace(like(0.02), unanswered=frozenset({"attic"}))}, "wan2"),
        (Mode.ON, {"wan1": replace(like(0.02), unanswered=frozenset({"vps"}))}, "wan1 wan2"),
        (
            Mode.ON,
            {name: replace(UP, unanswered=frozenset({"attic"})) for name in ("wan1", "wan2")},
            "wan1 wan2",
        ),
    ],
)
def test_the_order_of_dialling(second: Mode, health: Health, expected: str) -> None:
    assert dialled(config(path("wan1"), path("wan2", second)), health) == expected


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (WANS, "wan1 wan2 wan3"),
        (host(wan1="10.1.1.78/24 no-carrier", wan2="10.2.2.78/24"), "wan2"),
        (host(wan1="10.1.1.78/24 down", wan2=""), ""),
        (host(wan1="10.1.1.78/24", wan2="10.9.9.78/24"), "wan1"),
    ],
)
def test_every_way_that_exists_is_probed_whatever_its_health(snapshot: Snapshot, expected: str) -> None:
    configured = config(path("wan1"), path("wan2", Mode.HANDOVER), path("wan3", Mode.OFF))
    if expected == "wan1 wan2 wan3":
        expected = "wan1 wan2"
    found = probe_ways(configured, snapshot, ATTIC)["attic"]
    assert " ".join(way.path for way in found) == expected


def test_probes_reach_every_exit_that_a_path_leads_to() -> None:
    peers = {"attic": ATTIC["attic"], "vps": FAR["attic"]}
    configured = config(path("wan1"), path("wan2"), peers=("attic", "vps"))
    found = probe_ways(configured, with_routes(WANS, DEFAULTS[1]), peers)
    assert {name: [way.path for way in each] for name, each in found.items()} == {
        "attic": ["wan1", "wan2"],
        "vps": ["wan2"],
    }


STANDINGS = st.builds(
    Standing,
    condition=st.sampled_from(list(Condition)),
    benched=st.sampled_from(["", "it hurts"]),
    lingering=st.booleans(),
    rtt=st.sampled_from([None, 0.001, 0.02, 0.6]),
    loss=st.sampled_from([0.0, 0.2]),
    unanswered=st.sampled_from([frozenset(), frozenset({"attic"})]),
)


@given(
    st.lists(st.sampled_from(list(Mode)), min_size=2, max_size=2), st.lists(STANDINGS, min_size=2, max_size=2)
)
def test_somebody_always_carries(wanted: list[Mode], standings: list[Standing]) -> None:
    """Whatever the health: a path that is not off is used, and one that can carry is not on the bench."""
    configured = config(*(path(f"wan{i}", mode) for i, mode in enumerate(wanted, 1)))
    health = {f"wan{i}": standing for i, standing in enumerate(standings, 1)}
    found = chosen(configured, survey(configured, WANS), ATTIC, health)
    alive = {path.name for path in configured.paths if path.mode is not Mode.OFF}
    assert bool(found) is bool(alive)
    assert bool(dialled(configured, health)) is bool(alive)
    if any(each.reach.path.mode in (Mode.ON, Mode.MASTER) for each in found):
        assert not all(each.backup for each in found)
