"""The search for what a path lets through."""

from __future__ import annotations

import pytest

from plait.courier.room import AGAIN, CLOSE, LEAST, TRIES, WIDER, Room

WANTED = 1408


class Way:
    """A path that lets frames of some size through."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.room = Room(WANTED)
        self.now = 100.0
        self.questions = 0
        self.alive = True

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            asked = self.room.ask(self.now, 0.2, alive=self.alive)
            if asked is not None:
                self.questions += 1
                number, size = asked
                if size <= self.fits and self.alive:
                    self.room.seen(number, size, self.now + 0.05)
            self.now += 0.1


def test_a_path_that_takes_all_costs_one_question() -> None:
    way = Way(1500)
    way.run(AGAIN - 1)
    assert (way.room.size, way.questions) == (WANTED, 1)
    way.run(AGAIN)
    assert (way.room.size, way.questions) == (WANTED, 2)


@pytest.mark.parametrize("fits", [LEAST, LEAST + 1, 800, 1288, 1340, 1399, WANTED - 1])
def test_what_fits_is_found(fits: int) -> None:
    way = Way(fits)
    way.run(25.0)
    assert way.room.size is not None
    assert fits - CLOSE <= way.room.size <= fits
    assert way.questions < 12 * TRIES


def test_a_path_on_which_nothing_fits() -> None:
    way = Way(500)
    way.run(10.0)
    assert way.room.size == 0


def test_silence_says_nothing() -> None:
    way = Way(1500)
    way.alive = False
    way.run(30.0)
    assert way.room.size is None
    way.alive = True
    way.run(1.0)
    assert way.room.size == WANTED


def test_a_path_that_becomes_narrower_and_wider_again() -> None:
    way = Way(1500)
    way.run(5.0)
    way.fits = 1300
    way.run(AGAIN + 20)
    assert way.room.size is not None
    assert 1300 - CLOSE <= way.room.size <= 1300
    way.fits = 1500
    way.run((WIDER + 2) * (AGAIN + 1))
    assert way.room.size == WANTED


def test_the_kernel_says_so_at_once() -> None:
    room = Room(WANTED)
    assert room.ask(1.0, 0.2, alive=True) == (1, WANTED)
    room.refused(1.0)
    assert room.ask(1.0, 0.2, alive=True) == (2, LEAST)


def test_answers_to_other_questions_count_for_nothing() -> None:
    room = Room(WANTED)
    asked = room.ask(1.0, 0.2, alive=True)
    assert asked is not None
    room.seen(asked[0] + 1, WANTED, 1.1)
    room.seen(asked[0], WANTED - 1, 1.1)
    assert room.size is None
    room.seen(asked[0], WANTED, 1.1)
    assert room.size == WANTED
