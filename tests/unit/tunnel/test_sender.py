"""The sending end, step by step; `tests/sim` has it on lossy paths."""

from __future__ import annotations

import random

import pytest

from plait.tunnel import sender as module
from plait.tunnel.classes import Wish
from plait.tunnel.flight import Parcel
from plait.tunnel.frames import Ack, Treatment
from plait.tunnel.receipts import DELAY
from plait.tunnel.scheduler import Mode
from plait.tunnel.sender import MOST_ATTEMPTS, Sender

LOOSE, REDUNDANT, ORDERED = Treatment
TCP = bytes((6, *range(8), 0, 80, 0, 81))
UDP = bytes((17, *range(8), 0, 80, 0, 81))
BULK = bytes((17, *range(8), 99, 0, 99, 1))


class Driver:
    """Gives counters and keeps what was sent."""

    def __init__(self, paths: int = 2, wish: Wish = Wish.AUTO) -> None:
        self.sender = Sender(0.0, lambda key: wish)
        self.counters = [0] * paths
        self.sent: list[Parcel] = []
        for path in range(paths):
            self.sender.set_path(path, 0.0, mode=Mode.ON)

    def poll(self, now: float) -> list[Parcel]:
        runs = []
        while more := self.sender.poll(now):
            for run in more:
                self.sender.sent(run, self.counters[run.path], now)
                self.counters[run.path] += run.count
            runs += more
        self.sent += runs
        return runs

    def ack(self, path: int, first: int, last: int, now: float) -> None:
        self.sender.on_ack(Ack(path, 0, int(now * 1e6), 1000 * last, ((first, last),)), now)


def test_voice_goes_out_twice_at_once() -> None:
    driver = Driver()
    assert driver.sender.offer(UDP, 7, 1, 228, 0.0)
    runs = driver.poll(0.0)
    assert [(run.path, run.treatment, run.lane, run.number, run.token) for run in runs] == [
        (0, REDUNDANT, 1, 0, 7),
        (1, REDUNDANT, 1, 0, 7),
    ]
    assert driver.sender.released() == [7]
    driver.sender.offer(UDP, 8, 1, 228, 0.02)
    assert {run.number for run in driver.poll(0.02)} == {1}


def test_with_one_path_there_is_one_copy() -> None:
    driver = Driver(1)
    driver.sender.offer(UDP, 7, 1, 228, 0.0)
    assert len(driver.poll(0.0)) == 1


def test_a_superpacket_is_cut_and_kept_until_it_has_arrived() -> None:
    driver = Driver(1, Wish.ORDERED)
    driver.sender.offer(TCP, 7, 40, 1500, 0.0)
    driver.poll(0.0)
    now = 0.0
    while sum(run.count for run in driver.sent) < 40:
        due = driver.sender.deadline()
        assert due is not None
        now = max(now, due)
        driver.poll(now)
    assert [run.first for run in driver.sent] == [
        sum(run.count for run in driver.sent[:n]) for n in range(len(driver.sent))
    ]
    assert all(run.number == run.first and run.lane == driver.sent[0].lane >= 2 for run in driver.sent)
    assert driver.sender.released() == []
    driver.ack(0, 0, 20, now + 0.02)
    assert driver.sender.released() == []
    driver.ack(0, 0, 39, now + 0.03)
    assert driver.sender.released() == [7]
    assert driver.sender.deadline() is None


def test_lost_segments_are_sent_again_a_few_times() -> None:
    driver = Driver(1, Wish.ORDERED)
    driver.sender.offer(TCP, 7, 1, 1500, 0.0)
    (first,) = driver.poll(0.0)
    now = 0.0
    attempts = [first.attempt]
    for _ in range(40):
        due = driver.sender.deadline()
        if due is None:
            break
        now = max(now, due)
        attempts += [run.attempt for run in driver.poll(now)]
        driver.sender.probes(now)
    assert attempts == list(range(MOST_ATTEMPTS + 1))
    assert driver.sender.given_up == 1
    assert driver.sender.released() == [7]
    assert {(run.lane, run.number, run.first, run.count) for run in driver.sent} == {(first.lane, 0, 0, 1)}


