"""What a running plait takes for granted when it says how the host should be, beside config and host.

The modes that were set live, how paths stand, whether an exit answers, the tunnels that are open. With it
`plait plan` says beside a running plait what a config would change, and not what it already has done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

from plait.config.model import Mode
from plait.paths.model import Detour
from plait.paths.standing import Condition, Health, Standing

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """As it is now."""

    modes: Mapping[str, Mode] = field(default_factory=dict)
    """Those that were set live, by path."""
    health: Health = field(default_factory=dict)
    taking: bool = True
    """Whether the LAN's TCP is taken: an exit answers."""
    tunnelled: bool = False
    """Whether it is left to the tunnel instead: MPTCP works over no path."""
    tunnels: Mapping[int, int] = field(default_factory=dict)
    """Indices of the TUN devices that packets are led into, by slot."""
    away: frozenset[str] = frozenset()
    """Paths whose endpoint is deleted for a moment, to be added anew."""
    detours: tuple[Detour, ...] = ()
    """Where subflows are sent to another of an exit's addresses; kept for links that have lost theirs."""

    def to_json(self) -> JsonObject:
        """As it travels."""
        return {
            "modes": {path: mode.value for path, mode in self.modes.items()},
            "paths": {name: _told(standing) for name, standing in self.health.items()},
            "taking": self.taking,
            "tunnelled": self.tunnelled,
            "tunnels": {str(slot): index for slot, index in self.tunnels.items()},
            "away": sorted(self.away),
            "detours": [
                [each.interface, str(each.address), each.port, str(each.instead)] for each in self.detours
            ],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, object]) -> Picture:
        """The opposite. Raises KeyError, ValueError, TypeError or AttributeError for what is no picture."""
        modes = cast("Mapping[str, str]", raw["modes"])
        paths = cast("Mapping[str, Mapping[str, object]]", raw["paths"])
        tunnels = cast("Mapping[str, int]", raw["tunnels"])
        return cls(
            modes={path: Mode(word) for path, word in modes.items()},
            health={name: _heard(told) for name, told in paths.items()},
            taking=bool(raw["taking"]),
            tunnelled=bool(raw["tunnelled"]),
            tunnels={int(slot): int(index) for slot, index in tunnels.items()},
            away=frozenset(cast("list[str]", raw["away"])),
            detours=tuple(
                Detour(interface=link, address=ip_address(there), port=int(port), instead=ip_address(near))
                for link, there, port, near in cast("list[list[str]]", raw["detours"])
            ),
        )


def _told(standing: Standing) -> JsonObject:
    return {
        "condition": standing.condition.value,
        "why": standing.why,
        "benched": standing.benched,
        "lingering": standing.lingering,
        "rtt_s": standing.rtt,
        "loss": standing.loss,
        "unanswered": sorted(standing.unanswered),
    }


def _heard(told: Mapping[str, object]) -> Standing:
    rtt = told["rtt_s"]
    return Standing(
        condition=Condition(told["condition"]),
        why=str(told["why"]),
        benched=str(told["benched"]),
        lingering=bool(told["lingering"]),
        rtt=None if rtt is None else float(cast("float", rtt)),
        loss=float(cast("float", told["loss"])),
        unanswered=frozenset(cast("list[str]", told["unanswered"])),
    )
