"""What the config says and this version does not do, and what it says in vain."""

from __future__ import annotations

from plait.config.model import Config, Exit, Method, Mode


def notes(config: Config) -> list[str]:
    """Lines for the owner: printed by ``plait check`` and logged at the start."""
    return _not_yet(config) + _in_vain(config)


def _not_yet(config: Config) -> list[str]:
    """Each line goes with the change that serves its key."""
    found = []
    if config.exit is not None and config.exit.fallback is not None:
        found.append("exit.fallback: not in this version; strangers are left hanging")
    return found


def _in_vain(config: Config) -> list[str]:
    found = []
    if config.paths and all(path.mode is Mode.OFF for path in config.paths):
        found.append("every path is off: no exit can be reached")
    for peer in config.peers:
        if peer.method is Method.NONE and peer.password:
            found.append(f"exit {peer.name}: method none uses no password")
    if config.exit is not None:
        found += _exit_in_vain(config.exit)
    return found


def _exit_in_vain(role: Exit) -> list[str]:
    found = []
    if role.method is Method.NONE and role.password:
        found.append("[exit]: method none uses no password")
    if role.method is not Method.NONE and role.trust:
        found.append("[exit]: trust is only looked at with method none")
    return found
