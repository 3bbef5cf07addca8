"""Strangers, wrong clocks and replays at an exit of 2022, TCP and UDP: dropped, counted, told nothing."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from tests.netns.relay.asking import raw
from tests.netns.relay.letters import PASSWORDS, UdpEcho, hear, letters, udp_echo
from tests.netns.relay.places import Echo, echo, until_end
from tests.netns.relay.street import SERVER, Plait, Street, exit_config, plain_log

from plait.wire import shadowsocks2022_udp
from plait.wire.address import Target, encode
from plait.wire.cipher import Key
from plait.wire.shadowsocks2022 import Dial

EXIT = "10.1.1.70"
METHOD = "2022-blake3-aes-128-gcm"
HANDSHAKE = 4.0
KEY = Key.derive(METHOD, PASSWORDS[METHOD])
OTHER = Key.derive(METHOD, "b" * 22 + "==")


@pytest.fixture(scope="module")
def exit(street: Street) -> Iterator[Plait]:
    config = exit_config(METHOD, password=PASSWORDS[METHOD], relay=f"handshake_timeout = {HANDSHAKE}")
    exit = street.plait(street.exit, "exit", config)
    street.lasting.append(exit.process)
    yield exit
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()
    assert PASSWORDS[METHOD] not in exit.log()


@pytest.fixture(scope="module")
def server(street: Street) -> Iterator[Echo]:
    with echo(street.server, SERVER[4]) as server:
        yield server


@pytest.fixture(scope="module")
def udp(street: Street) -> Iterator[UdpEcho]:
    with udp_echo(street.server, SERVER[4]) as server:
        yield server


def greeting(port: int, *, key: Key = KEY, off: float = 0.0) -> bytes:
    target = encode(Target(ip_address(SERVER[4]), port))
    return Dial(key, os.urandom, lambda: time.time() + off).first(target, b"hello")[0]


def absurd(port: int) -> bytes:
    """A head that promises 65535 bytes and never gives them."""
    salt = os.urandom(16)
    fixed = b"\0" + int(time.time()).to_bytes(8, "big") + b"\xff\xff"
    return salt + KEY.session(salt).encrypt(bytes(12), fixed, None) + bytes(1000)


def test_strangers_are_held_and_told_nothing(street: Street, exit: Plait, server: Echo) -> None:
    said = {
        "slow clock": (greeting(server.port, off=-45), "out of time"),
        "fast clock": (greeting(server.port, off=45), "out of time"),
        "another key": (greeting(server.port, key=OTHER), "unsealed"),
        "noise": (os.urandom(5000), "unsealed"),
        "half a head": (greeting(server.port)[:30], "silent"),
        "cut in the second head": (greeting(server.port)[:-1], "silent"),
        "absurd length": (absurd(server.port), "silent"),
    }
    before, accepted = exit.status()["sessions"]["strangers"], server.accepted
    begun = time.monotonic()
    socks = {name: raw(street.gateway, EXIT, data) for name, (data, _) in said.items()}
    readable, _, _ = select.select(
        socks.values(), [], [], max(0.0, begun + HANDSHAKE - 0.5 - time.monotonic())
    )
    assert not readable
    assert {name: until_end(sock) for name, sock in socks.items()} == dict.fromkeys(said, (b"", "eof"))
    for sock in socks.values():
        sock.close()
    kinds = [kind for _, kind in said.values()]
    strangers = exit.status()["sessions"]["strangers"]
    assert {kind: strangers[kind] - before.get(kind, 0) for kind in kinds} == {
        kind: kinds.count(kind) for kind in kinds
    }
    assert server.accepted == accepted


def test_a_recorded_request_is_refused(street: Street, exit: Plait, server: Echo) -> None:
    recorded = greeting(server.port)
    with raw(street.gateway, EXIT, recorded) as first:
        assert first.recv(4096)
        accepted = server.accepted
        with raw(street.gateway, EXIT, recorded) as second:
            assert until_end(second) == (b"", "eof")
    assert exit.status()["sessions"]["strangers"]["replayed"] == 1
    assert server.accepted == accepted


def test_datagrams_that_are_no_good_go_nowhere(street: Street, exit: Plait, udp: UdpEcho) -> None:
    header = encode(Target(ip_address(SERVER[4]), udp.port))

    def talk(key: Key = KEY, off: float = 0.0) -> shadowsocks2022_udp.Talk:
        return shadowsocks2022_udp.Talk(key, os.urandom, lambda: time.time() + off)

    good = talk()
    recorded = good.seal(header, b"once")
    with letters(street.gateway, "10.1.1.78") as sock:
        sock.sendto(recorded, (EXIT, 8388))
        assert good.open(sock.recv(4096)).payload == b"Eonce"
        heard = len(udp.heard)
        for bad in (
            recorded,
            recorded[:-1],
            talk(off=-45).seal(header, b"?"),
            talk(off=45).seal(header, b"?"),
            talk(OTHER).seal(header, b"?"),
            b"",
            b"\x73" * 100,
            os.urandom(1400),
        ):
            sock.sendto(bad, (EXIT, 8388))
        # What comes after shows that all of it was looked at.
        sock.sendto(good.seal(header, b"twice"), (EXIT, 8388))
        assert good.open(sock.recv(4096)).payload == b"Etwice"
        assert not hear(sock)
        assert len(udp.heard) == heard + 1
