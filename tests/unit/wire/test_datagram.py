"""Sealed datagrams: what comes through, and that nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.wire.datagram import (
    HEADER,
    LAST,
    OVERHEAD,
    WINDOW,
    Opening,
    Sealing,
    Session,
    Window,
    index_of,
    one_session,
    trade,
)
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed
from plait.wire.noise import Cipher, Split

METHODS = ["none", "aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", "2022-blake3-aes-128-gcm"]
SECRETS = (bytes(range(32)), bytes(range(32, 64)))


def ends(method: str = "aes-128-gcm") -> tuple[Session, Session]:
    kind = trade(method)
    if kind is None:
        return Session.plain(1, 2), Session.plain(2, 1)
    here = Split(sending=SECRETS[0], receiving=SECRETS[1], transcript=b"")
    there = Split(sending=SECRETS[1], receiving=SECRETS[0], transcript=b"")
    return Session.sealed(kind, here, 1, 2), Session.sealed(kind, there, 2, 1)


@pytest.mark.parametrize("method", METHODS)
def test_both_directions(method: str) -> None:
    here, there = ends(method)
    for sender, receiver in ((here, there), (there, here)):
        for number in range(3):
            datagram = sender.sealing.seal(7, b"body")
            assert index_of(datagram) == receiver.ours
            assert len(datagram) == 4 + (HEADER if method == "none" else OVERHEAD)
            opened = receiver.opening.open(datagram)
            assert (opened.path, opened.counter, opened.body, opened.newest) == (7, number, b"body", True)
    assert (b"body" in here.sealing.seal(7, b"body")) == (method == "none")


@pytest.mark.parametrize(
    ("method", "noise", "suite"),
    [
        ("aes-128-gcm", Cipher.AESGCM, "aes-128-gcm"),
        ("aes-256-gcm", Cipher.AESGCM, "aes-256-gcm"),
        ("chacha20-ietf-poly1305", Cipher.CHACHAPOLY, "chacha20-ietf-poly1305"),
        ("2022-blake3-aes-128-gcm", Cipher.AESGCM, "aes-128-gcm"),
        ("2022-blake3-aes-256-gcm", Cipher.AESGCM, "aes-256-gcm"),
        ("2022-blake3-chacha20-poly1305", Cipher.CHACHAPOLY, "chacha20-ietf-poly1305"),
    ],
)
def test_every_method_has_its_ciphers(method: str, noise: Cipher, suite: str) -> None:
    kind = trade(method)
    assert kind is not None
    assert (kind.noise, kind.suite) == (noise, suite)
    kind.key(bytes(32))


def test_counters_are_each_paths_own() -> None:
    here, there = ends()
    order = [(1, 0), (2, 0), (1, 1), (2, 1), (2, 2)]
    opened = [there.opening.open(here.sealing.seal(path, b"")) for path, _ in order]
    assert [(each.path, each.counter) for each in opened] == order


@pytest.mark.parametrize("method", METHODS)
def test_replays_are_told_apart_from_latecomers(method: str) -> None:
    here, there = ends(method)
    datagrams = [here.sealing.seal(0, b"%d" % number) for number in range(4)]
    assert there.opening.open(datagrams[3]).newest
    late = there.opening.open(datagrams[1])
    assert (late.body, late.newest) == (b"1", False)
    for again in (datagrams[1], datagrams[3]):
        with pytest.raises(Replayed):
            there.opening.open(again)
    assert there.opening.open(datagrams[0]).body == b"0"


def test_what_is_too_old_is_refused_for_good() -> None:
    here, there = ends()
    first, second = here.sealing.seal(0, b""), here.sealing.seal(0, b"")
    for _ in range(WINDOW - 1):
        last = here.sealing.seal(0, b"")
    there.opening.open(last)
    assert there.opening.open(second).counter == 1
    with pytest.raises(Replayed):
        there.opening.open(first)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 8, 15, HEADER, HEADER + 3, -1])
def test_any_change_is_noticed_and_teaches_nothing(place: int) -> None:
    here, there = ends()
    datagram = here.sealing.seal(3, b"body")
    forged = bytearray(datagram)
    forged[place] ^= 0x41
    with pytest.raises(PeerFault):
        there.opening.open(bytes(forged))
    assert there.opening.open(datagram).counter == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [0, 1, HEADER - 1])
def test_headers_cut_short(method: str, length: int) -> None:
    here, there = ends(method)
    with pytest.raises(Malformed):
        there.opening.open(here.sealing.seal(0, b"")[:length])


def test_seals_cut_short() -> None:
    here, there = ends()
    datagram = here.sealing.seal(0, b"body")
    for length in range(HEADER, len(datagram)):
        with pytest.raises(Forged):
            there.opening.open(datagram[:length])
    with pytest.raises(Forged):
        there.opening.open(datagram + b"\0")
    assert there.opening.open(datagram).body == b"body"


def test_a_plain_datagram_is_no_sealed_one() -> None:
    sealed, plain = ends()[1], ends("none")[0]
    with pytest.raises(Malformed):
        sealed.opening.open(plain.sealing.seal(0, b"body"))
    with pytest.raises(Malformed):
        plain.opening.open(sealed.sealing.seal(0, b"body"))


def test_ones_own_datagrams_do_not_come_back() -> None:
    here, _ = ends()
    with pytest.raises(Forged):
        here.opening.open(here.sealing.seal(0, b"body"))


def test_a_session_ends_before_its_counters_do() -> None:
    sealing = Sealing(None, 1)
    sealing._counters[0] = LAST
    with pytest.raises(OverflowError):
        sealing.seal(0, b"")
    with pytest.raises(OverflowError):
        sealing.seal_run(0, [b""])
    sealing.seal(1, b"")
    too_far = bytearray(sealing.seal(1, b""))
    too_far[8] = 0x10
    with pytest.raises(Malformed):
        Opening(None).open(bytes(too_far))


def test_what_is_too_short_claims_no_session() -> None:
    assert index_of(b"") == index_of(bytes(HEADER - 1)) == -1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3 * WINDOW), min_size=1, max_size=60))
def test_a_window_takes_each_counter_once(counters: list[int]) -> None:
    window = Window()
    taken: set[int] = set()
    for counter in counters:
        expected = counter not in taken and counter > max(taken, default=-1) - WINDOW
        assert window.fresh(counter) == expected
        if expected:
            window.take(counter)
            taken.add(counter)
            assert window.newest == max(taken)
            assert not window.fresh(counter)


def run_of(here: Session, path: int, bodies: list[bytes]) -> list[bytes]:
    first, buffers = here.sealing.seal_run(path, bodies)
    datagrams = [head + body for head, body in zip(buffers[::2], buffers[1::2], strict=True)]
    assert [int.from_bytes(each[8:16], "big") for each in datagrams] == [*range(first, first + len(bodies))]
    return datagrams


@pytest.mark.parametrize("method", METHODS)
def test_runs_are_what_single_datagrams_are(method: str) -> None:
    here, there = ends(method)
    bodies = [b"%04d" % number for number in range(10)] + [b"end"]
    here.sealing.seal(4, b"before")
    datagrams = run_of(here, 4, bodies)
    assert [there.opening.open(each).body for each in datagrams] == bodies
    assert here.sealing.seal(4, b"")[8:16] == (12).to_bytes(8, "big")
    again = run_of(here, 4, bodies)
    run = there.opening.open_run(b"".join(again), len(again[0]))
    assert run.pieces == [(4, 13, bodies, True)]
    assert (run.forged, run.replayed, run.malformed) == (0, 0, 0)
    run = there.opening.open_run(b"".join(again), len(again[0]))
    assert run.pieces == []
    assert run.replayed == 11


def test_a_run_with_holes_and_damage_is_opened_in_pieces() -> None:
    here, there = ends()
    datagrams = run_of(here, 0, [b"%04d" % number for number in range(8)])
    other = run_of(here, 1, [b"0000"])
    size = len(datagrams[0])
    damaged = bytes(size)
    forged = datagrams[7][:-1] + bytes((datagrams[7][-1] ^ 1,))
    together = [*datagrams[2:4], forged, *datagrams[5:7], damaged, *other, *datagrams[0:2], datagrams[1]]
    run = there.opening.open_run(b"".join(together), size)
    assert [(path, first, len(bodies), newest) for path, first, bodies, newest in run.pieces] == [
        (0, 2, 2, True),
        (0, 5, 2, True),
        (1, 0, 1, True),
        (0, 0, 2, False),
    ]
    assert (run.forged, run.replayed, run.malformed) == (1, 1, 1)
    assert there.opening.open(datagrams[7]).counter == 7
    assert there.opening.open(datagrams[4]).counter == 4


def test_a_run_cut_short_loses_its_last_datagram_only() -> None:
    here, there = ends()
    datagrams = run_of(here, 0, [b"body"] * 3)
    for cut in (1, 20, len(datagrams[0]) - 3):
        run = there.opening.open_run(b"".join(datagrams)[:-cut], len(datagrams[0]))
        assert sum(len(bodies) for _, _, bodies, _ in run.pieces) <= 2
        assert run.forged + run.malformed == 1
        there = ends()[1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("left", range(1, 16))
def test_a_header_cut_short_at_the_end_of_a_run_is_counted(method: str, left: int) -> None:
    """Anybody who has seen an index can send this: the kernel joins it to the one before."""
    here, there = ends(method)
    datagrams = run_of(here, 0, [b"body"])
    run = there.opening.open_run(datagrams[0] + datagrams[0][:left], len(datagrams[0]))
    assert [bodies for _, _, bodies, _ in run.pieces] == [[b"body"]]
    assert (run.forged, run.malformed) == (0, 1)


def test_renewed_keys_go_on_counting() -> None:
    here, _ = ends()
    here.sealing.seal(3, b"")
    later, _ = ends()
    later.sealing.follow(here.sealing)
    assert later.sealing.seal(3, b"")[8:16] == (1).to_bytes(8, "big")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3 * WINDOW), st.integers(1, 70)), min_size=1, max_size=30))
def test_runs_are_remembered_as_their_counters_are(runs: list[tuple[int, int]]) -> None:
    by_run, by_one = Window(), Window()
    for first, count in runs:
        by_run.take_run(first, count)
        for counter in range(first, first + count):
            if by_one.fresh(counter):
                by_one.take(counter)
        around = range(max(0, by_one.newest - WINDOW - 3), by_one.newest + 3)
        assert by_run.newest == by_one.newest
        assert [by_run.fresh(each) for each in around] == [by_one.fresh(each) for each in around]


def test_joined_datagrams_of_two_sessions_are_told_apart() -> None:
    here, _ = ends()
    other = Session.plain(1, 9)
    mine = [here.sealing.seal(0, bytes(20)) for _ in range(3)]
    assert one_session(b"".join(mine), len(mine[0]))
    assert one_session(mine[0], len(mine[0]))
    theirs = other.sealing.seal(0, bytes(20))
    assert not one_session(b"".join(mine) + theirs, len(mine[0]))