def test_the_last_of_a_burst_is_doubted_before_its_path_is_silent() -> None:
    """Nothing later was sent there whose ACK could tell that it is lost."""
    driver = Driver(2, Wish.ORDERED)
    for path in (0, 1):
        driver.sender.set_path(1 - path, 0.0, mode=Mode.OFF)
        driver.sender.set_path(path, 0.0, mode=Mode.ON)
        driver.sender.offer(TCP, path, 2, 1500, 0.0)
        driver.poll(0.0)
        driver.ack(path, 0, driver.counters[path] - 1, 0.040)
    assert sorted(driver.sender.released()) == [0, 1]
    driver.sender.set_path(0, 0.05, mode=Mode.ON)
    driver.sender.offer(TCP, 7, 3, 1500, 1.0)
    driver.sent.clear()
    driver.poll(1.0)
    lost = driver.sent[0].path
    driver.sent.clear()
    now, asked = 1.0, 0
    while not driver.sent and now < 2.0:
        due = driver.sender.deadline()
        assert due is not None
        now = max(now, due) + 0.0001
        asked += 1
        driver.poll(now)
    assert 1.040 < now < 1.150
    assert asked < 20, "it says when to come back"
    assert not driver.sender.way(lost).silent  # type: ignore[union-attr]
    again = [run for run in driver.poll(now + 0.02) + driver.sent if run.attempt == 1]
    assert sorted(number for run in again for number in range(run.first, run.first + run.count)) == [0, 1, 2]
    for path in (1 - lost, lost):
        driver.ack(path, 0, driver.counters[path] - 1, now + 0.060)
    assert driver.sender.released() == [7]
    assert driver.sender.deadline() is None


def test_loose_segments_are_not_sent_again() -> None:
    driver = Driver(2, Wish.BOND)
    driver.sender.offer(BULK, 7, 1, 1500, 0.0)
    assert len(driver.poll(0.0)) == 1
    assert driver.sender.released() == [7]
    assert driver.poll(0.5 + DELAY * 2) == []


def learn(driver: Driver) -> float:
    """Both paths have carried something and answered in 20 ms."""
    for path in (0, 1):
        driver.sender.set_path(1 - path, 0.0, mode=Mode.OFF)
        driver.sender.set_path(path, 0.0, mode=Mode.ON)
        for step in range(20):
            now = path + step / 10
            driver.sender.offer(BULK, 1000 + 100 * path + step, 1, 1000, now)
            driver.poll(now)
            driver.ack(path, 0, driver.counters[path] - 1, now + 0.020)
    driver.sender.set_path(0, 0.0, mode=Mode.ON)
    driver.sender.released()
    return 3.0


def test_what_was_under_way_on_a_silent_path_is_sent_again_elsewhere() -> None:
    driver = Driver(2, Wish.ORDERED)
    now = learn(driver)
    driver.sent.clear()
    for token in range(8):
        driver.sender.offer(TCP, token, 4, 1500, now)
    driver.poll(now)
    on_first = [run for run in driver.sent if run.path == 0]
    assert on_first
    # The second path answers, the first does not.
    for step in range(1, 30):
        then = now + step * 0.010
        driver.poll(then)
        if driver.counters[1]:
            driver.ack(1, 0, driver.counters[1] - 1, then)
        if driver.sender.probes(then) == [0]:
            break
    else:
        pytest.fail("the path did not fall silent")
    assert then - now < 0.150
    way = driver.sender.way(0)
    assert way is not None
    assert way.silent
    runs = [run for run in driver.sent if run.attempt == 1]
    assert {run.path for run in runs} == {1}
    assert {(run.token, run.first + at) for run in runs for at in range(run.count)} == {
        (run.token, run.first + at) for run in on_first for at in range(run.count)
    }
    driver.sender.on_alive(0, then)
    assert not way.silent


def test_a_silent_path_is_probed_once_a_second_for_as_long_as_it_takes() -> None:
    driver = Driver(2, Wish.ORDERED)
    now = learn(driver)
    for token in range(8):
        driver.sender.offer(TCP, token, 4, 1500, now)
    # The second path answers, the first does not.
    for step in range(1, 30):
        then = now + step * 0.010
        driver.poll(then)
        driver.ack(1, 0, driver.counters[1] - 1, then)
    way = driver.sender.way(0)
    assert way is not None
    assert way.silent
    asked = sum(len(driver.sender.probes(then + second)) for second in range(3000))
    assert 2900 < asked <= 3000


def test_a_path_that_only_stalled_is_waited_for_longer() -> None:
    driver = Driver(2, Wish.ORDERED)
    now = learn(driver)
    way = driver.sender.way(0)
    assert way is not None
    waits = []
    for token in range(2):
        driver.sender.offer(TCP, token, 1, 1500, now)
        driver.poll(now)
        sent = now
        while not way.silent:
            now += 0.005
            driver.poll(now)
            assert now - sent < 1.0
        waits.append(now - sent)
        now += 0.100
        for path in (0, 1):  # all of it arrives, late
            driver.ack(path, 0, driver.counters[path] - 1, now)
        assert not way.silent
    assert waits[1] > waits[0] + 0.100


def test_nothing_is_silent_while_the_driver_itself_was_asleep() -> None:
    driver = Driver(2, Wish.ORDERED)
    now = learn(driver)
    driver.poll(now)
    driver.sender.offer(TCP, 7, 1, 1500, now)
    (run,) = driver.poll(now)
    assert driver.poll(now + 5.0) == []
    way = driver.sender.way(run.path)
    assert way is not None
    assert not way.silent
    driver.ack(run.path, 0, driver.counters[run.path] - 1, now + 5.001)
    assert 7 in driver.sender.released()


