"""``python -m plait.lab.talk_process serve PORT`` and ``… talk ADDRESS PORT COUNT``.

Quiet connections, as a user has many: each sends a number ten times a second and wants it back. ``talk``
prints ``ready`` once all are open; on SIGTERM it gives every connection ten seconds to bring what is
outstanding, and prints one line of JSON: how many there were, which were lost and by what, how many
answers were wrong, and the longest that any one was silent.
"""

from __future__ import annotations

import json
import selectors
import signal
import socket
import sys
import time

_EVERY = 0.1
_PATIENCE = 10.0
_WORD = 8
"""Bytes of a number."""


class Talker:
    """One connection of the client."""

    def __init__(self, address: str, port: int) -> None:
        self.sock = socket.create_connection((address, port), timeout=20.0)
        self.sock.setblocking(False)
        self.sent = 0
        self.heard = 0
        self.wrong = 0
        self.error: str | None = None
        self.longest = 0.0
        self._since = time.monotonic()
        self._rest = b""

    def say(self) -> None:
        """Send the next number; when the socket is full, not now."""
        try:
            self.sock.send(self.sent.to_bytes(_WORD, "big"))
            self.sent += 1
        except BlockingIOError:
            pass
        except OSError as problem:
            self.error = self.error or str(problem)

    def hear(self) -> None:
        """Take in what has come, and compare."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as problem:
            self.error = self.error or str(problem)
            return
        if not data:
            self.error = self.error or "ended"
            return
        now = time.monotonic()
        self.longest = max(self.longest, now - self._since)
        self._since = now
        data = self._rest + data
        whole = len(data) - len(data) % _WORD
        for start in range(0, whole, _WORD):
            self.wrong += int.from_bytes(data[start : start + _WORD], "big") != self.heard
            self.heard += 1
        self._rest = data[whole:]


def talk(address: str, port: int, count: int) -> dict[str, object]:
    """Talk on ``count`` connections until SIGTERM; gives what is to be printed."""
    ending: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(time.monotonic() + _PATIENCE))
    talkers = [Talker(address, port) for _ in range(count)]
    selector = selectors.DefaultSelector()
    for talker in talkers:
        selector.register(talker.sock, selectors.EVENT_READ, talker)
    print("ready", flush=True)
    following = time.monotonic()
    while not ending or (
        time.monotonic() < ending[0] and any(each.heard < each.sent for each in talkers if each.error is None)
    ):
        for key, _ in selector.select(max(following - time.monotonic(), 0.0)):
            heard: Talker = key.data
            heard.hear()
            if heard.error is not None:
                selector.unregister(heard.sock)
        if time.monotonic() >= following:
            following += _EVERY
            for talker in talkers:
                if talker.error is None and not ending:
                    talker.say()
    for talker in talkers:
        if talker.error is None and talker.heard < talker.sent:
            talker.error = "silent"
    return {
        "connections": count,
        "lost": [talker.error for talker in talkers if talker.error is not None],
        "wrong": sum(talker.wrong for talker in talkers),
        "heard": sum(talker.heard for talker in talkers),
        "longest_s": round(max((talker.longest for talker in talkers), default=0.0), 4),
    }


def serve(port: int) -> None:
    """Send everything back, for ever."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("", port), backlog=256)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            client = key.fileobj
            assert isinstance(client, socket.socket)
            try:
                data = client.recv(65536)
                client.sendall(data)
            except OSError:
                data = b""
            if not data:
                selector.unregister(client)
                client.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        print(json.dumps(talk(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))), flush=True)
