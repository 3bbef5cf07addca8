"""What the config says and this version does not do, and what it says in vain."""

from __future__ import annotations

from plait.config.model import Config, Method, Mode, Tunnel, UdpVia


def notes(config: Config) -> list[str]:
    """Lines for the owner: printed by ``plait check`` and logged at the start."""
    found = []
    if config.gateway is not None and config.gateway.udp is UdpVia.TUNNEL:
        found.append(
            'gateway.udp = "tunnel": no tunnel in this version; all but TCP is routed as without plait'
        )
    if config.proxies:
        found.append(f"[[proxy]]: not served by this version ({len(config.proxies)} given)")
    if config.tunnel != Tunnel():
        found.append("[tunnel]: no tunnel in this version")
    if config.paths and all(path.mode is Mode.OFF for path in config.paths):
        found.append("every path is off: no exit can be reached")
    for peer in config.peers:
        if peer.method is Method.NONE and peer.password:
            found.append(f"exit {peer.name}: method none uses no password")
    if config.exit is not None:
        if config.exit.method is Method.NONE and config.exit.password:
            found.append("[exit]: method none uses no password")
        if config.exit.method is not Method.NONE and config.exit.trust:
            found.append("[exit]: trust is only looked at with method none")
    return found
