"""The receiving end: each treatment as promised, lanes apart from each other, memory bounded."""

from __future__ import annotations

from plait.tunnel import receiver
from plait.tunnel.frames import ORDERS, Treatment
from plait.tunnel.receipts import DELAY
from plait.tunnel.receiver import LANE_IDLE, Receiver
from plait.tunnel.resequencer import Delivery

LOOSE, REDUNDANT, ORDERED = Treatment


def test_loose_datagrams_go_on_at_once() -> None:
    ends = Receiver()
    assert ends.on_data(LOOSE, 0, 9, 3, 1, 0.0) == ([Delivery(1, 0, 3)], 0)
    assert ends.on_data(LOOSE, 0, 2, 3, 2, 0.0) == ([Delivery(2, 0, 3)], 0)
    assert ends.deadline() is None


def test_of_copies_the_first_goes_on() -> None:
    ends = Receiver()
    assert ends.on_data(REDUNDANT, 1, 1, 2, 1, 0.0) == ([Delivery(1, 0, 2)], 0)
    assert ends.on_data(REDUNDANT, 1, 0, 2, 2, 0.0) == ([Delivery(2, 0, 1)], 0)
    assert ends.on_data(REDUNDANT, 1, 1, 2, 3, 0.0) == ([], 0)
    assert ends.copies == 3


def test_redundant_numbers_come_around() -> None:
    ends = Receiver()
    number = 0
    while number < ORDERS + 5000:
        assert ends.on_data(REDUNDANT, 1, number % ORDERS, 1, 1, 0.0)[0], number
        number += 4000
    assert ends.on_data(REDUNDANT, 1, (number - 4000) % ORDERS, 1, 1, 0.0) == ([], 0)


def test_lanes_do_not_wait_for_each_other() -> None:
    ends = Receiver()
    assert ends.on_data(ORDERED, 2, 1, 1, 1, 0.0) == ([], 1)
    assert ends.on_data(ORDERED, 3, 0, 1, 2, 0.0) == ([Delivery(2, 0, 1)], 0)
    due = ends.deadline()
    assert due is not None
    assert ends.poll(due) == [Delivery(1, 0, 1)]
    assert ends.deadline() is None


def test_a_lane_taken_up_in_the_middle_begins_there() -> None:
    ends = Receiver()
    assert ends.on_data(ORDERED, 2, 100_000, 1, 1, 0.0) == ([Delivery(1, 0, 1)], 0)


def test_ordered_numbers_come_around() -> None:
    ends = Receiver()
    assert ends.on_data(ORDERED, 2, ORDERS - 2, 2, 1, 0.0)[0] == [Delivery(1, 0, 2)]
    assert ends.on_data(ORDERED, 2, 1, 1, 2, 0.0) == ([], 1)
    assert ends.on_data(ORDERED, 2, 0, 1, 3, 0.0)[0] == [Delivery(3, 0, 1), Delivery(2, 0, 1)]
    assert ends.on_data(ORDERED, 2, ORDERS - 2, 2, 4, 0.0) == ([], 0)


def test_idle_lanes_are_forgotten() -> None:
    ends = Receiver()
    ends.on_data(ORDERED, 2, 0, 1, 1, 0.0)
    ends.on_data(ORDERED, 3, 0, 1, 2, LANE_IDLE - 1)
    ends.on_data(ORDERED, 4, 0, 1, 3, LANE_IDLE + 1)  # makes room: lane 2 is gone
    assert ends.on_data(ORDERED, 2, 0, 1, 4, LANE_IDLE + 2)[0] == [Delivery(4, 0, 1)]
    assert ends.on_data(ORDERED, 3, 0, 1, 5, LANE_IDLE + 2) == ([], 0)
    assert ends.forgotten == 0


def test_too_many_lanes_lose_the_oldest_and_what_it_held_comes_out() -> None:
    ends = Receiver()
    ends.on_data(ORDERED, 2, 1, 1, 77, 0.0)
    for lane in range(3, 2 + receiver.MOST_LANES):
        assert ends.on_data(ORDERED, lane, 0, 1, lane, 0.001)[0]
    out, _ = ends.on_data(ORDERED, 1 << 20, 0, 1, 78, 0.002)
    assert out == [Delivery(77, 0, 1), Delivery(78, 0, 1)]
    assert ends.forgotten == 1


def test_acks_are_per_path() -> None:
    ends = Receiver()
    ends.on_datagrams(1, 0, 4, 4000, ORDERED, 1.0)
    ends.on_datagrams(2, 9, 1, 100, None, 1.0)
    assert ends.deadline() == 1.0 + DELAY
    assert ends.acks(1.0) == []
    (ack,) = ends.acks(1.0 + DELAY)
    assert (ack.path, ack.ranges) == (1, ((0, 3),))
    assert ends.acks(2.0) == []
    ends.drop_path(1)
    assert set(ends.paths) == {2}
