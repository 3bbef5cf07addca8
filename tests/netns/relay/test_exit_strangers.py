"""Who is served by an exit, who is held and told nothing, and for how long anybody is waited for."""

from __future__ import annotations

import os
import random
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from tests.netns.relay.asking import Asker, raw
from tests.netns.relay.places import (
    PATIENCE,
    Echo,
    accept,
    connect,
    descriptors,
    echo,
    exactly,
    listen,
    maps_other_users,
    silent,
    until_end,
)
from tests.netns.relay.street import PASSWORD, SERVER, Plait, Street, exit_config, plain_log

from plait.lab.node import wait_for
from plait.wire.address import Target, encode
from plait.wire.cipher import Key
from plait.wire.shadowsocks import Dial

EXIT = "10.1.1.70"
HANDSHAKE = 1.5
OPEN_PORT, SHORT_PORT = 8500, 8600
"""Of the exits with method none, and with short timeouts."""

USERS = """
[[user]]
name = "roof"
password = "roof's own"
[[user]]
name = "cellar"
password = "cellar's own"
"""


@pytest.fixture(scope="module")
def exit(street: Street) -> Iterator[Plait]:
    config = exit_config(relay=f"handshake_timeout = {HANDSHAKE}\nconnect_timeout = 2", rest=USERS)
    yield from run(street, config, "/run/plait")


@pytest.fixture(scope="module")
def open_exit(street: Street) -> Iterator[Plait]:
    """Method none; trusts one of the gateway's addresses only. Beside the other one on one host."""
    config = f"""
[exit]
method = "none"
port = {OPEN_PORT}
trust = ["10.1.1.78/32", "fd01::/64"]
[relay]
workers = 1
handshake_timeout = {HANDSHAKE}
"""
    yield from run(street, config, "/run/plait/open")


@pytest.fixture(scope="module")
def short_exit(street: Street) -> Iterator[Plait]:
    lines = f"port = {SHORT_PORT}"
    config = exit_config(exit_lines=lines, relay="idle_timeout = 2\nhalf_close_timeout = 1")
    yield from run(street, config, "/run/plait/short")


def run(street: Street, config: str, run_dir: str) -> Iterator[Plait]:
    exit = street.plait(street.exit, "exit", config, run_dir=run_dir)
    yield exit
    assert exit.stop() == 0
    log = exit.log()
    assert plain_log(log), log
    assert PASSWORD not in log
    assert "own" not in log.replace("own addresses", "")


@pytest.fixture(scope="module")
def server(street: Street) -> Iterator[Echo]:
    with echo(street.server, SERVER[4]) as server:
        yield server


def greeting(
    password: str = PASSWORD, method: str = "aes-128-gcm", payload: bytes = b"hello", port: int = 7
) -> bytes:
    key = Key.derive(method, password)
    target = encode(Target(IPv4Address(SERVER[4]), port))
    return Dial(key, os.urandom(key.salt_size)).first(target, payload)[0]


def refused(sock: socket.socket) -> bool:
    """Whether a write tells of a reset."""
    try:
        sock.sendall(b"x")
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


STRANGERS = {
    "silent": (b"", "silent"),
    "http": (b"GET / HTTP/1.1\r\nHost: exit\r\n\r\n" * 4, "unsealed"),
    "tls": (bytes.fromhex("1603010200010001fc0303") + random.Random(5).randbytes(500), "unsealed"),
    "zeros": (bytes(4096), "unsealed"),
    "salt only": (random.Random(6).randbytes(16), "silent"),
    "short": (b"\x05\x01\x00", "silent"),
    "much": (random.Random(7).randbytes(300_000), "unsealed"),
    "another password": (greeting("another"), "unsealed"),
    "another method": (greeting(method="aes-256-gcm"), "unsealed"),
    "cut in the first chunk": (greeting()[:-3], "silent"),
    "flipped salt": (flipped(greeting(), 3), "unsealed"),
    "flipped length": (flipped(greeting(), 17), "unsealed"),
    "flipped payload": (flipped(greeting(), 40), "unsealed"),
}


