"""TCP to and from exits kept to what a path lets through: no router tells where a black hole is.

The largest segment that either end may send is said in its SYN (RFC 9293, 3.7.1). Ours is lowered as it goes
out, the exit's as it comes in, so that neither needs to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_HEADERS = {"ip": 40, "ip6": 60}
"""Bytes of IP and TCP without options."""
_SYN = "tcp flags syn / syn,rst"


@dataclass(frozen=True, slots=True)
class Clamp:
    """A link on the way to the exits, and the bytes of the largest IP packet that gets through there."""

    interface: str
    mtu: int


def chains(clamps: Sequence[Clamp]) -> list[str]:
    """The lines for our table, which has sets of the exits' addresses; none without clamps."""
    if not clamps:
        return []
    lines: list[str] = []
    for name, hook, link, side in (
        ("fit_out", "output", "oifname", "daddr"),
        ("fit_in", "input", "iifname", "saddr"),
    ):
        lines += [f"chain {name} {{", f"\ttype filter hook {hook} priority mangle; policy accept;"]
        for clamp in clamps:
            for family, headers in _HEADERS.items():
                exits = "@exits4" if family == "ip" else "@exits6"
                # It is only ever lowered: the kernel leaves a smaller one as it is.
                lines.append(
                    f'\t{link} "{clamp.interface}" {family} {side} {exits} {_SYN}'
                    f" tcp option maxseg size set {clamp.mtu - headers}"
                )
        lines += ["}", ""]
    return lines
