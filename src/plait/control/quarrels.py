"""Other programs that take away what we set: noticed, named once, and not fought without end.

A change that is needed again although it was made, and nothing wanted it otherwise meanwhile, was
undone by somebody. A few times that is an accident and mended at once; when it goes on, the change
waits, ever longer, so that two programs never keep a machine busy with each other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plait.paths.changes import AddEndpoint, AddRule, Change, LoadTable, PutRoute, SetSysctl
from plait.paths.model import HostState

log = logging.getLogger(__name__)

_OFTEN = 8
"""So often within `_WINDOW` seconds, and it is a quarrel."""
_WINDOW = 10.0
_FIRST_WAIT = 5.0
_LONGEST_WAIT = 60.0

KNOWN = {
    "NetworkManager": "it makes MPTCP endpoints of its own unless told: nmcli connection modify NAME"
    " connection.mptcp-flags disabled",
    "mptcpd": "it makes and removes MPTCP endpoints: stop it with systemctl disable --now mptcp",
    "mwan3track": "mwan3 steers the same links; plait's rules come before its own, its tests of links do not"
    " count for plait: take plait's paths out of /etc/config/mwan3",
    "omr-tracker": "OpenMPTCProuter manages the same links: run one of the two",
}
"""Programs that set what we set, and what to do about each."""


@dataclass(slots=True)
class _Undone:
    times: list[float] = field(default_factory=list)
    wait: float = _FIRST_WAIT
    until: float = 0.0


class Quarrels:
    """Told of what is about to be changed; says what of it had better wait."""

    def __init__(self) -> None:
        self._undone: dict[str, _Undone] = {}
        self._wanted = HostState()

    def sift(self, changes: Sequence[Change], state: HostState, now: float) -> list[Change]:
        """The changes without those that are being quarrelled about."""
        before, self._wanted = self._wanted, state
        kept = []
        for change in changes:
            if not _was_wanted(change, before):
                kept.append(change)
                continue
            line = change.line().partition("\n")[0]
            record = self._undone.setdefault(line, _Undone())
            if now < record.until:
                continue
            record.times = [at for at in record.times if at > now - _WINDOW] + [now]
            if len(record.times) >= _OFTEN:
                record.times.clear()
                record.until = now + record.wait
                log.warning(
                    "another program undoes what plait sets, again and again: %s; leaving it for %g s%s",
                    line, record.wait, _suspects(),
                )  # fmt: skip
                record.wait = min(2 * record.wait, _LONGEST_WAIT)
                continue
            if len(record.times) == 1 and now > record.until + _LONGEST_WAIT:
                record.wait = _FIRST_WAIT
            kept.append(change)
        return kept

    def deadline(self, now: float) -> float | None:
        """When something that waits may be tried again."""
        return min((each.until for each in self._undone.values() if each.until > now), default=None)


def _was_wanted(change: Change, before: HostState) -> bool:
    match change:
        case AddEndpoint(endpoint):
            return endpoint in before.endpoints
        case AddRule(rule):
            return rule in before.rules
        case PutRoute(route):
            return route in before.routes
        case SetSysctl(key, value):
            return before.sysctls.get(key) == value
        case LoadTable(ruleset):
            return before.ruleset is not None and before.ruleset.digest == ruleset.digest
        case _:
            return False


def _suspects() -> str:
    found = contenders()
    return f" ({', '.join(found)} runs here)" if found else ""


def contenders(proc: Path = Path("/proc")) -> list[str]:
    """Those of `KNOWN` that run in our network namespace."""
    try:
        ours = os.readlink(proc / "self/ns/net")
    except OSError:
        return []
    found = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name = _name(entry)
            if name in KNOWN and os.readlink(entry / "ns/net") == ours:
                found.add(name)
        except OSError:
            continue  # it has ended, or is none of our business
    return sorted(found)


def _name(entry: Path) -> str:
    """What runs: the kernel keeps but 15 letters, and of a script its interpreter's name."""
    name = (entry / "comm").read_text().strip()
    if name in ("sh", "ash", "bash", "python3"):
        words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        name = Path(words[1]).name if len(words) > 1 else name
    return name


def introduce(names: Iterable[str], said: set[str]) -> None:
    """Say once of each what to do about it."""
    for name in names:
        if name not in said:
            said.add(name)
            log.warning("%s runs on this host, too: %s", name, KNOWN[name])
