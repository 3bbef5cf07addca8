"""Users of an exit: counted apart, held to their rate and their volume, and changed by a reload."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

from tests.netns.relay.asking import Asker
from tests.netns.relay.places import echo, exactly, listen
from tests.netns.relay.street import SERVER, Plait, Street, exit_config, plain_log

EXIT = "10.1.1.70"
USERS = """
[[user]]
name = "roof"
password = "of the roof"
rate = "16 Mbit/s"
[[user]]
name = "cellar"
password = "of the cellar"
volume = "1 MB"
volume_period = "month"
"""


def user(exit: Plait, name: str) -> dict[str, Any]:
    return next(each for each in exit.status()["users"] if each["name"] == name)


def is_reset(asker: Asker, data: bytes, *, times: int = 1) -> bool:
    """Whether the conversation ends in a reset, wherever that is met with."""
    try:
        for _ in range(times):
            asker.send(data)
            if len(asker.receive(len(data))) < len(data):
                return False
    except (ConnectionResetError, BrokenPipeError):
        return True
    return asker.how_it_ends()[1] == "reset"


def test_users(street: Street) -> None:
    exit = street.plait(street.exit, "exit", exit_config(rest=USERS, workers=2))
    with echo(street.server, SERVER[4]) as server, ExitStack() as stack:

        def asker(password: str) -> Asker:
            return stack.enter_context(made(password))

        def made(password: str) -> Asker:
            return Asker(street.gateway, EXIT, SERVER[4], server.port, password=password)

        roof, cellar, other = (
            asker("of the roof"),
            asker("of the cellar"),
            asker("correct horse battery staple"),
        )
        for each in (roof, cellar, other):
            each.send(b"x" * 1000)
            assert each.receive(1000) == b"x" * 1000
        exit.until("counts", lambda _: user(exit, "roof")["up_bytes"] == 1000)
        found = user(exit, "cellar")
        assert (found["open"], found["total"], found["up_bytes"], found["down_bytes"]) == (1, 1, 1000, 1000)
        assert found["used_bytes"] == 2000
        assert found["state"] == "ok"

        # The volume: everybody else goes on.
        assert is_reset(cellar, b"x" * 100_000, times=20)
        exit.until("the volume to be used up", lambda _: user(exit, "cellar")["state"] == "spent")
        exit.until_log("user cellar has used up its volume")
        with made("of the cellar") as refused:
            assert is_reset(refused, b"again")
        assert exit.status()["sessions"]["outcomes"]["barred"] == 1
        for each in (roof, other):
            each.send(b"still")
            assert each.receive(5) == b"still"

        # A reload: one user goes, one comes, one gets more; who stays is not touched.
        text = exit.config.read_text().replace("roof", "loft").replace('"1 MB"', '"100 MB"')
        exit.rewrite(text)
        os.kill(exit.pid, signal.SIGHUP)
        exit.until_log("config reloaded")
        assert roof.how_it_ends()[1] == "reset", "no user any more"
        other.send(b"still")
        assert other.receive(5) == b"still"
        for password in ("of the loft", "of the cellar"):
            with made(password) as welcome:
                welcome.send(b"hello")
                assert welcome.receive(5) == b"hello"
        assert user(exit, "cellar")["used_bytes"] > 1_000_000
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()


def test_a_rate_holds_for_all_connections_of_a_user_together(street: Street) -> None:
    exit = street.plait(street.exit, "exit", exit_config(rest=USERS, workers=2))
    seconds, rate = 3.0, 16e6 / 8
    with listen(street.server, SERVER[4]) as listener:
        stop = threading.Event()
        took = [0]

        def send(sock: socket.socket) -> None:
            block = bytes(65536)
            try:
                while not stop.is_set():
                    sock.sendall(block)
            except OSError:
                pass

        askers = []
        for _ in range(4):
            asker = Asker(
                street.gateway,
                EXIT,
                SERVER[4],
                listener.getsockname()[1],
                password="of the roof",
                payload=b"?",
            )
            far, _ = listener.accept()
            assert exactly(far, 1) == b"?"
            threading.Thread(target=send, args=(far,), daemon=True).start()
            askers.append((asker, far))

        def receive(asker: Asker) -> None:
            try:
                while data := asker.sock.recv(1 << 18):
                    took[0] += len(data)
            except OSError:
                pass

        for asker, _ in askers:
            threading.Thread(target=receive, args=(asker,), daemon=True).start()
        exit.until("all four to be open", lambda _: user(exit, "roof")["open"] == 4)
        begun, before = time.monotonic(), took[0]
        while time.monotonic() < begun + seconds:
            time.sleep(0.05)
        passed, carried = time.monotonic() - begun, took[0] - before
        stop.set()
        # Never more, whatever else this host does meanwhile; the slack is one burst and one turn each.
        assert carried <= 1.1 * rate * passed + 1_000_000
        assert carried >= 0.3 * rate * passed
        for asker, far in askers:
            asker.close()
            far.close()
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()
