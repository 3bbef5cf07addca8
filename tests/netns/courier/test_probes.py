"""What the courier finds out about paths, over emulated links."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
from tests.netns.courier.posts import (
    LINKS,
    PORT,
    Notebook,
    Post,
    away_config,
    home_config,
    way,
)
from tests.netns.relay.places import inside

from plait.lab.node import wait_for
from plait.lab.topology import Lab

WITHIN = 20.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(LINKS, directory=tmp_path_factory.mktemp("posts")) as lab:
        yield lab


@pytest.fixture(scope="module")
def home(lab: Lab) -> Iterator[Post]:
    post = Post(lab["exit"], home_config())
    yield post
    post.stop()


@pytest.fixture
def away(lab: Lab, home: Post) -> Iterator[Post]:
    post = Post(lab["gateway"], away_config())
    try:
        yield post
    finally:
        for bridge in lab.bridges:
            bridge.unsilence()
            bridge.plug()
        post.stop()


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def probing(request: pytest.FixtureRequest, away: Post) -> Post:
    """A courier with echoes on both paths, ten a second."""
    away.tell("pace", {"wan1": 0.1, "wan2": 0.1})
    away.ways(way(1, request.param), way(2, request.param))
    both_answer(away.notes)
    return away


def both_answer(notes: Notebook, count: int = 1) -> None:
    wait_for(
        "echoes on both paths",
        lambda: all(len(notes.rtts(path)) >= count for path in ("wan1", "wan2")),
        within=WITHIN,
    )


def test_each_path_shows_its_own_delay(probing: Post) -> None:
    both_answer(probing.notes, 10)
    assert 0.009 < median(probing.notes.rtts("wan1")) < 0.055
    assert 0.059 < median(probing.notes.rtts("wan2")) < 0.15
    assert probing.notes.sessions == [(True, "")]


def test_a_silent_path_is_found_out_and_the_other_goes_on(lab: Lab, probing: Post) -> None:
    both_answer(probing.notes, 10)
    notes = probing.notes
    for number in (1, 2):
        for direction in (0, 1):
            notes.forget()
            cut = lab.bridge(f"b{number}").silence(direction)
            path = f"wan{number}"
            wait_for("silence", lambda path=path: path in [each for each, _ in notes.silences], within=WITHIN)
            noticed = time.monotonic() - cut
            # An echo each 0.1 s and 0.15 s of patience; the bound is for a busy machine.
            assert noticed < 5.0
            other = f"wan{3 - number}"
            after = len(notes.rtts(other))
            wait_for("echoes", lambda other=other, n=after: len(notes.rtts(other)) > n + 3, within=WITHIN)
            lab.bridge(f"b{number}").unsilence(direction)
            notes.forget()
            both_answer(notes)
    assert not notes.sessions, "one session all along"


def test_a_burst_is_answered_at_once(away: Post) -> None:
    away.tell("pace", {"wan1": 1000.0, "wan2": 1000.0})
    away.ways(way(1), way(2))
    both_answer(away.notes)
    away.notes.forget()
    away.tell("burst", ["wan1"])
    wait_for("four echoes", lambda: len(away.notes.echoes) == 4, within=WITHIN)
    sent = [each for _, each, _ in away.notes.echoes]
    assert sent == sorted(set(sent))


def test_capacity_is_found_roughly(probing: Post) -> None:
    """A busy machine spreads a train that passes through its emulated links, or lets it bunch after a
    stall; the middle one of several is near."""
    found: dict[str, list[tuple[int, int]]] = {"wan1": [], "wan2": []}
    for _ in range(9):
        probing.notes.capacities.clear()
        probing.tell("train", ["wan1", "wan2"])
        wait_for("both capacities", lambda: len(probing.notes.capacities) == 2, within=WITHIN)
        for path, (up, down) in probing.notes.capacities.items():
            if up is not None and down is not None:
                found[path].append((up, down))
    for path, rates in (("wan1", (20e6, 20e6)), ("wan2", (10e6, 5e6))):
        assert len(found[path]) >= 5
        for direction, real in enumerate(rates):
            assert real / 5 < median(each[direction] for each in found[path]) < real * 5


def test_a_restarted_exit_is_found_again(home: Post, probing: Post) -> None:
    both_answer(probing.notes, 3)
    before = home.courier.restarts
    os.kill(home.pid, signal.SIGKILL)
    wait_for("another", lambda: home.courier.restarts > before, within=WITHIN)
    probing.notes.forget()
    both_answer(probing.notes)


def test_a_restarted_gateway_is_let_in_again(probing: Post) -> None:
    both_answer(probing.notes, 3)
    probing.notes.forget()
    os.kill(probing.pid, signal.SIGKILL)
    wait_for("another", lambda: probing.courier.restarts == 1, within=WITHIN)
    probing.notes.echoes.clear()  # of the one that died
    both_answer(probing.notes)
    assert probing.notes.sessions == [(True, "")]


def test_all_addresses_change_at_once(lab: Lab, probing: Post) -> None:
    both_answer(probing.notes, 3)
    gateway = lab["gateway"]
    for number in (1, 2):
        gateway.run("ip", "address", "add", f"10.{number}.{number}.99/24", "dev", f"wan{number}")
    try:
        probing.notes.forget()
        probing.ways(way(1, local="10.1.1.99"), way(2, local="10.2.2.99"))
        both_answer(probing.notes, 3)
        assert not probing.notes.sessions, "one session all along"
    finally:
        for number in (1, 2):
            gateway.run("ip", "address", "del", f"10.{number}.{number}.99/24", "dev", f"wan{number}")


def test_a_link_that_was_down_is_used_again(lab: Lab, probing: Post) -> None:
    both_answer(probing.notes, 3)
    gateway = lab["gateway"]
    gateway.run("ip", "link", "set", "wan1", "down")
    wait_for("silence", lambda: "wan1" in [path for path, _ in probing.notes.silences], within=WITHIN)
    gateway.run("ip", "link", "set", "wan1", "up")
    # The kernel takes IPv6 addresses away with the link.
    gateway.run("ip", "address", "replace", "fd01::78/64", "dev", "wan1", "nodad")
    probing.notes.forget()
    both_answer(probing.notes)


def test_a_gateway_that_slept_calls_no_path_silent(probing: Post) -> None:
    both_answer(probing.notes, 10)
    probing.notes.forget()
    for _ in range(5):
        os.kill(probing.pid, signal.SIGSTOP)
        time.sleep(0.8)
        os.kill(probing.pid, signal.SIGCONT)
        time.sleep(0.3)
    both_answer(probing.notes, 5)
    assert probing.notes.silences == []
    assert max(probing.notes.rtts("wan1")) < 0.5, "what we slept is no delay of the path"


def test_a_wrong_password_gets_no_answer_at_all(lab: Lab, home: Post) -> None:
    # What a former gateway has sent may still be on its way.
    before = wait_for("quiet", lambda: _unchanged(home), within=WITHIN)
    post = Post(lab["gateway"], away_config(password="wrong"))
    try:
        post.ways(way(1), way(2))
        wait_for("the verdict", lambda: post.notes.sessions, within=WITHIN)
        assert post.notes.sessions[0][0] is False
        assert not post.notes.echoes
        assert not post.notes.silences
    finally:
        post.stop()
    after = home.tally()
    assert after["sent"] == before["sent"]
    assert after["strangers"]["unsealed"] > before["strangers"].get("unsealed", 0)


def _unchanged(home: Post) -> dict[str, Any] | None:
    before = home.tally()
    time.sleep(0.3)
    return before if home.tally() == before else None


def test_garbage_is_counted_and_disturbs_nobody(lab: Lab, home: Post, probing: Post) -> None:
    both_answer(probing.notes, 3)
    before = home.tally()
    with inside(lab["gateway"]):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        for length in (0, 1, 15, 16, 48, 61, 105, 1400, 9000):
            for kind in range(0x6F, 0x78):
                sock.sendto(bytes((kind,)) * length, ("10.1.1.70", PORT))
        wait_for(
            "all of it to be counted",
            lambda: sum(home.tally()["strangers"].values()) - sum(before["strangers"].values()) >= 81,
            within=WITHIN,
        )
    probing.notes.forget()
    both_answer(probing.notes, 3)
    assert not probing.notes.sessions
