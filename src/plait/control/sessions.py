"""The sessions that workers hand over, as the snapshot has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from plait.control.snapshot import Connection, SubflowStatus
from plait.relay.orders import JsonObject
from plait.relay.rows import FlowRow, SessionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which sessions are asked for."""

    limit: int = 0
    sort: str = "rate"
    """One of `plait.relay.rows.SORTS`."""
    addresses: tuple[str, ...] | None = None
    """Clients; None for all."""
    exit: str = ""
    text: str = ""
    """Somewhere in client, target, exit or user."""

    def to_json(self) -> JsonObject:
        """As a worker is asked."""
        found: JsonObject = {"limit": self.limit, "sort": self.sort, "exit": self.exit, "text": self.text}
        if self.addresses is not None:
            found["addresses"] = list(self.addresses)
        return found


_ORDERS: dict[str, Callable[[Connection], tuple[float, str]]] = {
    "rate": lambda each: (-each.up_bps - each.down_bps, each.id),
    "up": lambda each: (-each.up_bps, each.id),
    "down": lambda each: (-each.down_bps, each.id),
    "bytes": lambda each: (-each.up_bytes - each.down_bytes, each.id),
    "age": lambda each: (-each.age, each.id),
    "new": lambda each: (each.age, each.id),
    "client": lambda each: (0.0, each.client),
    "target": lambda each: (0.0, each.target),
    "exit": lambda each: (0.0, each.exit),
}


def merged(connections: Iterable[Connection], wanted: Wanted) -> tuple[Connection, ...]:
    """Those of all workers, in order, as many as are wanted."""
    return tuple(sorted(connections, key=_ORDERS[wanted.sort])[: wanted.limit])


def connection(
    pid: int, raw: Iterable[object], paths: Mapping[str, str], backups: Collection[str]
) -> Connection:
    """A row of the worker ``pid``. ``paths`` are names by local address; ``backups`` are local addresses
    from which subflows carry nothing while others work."""
    row = SessionRow(*raw)  # type: ignore[arg-type]
    return Connection(
        id=f"{pid}-{row.number}",
        client=row.peer,
        target=row.target,
        exit=row.exit,
        user=row.user,
        age=row.age,
        up_bytes=row.up,
        down_bytes=row.down,
        up_bps=row.up_bps,
        down_bps=row.down_bps,
        transport=row.transport,
        token=f"{row.token:08x}" if row.token else "",
        subflows=tuple(_subflow(FlowRow(*flow), paths, backups) for flow in row.flows),
    )


def _subflow(flow: FlowRow, paths: Mapping[str, str], backups: Collection[str]) -> SubflowStatus:
    return SubflowStatus(
        path=paths.get(flow.local, ""),
        local=_spell(flow.local, flow.local_port),
        remote=_spell(flow.remote, flow.remote_port),
        state=flow.state,
        backup=flow.local in backups,
        rtt_ms=round(flow.rtt_us / 1e3, 3),
        cwnd=flow.window,
        tx_bytes=flow.sent,
        rx_bytes=flow.received,
        retrans_bytes=flow.retrans,
        tx_bps=flow.tx_bps,
        rx_bps=flow.rx_bps,
    )


def _spell(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
