"""The snapshot as Prometheus has it: base units, names that say the unit, counters that end in ``_total``.

docs/reference/metrics.md lists them; a test holds both together, and with the dashboard and the alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

PATH_STATES = ("up", "standby", "down", "off")
EXIT_STATES = ("up", "degraded", "down", "unknown")
MODES = ("on", "master", "off", "backup", "handover")
DEVICES = 200
"""Devices of the LAN that are told apart, the busiest ones."""

_Object = Mapping[str, object]


def page(status: _Object) -> bytes:
    """The text that Prometheus fetches."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(status))
    return generate_latest(registry)


class _Snapshot:
    """A collector (`prometheus_client.registry.Collector`) of one snapshot."""

    def __init__(self, status: _Object) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """All metrics."""
        status = self._status
        info = GaugeMetricFamily("plait_info", "What runs; always 1.", labels=("version", "role"))
        info.add_metric((str(status["version"]), str(status["role"])), 1)
        yield info
        yield _gauge("plait_uptime_seconds", "Since control started.", status["uptime"])
        yield _gauge("plait_intercepting", "1 while the LAN's TCP is taken.", status["intercepting"])
        workers = cast("Sequence[object]", status["workers"])
        yield _gauge("plait_workers", "Worker processes that answer.", len(workers))
        yield _counter("plait_worker_restarts", "Workers that died and were replaced.", status["restarts"])
        yield from _sessions(cast("_Object", status["sessions"]))
        yield from _datagrams(cast("_Object", status["datagrams"]))
        yield from _paths(_list(status, "paths"))
        yield from _exits(_list(status, "exits"))
        yield from _tunnels(_list(status, "tunnels"))
        yield from _users(_list(status, "users"))
        yield from _devices(_list(status, "clients"))


def _list(status: _Object, name: str) -> Sequence[_Object]:
    return cast("Sequence[_Object]", status.get(name, ()))


def _number(value: object, scale: float = 1.0) -> float:
    return float(cast("float", value)) * scale


def _gauge(name: str, text: str, value: object) -> Metric:
    return GaugeMetricFamily(name, text, _number(value))


def _counter(name: str, text: str, value: object) -> Metric:
    return CounterMetricFamily(name, text, _number(value))


def _words(name: str, text: str, label: str, counts: object) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for word, count in cast("Mapping[str, int]", counts).items():
        family.add_metric((word,), count)
    return family


def _sessions(sessions: _Object) -> Iterator[Metric]:
    yield _gauge("plait_sessions_open", "Sessions that relay now.", sessions["open"])
    yield _counter("plait_sessions", "Sessions ever accepted.", sessions["total"])
    yield _counter("plait_sessions_failed", "Sessions that never relayed.", sessions["failed"])
    yield _words("plait_sessions_ended", "Sessions by how they ended.", "outcome", sessions["outcomes"])
    yield _words("plait_strangers", "Peers that proved nothing.", "kind", sessions["strangers"])
    yield _both("plait_session_bytes", "Payload of TCP sessions.", (), [((), sessions)])


def _datagrams(datagrams: _Object) -> Iterator[Metric]:
    yield _gauge("plait_associations_open", "UDP associations now.", datagrams["open"])
    yield _counter("plait_associations", "UDP associations ever.", datagrams["total"])
    yield _words(
        "plait_datagrams_lost", "Clients' datagrams that went nowhere.", "why", datagrams["outcomes"]
    )
    yield _words("plait_datagram_strangers", "Datagrams that proved nothing.", "kind", datagrams["strangers"])
    yield _both("plait_datagram_bytes", "Payload of UDP associations.", (), [((), datagrams)])


def _both(
    name: str,
    text: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], _Object]],
    words: tuple[tuple[str, str], tuple[str, str]] = (("up", "up_bytes"), ("down", "down_bytes")),
) -> Metric:
    """A counter of both directions."""
    family = CounterMetricFamily(name, text, labels=(*labels, "direction"))
    for values, row in rows:
        for word, key in words:
            family.add_metric((*values, word), _number(row[key]))
    return family