def test_a_path_taken_away_leaves_nothing_behind() -> None:
    driver = Driver(2, Wish.ORDERED)
    driver.sender.offer(TCP, 7, 1, 1500, 0.0)
    (run,) = driver.poll(0.0)
    driver.sender.drop_path(run.path)
    (again,) = driver.poll(0.001)
    assert (again.path, again.number, again.attempt) == (1 - run.path, run.number, 1)
    driver.ack(run.path, 0, 0, 0.01)  # comes too late: nobody knows this path
    assert driver.sender.way(run.path) is None


def test_a_backup_is_used_when_nothing_else_is_left() -> None:
    driver = Driver(2, Wish.BOND)
    driver.sender.set_path(1, 0.0, mode=Mode.BACKUP)
    driver.sender.offer(BULK, 1, 1, 1500, 0.0)
    assert [run.path for run in driver.poll(0.0)] == [0]
    driver.sender.set_path(0, 0.0, mode=Mode.ON, up=False)
    driver.sender.offer(BULK, 2, 1, 1500, 0.1)
    assert [run.path for run in driver.poll(0.1)] == [1]
    driver.sender.set_path(1, 0.0, mode=Mode.OFF)
    assert not driver.sender.offer(BULK, 3, 1, 1500, 0.2)
    driver.sender.set_path(0, 0.0, mode=Mode.ON)
    driver.sender.offer(BULK, 3, 1, 1500, 0.3)
    assert [run.path for run in driver.poll(0.3)] == [0]


def test_failover_stays_on_one_path() -> None:
    driver = Driver(2, Wish.FAILOVER)
    learn(driver)
    driver.sent.clear()
    for token in range(20):
        driver.sender.offer(BULK, token, 1, 1500, 4.0)
    driver.poll(4.0)
    driver.poll(4.01)
    assert len({run.path for run in driver.sent}) == 1


def test_weights_lower_a_share() -> None:
    driver = Driver(2)
    driver.sender.set_path(0, 0.0, mode=Mode.ON, weight=2.0)
    driver.sender.set_path(1, 0.0, mode=Mode.ON, weight=0.5)
    ways = [driver.sender.way(path) for path in (0, 1)]
    assert [way.pace.share for way in ways if way] == [1.0, 0.25]


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 3000)
    driver = Driver(1, Wish.BOND)
    taken = [driver.sender.offer(BULK, token, 1, 1500, 0.0) for token in range(5)]
    assert taken == [True, True, True, False, False]
    assert driver.sender.refused == 2


def test_without_a_path_nothing_is_taken() -> None:
    driver = Driver(0)
    assert not driver.sender.offer(UDP, 1, 1, 228, 0.0)
    assert driver.poll(0.0) == []
    assert driver.sender.deadline() is None


def test_when_it_says_now_there_is_something_to_do() -> None:
    """Else the driver would run in circles: pinned, ordered and lost things on paths of all kinds."""
    wishes = (Wish.FAILOVER, Wish.ORDERED, Wish.BOND)
    driver = Driver(3)
    driver.sender = Sender(0.0, lambda key: wishes[key[-1]])
    for path in range(3):
        driver.sender.set_path(path, 0.0, mode=Mode.ON)
    draw = random.Random(5)
    now, token, idle = 0.0, 0, 0
    waiting: list[tuple[float, int, int]] = []
    while now < 3.0:
        if now < 2.0 and draw.random() < 0.5:
            token += 1
            driver.sender.offer(
                bytes((17, 0, 0, 0, draw.randrange(3))), token, draw.choice((1, 40)), 1400, now
            )
        runs = driver.poll(now)
        driver.sender.probes(now)
        waiting += ((now + 0.01 * (run.path + 1), run.path, driver.counters[run.path] - 1) for run in runs)
        due = driver.sender.deadline()
        idle = idle + 1 if due is not None and due <= now and not runs else 0
        assert idle < 3
        now = max(now, min(due if due is not None else now + 0.01, now + 0.01))
        for _, path, last in [each for each in waiting if each[0] <= now and draw.random() < 0.9]:
            driver.ack(path, max(0, last - draw.choice((1, 50))), last, now)
        waiting = [each for each in waiting if each[0] > now]


def test_flows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FLOWS", 4)
    driver = Driver(1, Wish.ORDERED)
    lanes = set()
    for port in range(10):
        driver.sender.offer(bytes((6, 0, 0, 0, port)), port, 1, 100, port * 0.01)
        lanes |= {run.lane for run in driver.poll(port * 0.01)}
    assert len(lanes) == 10
    assert len(driver.sender._flows) == 4


def test_an_ack_of_an_unknown_path_changes_nothing() -> None:
    driver = Driver(1)
    driver.ack(9, 0, 5, 1.0)
    driver.sender.on_alive(9, 1.0)
    assert driver.sender.deadline() is None
