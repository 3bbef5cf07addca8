"""A gateway's end and an exit's on loopback, in one loop that is turned by hand."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from tests.unit.relay.turning import turn

from plait.courier.away import Away
from plait.courier.home import Home
from plait.courier.orders import AwayOrder, HomeOrder, WayOrder
from plait.courier.tally import Tally
from plait.kernel.udp import open_door
from plait.relay.loop import Loop
from plait.relay.orders import JsonObject
from plait.wire.greeting import preshared

IDENTITY = bytes(range(16))
PSK = preshared("correct horse").hex()


class Posts:
    """Whatever ends a test wants; ``said`` is what gateways told control."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.said: list[JsonObject] = []
        self.tally = Tally()
        """The exit's."""
        self.far = Tally()
        """The gateways'."""
        self.doors: list[socket.socket] = []
        self.aways: list[Away] = []
        self.home: Home

    def open_home(
        self,
        method: str = "aes-128-gcm",
        *,
        psks: dict[str, str] | None = None,
        private: str = "",
        trust: tuple[str, ...] = ("127.0.0.0/8", "::1/128"),
        port: int = 0,
        address: str = "127.0.0.1",
        seen: int = -1,
    ) -> int:
        """An exit; gives its port."""
        door = open_door(address, port)
        self.doors.append(door)
        order = HomeOrder(
            doors=[],
            method=method,
            psks={"": PSK} if psks is None else psks,
            private_key=private,
            trust=list(trust),
            seen_fd=seen,
        )
        self.home = Home(self.loop, [door], order, self.tally, secret=os.urandom(32))
        return int(door.getsockname()[1])

    def close_home(self) -> None:
        """The exit is no more."""
        for door in self.doors:
            self.loop.forget(door.fileno())
            door.close()
        self.doors.clear()

    def open_away(self, method: str = "aes-128-gcm", *, psk: str = PSK, exit_key: str = "") -> Away:
        """A gateway that has no paths yet."""
        order = AwayOrder(name="attic", method=method, psk="" if method == "none" else psk, exit_key=exit_key)
        away = Away(self.loop, order, IDENTITY, self.said.append, self.far)
        self.aways.append(away)
        return away

    def turn(self, until: Callable[[], object]) -> None:
        """Run until something is true."""
        turn(self.loop, until)

    def heard(self, kind: str, **fields: object) -> list[dict[str, object]]:
        """What gateways said of a kind, with these fields."""
        bodies = [message[kind] for message in self.said if kind in message]
        return [
            body
            for body in bodies
            if isinstance(body, dict) and all(body[key] == value for key, value in fields.items())
        ]

    def close(self) -> None:
        for away in self.aways:
            away.close()
        self.close_home()
        self.loop.close()


def way(port: int, path: str = "wan1", *, remote: str = "127.0.0.1", local: str = "127.0.0.1") -> WayOrder:
    return WayOrder(path=path, remote=remote, port=port, local=local, interface="lo")
