"""What the config says in vain."""

from __future__ import annotations

from plait.config.model import Config, Exit, Gateway, Method, Mode, OwnVia, TcpVia, UdpVia


def notes(config: Config) -> list[str]:
    """Lines for the owner: printed by ``plait check`` and logged at the start."""
    found = []
    if config.paths and all(path.mode is Mode.OFF for path in config.paths):
        found.append("every path is off: no exit can be reached")
    for peer in config.peers:
        if peer.method is Method.NONE and peer.password:
            found.append(f"exit {peer.name}: method none uses no password")
    if config.web is not None and config.web.insecure:
        found.append("[web]: whoever reaches the page may see everything and change modes: insecure = true")
    if config.gateway is not None:
        found += _of_gateway(config.gateway)
    if config.exit is not None:
        found += _of_exit(config.exit)
        if config.tunnel.networks and not config.tunnel.serve:
            found.append("[tunnel]: networks is only looked at with serve = true")
    return found


def _of_gateway(gateway: Gateway) -> list[str]:
    if gateway.tcp is TcpVia.TUNNEL or gateway.udp is UdpVia.TUNNEL:
        return []
    said = [("routed", bool(gateway.routed)), ("own", gateway.own is not OwnVia.DIRECT)]
    return [f'[gateway]: {key} is only looked at with udp or tcp = "tunnel"' for key, given in said if given]


def _of_exit(role: Exit) -> list[str]:
    found = []
    if role.method is Method.NONE and role.password:
        found.append("[exit]: method none uses no password")
    if role.method is not Method.NONE and role.trust:
        found.append("[exit]: trust is only looked at with method none")
    return found
