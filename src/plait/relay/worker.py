"""A worker: one process, one loop, no privileges.

Started by control as ``python -m plait.relay.worker FD`` with a unix socket at FD and its listening
sockets inherited. When control dies, a worker goes on serving; a new control tells it to drain by
SIGUSR1 (the socket is gone then).
"""

from __future__ import annotations

import gc
import logging
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from plait.kernel import logs
from plait.kernel.congestion import choose
from plait.kernel.sockets import pack
from plait.relay import privileges
from plait.relay.accounts import Accounts
from plait.relay.admission import Admission
from plait.relay.dialer import Failure
from plait.relay.evidence import Evidence
from plait.relay.exit import Doorkeeper
from plait.relay.forward import Browser
from plait.relay.gateway import Interceptor, Upstream, Way
from plait.relay.listener import Listener
from plait.relay.loop import ENDED, IN, Loop
from plait.relay.orders import DoorOrder, ExitOrder, Job, JsonObject, Lines, ListedWay, ListenOrder, line
from plait.relay.probe import Probe, handshake
from plait.relay.proxy import Guest, Proxy, Socks
from plait.relay.pump import Outcome, Pump, Session
from plait.relay.resolver import Resolver
from plait.relay.survey import Survey
from plait.relay.tally import Tally
from plait.relay.users import Users
from plait.relay.warm import LIFETIME, Stock
from plait.wire.cipher import Key
from plait.wire.passes import Pass
from plait.wire.replay import SaltFilter
from plait.wire.streams import Keyring

log = logging.getLogger("plait.worker")

_GUESTS: dict[str, Callable[[Proxy, socket.socket, str], Guest]] = {"socks5": Socks, "http": Browser}
"""What serves the clients of a proxy, by what they speak."""

_SPARE_DESCRIPTORS = 256
_RECEIVE = 65536
_VISITS = LIFETIME + 5.0
"""Seconds for which one that drains waits for those who have connected and said nothing yet."""
_TALLY_EVERY = 5.0
"""Seconds between two tallies that nobody asked for."""


