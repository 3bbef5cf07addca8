"""Names to addresses, without the loop ever waiting.

`getaddrinfo` knows what the owner of the host has set up (hosts file, nsswitch, search lists) but
blocks, so each question goes to a thread of a pool that grows with demand. The two families are
asked apart, because RFC 8305 (section 3) starts dialling on the first answer. One question asked
twice at the same time is asked once; answers are kept for a short while.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable

from plait.relay.loop import IN, Loop

Answer = Callable[[list[str]], None]
"""Called on the loop's thread with the addresses, best first; none when the name has none."""

_THREADS = 512
"""Most questions under way at once. A thread costs 20 kB while it waits, and a resolver that is dead keeps
one for each of its questions for 10 s and more: too few, and one client's names hold up another's."""

_STACK = 1 << 19
"""Bytes of a thread's stack, mostly never touched. musl gives 128 kB by default and gets by with it."""

_KEEP = 30.0
"""Seconds for which an answer serves again. `getaddrinfo` does not tell the record's own TTL."""

_KEPT_NAMES = 4096


def _ask(name: str, family: int) -> list[str]:
    try:
        # Bytes, for a name as text is put through the codec "idna", which is only then imported: too late
        # for a worker that has given up the right to read where Python may be.
        found = socket.getaddrinfo(
            name.encode("ascii"), None, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
    except (OSError, UnicodeError):
        # A name that can't be resolved is the asker's bad luck, not our failure.
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Resolver:
    """Questions in, answers out on the loop."""

    def __init__(self, loop: Loop, ask: Callable[[str, int], list[str]] = _ask) -> None:
        self._loop = loop
        self._ask = ask
        self._questions: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[tuple[str, int], list[str]]] = queue.SimpleQueue()
        self._waiting: dict[tuple[str, int], list[Answer]] = {}
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._threads = 0
        threading.stack_size(_STACK)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.register(self._wake, self._collect, IN)

    def resolve(self, name: str, family: int, answer: Answer) -> None:
        """Ask for the addresses of ``name`` in ``family`` (`socket.AF_INET` or `AF_INET6`)."""
        question = (name, family)
        known = self._known.get(question)
        if known is not None and self._loop.now < known[0]:
            # Not at once: the caller must see one order of events, whoever answers.
            addresses = known[1]
            self._loop.soon(lambda: answer(addresses))
            return
        askers = self._waiting.get(question)
        if askers is not None:
            askers.append(answer)
            return
        self._waiting[question] = [answer]
        self._questions.put(question)
        if self._threads < min(len(self._waiting), _THREADS):
            self._threads += 1
            threading.Thread(target=self._work, name="resolver", daemon=True).start()

    def _work(self) -> None:
        while True:
            name, family = self._questions.get()
            self._answers.put(((name, family), self._ask(name, family)))
            os.eventfd_write(self._wake, 1)

    def _collect(self, mask: int) -> None:
        os.eventfd_read(self._wake)
        while True:
            try:
                question, addresses = self._answers.get_nowait()
            except queue.Empty:
                return
            if addresses:
                if len(self._known) >= _KEPT_NAMES:
                    self._known.clear()
                self._known[question] = (self._loop.now + _KEEP, addresses)
            for answer in self._waiting.pop(question, ()):
                answer(addresses)