def test_strangers_are_held_and_told_nothing(street: Street, exit: Plait) -> None:
    before = exit.status()["sessions"]["strangers"]
    begun = time.monotonic()
    socks = {name: raw(street.gateway, EXIT, data) for name, (data, _) in STRANGERS.items()}
    sent = time.monotonic()
    time_left = max(0.0, begun + HANDSHAKE - 0.2 - time.monotonic())
    readable, _, _ = select.select(socks.values(), [], [], time_left)
    assert not readable
    # All are let go like one who never spoke: after the handshake timeout, with a plain end.
    assert {name: until_end(sock) for name, sock in socks.items()} == dict.fromkeys(STRANGERS, (b"", "eof"))
    assert time.monotonic() - sent < HANDSHAKE + 3
    for sock in socks.values():
        sock.close()
    for kind, count in Counter(kind for _, kind in STRANGERS.values()).items():
        assert exit.status()["sessions"]["strangers"][kind] == before.get(kind, 0) + count


def test_a_replay_is_a_stranger(street: Street, exit: Plait, server: Echo) -> None:
    with Asker(street.gateway, EXIT, SERVER[4], server.port, payload=b"once") as asker:
        assert asker.receive(4) == b"once"
        before = server.accepted
        sock = raw(street.gateway, EXIT, asker.first)
        assert silent(sock, HANDSHAKE - 0.3)
        assert until_end(sock) == (b"", "eof")
        sock.close()
    assert server.accepted == before
    assert exit.status()["sessions"]["strangers"]["replayed"] == 1


def test_the_exits_own_answer_sent_back_is_a_replay(street: Street, exit: Plait, server: Echo) -> None:
    with Asker(street.gateway, EXIT, SERVER[4], server.port, payload=b"mirror") as asker:
        answer = asker.sock.recv(65536)
    before = exit.status()["sessions"]["strangers"].get("replayed", 0)
    sock = raw(street.gateway, EXIT, answer)
    assert until_end(sock) == (b"", "eof")
    sock.close()
    after = exit.status()["sessions"]["strangers"]
    # What it opens to ("mirror") is no address: refused for either reason, before anything is dialled.
    assert after.get("replayed", 0) + after["unsealed"] > before


def test_a_flood_of_strangers_is_one_line(street: Street, exit: Plait) -> None:
    lines = [line for line in exit.log().splitlines() if "not authenticated" in line]
    assert lines, "strangers were to be mentioned"
    before = exit.status()["sessions"]["strangers"]["unsealed"]
    socks = [raw(street.gateway, EXIT, bytes(64)) for _ in range(200)]
    exit.until("all to be counted", lambda s: s["sessions"]["strangers"]["unsealed"] == before + 200)
    more = [line for line in exit.log().splitlines() if "not authenticated" in line]
    assert len(more) <= len(lines) + 1
    assert "password or method" in more[-1]
    for sock in socks:
        sock.close()


def test_a_forged_chunk_in_a_session_ends_it(street: Street, exit: Plait) -> None:
    with listen(street.server, SERVER[4]) as listener:
        asker = Asker(street.gateway, EXIT, SERVER[4], listener.getsockname()[1], payload=b"good")
        target = accept(listener)
    assert exactly(target, 4) == b"good"
    asker.sock.sendall(bytes(100))
    assert until_end(target) == (b"", "reset")
    assert asker.how_it_ends() == (b"", "reset")
    exit.until("it to be counted", lambda s: s["sessions"]["outcomes"].get("wrongly sealed") == 1)
    target.close()
    asker.close()


def test_a_session_that_is_cut_inside_a_chunk_is_a_reset(street: Street, exit: Plait) -> None:
    with listen(street.server, SERVER[4]) as listener:
        first = greeting(payload=b"whole", port=listener.getsockname()[1])
        sock = raw(street.gateway, EXIT, first)
        target = accept(listener)
    assert exactly(target, 5) == b"whole"
    sock.sendall(b"part of a chunk")
    sock.shutdown(socket.SHUT_WR)
    assert until_end(target) == (b"", "reset")
    target.close()
    sock.close()


def test_users_have_passwords_of_their_own(street: Street, exit: Plait, server: Echo) -> None:
    for password in ("roof's own", "cellar's own", PASSWORD):
        with Asker(street.gateway, EXIT, SERVER[4], server.port, password=password, payload=b"mine") as asker:
            assert asker.receive(4) == b"mine"
            asker.send(b"more")
            assert asker.receive(4) == b"more"


