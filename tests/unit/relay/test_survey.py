"""Looking at sessions: which, how often, and at what rate. Real connections: tests/netns/workers."""

from __future__ import annotations

from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plait.kernel.mptcp_info import Portrait, Subflow
from plait.relay import survey as module
from plait.relay.rows import PathRow
from plait.relay.survey import Survey


class Loop:
    now = 100.0


class Street:
    """A pump with sessions, and what the kernel would say of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pump = cast("Any", SimpleNamespace(loop=Loop(), sessions=set()))
        self.survey = Survey(self.pump)
        self.looked: list[Any] = []
        self.sent = 1000
        monkeypatch.setattr(module, "portray", self._portray)

    def add(self, peer: str = "192.168.5.7", target: str = "9.9.9.9:443", **more: Any) -> Any:
        session = Session(peer, target, self.pump.loop.now)
        for name, value in more.items():
            setattr(session, name, value)
        self.pump.sessions.add(session)
        return session

    def end(self, session: Any) -> None:
        self.pump.sessions.discard(session)
        self.survey.forget(session)

    def later(self, seconds: float) -> None:
        self.pump.loop.now += seconds

    def ask(self, **question: object) -> Any:
        self.looked = []
        return self.survey.answer({"limit": 10, **question})

    def targets(self, **question: object) -> list[str]:
        return [row.target for row in self.ask(**question)["rows"]]

    def _portray(self, sock: Any) -> Portrait:
        self.looked.append(sock)
        numbers: dict[str, Any] = dict.fromkeys(Subflow.__dataclass_fields__, 0)
        numbers |= {"state": "established", "remote": ip_address("10.1.1.70"), "window": 12}
        numbers |= {"bytes_sent": self.sent, "segments_out": 10, "segments_retrans": 1}
        places = (("10.1.1.78", 5000), ("10.2.2.78", 9000))
        flows = tuple(
            Subflow(**numbers | {"local": ip_address(local), "rtt_us": rtt}) for local, rtt in places
        )
        return Portrait("mptcp", 0xABC, flows)


class Session:
    def __init__(self, peer: str, target: str, born: float) -> None:
        self.peer, self.target, self.born = peer, target, born
        self.exit, self.user = "attic", None
        self.up, self.down = SimpleNamespace(count=0), SimpleNamespace(count=0)
        self.far, self.near = SimpleNamespace(name="far"), self

    def getpeername(self) -> tuple[str, int]:
        return (self.peer, 4711)


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch) -> Street:
    return Street(monkeypatch)


def test_rates_are_those_between_two_looks(street: Street) -> None:
    session = street.add()
    street.later(1.0)
    session.up.count = 1000
    (row,) = street.ask()["rows"]
    assert (row.up, row.up_bps, row.age) == (1000, 8000, 1.0), "at first: since it began"
    street.later(0.5)
    session.up.count, session.down.count, street.sent = 1500, 4000, 2000
    (row,) = street.ask()["rows"]
    assert (row.up_bps, row.down_bps) == (8000, 64000)
    assert [flow.tx_bps for flow in row.flows] == [16000, 16000]
    street.later(0.1)
    session.up.count = 1600
    (row,) = street.ask()["rows"]
    assert (row.up_bps, row.up) == (8000, 1500), "too soon for another rate"
    assert street.looked == [], "nor for another look"


def test_a_row_says_who_and_where(street: Street) -> None:
    street.add("::ffff:192.168.5.7", user="roof")
    street.add("fd78::5", "[2001:db8::1]:80")
    rows = {row.peer: row for row in street.ask()["rows"]}
    assert set(rows) == {"192.168.5.7:4711", "[fd78::5]:4711"}
    row = rows["192.168.5.7:4711"]
    assert (row.target, row.exit, row.user, row.transport, row.token) == (
        "9.9.9.9:443", "attic", "roof", "mptcp", 0xABC
    )  # fmt: skip
    assert [(flow.local, flow.rtt_us, flow.window) for flow in row.flows] == [
        ("10.1.1.78", 5000, 12), ("10.2.2.78", 9000, 12)
    ]  # fmt: skip


def test_numbers_stay_and_are_not_given_twice(street: Street) -> None:
    first = street.add(target="one")
    (row,) = street.ask()["rows"]
    second = street.add(target="two")
    assert {row.target: row.number for row in street.ask()["rows"]} == {
        "one": row.number,
        "two": row.number + 1,
    }
    street.end(first)
    street.end(second)
    street.add(target="three")
    assert street.ask()["rows"][0].number == row.number + 2


def test_order_and_filters(street: Street) -> None:
    for name, up, down, peer in (("b", 10, 0, "1.1.1.1"), ("a", 0, 30, "2.2.2.2"), ("c", 20, 0, "3.3.3.3")):
        session = street.add(peer, name, exit=f"exit-{name}")
        session.up.count, session.down.count = up, down
        street.later(1.0)
    assert street.targets(sort="bytes") == ["a", "c", "b"]
    assert street.targets(sort="up")[0] == "c"
    assert street.targets(sort="down")[0] == "a"
    assert street.targets(sort="age") == ["b", "a", "c"]
    assert street.targets(sort="new") == ["c", "a", "b"]
    assert street.targets(sort="target") == street.targets(sort="exit") == ["a", "b", "c"]
    assert street.targets(sort="client") == ["b", "a", "c"]
    assert street.targets(limit=1, sort="client") == ["b"]
    assert street.targets(limit=0) == []
    assert street.targets(addresses=["2.2.2.2"]) == ["a"]
    assert street.targets(addresses=[]) == []
    assert street.targets(exit="exit-c") == ["c"]
    assert street.targets(text="1.1") == ["b"]
    assert street.ask(limit=1, text="exit-")["matched"] == 3


def test_the_kernel_is_asked_about_few_and_about_all_in_turn(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FRESH", 4)
    for _ in range(10):
        street.add()
    street.ask(limit=0, looks=2)
    assert 4 <= len(street.looked) <= 6
    seen = set()
    for _ in range(8):
        street.later(1.0)
        answer = street.ask(limit=0, looks=2)
        assert len(street.looked) <= 6
        seen |= set(map(id, street.looked))
    assert answer["paths"] == {
        "10.1.1.78": PathRow(10, 5000, 100, 10),
        "10.2.2.78": PathRow(10, 9000, 100, 10),
    }
    street.later(1.0)
    street.survey.outdated()
    street.ask(limit=0, looks=0)
    assert len(street.looked) == 4, "seen anew, as many as at first"


def test_an_exit_looks_at_the_side_of_the_gateway_and_counts_no_paths(street: Street) -> None:
    session = street.add(exit="")
    assert street.ask()["paths"] == {}
    assert street.looked == [session.near]


def test_nothing_is_kept_of_the_ended_nor_when_nobody_asks(street: Street) -> None:
    street.end(street.add())
    staying = street.add()
    assert street.ask()["matched"] == 1
    street.end(staying)
    assert street.ask()["rows"] == []
    street.add()
    street.ask()
    street.later(20.0)
    street.survey.rest()
    assert street.survey._known
    street.later(20.0)
    street.survey.rest()
    assert not street.survey._known


def test_those_who_were_never_looked_at_are_forgotten_when_they_end(street: Street) -> None:
    for _ in range(20):
        sessions = [street.add() for _ in range(200)]
        street.ask()
        for session in sessions:
            street.end(session)
    assert not street.survey._fresh, "else each scrape of a busy worker would leave some, for ever"
