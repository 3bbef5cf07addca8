from __future__ import annotations

import json

import pytest

from plait.control.sessions import Wanted, connection, merged
from plait.control.snapshot import Connection
from plait.relay.rows import SORTS, FlowRow, SessionRow

FLOW = FlowRow(
    local="10.1.1.78", local_port=4001, remote="10.1.1.70", remote_port=8388, state="established",
    rtt_us=12345, window=10, sent=100, received=200, retrans=3, tx_bps=8, rx_bps=16,
)  # fmt: skip
SIX = FLOW._replace(local="fd01::78", remote="fd01::70")


def row(number: int, **changes: object) -> SessionRow:
    plain = SessionRow(
        number=number, peer="192.168.5.7:4711", target="9.9.9.9:443", exit="attic", user="", age=2.0,
        up=1, down=2, up_bps=3, down_bps=4, transport="mptcp", token=0xABC, flows=(FLOW, SIX),
    )  # fmt: skip
    return plain._replace(**changes)  # type: ignore[arg-type]


def shown(number: int, **changes: object) -> Connection:
    raw = json.loads(json.dumps(row(number, **changes)))
    return connection(77, raw, {"10.1.1.78": "dsl"}, {"fd01::78"})


def test_a_row_travels_and_becomes_a_connection() -> None:
    found = shown(5)
    assert (found.id, found.client, found.token) == ("77-5", "192.168.5.7:4711", "00000abc")
    first, second = found.subflows
    assert (first.path, first.local, first.remote) == ("dsl", "10.1.1.78:4001", "10.1.1.70:8388")
    assert (first.rtt_ms, first.cwnd, first.retrans_bytes, first.backup) == (12.345, 10, 3, False)
    assert (second.path, second.local, second.backup) == ("", "[fd01::78]:4001", True)
    assert shown(5, transport="tcp", token=0).token == ""


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("rate", "c b a"), ("up", "c a b"), ("down", "b a c"), ("bytes", "b c a"), ("age", "a c b"),
        ("new", "b c a"), ("client", "b a c"), ("target", "a b c"), ("exit", "c b a"),
    ],
)  # fmt: skip
def test_orders(sort: str, expected: str) -> None:
    assert sort in SORTS
    rows = [
        shown(1, target="a", up_bps=2, down_bps=2, up=1, down=0, age=9.0, peer="2", exit="z"),
        shown(2, target="b", up_bps=0, down_bps=5, up=0, down=9, age=1.0, peer="1", exit="y"),
        shown(3, target="c", up_bps=6, down_bps=0, up=5, down=0, age=5.0, peer="3", exit="x"),
    ]
    assert " ".join(each.target for each in merged(rows, Wanted(limit=9, sort=sort))) == expected
    assert len(merged(rows, Wanted(limit=2, sort=sort))) == 2


def test_what_a_worker_is_asked() -> None:
    assert Wanted(limit=3, text="x").to_json() == {"limit": 3, "sort": "rate", "exit": "", "text": "x"}
    assert Wanted(addresses=()).to_json()["addresses"] == []
