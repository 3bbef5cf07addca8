"""Whether a config is of the kind that a verb runs."""

from __future__ import annotations

from collections.abc import Set

from plait.config.model import Config
from plait.errors import UsageError

GATEWAY = "gateway"
EXIT = "exit"


def roles(config: Config) -> frozenset[str]:
    """The roles that the config gives this box."""
    present = ((GATEWAY, config.gateway), (EXIT, config.exit))
    return frozenset(name for name, role in present if role is not None)


def require(config: Config, wanted: Set[str]) -> None:
    """Refuse a config that lacks a role of the verb's. One role more is no harm: it is just not run.

    Raises ``UsageError``, with the command that would do as its hint.
    """
    present = roles(config)
    lacking = sorted(wanted - present)
    if not lacking:
        return
    missing = " and no ".join(f"[{name}]" for name in lacking)
    if wanted & present:
        hint = f"add it, give its file too (-c FILE -c FILE), or run `plait {min(present)} -c FILE`"
    elif present == {EXIT}:
        hint = "it makes this box an exit: `plait exit -c FILE`; a far end to use is written [[exit]]"
    else:
        hint = f"it makes this box a gateway: `plait {min(present)} -c FILE`"
    raise UsageError(f"the config has no {missing}", hint)
