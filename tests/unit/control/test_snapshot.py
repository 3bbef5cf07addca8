from __future__ import annotations

import json

from plait.control.snapshot import (
    Datagrams,
    ExitStatus,
    PathStatus,
    Sessions,
    Status,
    WorkerStatus,
    add_up,
    by_user,
    datagrams,
    fold,
)


def tally(**figures: object) -> dict[str, object]:
    empty = {"open": 0, "opening": 0, "total": 0, "up_bytes": 0, "down_bytes": 0}
    return {**empty, "outcomes": {}, "strangers": {}, **figures}


def test_nothing_adds_up_to_nothing() -> None:
    assert add_up([]) == Sessions()


def test_what_the_courier_told() -> None:
    udp = {"open": 1, "total": 2, "up_bytes": 3, "down_bytes": 4, "outcomes": {"no address": 5}, "users": {}}
    udp["names"] = {"learnt": 9}
    told = {"pid": 7, "sent": 8, "strangers": {"forged": 6}, "udp": udp}
    assert datagrams(told) == Datagrams(
        open=1,
        total=2,
        up_bytes=3,
        down_bytes=4,
        outcomes={"no address": 5},
        strangers={"forged": 6},
        names={"learnt": 9},
    )
    assert datagrams({"strangers": {}, "udp": {}}) == datagrams(None) == Datagrams()


def test_workers_are_added_up() -> None:
    assert add_up(
        [
            tally(open=1, total=5, up_bytes=10, outcomes={"done": 2, "refused": 1}, strangers={"silent": 1}),
            tally(open=2, total=4, down_bytes=7, outcomes={"done": 1, "timed out": 1, "gone": 1}),
        ]
    ) == Sessions(
        open=3,
        total=9,
        failed=2,
        outcomes={"done": 3, "refused": 1, "timed out": 1, "gone": 1},
        strangers={"silent": 1},
        up_bytes=10,
        down_bytes=7,
    )


def test_the_ends_of_sessions_that_relayed_are_no_failures() -> None:
    ends = {
        "done": 1,
        "reset by the near side": 1,
        "reset by the far side": 1,
        "idle too long": 1,
        "wrongly sealed": 1,
        "closed by us": 1,
    }
    assert add_up([tally(outcomes=ends)]).failed == 0
    assert add_up([tally(outcomes={"not allowed": 2, "no such name": 1})]).failed == 3


def test_a_status_travels_as_json() -> None:
    status = Status(
        role="gateway",
        version="1",
        pid=1,
        uptime=2.5,
        sessions=Sessions(open=1),
        exits=(ExitStatus(name="attic", state="up", rtt_ms=1.5),),
        paths=(PathStatus(name="wan1", interface="wan1", mode="on", state="up"),),
        workers=(WorkerStatus(pid=2, open=1),),
    )
    facts = json.loads(json.dumps(status.to_json()))
    assert facts["sessions"]["open"] == 1
    assert facts["exits"][0] | {"name": "attic", "state": "up", "rtt_ms": 1.5, "why": ""} == facts["exits"][0]
    assert facts["paths"][0]["rtt_ms"] is None


def test_users_are_added_up_from_all_who_count() -> None:
    one, other = tally(users={"roof": [1, 2, 30, 40]}), tally(users={"roof": [1, 1, 1, 1], "": [0, 1, 5, 6]})
    assert fold([one, other])["users"] == {"roof": [0, 3, 31, 41], "": [0, 1, 5, 6]}
    found = by_user([one, fold([other]), tally()], {"users": {"roof": [100, 200], "cellar": [1, 2]}})
    assert found == {"roof": [1, 3, 131, 241], "": [0, 1, 5, 6], "cellar": [0, 0, 1, 2]}
    assert by_user([], None) == by_user([], {}) == {}


def test_workers_that_are_no_more_are_folded_into_one_with_nothing_open() -> None:
    first = tally(open=3, opening=1, total=5, up_bytes=10, outcomes={"done": 2}, strangers={"left": 1})
    second = tally(total=4, down_bytes=7, outcomes={"done": 1, "refused": 1})
    folded = fold([first, second])
    assert folded == tally(
        total=9,
        up_bytes=10,
        down_bytes=7,
        outcomes={"done": 3, "refused": 1},
        strangers={"left": 1},
        users={},
        clients={},
        exits={},
    )
    assert fold([folded]) == folded
    assert add_up([folded, tally(open=1, total=1)]).total == 10


def test_of_very_many_clients_the_small_ones_are_kept_together() -> None:
    many = {f"10.{number >> 8}.{number & 255}.1": [1, 1, number, 0] for number in range(5000)}
    kept = fold([tally(clients=many), tally(clients={"others": [0, 5, 7, 7]})])["clients"]
    assert isinstance(kept, dict)
    assert len(kept) <= 4097
    assert kept["10.19.135.1"] == [0, 1, 4999, 0]
    assert sum(figures[2] for figures in kept.values()) == sum(range(5000)) + 7
    assert kept["others"][1] == 5 + 5000 - (len(kept) - 1)
