"""A config for a role, with everything that is wrong with it for that role and on this host."""

from __future__ import annotations

import logging
from dataclasses import replace

from plait.config.model import Config
from plait.config.roles import EXIT, GATEWAY, require
from plait.config.sources import Sources, load
from plait.kernel.capabilities import missing

log = logging.getLogger("plait")

ROLES = {"gateway": {GATEWAY}, "exit": {EXIT}, "node": {GATEWAY, EXIT}}
"""What each verb runs. A role that the config has beyond it is left out."""


def load_for(verb: str, sources: Sources) -> Config:
    """Load what there is for ``plait <verb>``; raises ConfigError or UsageError."""
    config, remarks = load(sources, verb if verb in ROLES["node"] else None)
    for remark in remarks:
        log.info("%s", remark)
    roles = ROLES[verb]
    require(config, roles)
    if GATEWAY not in roles:
        config = replace(config, gateway=None, peers=(), paths=(), rules=(), proxies=())
    if EXIT not in roles:
        config = replace(config, exit=None, users=())
    return config


def demand(config: Config) -> None:
    """Raise MissingCapability, of everything at once, where this host lacks what the config needs."""
    lacks = missing(config)
    if len(lacks) == 1:
        raise lacks[0]
    if lacks:
        combined = type(lacks[0])("\n".join(str(error) for error in lacks))
        combined.exit_status = lacks[0].exit_status
        raise combined


def ready(config: Config, workers: int) -> str:
    """The line that says what has begun to serve."""
    parts = []
    if config.gateway is not None:
        exits = ", ".join(peer.name for peer in config.peers)
        parts.append(f"gateway for {', '.join(config.gateway.lan)} to {exits}")
    if config.exit is not None:
        where = ", ".join(f"[{a}]" if ":" in str(a) else str(a) for a in config.exit.listen)
        parts.append(f"exit on {where} port {config.exit.port}, {config.exit.method.value}")
    return f"ready: {'; '.join(parts)}; {workers} workers"
