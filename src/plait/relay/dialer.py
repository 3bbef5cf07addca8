"""Opening a connection: a race over candidates, non-blocking, with a deadline.

Two kinds of dial share it: a gateway dials an exit over its *ways* (MPTCP, each bound to one link), an
exit dials a target's addresses (plain TCP). What differs is how a candidate becomes a connecting
socket, and that is one function.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Generic

from plait.relay.loop import ENDED, FAILED, OUT, Loop, Timer
from plait.relay.race import DELAYS, Candidate, Race, usual_delay

_TINY = 1e-6


class Failure(Enum):
    """Why a dial came to nothing: a value to count and to pass on."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timed out"
    NO_ADDRESS = "no such name"
    FORBIDDEN = "not allowed"
    NO_WAY = "no usable path"
    RESOURCES = "out of descriptors or memory"


_FAILURES = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ECONNRESET: Failure.REFUSED,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.EMFILE: Failure.RESOURCES,
    errno.ENFILE: Failure.RESOURCES,
    errno.ENOBUFS: Failure.RESOURCES,
    errno.ENOMEM: Failure.RESOURCES,
    errno.EADDRNOTAVAIL: Failure.NO_WAY,
    errno.ENODEV: Failure.NO_WAY,
}


def failure_of(error: int) -> Failure:
    """The failure that an errno stands for; every kind of "no route" is unreachable."""
    return _FAILURES.get(error, Failure.UNREACHABLE)


class Dial(Generic[Candidate]):
    """One dial under way.

    ``connect(candidate)`` returns a socket on which a non-blocking connect has begun, or raises
    OSError. Exactly one of ``done(sock, candidate, mask)`` and ``failed(failure)`` is called, unless
    `cancel` comes first. The socket given to ``done`` is registered with the loop: rebind it; ``mask``
    is the event that told of the connection, and may tell of data, too.
    """

    __slots__ = (
        "_connect", "_done", "_failed", "_last", "_limit", "_loop", "_over", "_race", "_running",
        "_tell_over", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        connect: Callable[[Candidate], socket.socket],
        done: Callable[[socket.socket, Candidate, int], None],
        failed: Callable[[Failure], None],
        limit: float,
        delay: Callable[[Candidate], float] = usual_delay,
        over: Callable[[Dial[Candidate]], None] | None = None,
    ) -> None:
        """``delay(candidate)`` is what a candidate gets before the next one is tried beside it; ``over``
        is called once, however it ends."""
        self._loop = loop
        self._connect = connect
        self._done = done
        self._failed = failed
        self._race: Race[Candidate] = Race(delay)
        self._running: dict[int, tuple[socket.socket, Candidate]] = {}
        self._last = Failure.NO_ADDRESS
        self._timer: Timer | None = None
        self._over = False
        self._tell_over = over
        self._limit = loop.timeout(limit, self._timed_out)

    def offer(self, candidates: Iterable[Candidate], *, last: bool = True, hold: float = 0.0) -> None:
        """All candidates known by now, best first; with ``last``, there will be no others.

        None starts before ``hold`` seconds from now.
        """
        self._race.offer(candidates, last=last, held_until=self._loop.now + hold if hold else 0.0)
        self._step()

    def revise(self, candidates: Sequence[Candidate]) -> None:
        """Other candidates are the ones now: those that run and are not among them are given up, and the
        next one starts at once."""
        if self._over:
            return
        for fd, (sock, candidate) in list(self._running.items()):
            if candidate not in candidates:
                del self._running[fd]
                self._loop.forget(fd)
                sock.close()
                self._last = Failure.NO_WAY
                self._race.failed()
        self._race.revise(candidates)
        self._step()

    def cancel(self) -> None:
        """Give up without telling anybody."""
        if self._over:
            return
        self._over = True
        if self._tell_over is not None:
            self._tell_over(self)
        self._limit.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for fd, (sock, _) in self._running.items():
            self._loop.forget(fd)
            sock.close()
        self._running.clear()

    def _step(self) -> None:
        if self._over:
            return
        race = self._race
        while (candidate := race.due(self._loop.now)) is not None:
            try:
                sock = self._connect(candidate)
            except OSError as error:
                self._last = failure_of(error.errno or 0)
                race.failed()
                continue
            fd = sock.fileno()
            self._running[fd] = (sock, candidate)
            self._loop.register(fd, lambda mask, fd=fd: self._event(fd, mask))  # type: ignore[misc]
        if race.lost:
            self.cancel()
            self._failed(self._last)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = race.deadline()
        if deadline is not None:
            delay = max(0.0, deadline - self._loop.now)
            # As a rule a candidate was started just now, and its delay is one of a few.
            usual = next((known for known in DELAYS if abs(delay - known) < _TINY), None)
            self._timer = (
                self._loop.timeout(usual, self._step)
                if usual is not None
                else self._loop.after(delay, self._step)
            )

    def _event(self, fd: int, mask: int) -> None:
        if not mask & (OUT | ENDED):
            return
        sock, candidate = self._running[fd]
        # Only a failure needs a question; writable and no error is connected.
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if mask & FAILED else 0
        if not error and not mask & OUT:
            return
        del self._running[fd]
        if error:
            self._loop.forget(fd)
            sock.close()
            self._last = failure_of(error)
            self._race.failed()
            self._step()
            return
        self.cancel()
        self._done(sock, candidate, mask)

    def _timed_out(self) -> None:
        if not self._over:
            self.cancel()
            self._failed(Failure.TIMEOUT)
