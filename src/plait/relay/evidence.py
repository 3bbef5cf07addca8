"""What live connections show of the paths they use: looked at while they move, told to control.

The same look says how much waits in the kernel of each, which is bounded here (see `backlog`).

A look at one connection costs some 80 µs (one getsockopt, and memory that is not at hand), so each
round looks at few: the busiest, the others in turn, those in doubt, and now and then an idle one for the
subflows that it may lack. Which are busy is seen by comparing counters, so that the data path need not
note anything.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from heapq import nlargest
from itertools import islice

from plait.kernel.mptcp_info import Look, Subflow, is_mptcp, look
from plait.kernel.sockets import ask_often, unsent
from plait.relay.backlog import Backlog
from plait.relay.gateway import Upstream
from plait.relay.legs import Leg
from plait.relay.nudge import Nudge
from plait.relay.orders import JsonObject, Lacking, Traffic
from plait.relay.pump import Pump, Session
from plait.relay.silence import FlowRecord, fold

EVERY = 0.05
"""Seconds between two looks while anything moves."""
AT_REST = 0.25
"""… while nothing does."""
BUSY_FOR = 1.0
"""Seconds for which a connection that moved is still looked at."""

_FEW = 4
"""So many busy connections are all looked at in each round; of more, these:"""
_BUSIEST = 2
_DOUBTED = 4
_IN_TURN = 1
_IDLE = 1
_LACKING = 2
_COMPARED = 256
"""Sessions whose counters are compared in one round."""
_GROWN_UP = 1.0
"""Seconds that a connection may take to have its subflows."""
_FORGOTTEN_MS = 2000
_REPORT = 0.25
"""Seconds between two reports of what connections lack; nothing is said while they lack nothing."""


class _Watched:
    """A session that moves, and what its subflows have shown."""

    __slots__ = ("backlog", "moved_at", "nudge", "rate", "records")

    def __init__(self) -> None:
        self.moved_at = 0.0
        self.rate = 0
        self.records: dict[tuple[str, int], FlowRecord] = {}
        self.backlog = Backlog()
        self.nudge = Nudge()

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves, is under way or is waited for."""
        return not self.nudge.asking and all(record.idle for record in self.records.values())


