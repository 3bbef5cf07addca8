from __future__ import annotations

import asyncio

from plait.views.web.guard import Gate, Guard


class Inner(asyncio.Protocol):
    """What the server's own protocol is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")

    def data_received(self, data: bytes) -> None:
        self.told.append(data)


class Line(asyncio.Transport):
    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 4000)})
        self.aborted = False
        self.guard: Guard | None = None

    def abort(self) -> None:
        self.aborted = True
        assert self.guard is not None
        self.guard.connection_lost(None)


def connect(gate: Gate, address: str) -> tuple[Line, Inner, Guard]:
    inner, line = Inner(), Line(address)
    guard = line.guard = Guard(gate, inner)
    guard.connection_made(line)
    return line, inner, guard


def test_each_address_has_its_share_and_all_have_a_limit() -> None:
    async def check() -> None:
        gate = Gate(most=5, share=3)
        first = [connect(gate, "10.0.0.1") for _ in range(4)]
        assert [line.aborted for line, _, _ in first] == [False, False, False, True]
        assert first[3][1].told == []
        first[3][2].data_received(b"GET /")
        assert first[3][1].told == [], "who was not let in is not listened to"
        others = [connect(gate, f"10.0.0.{n}") for n in (2, 3, 4)]
        assert [line.aborted for line, _, _ in others] == [False, False, True]
        assert gate.refused == 2
        first[0][2].connection_lost(None)
        assert not connect(gate, "10.0.0.1")[0].aborted
        assert len(gate.guards) == 5

    asyncio.run(check())


def test_who_says_nothing_is_sent_away_and_who_is_answered_is_not() -> None:
    async def check() -> None:
        gate = Gate(patience=0.05)
        slow, told, guard = connect(gate, "10.0.0.1")
        busy, _, _ = connect(gate, "10.0.0.1")
        gate.begin(busy)
        for _ in range(10):
            if slow.aborted:
                break
            guard.data_received(b"x")
            await asyncio.sleep(0.02)
        assert slow.aborted
        assert told.told[-1] == "lost"
        await asyncio.sleep(0.1)
        assert not busy.aborted
        gate.end(busy)
        await asyncio.sleep(0.1)
        assert busy.aborted
        assert not gate.guards

    asyncio.run(check())
