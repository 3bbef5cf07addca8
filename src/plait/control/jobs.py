"""What each worker is told to do, from the config and from how things stand."""

from __future__ import annotations

import contextlib
import mmap
import os
import pwd
import time
from collections.abc import Callable, Collection

from plait.config.model import Config, Method, Secret, TcpVia
from plait.control.doors import Door, Doors, held
from plait.control.keeper import View
from plait.control.users import Ledger
from plait.relay.orders import DoorOrder, ExitOrder, Job, ListedWay
from plait.wire.cipher import Key
from plait.wire.replay import prepare

_NOBODY = 65534

SALTS = 1 << 22
"""Bytes of the replay memory: room for half a million salts."""
GREETINGS = 1 << 20
"""The same for greetings of gateways, of which each sends one in two minutes on each path."""


class Salts:
    """A memory of what was seen (`plait.wire.replay`). All workers share it, and those that come after them;
    or one courier with the next."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self.fd = -1
        """-1 while there is none."""
        self.since = 0.0
        """Since when it remembers, seconds of the monotonic clock."""

    def open(self) -> None:
        """Have one, from the first call on."""
        if self.fd < 0:
            self.fd = os.memfd_create(self._name, os.MFD_CLOEXEC)
            os.ftruncate(self.fd, self._size)
            with mmap.mmap(self.fd, self._size) as memory, memoryview(memory) as view:
                prepare(view, os.urandom(32))
            self.since = time.monotonic()

    def close(self) -> None:
        """The end."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Jobs:
    """Writes the jobs. It keeps what was derived from passwords: that takes long."""

    def __init__(self, doors: Doors, ledger: Ledger, salts: Salts, *, verbose: int) -> None:
        self._doors = doors
        self._ledger = ledger
        self._salts = salts
        self._verbose = verbose
        self._keys: dict[tuple[Method, Secret], str] = {}
        self.plain: Callable[[], Collection[str]] = tuple
        """Gives the exits to which only plain TCP gets through."""

    def job(self, config: Config, index: int, wanted: list[Door], serving: dict[str, str], view: View) -> Job:
        """Of worker ``index``. ``wanted`` are the doors that are open, ``serving`` as in `Serving`."""
        relay = config.relay
        uid, gid = unprivileged()
        mptcp = config.gateway is not None and config.gateway.tcp is TcpVia.MPTCP
        return Job(
            listeners=self._doors.orders(wanted, index, workers(config), held(config)),
            exits=[
                ExitOrder(
                    name=peer.name,
                    method=peer.method.value,
                    secret=self._secret(peer.method, peer.password),
                    mptcp=mptcp,
                    plain=peer.name in self.plain(),
                )
                for peer in config.peers
            ],
            door=self._door_order(config),
            own=list(view.own),
            serving=serving,
            ways=listed(view),
            connect_timeout=relay.connect_timeout,
            handshake_timeout=relay.handshake_timeout,
            idle_timeout=relay.idle_timeout,
            half_close_timeout=relay.half_close_timeout,
            sessions=relay.sessions,
            uid=uid,
            gid=gid,
            verbose=self._verbose,
            warm=relay.warm,
        )

    def _door_order(self, config: Config) -> DoorOrder | None:
        if config.exit is None:
            return None
        method = config.exit.method
        secrets = {}
        if method is not Method.NONE:
            if config.exit.password:
                secrets[""] = self._secret(method, config.exit.password)
            secrets |= {user.name: self._secret(method, user.password) for user in config.users}
        return DoorOrder(
            method=method.value,
            secrets=secrets,
            allow=[str(network) for network in config.exit.allow],
            deny=[str(network) for network in config.exit.deny],
            trust=[str(network) for network in config.exit.trust],
            salts_fd=self._salts.fd,
            salts_since=self._salts.since,
            fallback=list(config.exit.fallback or ()),
            rates=self._ledger.rates,
            cells=self._ledger.cells,
            rates_fd=self._ledger.rates_fd,
            barred=self._ledger.barred,
        )

    def _secret(self, method: Method, password: Secret) -> str:
        if method is Method.NONE:
            return ""
        found = self._keys.get((method, password))
        if found is None:
            found = self._keys[method, password] = Key.derive(method.value, password.reveal()).told()
        return found


def workers(config: Config) -> int:
    """How many there are to be: one for each processor that we may use, unless the config says."""
    return config.relay.workers or len(os.sched_getaffinity(0))


def listed(view: View) -> dict[str, list[ListedWay]]:
    """The ways to each exit, best first, as workers are told them."""
    return {
        name: [
            [str(way.remote), way.port, str(way.local), way.interface, way.path, way.rtt or 0.0]
            for way in ways
        ]
        for name, ways in view.ways.items()
    }


def unprivileged() -> tuple[int, int]:
    """Who our processes become: the user ``plait`` where the package made one, else nobody."""
    for name in ("plait", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return _NOBODY, _NOBODY