def _each(
    name: str,
    text: str,
    label: str,
    rows: Sequence[_Object],
    key: str,
    *,
    scale: float = 1.0,
    kind: type[GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
) -> Metric:
    """One figure of each row; rows where it is not known are left out."""
    family = kind(name, text, labels=(label,))
    for row in rows:
        if row.get(key) is not None:
            family.add_metric((str(row["name"]),), _number(row[key], scale))
    return family


def _states(
    name: str, text: str, label: str, rows: Sequence[_Object], key: str, words: Sequence[str]
) -> Metric:
    """1 for the state that each row is in, 0 for the others: so an alert can name one."""
    family = GaugeMetricFamily(name, text, labels=(label, key))
    for row in rows:
        for word in words:
            family.add_metric((str(row["name"]), word), 1.0 if row[key] == word else 0.0)
    return family


def _paths(paths: Sequence[_Object]) -> Iterator[Metric]:
    if not paths:
        return
    info = GaugeMetricFamily("plait_path_info", "Of each path; always 1.", labels=("path", "interface"))
    for path in paths:
        info.add_metric((str(path["name"]), str(path["interface"])), 1)
    yield info
    yield _states("plait_path_state", "1 for the state it is in.", "path", paths, "state", PATH_STATES)
    yield _states("plait_path_mode", "1 for the mode in force.", "path", paths, "mode", MODES)
    yield _each("plait_path_rtt_seconds", "Smoothed round trip.", "path", paths, "rtt_ms", scale=1e-3)
    yield _each("plait_path_jitter_seconds", "Its mean deviation.", "path", paths, "jitter_ms", scale=1e-3)
    yield _each("plait_path_loss_ratio", "Share lost lately, 0 to 1.", "path", paths, "loss")
    yield _each("plait_path_subflows", "MPTCP subflows on it.", "path", paths, "subflows")
    sent = (("transmit", "tx_bytes"), ("receive", "rx_bytes"))
    rows = [((str(path["name"]),), path) for path in paths]
    yield _both("plait_path_bytes", "The interface's own counters.", ("path",), rows, sent)


def _exits(exits: Sequence[_Object]) -> Iterator[Metric]:
    if not exits:
        return
    yield _states("plait_exit_state", "1 for the state it is in.", "exit", exits, "state", EXIT_STATES)
    yield _each("plait_exit_rtt_seconds", "Last TCP handshake with it.", "exit", exits, "rtt_ms", scale=1e-3)
    yield _each("plait_exit_sessions_open", "Sessions with it now.", "exit", exits, "open")
    rows = [((str(each["name"]),), each) for each in exits]
    yield _both("plait_exit_bytes", "Payload of TCP to and from it.", ("exit",), rows)


def _tunnels(tunnels: Sequence[_Object]) -> Iterator[Metric]:
    if not tunnels:
        return
    is_open = GaugeMetricFamily("plait_tunnel_open", "1 while it carries packets.", labels=("exit",))
    mtu = GaugeMetricFamily("plait_tunnel_mtu_bytes", "Largest inner packet.", labels=("exit",))
    fates = CounterMetricFamily("plait_tunnel_losses", "What went wrong in it.", labels=("exit", "fate"))
    sent = []
    for tunnel in tunnels:
        exit = str(tunnel["exit"])
        is_open.add_metric((exit,), 1.0 if tunnel["state"] == "open" else 0.0)
        mtu.add_metric((exit,), _number(tunnel["mtu"]))
        for fate in ("refused", "dropped", "resent", "given_up"):
            fates.add_metric((exit, fate), _number(tunnel[fate]))
        sent += [((exit, str(path["name"])), path) for path in _list(tunnel, "paths")]
    words = (("transmit", "tx_bytes"), ("receive", "rx_bytes"))
    yield from (is_open, mtu, fates)
    yield _both("plait_tunnel_bytes", "Sealed datagrams of it by path.", ("exit", "path"), sent, words)


def _users(users: Sequence[_Object]) -> Iterator[Metric]:
    if not users:
        return
    states = ("ok", "spent")
    yield _states("plait_user_state", "1 for the state it is in.", "user", users, "state", states)
    yield _each("plait_user_sessions_open", "Sessions now.", "user", users, "open")
    rows = [((str(user["name"]),), user) for user in users]
    yield _both("plait_user_bytes", "Payload, datagrams included.", ("user",), rows)
    yield _each("plait_user_volume_used_bytes", "Of its volume, in this period.", "user", users, "used_bytes")
    limited = [user for user in users if user["volume"]]
    yield _each("plait_user_volume_bytes", "What it may use in a period.", "user", limited, "volume")


def _devices(devices: Sequence[_Object]) -> Iterator[Metric]:
    if not devices:
        return
    rows = {_known_as(device): device for device in reversed(devices[:DEVICES])}
    open_now = GaugeMetricFamily("plait_device_sessions_open", "Sessions now.", labels=("device", "mac"))
    for key, device in rows.items():
        open_now.add_metric(key, _number(device["open"]))
    yield open_now
    yield _both("plait_device_bytes", "Payload of TCP of each device.", ("device", "mac"), list(rows.items()))


def _known_as(device: _Object) -> tuple[str, str]:
    return str(device["name"]), str(device["mac"])
