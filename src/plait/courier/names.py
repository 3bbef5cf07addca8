"""Answers of DNS servers on their way to the LAN: rules by domain must know an address before a client does.

nftables hands over the answer to a question that it has seen (`paths.intercept`), or an answer comes out of
a Shadowsocks association. It is read; which addresses belong to which rule's sets is told to control; and
when control says that they are in, the answer goes on, unchanged, from the address that it came from.
Nobody waits longer than `PATIENCE` for that. What can't be read, or says nothing of a ruled domain, goes
on at once.

    courier → control   {"learn": id, "found": [[set, address, seconds], ...]}
    control → courier   {"learnt": id, "kept": whether they are in}
"""

from __future__ import annotations

import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence

from plait.courier.faces import Face
from plait.courier.gateway_udp import Client, origin
from plait.relay.loop import IN, Loop, Timer
from plait.relay.orders import JsonObject
from plait.wire import dns
from plait.wire.faults import Malformed

PATIENCE = 0.1
"""Seconds that an answer waits for control."""
LEAST = 60
"""Seconds for which an address belongs to its name at least: clients keep short-lived answers longer."""
WAITING = 256
"""Answers that wait at once; others go on at once, and teach nothing."""
QUESTIONS = 4096
"""Questions through associations that are open at once; then the oldest is forgotten."""
_DNS = 53
_AT_ONCE = 32
_LARGEST = 65535
_CONTROL = socket.CMSG_SPACE(28)

_Letter = tuple[Face, bytes, Client]


class Names:
    """All that is asked and answered."""

    def __init__(
        self,
        loop: Loop,
        sets: Mapping[str, Sequence[str]],
        say: Callable[[JsonObject], None],
        send: Callable[[Face, bytes, Client], None],
    ) -> None:
        """``sets`` are domains by the sets' names without their versions; ``send`` gives a client a
        datagram as if from some address."""
        self._loop = loop
        self._sets = {name: [dns.labels(domain) for domain in domains] for name, domains in sets.items()}
        self._say = say
        self._send = send
        self._doors: list[socket.socket] = []
        self._asked: OrderedDict[tuple[Client, Face, bytes], None] = OrderedDict()
        self._waiting: dict[int, tuple[_Letter, Timer]] = {}
        self._number = 0
        self.own: frozenset[bytes] = frozenset()
        """The host's own addresses, packed: nobody there asks by us."""
        self.outcomes: Counter[str] = Counter()
        """Answers that were looked at, by what became of them."""

    def serve(self, sock: socket.socket) -> None:
        """Take the answers that are handed over at this socket."""
        self._doors.append(sock)
        self._loop.register(sock.fileno(), lambda mask: self._arrivals(sock), IN)

    def close(self) -> None:
        """End all; what waits goes on."""
        for number in list(self._waiting):
            self._go_on(number)
        for door in self._doors:
            self._loop.forget(door.fileno())
            door.close()

    def ask(self, client: Client, server: Face, question: bytes) -> None:
        """A client's question goes out through an association."""
        if len(self._asked) >= QUESTIONS:
            self._asked.popitem(last=False)
        self._asked[client, server, question[:2]] = None

    def deliver(self, server: Face, payload: bytes, client: Client) -> None:
        """Something came out of an association for a client: on with it, with a look at it if it is an
        answer that the client waits for."""
        # It stays known: a question that was asked twice has two answers, and neither may overtake.
        if server[1] == _DNS and (client, server, payload[:2]) in self._asked:
            self.answer(server, payload, client)
        else:
            self._send(server, payload, client)

    def answer(self, server: Face, payload: bytes, client: Client) -> None:
        """Look at a server's answer to a question of that client, and send it on."""
        found = self._find(payload)
        if not found:
            self._send(server, payload, client)
            return
        if len(self._waiting) >= WAITING:
            self.outcomes["too many"] += 1
            self._send(server, payload, client)
            return
        self._number += 1
        number = self._number
        timer = self._loop.timeout(PATIENCE, lambda: self._too_late(number))
        self._waiting[number] = (server, payload, client), timer
        self._say({"learn": number, "found": found})

    def learnt(self, number: int, kept: bool) -> None:
        """Control has done what it was told, or could not."""
        if number in self._waiting:
            self.outcomes["learnt" if kept else "not kept"] += 1
            self._go_on(number)

    def _find(self, payload: bytes) -> list[object]:
        try:
            answer = dns.read(payload)
        except Malformed:
            self.outcomes["unreadable"] += 1
            return []
        if not answer.addresses:
            return []
        return [
            [
                f"{name}v{4 if len(address) == 4 else 6}",
                socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address),
                max(life, LEAST),
            ]
            for name, domains in self._sets.items()
            if dns.about(answer, domains)
            for address, life in answer.addresses
        ]

    def _too_late(self, number: int) -> None:
        self.outcomes["too late"] += 1
        self._go_on(number)

    def _go_on(self, number: int) -> None:
        (server, payload, client), timer = self._waiting.pop(number)
        timer.cancel()
        self._send(server, payload, client)

    def _arrivals(self, sock: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                payload, control, _, server = sock.recvmsg(_LARGEST, _CONTROL)
            except OSError:
                return
            client = origin(control)
            # What was sent to this port itself was not handed over.
            if client is None or client[0] in self.own or server[1] != _DNS:
                self.outcomes["not handed over"] += 1
                continue
            family = socket.AF_INET if len(client[0]) == 4 else socket.AF_INET6
            face = socket.inet_pton(family, server[0].partition("%")[0]), server[1]
            self.answer(face, payload, (socket.inet_ntop(family, client[0]), client[1]))
