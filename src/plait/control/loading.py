"""A config for a role, with everything that is wrong with it for that role."""

from __future__ import annotations

import logging
from dataclasses import replace

from plait.config.model import Config
from plait.config.roles import EXIT, GATEWAY, require
from plait.config.sources import Sources, load

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