def test_method_none_trusts_by_address(street: Street, exit: Plait, open_exit: Plait, server: Echo) -> None:
    def ask(source: str, address: str) -> tuple[bytes, str]:
        try:
            sock = connect(street.gateway, address, OPEN_PORT, source=source)
        except ConnectionResetError:
            return b"", "reset"  # it came before we looked
        with sock:
            try:
                sock.sendall(encode(Target(IPv4Address(SERVER[4]), server.port)) + b"plain")
                sock.shutdown(socket.SHUT_WR)
            except OSError:  # the reset is there already: broken pipe, reset, or not connected any more
                return b"", "reset"
            return until_end(sock)

    assert ask("10.1.1.78", EXIT) == (b"plain", "eof")
    assert ask("fd01::78", "fd01::70") == (b"plain", "eof")
    assert ask("10.2.2.78", "10.2.2.70") == (b"", "reset")
    assert open_exit.status()["sessions"]["strangers"] == {"untrusted": 1}
    open_exit.until_log("not in trust")
    # The two that share this host have counted apart.
    assert "untrusted" not in exit.status()["sessions"]["strangers"]


@pytest.mark.parametrize(
    "data", [b"\x07rest", b"\x01\x00\x00\x00\x00\x00\x00", b"\x03\x00", b"\x03\x05a b.c\x00\x50"]
)
def test_method_none_holds_who_asks_for_nonsense(street: Street, open_exit: Plait, data: bytes) -> None:
    sock = raw(street.gateway, EXIT, data, OPEN_PORT)
    assert until_end(sock) == (b"", "eof") or data[0] == 1
    sock.close()


def test_an_idle_session_ends(street: Street, short_exit: Plait, server: Echo) -> None:
    with Asker(street.gateway, EXIT, SERVER[4], server.port, at=SHORT_PORT, payload=b"a") as asker:
        assert asker.receive(1) == b"a"
        begun = time.monotonic()
        # A byte now and then keeps it.
        while time.monotonic() - begun < 3:
            asker.send(b"b")
            assert asker.receive(1) == b"b"
            assert silent(asker.sock, 0.5)
        begun = time.monotonic()
        assert asker.how_it_ends() == (b"", "reset")
        assert 1.0 < time.monotonic() - begun < 6
    assert short_exit.status()["sessions"]["outcomes"]["idle too long"] == 1


def test_a_half_closed_session_ends_sooner(street: Street, short_exit: Plait) -> None:
    with listen(street.server, SERVER[4]) as listener:
        asker = Asker(street.gateway, EXIT, SERVER[4], listener.getsockname()[1], at=SHORT_PORT, payload=b"a")
        target = accept(listener)
    asker.sock.shutdown(socket.SHUT_WR)
    assert until_end(target) == (b"a", "eof")
    begun = time.monotonic()
    assert asker.how_it_ends() == (b"", "reset")
    assert 0.5 < time.monotonic() - begun < 5
    # After an end, only a write tells of a reset, and only once that has come.
    wait_for("the reset", lambda: refused(target), within=PATIENCE, every=0.02)
    target.close()
    asker.close()


def test_workers_have_no_privilege_and_need_no_file_any_more(street: Street, exit: Plait) -> None:
    for pid in exit.workers():
        with open(f"/proc/{pid}/status") as status:
            facts = {name: value.strip() for name, _, value in (line.partition(":") for line in status)}
        assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        if maps_other_users():
            assert facts["Uid"].split()[0] != "0"
        with open(f"/proc/{pid}/maps") as maps:
            assert "cryptography" in maps.read()


def test_an_idle_session_costs_two_descriptors(street: Street, exit: Plait, server: Echo) -> None:
    (worker,) = exit.workers()
    exit.until("all to have gone", lambda s: s["sessions"]["open"] == 0)
    before = descriptors(worker)
    askers = []
    for _ in range(100):
        asker = Asker(street.gateway, EXIT, SERVER[4], server.port, payload=b"a")
        assert asker.receive(1) == b"a"
        askers.append(asker)
    assert descriptors(worker) - before == 200
    for asker in askers:
        asker.close()
    exit.until("all to end", lambda s: s["sessions"]["open"] == 0)
    assert descriptors(worker) == before
