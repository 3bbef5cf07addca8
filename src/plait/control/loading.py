"""A config for a role, with everything that is wrong with it for that role."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plait.config.model import Config
from plait.config.roles import EXIT, GATEWAY, require
from plait.config.toml import load

ROLES = {"gateway": {GATEWAY}, "exit": {EXIT}, "node": {GATEWAY, EXIT}}
"""What each verb runs. A role that the config has beyond it is left out."""


def load_for(verb: str, files: list[Path]) -> Config:
    """Load ``files`` for ``plait <verb>``; raises ConfigError or UsageError."""
    config = load(files)
    roles = ROLES[verb]
    require(config, roles)
    if GATEWAY not in roles:
        config = replace(config, gateway=None, peers=(), paths=(), rules=(), proxies=())
    if EXIT not in roles:
        config = replace(config, exit=None, users=())
    return config
