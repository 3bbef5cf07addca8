"""What was recorded before a restart is refused after it: by an exit of 2022, TCP and UDP."""

from __future__ import annotations

import os
import signal
import time
from ipaddress import ip_address
from pathlib import Path

from tests.netns.relay.asking import raw
from tests.netns.relay.letters import PASSWORDS, letters, udp_echo
from tests.netns.relay.places import echo, until_end
from tests.netns.relay.street import SERVER, Plait, Street, exit_config, plain_log

from plait.lab.node import wait_for
from plait.wire import shadowsocks2022_udp
from plait.wire.address import Target, encode
from plait.wire.cipher import Key
from plait.wire.shadowsocks2022 import Dial

EXIT = "10.1.1.70"
METHOD = "2022-blake3-aes-128-gcm"
KEY = Key.derive(METHOD, PASSWORDS[METHOD])
WITHIN = 20.0


def courier_of(exit: Plait) -> int:
    """The pid of the process that carries UDP; 0 while there is none."""
    for task in Path(f"/proc/{exit.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"plait.courier.process" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return 0


def next_second() -> None:
    """Stamps are whole seconds: what bears the one in which a memory begins is taken."""
    now = time.time()
    time.sleep(int(now) + 1.05 - now)


def test_a_courier_that_is_restarted_takes_nothing_recorded(street: Street) -> None:
    exit = street.plait(street.exit, "exit", exit_config(METHOD, password=PASSWORDS[METHOD]))
    talk = shadowsocks2022_udp.Talk(KEY, os.urandom, time.time)
    with udp_echo(street.server, SERVER[4]) as udp, letters(street.gateway, "10.1.1.78") as sock:
        header = encode(Target(ip_address(SERVER[4]), udp.port))
        recorded = talk.seal(header, b"once")
        sock.sendto(recorded, (EXIT, 8388))
        assert talk.open(sock.recv(4096)).payload == b"Eonce"
        first = courier_of(exit)
        next_second()
        os.kill(first, signal.SIGKILL)
        wait_for("another courier", lambda: courier_of(exit) not in (0, first), within=WITHIN)
        sock.settimeout(0.3)

        def goes_on() -> bool:
            # What waits while there is no courier is stamped before the next one begins, and lost.
            sock.sendto(talk.seal(header, b"twice"), (EXIT, 8388))
            try:
                return talk.open(sock.recv(4096)).payload == b"Etwice"
            except TimeoutError:
                return False

        wait_for("the client's session to go on", goes_on, within=WITHIN)
        heard = len(udp.heard)
        sock.settimeout(WITHIN)
        sock.sendto(recorded, (EXIT, 8388))
        # What comes after shows that it was looked at.
        sock.sendto(talk.seal(header, b"thrice"), (EXIT, 8388))
        while talk.open(sock.recv(4096)).payload != b"Ethrice":
            pass
        assert len(udp.heard) == heard + 1
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()


def test_an_exit_that_is_restarted_takes_nothing_recorded(street: Street) -> None:
    config = exit_config(METHOD, password=PASSWORDS[METHOD], relay="handshake_timeout = 1")
    exit = street.plait(street.exit, "exit", config)
    with echo(street.server, SERVER[4]) as server:

        def greeting() -> bytes:
            target = encode(Target(ip_address(SERVER[4]), server.port))
            return Dial(KEY, os.urandom, time.time).first(target, b"hello")[0]

        recorded = greeting()
        with raw(street.gateway, EXIT, recorded) as sock:
            assert sock.recv(4096)
        next_second()
        assert exit.stop() == 0
        exit = street.plait(street.exit, "exit", config)
        accepted = server.accepted
        with raw(street.gateway, EXIT, recorded) as sock:
            assert until_end(sock) == (b"", "eof")
        assert server.accepted == accepted
        assert exit.status()["sessions"]["strangers"] == {"out of time": 1}
        with raw(street.gateway, EXIT, greeting()) as sock:
            assert sock.recv(4096)
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()
