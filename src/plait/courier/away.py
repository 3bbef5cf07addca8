"""A gateway's end of the session with one exit, over all paths to it.

One session serves all paths: greetings go out over each of them, and the first valid answer wins.
When nothing is heard of the exit any more it may have been restarted, so it is greeted again while the
old session is kept: whichever answers is right.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from plait.courier.line import PACE, Line, Sent
from plait.courier.measure import Measure
from plait.courier.orders import AwayOrder, WayOrder
from plait.courier.room import Room
from plait.courier.tally import Tally
from plait.kernel.udp import Letter, split
from plait.relay.loop import Loop, Timer
from plait.relay.orders import JsonObject
from plait.tunnel import glance
from plait.tunnel.frames import DATA_HEAD, Config, Echo, EchoReply, Train, TrainReply, decode, encode
from plait.wire.datagram import PLAIN, SEALED, Session, index_of, one_session, trade
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed
from plait.wire.greeting import ANSWER, COOKIE, WELCOME, Caller, Guard, hello, mac_of, take_welcome

if TYPE_CHECKING:
    from plait.courier.near import Near

RENEW = 120.0
"""Seconds after which a session gets new keys (WireGuard's REKEY_AFTER_TIME)."""
_WAITS = (0.25, 0.5, 1.0, 2.0)
"""Seconds between greetings; the last one for as long as it takes: about 0.5 kbit/s on each path."""
_TRIES = 24
"""Greetings of one handshake; then another is begun."""
_BURST = 4
_BURST_GAP = 0.04
_NEWS = 3
"""Greetings without an answer before it is said that there is none."""
_SLACK = 0.05
"""Seconds that an answer about a size is waited for beside the usual."""
_MISSES = 2
"""Silent echoes, with nothing heard on any path since, before the exit is greeted again."""


Wanted = tuple[str, float, bool]
"""Mode, weight, and whether the path may be used."""
_ANYHOW: Wanted = ("on", 1.0, True)


class Away:
    """One exit, seen from a gateway. ``say`` tells control."""

    def __init__(
        self,
        loop: Loop,
        order: AwayOrder,
        identity: bytes,
        say: Callable[[JsonObject], None],
        tally: Tally,
    ) -> None:
        self._loop = loop
        self._order = order
        self._trade = trade(order.method)
        self._guard = Guard(bytes.fromhex(order.psk)) if self._trade is not None else None
        self._identity = identity
        self._say = say
        self._tally = tally
        self._lines: dict[str, Line] = {}
        self._numbers: dict[str, int] = {}
        self._numbered: dict[int, Line] = {}
        self._paces: dict[str, float] = {}
        self._session: Session | None = None
        self._former: Session | None = None
        self._caller: Caller | None = None
        self._index = 0
        """Ours in the handshake that is under way; 0 when none is."""
        self._called = b""
        """Our index in the last handshake that ended."""
        self._attempt = 0
        self._unanswered = 0
        self._calling: Timer | None = None
        self._renewal: Timer | None = None
        self._due = False
        """The session is old enough to be replaced, however well it works."""
        self._misses = 0
        self._state = ""
        self._serves: bool | None = None
        """Whether the exit serves a tunnel; None before it has said so."""
        self._terms: dict[str, Wanted] = {}
        self.near: Near | None = None
        """The tunnel, where there is one."""

    # What control wants.

    def ways(self, ways: list[WayOrder]) -> None:
        """These paths can be probed now; others can't."""
        wanted = {way.path: way for way in ways}
        for path in [path for path, line in self._lines.items() if wanted.get(path) != line.way]:
            line = self._lines.pop(path)
            line.end()
            self._numbered.pop(line.number, None)
        for path, way in wanted.items():
            if path not in self._lines:
                self._add(way)
        self._use()
        if self._lines and self._session is None and not self._index:
            self._call()

    def terms(self, terms: Mapping[str, Wanted]) -> None:
        """How the tunnel may use each path; one that is not named, as it likes."""
        self._terms = dict(terms)
        self._use()

    def _use(self) -> None:
        if self.near is not None:
            self.near.terms(
                {line.number: self._terms.get(path, _ANYHOW) for path, line in self._lines.items()},
                {line.number: line.room.size for line in self._lines.values() if line.room is not None},
            )

    def pace(self, path: str, seconds: float) -> None:
        """From now on so long between two echoes on a path."""
        self._paces[path] = seconds
        line = self._lines.get(path)
        if line is not None and line.pace != seconds:
            line.pace = seconds
            if line.tick is not None:
                line.tick.cancel()
            # Counted from the last one: whoever is in a hurry wants the next one now.
            left = max(0.0, line.asked + seconds - time.monotonic())
            line.tick = self._loop.after(left, lambda: self._tick(line))

    def burst(self, path: str) -> None:
        """Find out at once about a path."""
        line = self._lines.get(path)
        if line is None:
            return
        if self._session is None:
            self._greet(line)
            return
        self._echo(line)
        for number in range(1, _BURST):
            self._loop.after(number * _BURST_GAP, lambda: self._echo(line))

    def train(self, path: str) -> None:
        """Find out a path's capacity both ways."""
        line, session = self._lines.get(path), self._session
        if line is None or session is None:
            self._capacity(path, None, None)
            return
        line.measure = Measure(
            self._loop,
            lambda frame: line.send(session.sealing.seal(line.number, frame)) is Sent.YES,
            lambda up, down: self._capacity(path, up, down),
        )

    def figures(self) -> JsonObject | None:
        """How the tunnel stands, for control; None without one."""
        near = self.near
        if near is None:
            return None
        return {
            "exit": self._order.name,
            "state": "open" if near.addresses and self._state == "up" else "waiting",
            **near.figures(),
            "paths": [
                {
                    "name": path,
                    "tx_bytes": line.tx_bytes,
                    "rx_bytes": line.rx_bytes,
                    "fits": line.room.size - DATA_HEAD if line.room is not None and line.room.size else None,
                }
                for path, line in self._lines.items()
            ],
        }

    def close(self) -> None:
        """No more of this exit."""
        for line in self._lines.values():
            line.end()
        self._lines.clear()
        if self.near is not None:
            self.near.close()
        for timer in (self._calling, self._renewal):
            if timer is not None:
                timer.cancel()

    # Greeting.

    def _call(self) -> None:
        """Begin a handshake unless one is under way."""
        if not self._index:
            self._attempt = 0
            self._unanswered = 0
            self._begin()
            self._greet_all()

    def _begin(self) -> None:
        self._index = int.from_bytes(os.urandom(4), "big") or 1
        if self._trade is not None:
            assert self._guard is not None
            self._caller = Caller(
                self._trade,
                self._guard,
                ephemeral=os.urandom(32),
                index=self._index,
                identity=self._identity,
                epoch=self.near.epoch if self.near else 0,
                exit_key=bytes.fromhex(self._order.exit_key),
            )

    def _greet_all(self) -> None:
        if self._attempt >= _TRIES:
            self._attempt = 0
            self._begin()
        for line in self._lines.values():
            self._greet(line)
        wait = _WAITS[min(self._attempt, len(_WAITS) - 1)]
        self._attempt += 1
        self._unanswered += 1
        if self._unanswered > _NEWS:
            self._news("none", "no answer: not a plait, UDP is blocked, or another password")
        self._calling = self._loop.after(wait, self._greet_all)

    def _greet(self, line: Line) -> None:
        if not self._index:
            self._call()
            return
        if self._caller is None:
            greeting = hello(
                line.number,
                self._attempt,
                self._index,
                self._identity,
                self.near.epoch if self.near else 0,
            )
        else:
            greeting = self._caller.greeting(line.number, self._attempt, line.cookie)
            line.mac = mac_of(greeting)
        line.send(greeting)

    def _renew(self) -> None:
        self._due = True
        self._call()

    def _stop_calling(self) -> None:
        self._called = self._index.to_bytes(4, "big")
        self._index = 0
        self._caller = None
        if self._calling is not None:
            self._calling.cancel()
            self._calling = None

    def _begun(self, session: Session, epoch: int) -> None:
        self._stop_calling()
        self._former, self._session = self._session, session
        self._misses = 0
        if self._renewal is not None:
            self._renewal.cancel()
        self._due = False
        self._renewal = self._loop.after(RENEW, self._renew)
        self._news("up", "")
        if self._serves is not bool(epoch):
            self._serves = bool(epoch)
            self._say({"offer": {"exit": self._order.name, "serves": self._serves}})
        if self.near is not None and epoch:
            self.near.begun(session, epoch)
        # The exit takes the session for real, and learns where each path is, by the first datagram on it.
        for line in self._lines.values():
            self._echo(line)
            self._measure(line)

    def _news(self, state: str, why: str) -> None:
        if state != self._state:
            self._state = state
            self._say({"session": {"exit": self._order.name, "state": state, "why": why}})

    # Echoes.

    def _add(self, way: WayOrder) -> None:
        number = self._numbers.setdefault(way.path, len(self._numbers) & 0xFF)
        line = self._lines[way.path] = self._numbered[number] = Line(self._loop, way, number, self._heard)
        line.pace = self._paces.get(way.path, PACE)
        if self._session is None and self._index:
            self._greet(line)
        self._tick(line)

    def _tick(self, line: Line) -> None:
        line.tick = self._loop.after(line.pace, lambda: self._tick(line))
        self._echo(line)
        self._measure(line)

    def _measure(self, line: Line) -> None:
        """Go on finding out what a path lets through."""
        session, near = self._session, self.near
        if near is None or session is None or self._lines.get(line.way.path) is not line:
            return
        if line.room is None:
            line.room = Room(near.wanted)
        now, before = time.monotonic(), line.room.size
        asked = line.room.ask(now, line.echoes.patience(), alive=line.echoes.heard >= line.measured)
        if asked is None:
            return
        line.measured = now
        number, size = asked
        frame = glance.encode(glance.Look(number, True, size))
        if line.send(session.sealing.seal(line.number, frame)) is Sent.LARGE:
            line.room.refused(now)
            self._roomed(line, before)
        # If this is answered and that is not, it was the size.
        self._echo(line)
        self._loop.after(line.echoes.patience() + _SLACK, lambda: self._ask_again(line))

    def _ask_again(self, line: Line) -> None:
        if line.room is not None and line.room.searching:
            before = line.room.size
            self._measure(line)
            self._roomed(line, before)

    def _seen(self, line: Line, body: bytes) -> None:
        seen = glance.decode(body)
        if not isinstance(seen, glance.Seen) or line.room is None:
            raise Malformed("nothing that was asked for")
        before = line.room.size
        line.room.seen(seen.id, seen.size, time.monotonic())
        self._roomed(line, before)
        self._measure(line)

    def _roomed(self, line: Line, before: int | None) -> None:
        if line.room is not None and line.room.size != before:
            self._use()

    def _echo(self, line: Line) -> None:
        session = self._session
        if session is None or self._lines.get(line.way.path) is not line:
            return
        now = line.asked = time.monotonic()
        number = line.echoes.send(now, time.time_ns())
        sent = line.send(session.sealing.seal(line.number, encode(Echo(number))))
        if sent is Sent.BROKEN:
            self._late(line, number)
        elif sent is Sent.BUSY:
            line.echoes.withdraw(number)
        else:
            self._tally.sent += 1
            patience = now + line.echoes.patience() - self._loop.now
            self._loop.after(patience, lambda: self._late(line, number))

    def echo_over(self, number: int) -> None:
        """Send an echo over the path with this number."""
        line = self._numbered.get(number)
        if line is not None:
            self._echo(line)

    def ship(self, number: int, buffers: list[bytes], size: int) -> None:
        """Send datagrams over the path with this number; see `Line.send_run`."""
        line = self._numbered.get(number)
        if line is not None:
            self._tally.sent += 1
            line.tx_bytes += sum(map(len, buffers))
            line.send_run(buffers, size)

    def _late(self, line: Line, number: int) -> None:
        # We may have slept through its arrival: what the kernel has for us decides, not our clock.
        line.drain()
        sent = line.echoes.due(number)
        if sent is None or self._lines.get(line.way.path) is not line:
            return
        self._say({"silent": {"exit": self._order.name, "path": line.way.path, "sent": sent}})
        if all(other.echoes.heard < sent for other in self._lines.values()):
            self._misses += 1
            if self._misses >= _MISSES:
                self._call()

    def _capacity(self, path: str, up: int | None, down: int | None) -> None:
        self._say({"capacity": {"exit": self._order.name, "path": path, "up_bps": up, "down_bps": down}})

    # What comes.

    def _heard(self, line: Line, letter: Letter) -> None:
        data = letter.data
        kind = data[0] if data else 0
        if letter.size and (kind not in (SEALED, PLAIN) or not one_session(data, letter.size)):
            for each in split(letter):
                self._heard(line, each)
            return
        try:
            if kind in (SEALED, PLAIN):
                self._datagram(line, letter)
            elif kind == ANSWER and self._caller is not None:
                self._begun(*self._caller.answered(data))
            elif kind == WELCOME and self._index and self._trade is None:
                self._begun(*take_welcome(data, self._index))
            elif kind == COOKIE and self._guard is not None:
                line.cookie = self._guard.open_cookie(data, line.mac)
            elif kind not in (ANSWER, WELCOME) or data[4:8] != self._called:
                raise Malformed("of no known kind")
            # Else it is what the exit says to the same greeting over a path that is slower.
        except Replayed:
            self._tally.stranger("replayed", line.way.remote)
        except Forged:
            self._tally.stranger("forged", line.way.remote)
        except PeerFault:
            self._tally.stranger("malformed", line.way.remote)

    def _datagram(self, line: Line, letter: Letter) -> None:
        data = letter.data
        index = index_of(data)
        session = next(
            (each for each in (self._session, self._former) if each is not None and each.ours == index), None
        )
        if session is None:
            raise Malformed("of no session")
        size = letter.size or len(data)
        waited = letter.waited()
        run = session.opening.open_run(data, size)
        self._tally.faults(run, line.way.remote)
        line.rx_bytes += len(data)
        current = session is self._session

        def other(frame: bytes) -> None:
            self._frame(line, letter, size, frame, current=current)

        for path, first, frames, _ in run.pieces:
            self._tally.received += len(frames)
            if path != line.number:
                raise Malformed("of another path")
            if self.near is not None:
                self.near.haul.run(path, first, frames, size, other, waited)
            else:
                for frame in frames:
                    other(frame)

    def _frame(self, line: Line, letter: Letter, size: int, body: bytes, *, current: bool) -> None:
        if glance.is_seen(body):
            self._seen(line, body)
            return
        frame = decode(body)
        if isinstance(frame, EchoReply):
            self._replied(line, letter, frame, current=current)
        elif isinstance(frame, Train | TrainReply):
            if line.measure is not None:
                line.measure.take(frame, size, letter.at or time.time_ns())
        elif isinstance(frame, Echo) and self._session is not None:
            reply = encode(EchoReply(frame.id, 0, frame.size & 0xFFFF))
            line.send(self._session.sealing.seal(line.number, reply))
        elif isinstance(frame, Config) and self.near is not None:
            self.near.answered(frame)
        else:
            raise Malformed("nothing that an exit sends")

    def _replied(self, line: Line, letter: Letter, frame: EchoReply, *, current: bool) -> None:
        found = line.echoes.reply(frame.id, time.monotonic(), letter.at, frame.held)
        if found is None:
            return
        sent, rtt = found
        if self.near is not None:
            self.near.haul.alive(line.number)
        if current:
            self._misses = 0
            if self._index and not self._due:
                # It was there all the time; the greeting was for nothing.
                self._stop_calling()
            self._news("up", "")
        self._say(
            {
                "echo": {
                    "exit": self._order.name,
                    "path": line.way.path,
                    "sent": round(sent, 6),
                    "rtt_us": round(rtt * 1e6),
                }
            }
        )
