"""Looking at live sessions: for whoever asks, and never more often than asked.

Being watched must cost next to nothing (below 1 % of a core with a thousand sessions, once a second). So
rates come from counters that the data path keeps anyway, only the sessions that are shown are handed
over, and the kernel is asked (some 15 µs a connection) about these alone, and about the others in turn:
their last answer is good enough to say how many subflows each path has.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest, nsmallest
from itertools import islice

from plait.kernel.mptcp_info import Portrait, portray
from plait.relay.orders import JsonObject
from plait.relay.pump import Pump, Session
from plait.relay.rows import FlowRow, PathRow, SessionRow, plain

_SHORTEST = 0.3
"""Seconds over which a rate is taken at least; who asks again sooner gets the same one."""
_FRESH = 128
"""Most connections looked at in one go because they never were before."""
_FORGOTTEN = 30.0
"""Seconds without a question after which nothing is kept."""


class _Known:
    """A session since it was first seen here."""

    __slots__ = (
        "down", "down_bps", "flows", "looked", "number",
        "places", "port", "token", "transport", "up", "up_bps",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.up = self.down = 0
        self.up_bps = self.down_bps = 0
        self.looked = -1.0
        self.transport = ""
        self.token = 0
        self.port = -1
        self.flows: tuple[FlowRow, ...] = ()
        self.places: tuple[tuple[str, int, int, int], ...] = ()
        """Of each established subflow of MPTCP: local address, RTT in µs, segments sent, and sent again."""


class Survey:
    """Knows the sessions of a pump as long as somebody asks for them."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._known: dict[Session, _Known] = {}
        # Those looked at longest ago come first, as each look moves its session to the end.
        self._fresh: dict[Session, None] = {}
        self._places: dict[str, list[int]] = {}
        """By local address the sums of what `_Known.places` says of all sessions."""
        self._count = 0
        self._at = float("-inf")
        self._asked = float("-inf")

    def forget(self, session: Session) -> None:
        """A session is over."""
        self._fresh.pop(session, None)
        mine = self._known.pop(session, None)
        if mine is not None:
            self._sum_up(mine.places, -1)

    def rest(self) -> None:
        """Nobody has asked for long: keep nothing."""
        if self._known and self._pump.loop.now - self._asked > _FORGOTTEN:
            self._known.clear()
            self._fresh.clear()
            self._places.clear()
            self._at = float("-inf")

    def outdated(self) -> None:
        """Paths have changed: what was seen of subflows is to be seen anew."""
        self._fresh = dict.fromkeys(self._known)

    def answer(self, question: Mapping[str, object]) -> JsonObject:
        """``limit`` sessions in the order ``sort``, of those with one of the client ``addresses`` (if it is
        there), to ``exit``, with ``text`` in them; and the paths' subflows, after ``looks`` more looks."""
        now = self._asked = self._pump.loop.now
        self._refresh(now)
        wanted = _filter(question)
        matching = [session for session in self._known if wanted is None or wanted(session)]
        listed = self._sorted(matching, str(question.get("sort", "rate")), _whole(question, "limit"))
        for session in self._to_look_at(listed, _whole(question, "looks"), now):
            self._look(session, now)
        return {
            "matched": len(matching),
            "rows": [self._row(session, now) for session in listed],
            "paths": self._paths(),
        }

    def _refresh(self, now: float) -> None:
        """Take the rates, and note who is new."""
        passed, known = now - self._at, self._known
        again = passed >= _SHORTEST
        if again:
            self._at = now
        for session in self._pump.sessions:
            mine = known.get(session)
            up, down = session.up.count, session.down.count
            if mine is None:
                self._count += 1
                mine = known[session] = _Known(self._count)
                self._fresh[session] = None
                lived = max(now - session.born, _SHORTEST)
                mine.up_bps, mine.down_bps = int(up * 8 / lived), int(down * 8 / lived)
            elif not again:
                continue
            elif up == mine.up and down == mine.down:
                # Most sessions rest most of the time.
                if mine.up_bps or mine.down_bps:
                    mine.up_bps = mine.down_bps = 0
                continue
            else:
                mine.up_bps = int((up - mine.up) * 8 / passed)
                mine.down_bps = int((down - mine.down) * 8 / passed)
            mine.up, mine.down = up, down

    def _sorted(self, sessions: list[Session], sort: str, limit: int) -> list[Session]:
        known = self._known
        if limit <= 0:
            return []
        words: dict[str, Callable[[Session], str]] = {
            "client": lambda each: each.peer,
            "target": lambda each: each.target,
            "exit": lambda each: each.exit,
        }
        if sort in words:
            return nsmallest(limit, sessions, key=words[sort])
        numbers: dict[str, Callable[[Session], float]] = {
            "up": lambda each: known[each].up_bps,
            "down": lambda each: known[each].down_bps,
            "bytes": lambda each: known[each].up + known[each].down,
            "age": lambda each: -each.born,
            "new": lambda each: each.born,
        }
        if sort in numbers:
            return nlargest(limit, sessions, key=numbers[sort])
        rates = [
            (mine.up_bps + mine.down_bps, -at) for at, mine in enumerate(map(known.__getitem__, sessions))
        ]
        return [sessions[-at] for _, at in nlargest(limit, rates)]

    def _to_look_at(self, listed: list[Session], looks: int, now: float) -> Iterable[Session]:
        known = self._known
        # All of them within about a minute, when asked once a second.
        looks = max(looks, len(known) // 64) if looks else 0
        fresh = [self._fresh.popitem()[0] for _ in range(min(_FRESH, len(self._fresh)))]
        chosen = dict.fromkeys([*listed, *fresh, *islice(known, looks)])
        return [each for each in chosen if now - known[each].looked >= _SHORTEST]

    def _look(self, session: Session, now: float) -> None:
        mine = self._known.pop(session)
        self._known[session] = mine
        seen = portray(session.far if session.exit else session.near)
        mine.transport, mine.token = seen.transport, seen.token
        before = {(flow.local, flow.local_port): flow for flow in mine.flows}
        passed = now - (mine.looked if mine.looked > 0 else session.born)
        mine.looked = now
        mine.flows = _flows(seen, before, max(passed, _SHORTEST))
        self._sum_up(mine.places, -1)
        mine.places = ()
        if seen.transport == "mptcp" and session.exit:
            mine.places = tuple(
                (str(flow.local), flow.rtt_us, flow.segments_out, flow.segments_retrans)
                for flow in seen.flows
                if flow.state == "established"
            )
            self._sum_up(mine.places, 1)

    def _sum_up(self, places: Iterable[tuple[str, int, int, int]], sign: int) -> None:
        for local, *figures in places:
            sums = self._places.setdefault(local, [0, 0, 0, 0])
            sums[0] += sign
            for at, figure in enumerate(figures, 1):
                sums[at] += sign * figure
            if not sums[0]:
                del self._places[local]

    def _row(self, session: Session, now: float) -> SessionRow:
        mine = self._known[session]
        if mine.port < 0:
            mine.port = _peer_port(session.near)
        peer = plain(session.peer)
        return SessionRow(
            number=mine.number,
            peer=f"[{peer}]:{mine.port}" if ":" in peer else f"{peer}:{mine.port}",
            target=session.target,
            exit=session.exit,
            user=session.user or "",
            age=round(now - session.born, 1),
            up=mine.up,
            down=mine.down,
            up_bps=mine.up_bps,
            down_bps=mine.down_bps,
            transport=mine.transport,
            token=mine.token,
            flows=mine.flows,
        )

    def _paths(self) -> dict[str, PathRow]:
        return {
            local: PathRow(flows, rtts // flows, segments, retrans)
            for local, (flows, rtts, segments, retrans) in self._places.items()
        }


def _flows(seen: Portrait, before: Mapping[tuple[str, int], FlowRow], passed: float) -> tuple[FlowRow, ...]:
    found = []
    for flow in seen.flows:
        local = str(flow.local)
        former = before.get((local, flow.local_port))
        sent, received = (former.sent, former.received) if former else (0, 0)
        found.append(
            FlowRow(
                local=local,
                local_port=flow.local_port,
                remote=str(flow.remote),
                remote_port=flow.remote_port,
                state=flow.state,
                rtt_us=flow.rtt_us,
                window=flow.window,
                sent=flow.bytes_sent,
                received=flow.bytes_received,
                retrans=flow.bytes_retrans,
                tx_bps=max(0, int((flow.bytes_sent - sent) * 8 / passed)),
                rx_bps=max(0, int((flow.bytes_received - received) * 8 / passed)),
            )
        )
    return tuple(found)


def _filter(question: Mapping[str, object]) -> Callable[[Session], bool] | None:
    addresses, exit_name, text = question.get("addresses"), question.get("exit"), question.get("text")
    among = frozenset(addresses) if isinstance(addresses, list) else None
    if among is None and not exit_name and not text:
        return None

    def wanted(session: Session) -> bool:
        if among is not None and plain(session.peer) not in among:
            return False
        if exit_name and session.exit != exit_name:
            return False
        said = f"{session.peer} {session.target} {session.exit} {session.user or ''}"
        return not text or str(text) in said

    return wanted


def _whole(question: Mapping[str, object], name: str) -> int:
    value = question.get(name, 0)
    assert isinstance(value, int)
    return value


def _peer_port(near: socket.socket) -> int:
    try:
        return int(near.getpeername()[1])
    except OSError:
        # It is gone; its own event tells.
        return 0
