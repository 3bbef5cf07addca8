"""The exits' addresses: literal ones as they are, host names looked up, and again every now and then."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from plait.config.model import IPAddress, Peer

log = logging.getLogger(__name__)

AGAIN = 60.0
"""Seconds between two look-ups of the names, and after one that failed."""
LOST = 3.0
"""The same while an exit is lost: it may have moved."""


def literal(text: str) -> IPAddress | None:
    """The address that ``text`` spells, if it is one."""
    try:
        return ip_address(text)
    except ValueError:
        return None


class Names:
    """Keeps the last good answer: a resolver that is down must not take the exits away."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._peers = tuple(peers)
        self._known: dict[str, tuple[IPAddress, ...]] = {}

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to look up."""
        return all(literal(text) for peer in self._peers for text in peer.address)

    def addresses(self) -> dict[str, tuple[IPAddress, ...]]:
        """What each exit's addresses are, as far as known, in the order of the config."""
        found = {}
        for peer in self._peers:
            listed: list[IPAddress] = []
            for text in peer.address:
                address = literal(text)
                listed += [address] if address is not None else self._known.get(text, ())
            found[peer.name] = tuple(dict.fromkeys(listed))
        return found

    async def refresh(self) -> bool:
        """Look the names up; whether anything has changed."""
        before = self.addresses()
        names = {text for peer in self._peers for text in peer.address if literal(text) is None}
        await asyncio.gather(*(self._look_up(name) for name in names))
        return self.addresses() != before

    async def _look_up(self, name: str) -> None:
        try:
            async with asyncio.timeout(10):
                found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            if name not in self._known:
                log.warning("exit address %s can't be resolved: %s; trying again", name, error)
            return
        self._known[name] = tuple(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))
