"""The courier's keeper, with real couriers on loopback."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import cast

import pytest

from plait.config.model import Config, Exit, Method, Mode, Peer, Secret, User
from plait.control.courier import Courier, _Process
from plait.control.errands import identity_of
from plait.errors import PlaitError
from plait.kernel.udp import open_door
from plait.paths.model import Way
from plait.wire.noise import public_key

PATIENCE = 20.0
LOOPBACK = IPv4Address("127.0.0.1")


class Notebook:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.echoes: list[tuple[str, str, float, float]] = []
        self.silences: list[tuple[str, str, float]] = []
        self.capacities: list[tuple[str, str, int | None, int | None]] = []
        self.sessions: list[tuple[str, bool]] = []

    def echo(self, exit: str, path: str, sent: float, rtt: float) -> None:
        self.echoes.append((exit, path, sent, rtt))

    def silent(self, exit: str, path: str, sent: float) -> None:
        self.silences.append((exit, path, sent))

    def capacity(self, exit: str, path: str, up: int | None, down: int | None) -> None:
        self.capacities.append((exit, path, up, down))

    def session(self, exit: str, up: bool, why: str) -> None:
        self.sessions.append((exit, up))


def free_port() -> int:
    with open_door("127.0.0.1", 0) as door:
        return int(door.getsockname()[1])


def config_of(port: int, *, password: str = "secret", method: Method = Method.AES_128_GCM) -> Config:
    private = bytes(range(32))
    return Config(
        peers=(
            Peer(
                name="attic",
                address=("127.0.0.1",),
                port=port,
                method=method,
                password=Secret(password),
                public_key=base64.b64encode(public_key(private)).decode(),
            ),
        ),
        exit=Exit(
            listen=(LOOPBACK, IPv6Address("::1")),
            port=port,
            method=method,
            private_key=Secret(base64.b64encode(private).decode()),
            trust=(),
        ),
        users=(User(name="roof", password=Secret("secret")),),
    )


async def renew(courier: Courier, config: Config) -> None:
    await courier.renew(config, identity=bytes(16), uid=os.getuid(), gid=os.getgid(), verbose=0)


def ways(port: int) -> dict[str, list[Way]]:
    return {
        "attic": [
            Way(
                exit_name="attic",
                path="wan1",
                interface="lo",
                mode=Mode.ON,
                local=LOOPBACK,
                remote=ip_address("127.0.0.1"),
                port=port,
            )
        ]
    }


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def run(test: Callable[[Courier, Notebook, int], Awaitable[None]]) -> None:
    async def whole() -> None:
        notebook = Notebook()
        courier = Courier(notebook)
        try:
            await test(courier, notebook, free_port())
        finally:
            await courier.stop()

    asyncio.run(whole())


def test_it_hears_what_the_courier_finds() -> None:
    async def test(courier: Courier, notebook: Notebook, port: int) -> None:
        assert await courier.tally() is None
        courier.ways(ways(port))  # before it runs: it is told when it does
        courier.pace({"wan1": 0.05})
        await renew(courier, config_of(port))
        await until(lambda: len(notebook.echoes) > 2)
        assert notebook.sessions == [("attic", True)]
        name, path, sent, rtt = notebook.echoes[0]
        assert (name, path) == ("attic", "wan1")
        assert 0 < rtt < PATIENCE < sent + PATIENCE
        courier.burst(["wan1"])
        courier.train(["wan1"])
        await until(lambda: notebook.capacities)
        tally = await courier.tally()
        assert tally is not None
        assert tally["pid"] == courier.pid

    run(test)


def test_one_that_dies_is_replaced_and_told_again() -> None:
    async def test(courier: Courier, notebook: Notebook, port: int) -> None:
        courier.ways(ways(port))
        await renew(courier, config_of(port))
        await until(lambda: notebook.echoes)
        first = courier.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        # What it had still said is heard before it is missed.
        await until(lambda: courier.restarts == 1 and courier.pid not in (None, first))
        notebook.echoes.clear()
        await until(lambda: notebook.echoes)
        assert courier.restarts == 1

    run(test)


def test_a_reload_that_changes_nothing_leaves_it_alone() -> None:
    async def test(courier: Courier, notebook: Notebook, port: int) -> None:
        courier.ways(ways(port))
        await renew(courier, config_of(port))
        first = courier.pid
        await renew(courier, config_of(port))
        assert courier.pid == first
        await until(lambda: notebook.echoes)
        await renew(courier, config_of(port, password="another"))
        assert courier.pid != first
        await until(lambda: ("attic", False) in notebook.sessions)
        assert courier.restarts == 0

    run(test)


def test_a_port_that_is_taken_is_named_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.control.errands._TRIES", 2)

    async def test(courier: Courier, notebook: Notebook, port: int) -> None:
        courier.ways(ways(port))
        await renew(courier, config_of(port))
        with open_door("127.0.0.1", 0) as other:
            taken = other.getsockname()[1]
            with pytest.raises(PlaitError, match=f"UDP 127.0.0.1:{taken} is taken"):
                await renew(courier, config_of(taken))
        notebook.echoes.clear()
        await until(lambda: notebook.echoes)
        assert courier.restarts == 0

    run(test)


def test_stopping_gives_the_ports_back() -> None:
    async def test(courier: Courier, notebook: Notebook, port: int) -> None:
        await renew(courier, config_of(port))
        await courier.stop()
        assert courier.pid is None
        for address in ("127.0.0.1", "::1"):
            open_door(address, port).close()

    run(test)


def test_a_gateway_is_known_by_machine_place_and_links() -> None:
    one = identity_of(Path("/run/plait"), ["02:00:00:00:00:01", "02:00:00:00:00:02"])
    assert len(one) == 16
    assert one == identity_of(Path("/run/plait"), ["02:00:00:00:00:02", "02:00:00:00:00:01"])
    assert one != identity_of(Path("/run/other"), ["02:00:00:00:00:01", "02:00:00:00:00:02"])
    assert one != identity_of(Path("/run/plait"), [])


def test_users_and_lists_change_without_another_courier() -> None:
    async def test(courier: Courier, notebook: Notebook, port: int) -> None:
        courier.ways(ways(port))
        await renew(courier, config_of(port))
        await until(lambda: ("attic", True) in notebook.sessions)
        first, config = courier.pid, config_of(port)
        assert config.exit is not None
        for changed in (
            replace(config, users=(*config.users, User(name="boat", password=Secret("ahoy")))),
            replace(config, exit=replace(config.exit, deny=(ip_network("192.0.2.0/24"),))),
            replace(config, users=(User(name="roof", password=Secret("another")),)),
        ):
            await renew(courier, changed)
            assert courier.pid == first
        # Who has the former password only can't begin anything, with this one or with another courier.
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: ("attic", False) in notebook.sessions)
        assert courier.pid != first

    run(test)


def test_what_users_have_carried_outlives_the_courier() -> None:
    async def test(courier: Courier, notebook: Notebook, port: int) -> None:
        first, second, third = (cast("_Process", object()) for _ in range(3))
        told = [
            courier._with_retired(first, {"roof": [300, 400]}),
            courier._with_retired(first, {"roof": [500, 600]}),
            courier._with_retired(second, {"attic": [7, 8]}),
            courier._with_retired(third, {"roof": [50, 60]}),
        ]
        assert [each["roof"] for each in told] == [[300, 400], [500, 600], [500, 600], [550, 660]]
        assert told[3]["attic"] == [7, 8]

    run(test)