class Evidence:
    """Looks at the sessions of a pump that lead to exits; ``say`` gets the messages for control."""

    def __init__(
        self, pump: Pump, upstreams: Mapping[str, Upstream], say: Callable[[JsonObject], None]
    ) -> None:
        self._pump = pump
        self._upstreams = upstreams
        self._say = say
        self._counts: dict[Session, int] = {}
        self._busy: dict[Session, _Watched] = {}
        self._round: list[Session] = []
        self._turn: list[Session] = []
        self._idle: list[Session] = []
        self._doubted: dict[Session, None] = {}
        self._without: dict[tuple[str, str], dict[Session, float]] = {}
        self._joined: dict[str, set[Session]] = {}
        self._stranded: dict[Session, None] = {}
        self._gained: Counter[tuple[str, str]] = Counter()
        self._reported = pump.loop.now
        self._lacking = False
        pump.loop.after(EVERY, self._look)

    def forget(self, session: Session) -> None:
        """A session is over."""
        self._busy.pop(session, None)
        self._doubted.pop(session, None)
        self._stranded.pop(session, None)
        if self._counts.pop(session, None) is not None and session.exit in self._joined:
            self._joined[session.exit].discard(session)
            for sessions in self._without.values():
                sessions.pop(session, None)

    def _look(self) -> None:
        now = self._pump.loop.now
        self._compare(now)
        told = self.look_at(self._chosen(), now)
        if told:
            self._say({"traffic": [traffic.to_json() for traffic in told]})
        for session in self._resting():
            self._note_subflows(session, _ask(session).flows, now)
        if now - self._reported >= _REPORT:
            self._reported = now
            self._report(now)
        self._pump.loop.after(EVERY if self._busy else AT_REST, self._look)

    def _resting(self) -> list[Session]:
        """Whom to look at for their subflows alone: some of those that lack one, so that it is known when
        they have it, and one of the others in turn."""
        chosen = [self._idle.pop() for _ in range(min(_IDLE, len(self._idle)))]
        for sessions in self._without.values():
            resting = (session for session in sessions if session not in self._busy)
            chosen += islice(resting, _LACKING)
        return [session for session in dict.fromkeys(chosen) if not session.over]

    def _compare(self, now: float) -> None:
        """Find out who has moved, some sessions at a time."""
        if not self._round:
            self._round = list(self._pump.sessions)
        counts, busy = self._counts, self._busy
        part = self._round[-_COMPARED:]
        del self._round[-_COMPARED:]
        asking = not self._idle
        for session in part:
            if session.over:
                continue
            moved = session.up.count + session.down.count
            before = counts.get(session, 0)
            if moved != before:
                counts[session] = moved
                watched = busy.get(session)
                if watched is None:
                    watched = busy[session] = _Watched()
                watched.moved_at = now
                watched.rate = moved - before
            elif asking and session.exit and session not in busy:
                self._idle.append(session)
        for session, watched in list(busy.items()):
            if now - watched.moved_at > BUSY_FOR and watched.at_rest:
                del busy[session]
                _towards_tunnel(session).backlog = None
                self._doubted.pop(session, None)

    def _chosen(self) -> list[Session]:
        """Whom to look at in this round: the busiest, those in doubt, and some of the others in turn."""
        busy = self._busy
        if len(busy) <= _FEW:
            return list(busy)
        chosen = dict.fromkeys(nlargest(_BUSIEST, busy, key=lambda session: busy[session].rate))
        for session in list(self._doubted)[:_DOUBTED]:
            chosen[session] = None
        if not self._turn:
            self._turn = list(busy)
        most = len(chosen) + _IN_TURN
        while self._turn and len(chosen) < most:
            session = self._turn.pop()
            if session in busy:
                chosen[session] = None
        return list(chosen)

    def look_at(self, sessions: list[Session], now: float) -> list[Traffic]:
        """Look at these; what their paths show, for those of which there is anything to tell."""
        by_path: dict[tuple[str, str], list[FlowRecord]] = {}
        for session in sessions:
            watched = self._busy[session]
            seen = _ask(session)
            self._bound(session, watched.backlog, seen, now)
            found = seen.flows
            # At both ends: one that the other end has lost counts against the few that a connection may have.
            watched.nudge.look(found, now, partial(ask_often, _towards_tunnel(session).sink))
            if not session.exit:
                # A gateway's with our own exit: the paths are the gateway's to judge.
                continue
            self._note_subflows(session, found, now)
            former, watched.records = watched.records, {}
            reading = session.down.pending is None
            for flow in found:
                local = str(flow.local)
                record = former.get((local, flow.local_port))
                if record is None:
                    record = FlowRecord(flow, now)
                else:
                    record.look(flow, now, 2 * EVERY, reading=reading)
                watched.records[local, flow.local_port] = record
                by_path.setdefault((session.exit, local), []).append(record)
            received = sum(record.received for record in watched.records.values())
            for record in watched.records.values():
                record.beside(received)
            if any(record.waiting_ms for record in watched.records.values()):
                self._doubted[session] = None
            else:
                self._doubted.pop(session, None)
        return [
            fold(exit_name, local, records, now)
            for (exit_name, local), records in by_path.items()
            if not all(record.idle for record in records)
        ]

    def _bound(self, session: Session, backlog: Backlog, seen: Look, now: float) -> None:
        """Let no more wait in the kernel than is good for it. With many busy connections each gets its
        look too seldom, and little of each waits."""
        leg = _towards_tunnel(session)
        few = len(self._busy) <= _FEW
        leg.backlog = backlog if few and backlog.look(seen, unsent(leg.sink), now) else None

    def _note_subflows(self, session: Session, found: tuple[Subflow, ...], now: float) -> None:
        """Which of the paths that it could use a connection has no subflow on."""
        if now - session.born < _GROWN_UP:
            return
        joined = self._joined.setdefault(session.exit, set())
        if session not in joined and not is_mptcp(session.far):
            return
        joined.add(session)
        self._counts.setdefault(session, 0)
        # One that has waited so long for an answer is none any more: where a path is silent its endpoint is
        # gone by now, so it is this one alone that somebody on the way has forgotten.
        here = {
            str(flow.local) for flow in found if not (flow.unacked and flow.last_heard_ms > _FORGOTTEN_MS)
        }
        if here:
            self._stranded.pop(session, None)
        else:
            self._stranded[session] = None
        six = session.far.family == socket.AF_INET6
        for way in self._upstreams[session.exit].ways:
            if way.local and (":" in way.local) == six:
                without = self._without.setdefault((session.exit, way.local), {})
                if way.local not in here:
                    without.setdefault(session, now)
                elif without.pop(session, None) is not None:
                    self._gained[session.exit, way.local] += 1

    def _report(self, now: float) -> None:
        lacking = []
        for (exit_name, local), sessions in list(self._without.items()):
            gained = self._gained.pop((exit_name, local), 0)
            ways = self._upstreams[exit_name].ways
            if not (sessions or gained) or all(way.local != local for way in ways):
                # Nobody lacks it, or it is no path to this exit any more.
                del self._without[exit_name, local]
                continue
            joined = self._joined[exit_name]
            lacking.append(
                Lacking(
                    exit=exit_name,
                    local=local,
                    count=len(sessions),
                    looked=len(joined),
                    longest_s=round(now - min(sessions.values(), default=now), 3),
                    moving=sum(each in joined and each not in sessions for each in self._busy),
                    stranded=sum(each in sessions for each in self._stranded),
                    gained=gained,
                )
            )
        if lacking or self._lacking:
            self._say({"subflows": [each.to_json() for each in lacking]})
        self._lacking = bool(lacking)


def _towards_tunnel(session: Session) -> Leg:
    """The leg that sends over the paths: towards an exit, or back to a gateway."""
    return session.up if session.exit else session.down


def _ask(session: Session) -> Look:
    try:
        return look(_towards_tunnel(session).sink)
    except OSError:
        # Not a connection any more; its own event tells.
        return Look((), 0)
