"""What has changed, with its time and cause: the last few hundred, kept in memory for whoever looks later."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from plait.control.snapshot import Event, ExitStatus, UserStatus
from plait.paths.state import PathState

MOST = 500


class Events:
    """``clock`` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=MOST)
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._news = asyncio.Event()

    def note(self, kind: str, name: str, what: str, why: str = "") -> None:
        """Something has happened."""
        number = self._kept[-1].id + 1 if self._kept else 1
        self._kept.append(
            Event(id=number, at=round(self._clock(), 3), kind=kind, name=name, what=what, why=why)
        )
        self._news.set()
        self._news = asyncio.Event()

    def paths(self, seen: Iterable[PathState]) -> None:
        """How all paths stand now. A cause that changes while the state stays is no news, but for a path
        that comes onto the bench or leaves it: that is a state of its own to people."""
        found = {}
        for each in seen:
            benched = each.why.startswith("benched: ")
            found[each.reach.path.name] = ("benched" if benched else each.state.value, each.why)
        self._compare("path", found)

    def exits(self, seen: Iterable[ExitStatus]) -> None:
        """How all exits stand now."""
        self._compare("exit", {each.name: (each.state, each.why) for each in seen})

    def users(self, seen: Iterable[UserStatus]) -> None:
        """How all users stand now."""
        self._compare("user", {each.name: (each.state, "") for each in seen})

    def lan(self, *, taken: bool) -> None:
        """Whether the LAN's TCP is led to an exit now."""
        why = "" if taken else "no exit answers"
        self._compare("plait", {"": ("the LAN is taken" if taken else "the LAN is not taken", why)})

    def since(self, number: int, most: int = MOST) -> tuple[Event, ...]:
        """Those after event ``number``, and of these the last ``most``; oldest first."""
        later = [event for event in self._kept if event.id > number]
        return tuple(later[-most:]) if most > 0 else ()

    async def more(self, number: int, seconds: float) -> tuple[Event, ...]:
        """The same, after a wait of so many seconds for one if there is none yet."""
        if not (self._kept and self._kept[-1].id > number):
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                pass
        return self.since(number)

    def _compare(self, kind: str, found: Mapping[str, tuple[str, str]]) -> None:
        """Note what is in another state than when it was last seen."""
        known = self._known
        for name, (state, why) in found.items():
            before = known.get((kind, name))
            known[kind, name] = (state, why)
            # That all begins well is no news.
            if before is None and state in ("unknown", "ok", "off"):
                continue
            if before is None or before[0] != state:
                self.note(kind, name, state, why)
        for key in [key for key in known if key[0] == kind and key[1] not in found]:
            del known[key]
