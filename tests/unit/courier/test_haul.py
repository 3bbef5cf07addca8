"""What a peer that has proved itself may send, and what it may not break."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from plait.courier.haul import Haul
from plait.courier.tally import Tally
from plait.relay.loop import Loop
from plait.tunnel.frames import LAST, Segments, Treatment, data_head
from plait.tunnel.receipts import FORGIVEN
from plait.tunnel.resequencer import MOST_WAIT
from plait.wire.faults import Malformed


class Place:
    """A haul, and what came out of it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.tally = Tally()
        self.written: list[bytes] = []
        self.others: list[bytes] = []
        self.haul = Haul(
            self.loop,
            self.tally,
            ship=lambda path, buffers, size: None,
            write=lambda packet: self.written.append(b"".join(packet[1:])),
            echo=lambda path: None,
            admit=lambda source: source == bytes((10, 0, 0, 1)),
        )
        self._counter = 0

    def come(self, *frames: bytes) -> None:
        """Frames in one datagram buffer."""
        self.haul.run(0, self._counter, list(frames), 100, self.others.append)
        self._counter += len(frames)
        self._settle()

    def _settle(self) -> None:
        """What the loop does when the events at hand have had their turn."""
        self.haul._pump()

    def wait(self) -> None:
        """Until what is missing is given up."""
        for delivery in self.haul.receiver.poll(time.monotonic() + 2 * MOST_WAIT):
            self.haul._deliver(*delivery)
        self._settle()


@pytest.fixture
def place() -> Iterator[Place]:
    found = Place()
    yield found
    found.loop.close()


def packet(source: int = 1) -> bytes:
    head = bytes((0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 192, 0, 2, 1))
    return head + bytes(8)


def frame(order: int, body: bytes, *, index: int = 0, segments: Segments = Segments.WHOLE) -> bytes:
    last = segments is Segments.WHOLE
    return bytes(data_head(Treatment.ORDERED, 3, order, index, last=last, segments=segments)) + body


def test_no_address_but_its_own_comes_in(place: Place) -> None:
    place.come(frame(0, packet()), frame(1, packet(source=2)))
    assert place.written == [packet()]
    assert place.tally.strangers == {"spoofed": 1}


def test_what_waits_for_others_and_is_no_packet_is_counted(place: Place) -> None:
    place.come(frame(0, b"?" * 9), frame(5, packet()), frame(6, b""))
    place.wait()
    assert place.written == [packet()]
    assert place.tally.strangers["malformed"] == 2
    assert not place.haul._kept


def test_segments_that_there_can_not_be_are_counted(place: Place) -> None:
    body = packet() + bytes(100)
    place.come(frame(0, packet()))
    for index in (120, 124):
        # The second overlaps with the first, so that its rest alone is given on.
        some = [frame(5, body, index=index + more, segments=Segments.UDP) for more in range(10)]
        place.come(*some)
    place.wait()
    assert place.tally.strangers["malformed"]
    assert not place.haul._kept


def test_a_segment_cut_within_its_head_is_no_end(place: Place) -> None:
    whole = frame(0, packet() + bytes(100), segments=Segments.UDP)
    with pytest.raises(Malformed):
        place.come(whole, bytes((whole[0] | LAST,)) + whole[1:7])


def test_what_has_waited_in_the_kernel_came_before(place: Place) -> None:
    place.haul.run(0, 0, [frame(0, packet())], 100, place.others.append, waited=0.25)
    [ack] = place.haul.receiver.acks(time.monotonic() + 1.0)
    assert 1e6 <= ack.held + 1000 < 10e6, "the sender waits for it since it was read"
    assert ack.arrived <= (time.monotonic() - FORGIVEN) * 1e6
