"""One epoll loop, its handlers and its timers.

Some facts about epoll that this file and `pump` rest on (epoll(7), net/ipv4/tcp.c `tcp_poll`,
net/mptcp/protocol.c `mptcp_poll`):

* Every socket is registered once, for IN, OUT and RDHUP, edge-triggered (ET). An edge is reported
  whenever the socket is woken, with *all* that is true at that moment, so IN events carry OUT too;
  a handler acts on what it waits for and ignores the rest.
* An edge is lost if it is not acted upon: who stops reading before EAGAIN (or a short read) must
  remember that there may be more.
* A stream read that returns less than asked for has emptied the queue; what comes later is a new
  edge. Only RDHUP, HUP or ERR in the same event mean "read on until 0 or an error".
* Closing the last descriptor of a socket removes it from the set; no `epoll_ctl` is needed.
"""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from collections.abc import Callable

EDGE = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
IN = select.EPOLLIN
OUT = select.EPOLLOUT
ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
FAILED = select.EPOLLERR

Handler = Callable[[int], None]

_BATCH = 256
"""Most events taken from the kernel at once."""


class Timer:
    """A call that is due at ``when`` (monotonic seconds)."""

    __slots__ = ("call", "queue", "when")

    def __init__(self, when: float, call: Callable[[], None], queue: dict[Timer, None] | None = None) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call
        self.queue = queue

    def cancel(self) -> None:
        """Let it not happen. A `Loop.timeout` is forgotten at once, a `Loop.after` when it is due."""
        self.call = None
        if self.queue is not None:
            self.queue.pop(self, None)

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class Loop:
    """Handlers by descriptor, timers by time, and work put off for fairness."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[Timer] = []
        self._timeouts: dict[float, dict[Timer, None]] = {}
        self._gone: set[int] = set()
        self._later: deque[Callable[[], None]] = deque()
        self._running = True
        self.now = time.monotonic()
        """Monotonic seconds, read once a round: cheap, and exact enough for every timeout here."""

    def register(self, fd: int, handler: Handler, mask: int = EDGE) -> None:
        """Call ``handler(mask)`` on every event of ``fd``; edge-triggered unless ``mask`` says otherwise."""
        self._handlers[fd] = handler
        self._epoll.register(fd, mask)

    def rebind(self, fd: int, handler: Handler) -> None:
        """Give a registered descriptor another handler, without a system call."""
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Drop the handler of a descriptor that is about to be closed (which leaves epoll by itself).

        Its number may be given to another socket within the same batch of events; what the batch still
        holds for that number was meant for this one, and is passed over.
        """
        self._handlers.pop(fd, None)
        self._gone.add(fd)

    def unregister(self, fd: int) -> None:
        """Stop listening to a descriptor that stays open."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call once, ``delay`` seconds from now."""
        timer = Timer(self.now + delay, call)
        heapq.heappush(self._timers, timer)
        return timer

    def timeout(self, delay: float, call: Callable[[], None]) -> Timer:
        """The same for delays that are always of the same few lengths and nearly always cancelled, as
        every connection's are: those of one length come due in the order in which they were asked for,
        so that a dict is queue enough, and nothing of a cancelled one stays."""
        queue = self._timeouts.get(delay)
        if queue is None:
            queue = self._timeouts[delay] = {}
        timer = Timer(self.now + delay, call, queue)
        queue[timer] = None
        return timer

    def soon(self, call: Callable[[], None]) -> None:
        """Call after the events at hand have had their turn."""
        self._later.append(call)

    def stop(self) -> None:
        """Leave `run` at the end of this round."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        poll = self._epoll.poll
        handlers = self._handlers
        gone = self._gone
        later = self._later
        while self._running:
            try:
                events = poll(self._patience(), _BATCH)
            except InterruptedError:
                continue
            self.now = time.monotonic()
            if gone:
                gone.clear()
            for fd, mask in events:
                handler = handlers.get(fd)
                if handler is not None and fd not in gone:
                    handler(mask)
            if later:
                for _ in range(len(later)):
                    later.popleft()()
            self._fire()

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()

    def _patience(self) -> float:
        """Seconds until the next timer; -1 when there is none."""
        if self._later:
            return 0.0
        timers = self._timers
        while timers and timers[0].call is None:
            heapq.heappop(timers)
        first = [timers[0].when] if timers else []
        first += [next(iter(queue)).when for queue in self._timeouts.values() if queue]
        return max(0.0, min(first) - time.monotonic()) if first else -1.0

    def _fire(self) -> None:
        timers, now = self._timers, self.now
        while timers and timers[0].when <= now:
            call = heapq.heappop(timers).call
            if call is not None:
                call()
        for queue in tuple(self._timeouts.values()):
            while queue and (timer := next(iter(queue))).when <= now:
                del queue[timer]
                assert timer.call is not None
                timer.call()
