"""What a worker tells of real MPTCP connections, and what it does about a path that turns silent."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from plait.relay.orders import Lacking, Traffic
from plait.relay.rows import FlowRow, PathRow, SessionRow

from .duo import Duo, Worker, echo, sink, source, way


def traffic(worker: Worker, since: float = 0.0) -> list[Traffic]:
    return [Traffic.from_json(each) for at, told in worker.told("traffic") if at >= since for each in told]


def paths_of(found: list[Traffic]) -> set[str]:
    return {each.local for each in found}


def test_an_upload_shows_both_paths_and_a_silent_one_at_once(duo: Duo) -> None:
    duo.exit()
    gateway = duo.gateway()
    duo.server(sink)
    client = duo.client()
    stop = threading.Event()

    def pour() -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                client.sendall(bytes(65536))
                time.sleep(0.002)

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        gateway.until(
            lambda: paths_of([t for t in traffic(gateway) if t.acked]) == {"10.1.1.78", "10.2.2.78"}
        )
        gateway.listen(0.5)
        moving = traffic(gateway)[-1]
        assert moving.exit == "attic"
        assert 0.0 < moving.min_rtt_ms <= moving.rtt_ms < 1000.0
        # Which of the two carries is the scheduler's choice: the one that has carried last goes silent.
        carrying = next(t for t in reversed(traffic(gateway)) if t.acked)
        number = int(carrying.local.split(".")[1])
        duo.mute(number)
        muted = time.monotonic()
        silent = gateway.until(
            lambda: [t for t in traffic(gateway, muted) if t.suspicious and t.local == carrying.local]
        )[0]
        assert silent.waiting_ms > 100.0
        assert silent.unacked > 0
        # As a rule after 100 to 150 ms; not at once, and not never. What passed before the first look that
        # saw it wait may lie before the silence (`_HEAD_START_MS`): 50 ms less, at most.
        assert 0.05 < silent.at - muted < 10.0
        gateway.listen(0.3)
        other = [t for t in traffic(gateway, muted) if t.local != carrying.local and t.acked]
        assert other, "the other path goes on and is told of"
    finally:
        stop.set()
        client.close()
        pouring.join()


def test_a_download_that_stops_on_one_path_is_told(duo: Duo) -> None:
    duo.exit()
    gateway = duo.gateway([way(1), way(2)])
    duo.server(source)
    client = duo.client()
    stop = threading.Event()

    def drink() -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set() and client.recv(1 << 17):
                time.sleep(0.002)

    drinking = threading.Thread(target=drink)
    drinking.start()
    try:
        gateway.until(lambda: sum(t.received for t in traffic(gateway)) > 10_000_000)
        gateway.listen(0.5)
        carrying = max(traffic(gateway)[-4:], key=lambda t: t.received)
        duo.mute(int(carrying.local.split(".")[1]))
        muted = time.monotonic()
        found = gateway.until(
            lambda: [t for t in traffic(gateway, muted) if t.suspicious and t.local == carrying.local]
        )
        assert found[0].quiet_ms > 100.0 or found[0].waiting_ms > 100.0
    finally:
        stop.set()
        client.close()
        drinking.join()


def test_a_subflow_that_was_killed_is_lacking_until_it_is_back(duo: Duo) -> None:
    duo.exit()
    gateway = duo.gateway()
    duo.server(echo)
    with duo.client() as client:
        client.sendall(b"hello")
        assert client.recv(16) == b"hello"

        def lacking() -> list[Lacking] | None:
            reports = gateway.told("subflows")
            return [Lacking.from_json(each) for each in reports[-1][1]] if reports else None

        gateway.listen(2.5)
        assert not lacking(), "it has both"
        # As a NAT that forgot would: the kernel never makes it again.
        duo.here.sh("ss -K -t src 10.2.2.78 dst 10.1.1.70 || true", "ss -K -M src 10.2.2.78 || true")
        duo.there.sh("ss -K -t dst 10.2.2.78")
        found = gateway.until(lacking)
        assert [(each.exit, each.local, each.count, each.looked) for each in found] == [
            ("attic", "10.2.2.78", 1, 1)
        ]
        duo.here.sh(
            "ip mptcp endpoint delete id 2",
            "ip mptcp endpoint add 10.2.2.78 dev wan2 subflow id 2",
        )
        gateway.until(lambda: lacking() == [])
        client.sendall(b"again")
        assert client.recv(16) == b"again"


def test_idle_connections_cost_next_to_nothing(duo: Duo) -> None:
    duo.exit()
    gateway = duo.gateway()
    duo.server(echo)
    clients = [duo.client() for _ in range(50)]
    for client in clients:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    gateway.listen(2.0)
    told = len(gateway.told("traffic"))
    before = gateway.cpu_seconds()
    gateway.listen(3.0)
    # Measured: under 0.2 %. 3 % is what no machine of ours needs.
    assert gateway.cpu_seconds() - before < 0.1
    assert len(gateway.told("traffic")) - told <= 2
    for client in clients:
        client.close()


def test_a_handshake_over_one_path(duo: Duo) -> None:
    duo.exit()
    gateway = duo.gateway([way(1)])
    good = gateway.ask("connect", exit="attic", path="path1")["connect"]
    assert good["ok"]
    assert good["rtt_ms"] > 0
    # Of a path that is not among the ways.
    assert gateway.ask("connect", exit="attic", path="path2")["connect"]["why"] == "no usable path"
    assert gateway.ask("connect", exit="attic", way=way(2))["connect"]["ok"]
    duo.mute(2)
    assert gateway.ask("connect", exit="attic", way=way(2))["connect"] == {
        "ok": False,
        "rtt_ms": None,
        "why": "timed out",
    }


def test_sessions_are_shown_with_their_subflows(duo: Duo) -> None:
    door = duo.exit()
    gateway = duo.gateway()
    duo.server(echo)
    client = duo.client()
    try:
        # The second subflow comes after the first data; now and then a little goes on.
        def both() -> Any:
            client.sendall(b"x" * 1000)
            client.recv(1000)
            (row,) = gateway.ask("survey", limit=5, looks=8)["survey"]["rows"]
            row = SessionRow(*row)
            return row if len(row.flows) == 2 else None

        row = gateway.until(both)
        flows = sorted(FlowRow(*flow) for flow in row.flows)
        assert [(flow.local, flow.remote, flow.state) for flow in flows] == [
            ("10.1.1.78", "10.1.1.70", "established"),
            ("10.2.2.78", "10.1.1.70", "established"),
        ]
        assert (row.exit, row.transport) == ("attic", "mptcp")
        assert row.peer == f"127.0.0.1:{client.getsockname()[1]}"
        assert sum(flow.sent for flow in flows) > row.up >= 1000
        assert all(flow.window and flow.rtt_us for flow in flows)
        assert f"token:{row.token:x}" in duo.here.sh("ss -HMni"), "the token that ss shows"
        answer = gateway.ask("survey", limit=0, looks=8)
        assert {place: PathRow(*path).flows for place, path in answer["survey"]["paths"].items()} == {
            "10.1.1.78": 1,
            "10.2.2.78": 1,
        }
        assert answer["tally"]["exits"]["attic"][0] == answer["tally"]["clients"]["127.0.0.1"][0] == 1
        # The exit sees the same connection from its side.
        (there,) = door.ask("survey", limit=5)["survey"]["rows"]
        there = SessionRow(*there)
        assert there.exit == ""
        assert {FlowRow(*flow).remote for flow in there.flows} == {"10.1.1.78", "10.2.2.78"}
        assert {FlowRow(*flow).remote_port for flow in there.flows} == {flow.local_port for flow in flows}
    finally:
        client.close()
    gateway.until(lambda: gateway.ask("survey", limit=5)["survey"]["matched"] == 0)
