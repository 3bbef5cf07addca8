"""The users of an exit: what each has carried, and who has used up a volume.

Workers and the courier count; once a second their figures are added to what a file remembers. A user
whose volume is used up is barred: sessions end, new ones are refused, until its period is over or a
reload gives more. So much as passes in that second may be too much.

The file outlives a restart, and a reboot where it lies in a state directory (systemd: StateDirectory=).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.config.model import Period, User
from plait.control.snapshot import UserStatus
from plait.relay.allowance import CELL, CELLS

log = logging.getLogger("plait")

EVERY = 1.0
_SAVE_EVERY = 10.0
_USERS = 1 << 14
"""So many have cells of their own; those after them share theirs with others."""

Carried = Mapping[str, Sequence[int]]
"""By user: open sessions, sessions ever, bytes up, bytes down, since counting began."""

_FORMATS = {Period.NEVER: "", Period.DAY: "%Y-%m-%d", Period.MONTH: "%Y-%m"}


def period_of(period: Period, now: float) -> str:
    """The name of the period in which ``now`` (seconds since the epoch) lies."""
    return time.strftime(_FORMATS[period], time.gmtime(now))


@dataclass(slots=True)
class _Account:
    """One user's volume."""

    period: str = ""
    used: int = 0
    """Bytes in that period."""
    seen: int = 0
    """The largest sum of the counters that was seen."""


class Ledger:
    """All users."""

    def __init__(
        self,
        path: Path,
        carried: Callable[[], Awaitable[Carried]],
        tell: Callable[[dict[str, object]], None],
        bar: Callable[[Sequence[str]], None],
    ) -> None:
        """``tell`` reaches the workers, ``bar`` the courier."""
        self._path = path
        self._carried = carried
        self._tell = tell
        self._bar = bar
        self._users: tuple[User, ...] = ()
        self._accounts: dict[str, _Account] = {}
        self._counts: Carried = {}
        self._gone: frozenset[str] = frozenset()
        self._barred: frozenset[str] = frozenset()
        self._cells: dict[str, int] = {}
        self._saved = 0.0
        self._said: dict[str, list[object]] = {}
        """What was saved last."""
        self._fd = -1
        self._read()

    def configure(self, users: tuple[User, ...], now: float) -> None:
        """The users that there are now. Those that are no more are barred from workers that knew them."""
        names = {user.name for user in users}
        self._gone = (self._gone | {user.name for user in self._users}) - names
        self._users = users
        if self._fd < 0:
            # Before there is anybody: who comes with a reload needs no other processes.
            self._fd = os.memfd_create("plait-rates", os.MFD_CLOEXEC)
            os.ftruncate(self._fd, _USERS * CELLS * CELL)
        for user in users:
            # A user keeps its cells: workers of before and after a reload share them.
            self._cells.setdefault(user.name, len(self._cells) % _USERS * CELLS)
        self._judge(now)

    @property
    def rates_fd(self) -> int:
        """The memory that holds the allowances; -1 when nobody has one."""
        return self._fd

    @property
    def cells(self) -> dict[str, int]:
        """Where each user's cells begin."""
        return {user.name: self._cells[user.name] for user in self._users if user.rate}

    @property
    def rates(self) -> dict[str, int]:
        """Bits a second, of those that have a limit."""
        return {user.name: user.rate for user in self._users if user.rate}

    @property
    def barred(self) -> list[str]:
        """Who has used up a volume, and who is no user any more."""
        return sorted(self._barred)

    def statuses(self) -> tuple[UserStatus, ...]:
        """How the users of the config stand."""
        found = []
        for user in self._users:
            counts = self._counts.get(user.name, (0, 0, 0, 0))
            found.append(
                UserStatus(
                    name=user.name,
                    state="spent" if user.name in self._barred else "ok",
                    open=counts[0],
                    total=counts[1],
                    up_bytes=counts[2],
                    down_bytes=counts[3],
                    rate=user.rate,
                    volume=user.volume,
                    used_bytes=self._accounts[user.name].used if user.name in self._accounts else 0,
                )
            )
        return tuple(found)

    async def run(self) -> None:
        """Count for ever."""
        while True:
            await asyncio.sleep(EVERY)
            if self._users:
                await self.look(time.time())

    async def look(self, now: float) -> None:
        """Take the figures, and judge by them."""
        self._counts = await self._carried()
        for user in self._users:
            counts = self._counts.get(user.name, (0, 0, 0, 0))
            account = self._accounts.setdefault(user.name, _Account())
            total = counts[2] + counts[3]
            # Counters go back when somebody who counted has died, or has not answered in time.
            account.used += max(0, total - account.seen)
            account.seen = max(account.seen, total)
        self._judge(now)
        if now - self._saved >= _SAVE_EVERY or now < self._saved:
            self.save()
            self._saved = now

    def _judge(self, now: float) -> None:
        spent = set()
        for user in self._users:
            account = self._accounts.setdefault(user.name, _Account())
            period = period_of(user.volume_period, now)
            # A router without a clock of its own begins in 1970: that is no new month.
            if len(account.period) != len(period) or account.period < period:
                account.period, account.used = period, 0
            if user.volume and account.used >= user.volume:
                spent.add(user.name)
        barred = frozenset(spent) | self._gone
        if barred != self._barred:
            for name in sorted(spent - self._barred):
                log.warning("user %s has used up its volume", name)
            self._barred = barred
            self._tell({"bar": sorted(barred)})
            self._bar(sorted(barred))

    def _read(self) -> None:
        try:
            said = json.loads(self._path.read_text())
            self._accounts = {
                str(name): _Account(str(period), int(used)) for name, (period, used) in said.items()
            }
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s can't be used, volumes are counted from nothing: %s", self._path, error)

    def save(self) -> None:
        """Remember what was used, whole or not at all."""
        if not self._users:
            return
        kept = {user.name for user in self._users}
        said: dict[str, list[object]] = {
            name: [account.period, account.used] for name, account in self._accounts.items() if name in kept
        }
        if said == self._said:
            # Flash wears out.
            return
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(said, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            self._said = said
        except OSError as error:
            log.error("what users have carried can't be remembered: %s", error)

    def close(self) -> None:
        """The end."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def state_file(run_dir: Path) -> Path:
    """Where volumes are remembered: in systemd's state directory for us, else in the run directory."""
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(state or run_dir) / "users.json"
