"""The ledger: volumes, periods, who is barred, and what a file remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from plait.config.model import Period, Secret, User
from plait.control.users import Ledger, period_of, state_file

DAY = 86400.0
NOON = 20_000 * DAY + DAY / 2
"""Of the 4th of October 2024."""


def user(name: str, volume: int = 0, period: Period = Period.NEVER, rate: int = 0) -> User:
    return User(name=name, password=Secret(name), volume=volume, volume_period=period, rate=rate)


class Place:
    """A ledger, what workers will tell it, and what they were told."""

    def __init__(self, path: Path) -> None:
        self.carried: dict[str, list[int]] = {}
        self.told: list[object] = []
        self.ledger = Ledger(path, self._carried, lambda message: self.told.append(message["bar"]), self._bar)

    def _bar(self, users: Sequence[str]) -> None:
        assert users == self.told[-1], "the courier hears the same"

    async def _carried(self) -> dict[str, list[int]]:
        return self.carried

    def look(self, now: float = NOON) -> None:
        asyncio.run(self.ledger.look(now))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path / "users.json")
    yield found
    found.ledger.close()


def test_periods() -> None:
    assert period_of(Period.DAY, NOON) == "2024-10-04"
    assert period_of(Period.MONTH, NOON) == "2024-10"
    assert period_of(Period.NEVER, NOON) == ""


def test_a_volume_is_used_up_and_comes_back_with_its_period(here: Place) -> None:
    here.ledger.configure((user("roof", 1000, Period.DAY), user("cellar")), NOON)
    here.carried = {"roof": [1, 2, 400, 500], "cellar": [0, 1, 10**9, 10**9]}
    here.look()
    assert here.told == []
    here.carried["roof"] = [1, 2, 400, 600]
    here.look()
    assert here.told == [["roof"]]
    here.look()
    assert here.told == [["roof"]], "said once"
    roof, cellar = here.ledger.statuses()
    assert (roof.state, roof.used_bytes, roof.open, roof.total) == ("spent", 1000, 1, 2)
    assert (cellar.state, cellar.up_bytes) == ("ok", 10**9)
    here.look(NOON + DAY)
    assert here.told == [["roof"], []]
    here.carried["roof"] = [1, 2, 400, 700]
    here.look(NOON + DAY)
    assert here.ledger.statuses()[0].used_bytes == 100


def test_a_clock_that_begins_in_1970_gives_no_volume_back(here: Place) -> None:
    here.ledger.configure((user("roof", 1000, Period.DAY),), NOON)
    here.carried = {"roof": [1, 2, 400, 600]}
    here.look()
    assert here.told == [["roof"]]
    here.look(60.0)
    assert here.told == [["roof"]]


def test_a_reload_may_give_more_or_take_users_away(here: Place) -> None:
    here.ledger.configure((user("roof", 10), user("cellar")), NOON)
    here.carried = {"roof": [1, 1, 10, 10]}
    here.look()
    here.ledger.configure((user("roof", 1000),), NOON)
    assert here.told == [["roof"], ["cellar"]]
    here.ledger.configure((user("roof", 1000), user("cellar")), NOON)
    assert here.told[-1] == []


def test_counters_that_go_back_count_nothing_twice(here: Place) -> None:
    here.ledger.configure((user("roof", 10**6),), NOON)
    for total in (500, 200, 500, 600):
        here.carried = {"roof": [0, 1, total, 0]}
        here.look()
    assert here.ledger.statuses()[0].used_bytes == 600


def test_what_was_used_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    first = Place(path)
    first.ledger.configure((user("roof", 1000), user("cellar", 1000, Period.DAY)), NOON)
    first.carried = {"roof": [0, 1, 999, 0], "cellar": [0, 1, 999, 0]}
    first.look()
    first.ledger.save()
    first.ledger.close()
    second = Place(path)
    second.ledger.configure((user("roof", 1000), user("cellar", 1000, Period.DAY)), NOON + DAY)
    second.carried = {"roof": [0, 1, 1, 0], "cellar": [0, 1, 1, 0]}
    second.look(NOON + DAY)
    assert second.told == [["roof"]]
    second.ledger.close()
    assert [file.name for file in tmp_path.iterdir()] == ["users.json"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"roof": 1}', '{"roof": ["", "x"]}', '{"roof": [1, 2, 3]}'])
def test_a_broken_file_is_no_more_than_a_warning(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(text)
    found = Place(path)
    found.ledger.configure((user("roof", 1000),), NOON)
    assert found.ledger.statuses()[0].used_bytes == 0
    found.ledger.close()


def test_cells_stay_across_reloads(here: Place) -> None:
    here.ledger.configure((user("a", rate=1000), user("b"), user("c", rate=5)), NOON)
    before = here.ledger.cells
    assert set(before) == {"a", "c"}
    assert here.ledger.rates == {"a": 1000, "c": 5}
    here.ledger.configure((user("c", rate=5), user("d", rate=1), user("a", rate=9)), NOON)
    assert {name: here.ledger.cells[name] for name in ("a", "c")} == before
    assert len(set(here.ledger.cells.values())) == 3
    assert here.ledger.rates_fd >= 0


def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_file(Path("/run/plait")) == Path("/run/plait/users.json")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/plait")
    assert state_file(Path("/run/plait")) == Path("/var/lib/plait/users.json")