class Worker:
    """The loop with all that hangs on it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel: socket.socket | None = channel
        self._lines = Lines()
        self._outgoing = b""
        self.loop = Loop()
        self.pump = Pump(self.loop, self._session_ended)
        self.tally = Tally()
        self._survey = Survey(self.pump)
        self._accounts = Accounts()
        self._listeners: list[Listener] = []
        self._interceptors: list[Interceptor] = []
        self._proxies: list[Proxy] = []
        self._users = Users()
        self._upstreams: dict[str, Upstream] = {}
        self._stocks: list[Stock] = []
        self._evidence: Evidence | None = None
        self._door: Doorkeeper | None = None
        self._admission: Admission | None = None
        self._draining = False
        self._patient_until = 0.0
        self._job: Job | None = None

    def run(self) -> None:
        """Take the job, then serve until drained or told to end."""
        channel = self._channel
        assert channel is not None
        job = self._receive_job(channel)
        if job is None:
            return
        self._job = job
        logging.getLogger().setLevel(logging.DEBUG if job.verbose else logging.INFO)
        room = privileges.raise_descriptor_limit(2 * job.sessions + _SPARE_DESCRIPTORS)
        most = min(job.sessions, (room - _SPARE_DESCRIPTORS) // 2)
        self._build(job, most)
        self._handle_signals()
        privileges.drop(job.uid, job.gid)
        # Only now: what may be chosen depends on the privileges that are left.
        self.pump.congestion = choose()
        channel.setblocking(False)
        self.loop.register(channel.fileno(), self._hear)
        self._say({"ready": True})
        shortest = min(job.idle_timeout, job.half_close_timeout, job.handshake_timeout)
        self._sweep_every = min(15.0, max(0.05, shortest / 8))
        self.loop.after(self._sweep_every, self._sweep)
        self.loop.after(_TALLY_EVERY, self._tell_tally)
        if job.warm and not self._draining:
            self._stocks = [
                Stock(self.pump, upstream, job.warm, job.connect_timeout)
                for upstream in self._upstreams.values()
            ]
        self._evidence = Evidence(self.pump, self._upstreams, self._say)
        # What exists now stays for good: leave it out of every later collection.
        gc.collect()
        gc.freeze()
        self.loop.run()
        self._say({"tally": self._figures()})

    def _receive_job(self, channel: socket.socket) -> Job | None:
        while data := channel.recv(_RECEIVE):
            for message in self._lines.feed(data):
                job = message["job"]
                assert isinstance(job, dict)
                return Job.from_json(job)
        return None

    def _build(self, job: Job, most: int) -> None:
        own = frozenset(pack(text) for text in job.own)
        for order in job.exits:
            self._upstreams[order.name] = self._upstream(order, job)
        if job.door is not None:
            self._door = self._make_door(job, job.door)
        for listen in job.listeners:
            sock = socket.socket(fileno=listen.fd)
            if listen.kind == "exit":
                assert self._door is not None
                accepted: Callable[[socket.socket, str], None] = self._door.accepted
            elif listen.kind in _GUESTS:
                proxy = self._make_proxy(job, listen)
                self._proxies.append(proxy)
                accepted = proxy.accepted
            else:
                interceptor = Interceptor(
                    self.pump,
                    self._upstreams[listen.exit],
                    self.tally,
                    redirected=listen.kind == "redirect",
                    own=own,
                    limit=job.connect_timeout,
                )
                self._interceptors.append(interceptor)
                accepted = interceptor.accepted
            self._listeners.append(Listener(self.loop, sock, accepted, self._room(most)))
        self._stand_in(job.serving)

    def _room(self, most: int) -> Callable[[], bool]:
        tally, open_sessions = self.tally, self.pump.sessions
        return lambda: tally.opening + len(open_sessions) < most

    def _upstream(self, order: ExitOrder, job: Job) -> Upstream:
        key = _key(order.method, order.secret) if order.secret else None
        return Upstream(order.name, key, _ways(job.ways.get(order.name, [])), order.mptcp and not order.plain)

    def _make_proxy(self, job: Job, order: ListenOrder) -> Proxy:
        held = Pass(bytes.fromhex(order.salt), bytes.fromhex(order.proof)) if order.proof else None
        return Proxy(
            self.pump,
            self._upstreams[order.exit],
            self.tally,
            _GUESTS[order.kind],
            held=held,
            handshake=job.handshake_timeout,
            limit=job.connect_timeout,
        )

    def _make_door(self, job: Job, order: DoorOrder) -> Doorkeeper:
        from ipaddress import ip_address, ip_network

        self._admission = Admission(
            [ip_network(text) for text in order.allow],
            [ip_address(text) for text in job.own],
            deny=[ip_network(text) for text in order.deny],
        )
        salts = None
        if order.salts_fd >= 0:
            salts = SaltFilter(memoryview(mmap.mmap(order.salts_fd, 0)))
        if order.rates_fd >= 0:
            cells = memoryview(mmap.mmap(order.rates_fd, 0)).cast("d")
            self._users = Users(order.rates, order.cells, cells, order.barred)
        return Doorkeeper(
            self.pump,
            self.tally,
            Resolver(self.loop),
            self._admission,
            users=self._users,
            fallback=(str(order.fallback[0]), int(order.fallback[1])) if order.fallback else None,
            keys=Keyring(
                [(user, _key(order.method, secret)) for user, secret in order.secrets.items()],
                os.urandom,
                time.time,
                lambda: time.monotonic() - order.salts_since,
            ),
            salts=salts,
            trust=[ip_network(text) for text in order.trust],
            handshake=job.handshake_timeout,
            limit=job.connect_timeout,
        )

    def _handle_signals(self) -> None:
        """Signals come in through a descriptor, so that they never interrupt a handler half-way."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        # Ctrl-C goes to the whole process group; ending us is control's business.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def arrived(mask: int) -> None:
            for number in os.read(reader, 64):
                if number == signal.SIGUSR1:
                    self._drain()
                elif number == signal.SIGTERM:
                    self._end()

        self.loop.register(reader, arrived, IN)

    def _hear(self, mask: int) -> None:
        channel = self._channel
        if channel is None:
            return
        if self._outgoing:
            self._flush()
        if not mask & (IN | ENDED):
            return
        while True:
            try:
                data = channel.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._control_gone(channel)
                return
            for message in self._lines.feed(data):
                self._obey(message)

    def _control_gone(self, channel: socket.socket) -> None:
        log.warning("control is gone; going on without it")
        self.loop.unregister(channel.fileno())
        channel.close()
        self._channel = None
        if self._draining:
            self._leave_if_done()

    def _obey(self, message: JsonObject) -> None:
        if isinstance(ways := message.get("ways"), dict):
            for name, listed in ways.items():
                if name in self._upstreams:
                    self._upstreams[name].turn_to(_ways(listed))
            self._survey.outdated()
        if isinstance(barred := message.get("bar"), list):
            self._bar(frozenset(barred))
        if isinstance(serving := message.get("serving"), dict):
            self._stand_in(serving)
        if isinstance(plain := message.get("plain"), list):
            assert self._job is not None
            for order in self._job.exits:
                self._upstreams[order.name].mptcp = order.mptcp and order.name not in plain
        if isinstance(own := message.get("own"), list):
            from ipaddress import ip_address

            packed = frozenset(pack(text) for text in own)
            for interceptor in self._interceptors:
                interceptor.own = packed
            if self._admission is not None:
                self._admission.own(ip_address(text) for text in own)
        if message.get("drain"):
            self._drain()
        if "ask" in message:
            self._answer(message)

    def _bar(self, barred: frozenset[str]) -> None:
        """These users are not served any more."""
        self._users.barred = barred
        for session in [each for each in self.pump.sessions if each.user in barred]:
            session.abort(Outcome.CLOSED)

    def _stand_in(self, serving: dict[str, str]) -> None:
        """New connections go where they are served now; those that are there stay where they are."""
        for interceptor in self._interceptors:
            other = serving.get(interceptor.exit, interceptor.exit)
            interceptor.stand_in = self._upstreams.get(other) if other != interceptor.exit else None

    def _answer(self, question: JsonObject) -> None:
        answer: JsonObject = {"answer": question["ask"]}
        what = question["what"]
        if what == "probe":
            job, upstream = self._job, self._upstreams.get(str(question["exit"]))
            assert job is not None
            if upstream is None:
                # Asked across a reload: of an exit that our config has not, or no longer.
                self._say(answer)
                return
            if "way" in question:
                way = self._way_asked(question)
                upstream = Upstream(upstream.name, upstream.key, [way] if way else [])
            Probe(
                self.pump,
                upstream,
                lambda result: self._say(answer | {"probe": result}),
                min(job.connect_timeout, 5.0),
            )
            return
        if what == "connect":
            way = self._way_asked(question)
            if way is None:
                answer["connect"] = {"ok": False, "rtt_ms": None, "why": Failure.NO_WAY.value}
                self._say(answer)
            else:
                handshake(self.loop, way, lambda result: self._say(answer | {"connect": result}))
            return
        if what == "survey":
            answer["survey"] = self._survey.answer(question)
        self._say(answer | {"tally": self._figures()})

    def _way_asked(self, question: JsonObject) -> Way | None:
        """The way that a question is about: given with it, or one of those that we know."""
        if isinstance(listed := question.get("way"), list):
            return _way(listed)
        upstream = self._upstreams.get(str(question["exit"]))
        ways = upstream.ways if upstream is not None else ()
        return next((way for way in ways if way.path == question.get("path")), None)

    def _figures(self) -> JsonObject:
        tally = self.tally
        live = self.pump.sessions
        clients, exits, up, down = self._accounts.counts(live)
        return {
            "pid": os.getpid(),
            "open": len(live),
            "opening": tally.opening,
            "total": tally.total,
            "outcomes": dict(tally.outcomes),
            "strangers": dict(tally.strangers),
            "users": self._users.counts(live),
            "clients": clients,
            "exits": exits,
            "up_bytes": tally.up_bytes + up,
            "down_bytes": tally.down_bytes + down,
        }

    def _say(self, message: JsonObject) -> None:
        if self._channel is not None:
            self._outgoing += line(message)
            self._flush()

    def _flush(self) -> None:
        assert self._channel is not None
        try:
            sent = self._channel.send(self._outgoing)
        except BlockingIOError:
            return
        except OSError:
            # Its end of file is on the way.
            self._outgoing = b""
            return
        self._outgoing = self._outgoing[sent:]

    def _sweep(self) -> None:
        job = self._job
        assert job is not None
        self.pump.sweep(job.idle_timeout, job.half_close_timeout)
        if self._door is not None:
            self._door.sweep()
        for proxy in self._proxies:
            proxy.sweep()
        self.loop.after(self._sweep_every, self._sweep)

    def _tell_tally(self) -> None:
        """Should we be killed, control knows what we had counted until now."""
        self._survey.rest()
        self._say({"tally": self._figures()})
        self.loop.after(_TALLY_EVERY, self._tell_tally)

    def _drain(self) -> None:
        """Take what has arrived already, then no more; end with the last session."""
        if self._draining:
            return
        self._draining = True
        self._patient_until = self.loop.now + _VISITS
        for listener in self._listeners:
            listener.close()
        for stock in self._stocks:
            stock.close()
        for proxy in self._proxies:
            proxy.drain()
        self._leave_if_done()

    def _end(self) -> None:
        """At once. Our clients see a reset: the end of a stream would tell them that they have it all."""
        for session in list(self.pump.sessions):
            session.abort(Outcome.CLOSED)
        self.loop.stop()

    def _leave_if_done(self) -> None:
        # A visitor may be a connection that a gateway keeps for its next client (`plait.relay.warm`).
        expected = self._door is not None and self._door.expects and self.loop.now < self._patient_until
        if self.pump.sessions or self.tally.opening or expected or any(proxy.busy for proxy in self._proxies):
            self.loop.after(0.2, self._leave_if_done)
        else:
            self.loop.stop()

    def _session_ended(self, session: Session, outcome: Outcome) -> None:
        tally = self.tally
        if self._evidence is not None:
            self._evidence.forget(session)
        self._survey.forget(session)
        self._users.ended(session)
        self._accounts.ended(session)
        tally.outcomes[outcome.value] += 1
        tally.up_bytes += session.up.count
        tally.down_bytes += session.down.count
        if outcome is Outcome.FORGED:
            if session.exit:
                tally.wrong_answer(session.exit)
            else:
                tally.stranger("unsealed", session.peer)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "session %s > %s%s: %d up, %d down, %.1f s, %s",
                session.peer,
                session.target,
                f" via {session.exit}" if session.exit else "",
                session.up.count,
                session.down.count,
                self.loop.now - session.born,
                outcome.value,
            )


def _key(method: str, secret: str) -> Key:
    key = Key.heard(method, secret)
    # Loads the cipher library now, while we may still read wherever it is.
    key.try_out()
    return key


def _ways(listed: list[ListedWay]) -> list[Way]:
    return [_way(each) for each in listed]


def _way(listed: ListedWay) -> Way:
    address, port, local, interface, path, rtt = listed
    return Way(str(address), int(port), str(local), str(interface), str(path), float(rtt))


def main() -> int:
    """The process."""
    logs.begin(logs.chosen(), logging.WARNING, "%(levelname)s %(name)s[%(process)d]: %(message)s")
    channel = socket.socket(fileno=int(sys.argv[1]))
    worker = Worker(channel)
    try:
        worker.run()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
