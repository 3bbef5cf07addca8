"""What stands before the web server: how many may connect, and how long they may say nothing.

A connection without a request being answered, be it that the head of one comes a byte at a time or that
nothing comes, is closed after a while; and no address has more than its share of connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

MOST = 128
"""Connections in all."""
SHARE = 24
"""Connections of one address: a browser opens some six."""
PATIENCE = 12.0
"""Seconds without a request being answered."""


class Gate:
    """All connections."""

    def __init__(self, *, most: int = MOST, share: int = SHARE, patience: float = PATIENCE) -> None:
        self._most = most
        self._share = share
        self.patience = patience
        self._by_address: Counter[str] = Counter()
        self.guards: dict[asyncio.BaseTransport, Guard] = {}
        self.refused = 0
        """Connections that were one too many."""

    def admit(self, address: str) -> bool:
        """Count a connection; False when it is one too many."""
        if len(self.guards) >= self._most or self._by_address[address] >= self._share:
            self.refused += 1
            return False
        self._by_address[address] += 1
        return True

    def left(self, address: str) -> None:
        """It has ended."""
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def begin(self, transport: asyncio.BaseTransport | None) -> None:
        """A request is being answered."""
        guard = self.guards.get(transport) if transport is not None else None
        if guard is not None:
            guard.busy(True)

    def end(self, transport: asyncio.BaseTransport | None) -> None:
        """It has been."""
        guard = self.guards.get(transport) if transport is not None else None
        if guard is not None:
            guard.busy(False)


class Guard(asyncio.Protocol):
    """One connection: hands everything on to the server's own protocol, if it is let in at all."""

    def __init__(self, gate: Gate, inner: asyncio.Protocol) -> None:
        self._gate = gate
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._address: str | None = None
        self._busy = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not self._gate.admit(address):
            self._transport.abort()
            return
        self._address = address
        self._gate.guards[transport] = self
        self._inner.connection_made(transport)
        self._wind()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._timer is not None:
            self._timer.cancel()
        if self._address is not None and self._transport is not None:
            self._gate.left(self._address)
            del self._gate.guards[self._transport]
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._address is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """See `asyncio.Protocol`."""
        return self._inner.eof_received() if self._address is not None else None

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._address is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._address is not None:
            self._inner.resume_writing()

    def busy(self, busy: bool) -> None:
        """Whether a request is being answered now."""
        self._busy += 1 if busy else -1
        self._wind()

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._busy:
            self._timer = asyncio.get_running_loop().call_later(self._gate.patience, self._over)

    def _over(self) -> None:
        if self._transport is not None:
            self._transport.abort()
