"""What control and the process of the web page say to each other: one JSON object a line, over a socket pair.

    control → web   {"job": {...}}                 once, first
                    {"answer": id, "result": ...}  or {"answer": id, "error": "...", "hint": "..." or null}
    web → control   {"ready": true, "lacks": bool} serving, privileges dropped; whether history failed
                    {"ask": id, "what": "pulse" | "status" | "mode", ...}

``pulse`` is the paths alone, without asking the workers; ``status`` takes how much is wanted of sessions and
events; ``mode`` takes ``path`` and ``mode``. There is nothing else that this process may ask for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from plait.relay.orders import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class WebJob:
    """All that the process needs to know."""

    listeners: list[int]
    """Descriptors of listening sockets."""
    names: list[str]
    """Host names under which the page may be called, beside the addresses."""
    paths: list[str]
    """Names of the paths."""
    directory: str
    """Where history is kept."""
    history: int
    """Bytes that it may take; 0 for none."""
    metrics: bool
    password: str = field(repr=False)
    token: str = field(repr=False)
    key: str = field(repr=False)
    """Cookies are proven by it; hexadecimal."""
    uid: int
    gid: int
    verbose: int

    def to_json(self) -> JsonObject:
        """As it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, object]) -> WebJob:
        """The opposite of `to_json`. Both ends are the same program, so there is nothing to check."""
        return cls(**raw)  # type: ignore[arg-type]
