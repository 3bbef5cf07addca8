"""MPTCP where it works, the tunnel where it works over no path: which of the two new connections take.

Connections that exist stay where they are, in either direction of the change.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from plait.config.model import Config, TcpVia, UdpVia
from plait.control.keeper import Keeper
from plait.paths.options import none_left

log = logging.getLogger(__name__)


class Ladder:
    """Looks at the keeper's health and tells it whether TCP is the tunnel's."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def look(self, *, open: bool) -> Config:
        """The config by which the tunnel is to lead packets now; ``open`` is whether there is a tunnel."""
        keeper = self._keeper
        config, gateway = keeper.config, keeper.config.gateway
        if gateway is None or gateway.tcp is not TcpVia.MPTCP or gateway.udp is not UdpVia.TUNNEL:
            keeper.tunnelled = False
            return config
        before = keeper.tunnelled
        wanted = open and none_left({path.name: path.mode for path in config.paths}, keeper.health)
        if wanted != before:
            keeper.tunnelled = wanted
            keeper.wake()
            if wanted:
                log.warning("MPTCP works over no path: new TCP connections go through the tunnel")
            else:
                log.info("new TCP connections go by MPTCP again")
        if wanted or before:
            # On the way back the tunnel goes on taking what is new until the keeper does: nothing leaks.
            return replace(config, gateway=replace(gateway, tcp=TcpVia.TUNNEL))
        return config
