"""How large a packet each path lets through: asked when a path comes up or has moved, and now and then.

A process of its own asks (`courier.sizer`). What is smaller than the link is told the keeper, which keeps TCP
to it, and has the path's subflows made anew, as segments that were agreed on are too large.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import socket
import sys
from collections.abc import Callable

from plait.config.model import Config
from plait.control.errands import away_order
from plait.control.keeper import Keeper
from plait.courier.orders import WayOrder
from plait.courier.sizer import Order
from plait.paths.choice import probe_ways
from plait.paths.clamping import Clamp
from plait.paths.model import Way
from plait.paths.standing import Condition
from plait.relay.orders import line

log = logging.getLogger(__name__)

_EVERY = 1800.0
"""Seconds until a path is asked again."""
_TICK = 1.0
_LIMIT = 60.0
"""Seconds that asking may take."""
_LARGEST = 9000
_FLOOR = 576
"""Nobody is believed who says less."""


class Sizes:
    """Asks for the paths that are due, one after the other."""

    def __init__(self, keeper: Keeper, unprivileged: Callable[[], tuple[int, int]]) -> None:
        self._keeper = keeper
        self._unprivileged = unprivileged
        self.identity = bytes(16)
        """The gateway's; exits are shown another one."""
        self._asked: dict[str, tuple[float, Way]] = {}
        """When each path was asked last, and which way it went then."""

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(_TICK)
            config = self._keeper.config
            for way in self._due(config):
                self._asked[way.path] = asyncio.get_running_loop().time(), way
                try:
                    async with asyncio.timeout(_LIMIT):
                        found = await self._ask(config, way)
                except (TimeoutError, OSError) as error:
                    log.debug("path %s: its size was not found out: %s", way.path, error)
                    continue
                if found is not None:
                    self._took(way, found)

    def _due(self, config: Config) -> list[Way]:
        """A way for each path that answers, is not metered, and was not asked lately, or goes elsewhere."""
        if config.gateway is None:
            return []
        now, keeper = asyncio.get_running_loop().time(), self._keeper
        metered = {path.name for path in config.paths if path.metered}
        found: dict[str, Way] = {}
        for ways in probe_ways(config, keeper.view.snapshot, keeper.peers).values():
            for way in ways:
                standing = keeper.health.get(way.path)
                if standing is None or standing.condition is not Condition.UP or way.path in metered:
                    continue
                found.setdefault(way.path, way)
        return [
            way
            for name, way in found.items()
            if (last := self._asked.get(name)) is None or now > last[0] + _EVERY or last[1] != way
        ]

    async def _ask(self, config: Config, way: Way) -> int | None:
        peer = next(peer for peer in config.peers if peer.name == way.exit_name)
        uid, gid = self._unprivileged()
        order = Order(
            identity=hashlib.blake2s(self.identity, digest_size=16, person=b"sizer").hexdigest(),
            away=away_order(config, peer, []),
            ways=[
                WayOrder(
                    path=way.path,
                    remote=str(way.remote),
                    port=way.port,
                    local=str(way.local),
                    interface=way.interface,
                )
            ],
            mtus=[min(self._mtu(way), _LARGEST)],
            uid=uid,
            gid=gid,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "plait.courier.sizer", str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip
            theirs.close()
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            writer.write(line(order.to_json()))
            answer = await reader.readline()
            writer.close()
        finally:
            theirs.close()
            ours.close()
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        mtu = json.loads(answer)["mtu"] if answer else None
        return mtu if isinstance(mtu, int) and mtu >= _FLOOR else None

    def _mtu(self, way: Way) -> int:
        link = self._keeper.view.snapshot.link(way.interface)
        return link.mtu if link is not None and link.mtu else 1500

    def _took(self, way: Way, mtu: int) -> None:
        keeper = self._keeper
        before = {clamp.interface: clamp.mtu for clamp in keeper.clamps}
        now = dict(before)
        if mtu < min(self._mtu(way), _LARGEST):
            now[way.interface] = mtu
        else:
            now.pop(way.interface, None)
        if now == before:
            return
        keeper.clamps = tuple(Clamp(interface, size) for interface, size in sorted(now.items()))
        if way.interface in now:
            log.info("path %s: packets of at most %d bytes get through: TCP is kept to that", way.path, mtu)
        else:
            log.info("path %s: packets as large as its link takes get through again", way.path)
        keeper.wake()
        if now.get(way.interface, mtu) < before.get(way.interface, _LARGEST):
            keeper.renew([way.path])
