"""A gateway's end: it greets, probes every path, and finds out what has changed."""

from __future__ import annotations

import time

import pytest
from tests.unit.courier.posts import PSK, Posts, way

from plait.courier import away as module
from plait.wire.greeting import preshared
from plait.wire.noise import public_key

EXIT_KEY = b"x" * 32
METHODS = ["none", "aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", "2022-blake3-aes-256-gcm"]


@pytest.mark.parametrize("method", METHODS)
def test_echoes_come_back_over_every_path(posts: Posts, method: str) -> None:
    port = posts.open_home(method)
    away = posts.open_away(method)
    before = time.monotonic()
    away.ways([way(port, "wan1"), way(port, "wan2", local="127.0.0.2")])
    posts.turn(lambda: posts.heard("echo", path="wan1") and posts.heard("echo", path="wan2"))
    assert posts.heard("session") == [{"exit": "attic", "state": "up", "why": ""}]
    for echo in posts.heard("echo"):
        sent, rtt = echo["sent"], echo["rtt_us"]
        assert isinstance(sent, float)
        assert isinstance(rtt, int)
        assert before <= sent <= time.monotonic()
        assert 0 < rtt < 10_000_000
    assert sum(guest.confirmed for guest in posts.home.guests.values()) == 1
    assert not posts.tally.strangers
    assert not posts.far.strangers, "the answer over the other path is none"


def test_the_exits_own_key_is_proved(posts: Posts) -> None:
    port = posts.open_home(private=EXIT_KEY.hex())
    away = posts.open_away(exit_key=public_key(EXIT_KEY).hex())
    away.ways([way(port)])
    posts.turn(lambda: posts.heard("echo"))


@pytest.mark.parametrize(
    ("private", "psk"),
    [
        ((b"y" * 32).hex(), PSK),
        ("", PSK),
        (EXIT_KEY.hex(), preshared("another").hex()),
    ],
    ids=["another key", "no key", "another password"],
)
def test_an_exit_that_cannot_prove_itself_is_none(posts: Posts, private: str, psk: str) -> None:
    port = posts.open_home(private=private)
    away = posts.open_away(psk=psk, exit_key=public_key(EXIT_KEY).hex())
    away.ways([way(port)])
    posts.turn(lambda: posts.heard("session", state="none"))
    assert not posts.heard("echo")
    assert not posts.heard("silent")
    assert posts.tally.sent == 0
    assert sum(posts.tally.strangers.values()) >= 3


def test_a_path_that_falls_silent_is_told_of(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.ways([way(port)])
    away.pace("wan1", 0.02)
    posts.turn(lambda: len(posts.heard("echo")) > 5)
    posts.close_home()
    posts.turn(lambda: len(posts.heard("silent")) > 3)
    assert posts.heard("session")[-1]["state"] == "up"


def test_a_restarted_exit_is_found_again(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.ways([way(port), way(port, "wan2")])
    away.pace("wan1", 0.02)
    posts.turn(lambda: posts.heard("echo"))
    posts.close_home()
    posts.turn(lambda: posts.heard("session", state="none"))
    posts.said.clear()
    posts.open_home(port=port)
    posts.turn(lambda: posts.heard("session", state="up") and posts.heard("echo"))


def test_a_quicker_pace_counts_from_the_last_echo(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.pace("wan1", 1000.0)
    away.ways([way(port)])
    posts.turn(lambda: posts.heard("echo"))
    posts.said.clear()
    away.pace("wan1", 500.0)
    away._lines["wan1"].asked -= 450.0
    away.pace("wan1", 449.0)
    posts.turn(lambda: posts.heard("echo"))


def test_a_burst_asks_four_times_at_once(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.pace("wan1", 1000.0)
    away.ways([way(port)])
    posts.turn(lambda: posts.heard("echo"))
    posts.said.clear()
    away.burst("wan1")
    away.burst("no such path")
    posts.turn(lambda: len(posts.heard("echo")) == 4)
    sent = [echo["sent"] for echo in posts.heard("echo")]
    assert len(set(sent)) == 4


def test_a_train_finds_a_capacity_both_ways(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.train("wan1")
    assert posts.heard("capacity", up_bps=None, down_bps=None)
    away.ways([way(port)])
    posts.turn(lambda: posts.heard("echo"))
    posts.said.clear()
    away.train("wan1")
    posts.turn(lambda: posts.heard("capacity"))
    [found] = posts.heard("capacity")
    for direction in ("up_bps", "down_bps"):
        assert isinstance(found[direction], int)
        assert found[direction] > 1_000_000


def test_a_path_may_change_its_address_and_all_of_them_at_once(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    for path in ("wan1", "wan2"):
        away.pace(path, 0.05)
    away.ways([way(port, "wan1", local="127.0.0.2"), way(port, "wan2", local="127.0.0.3")])
    posts.turn(lambda: posts.heard("echo", path="wan1") and posts.heard("echo", path="wan2"))
    [guest] = [guest for guest in posts.home.guests.values() if guest.confirmed]
    posts.said.clear()
    away.ways([way(port, "wan1", local="127.0.0.4"), way(port, "wan2", local="127.0.0.5")])
    posts.turn(lambda: posts.heard("echo", path="wan1") and posts.heard("echo", path="wan2"))
    assert {place.peer[0] for place in guest.places.values()} == {"127.0.0.4", "127.0.0.5"}
    assert not posts.heard("session"), "the session went on"


def test_a_path_that_goes_is_silent_about_itself(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.ways([way(port), way(port, "wan2")])
    posts.turn(lambda: posts.heard("echo", path="wan2"))
    away.ways([way(port)])
    posts.said.clear()
    away.burst("wan2")
    away.burst("wan1")
    posts.turn(lambda: len(posts.heard("echo")) == 4)
    assert not posts.heard("echo", path="wan2")
    assert not posts.heard("silent", path="wan2")


def test_a_path_without_its_address_is_silent_until_it_has_one(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.pace("wan2", 0.05)
    away.ways([way(port), way(port, "wan2", local="192.0.2.1")])
    posts.turn(lambda: posts.heard("echo", path="wan1") and posts.heard("silent", path="wan2"))
    away.ways([way(port), way(port, "wan2")])
    posts.turn(lambda: posts.heard("echo", path="wan2"))


def test_keys_are_renewed_and_nothing_is_lost(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW", 0.2)
    port = posts.open_home()
    away = posts.open_away()
    away.pace("wan1", 0.01)
    away.ways([way(port)])
    posts.turn(lambda: sum(guest.confirmed for guest in posts.home.guests.values()) >= 3)
    assert posts.heard("session") == [{"exit": "attic", "state": "up", "why": ""}]
    assert not posts.heard("silent")
    assert not posts.tally.strangers
    assert not posts.far.strangers


def test_forged_answers_are_counted_and_harmless(posts: Posts) -> None:
    port = posts.open_home()
    away = posts.open_away()
    away.ways([way(port)])
    posts.turn(lambda: posts.heard("echo"))
    [guest] = [guest for guest in posts.home.guests.values() if guest.confirmed]
    [place] = guest.places.values()
    good = guest.session.sealing.seal(0, b"\x07\x00")
    forged = good[:-1] + bytes((good[-1] ^ 1,))
    for datagram in (b"", b"\x73", b"\x71" * 61, b"\x72" * 48, b"\xff" * 2000, forged, good[:-4], good, good):
        place.sock.sendto(datagram, place.peer)
    posts.said.clear()
    away.burst("wan1")
    posts.turn(lambda: len(posts.heard("echo")) == 4)
    assert posts.far.strangers == {"malformed": 5, "forged": 3, "replayed": 1}
