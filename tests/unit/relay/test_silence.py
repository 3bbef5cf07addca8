from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.kernel.mptcp_info import Subflow
from plait.relay.silence import FlowRecord, fold

STEP = 0.05


def flow(
    *,
    acked: int = 0,
    received: int = 0,
    unacked: int = 0,
    heard_ms: int = 0,
    received_ms: int = 0,
    rtt_ms: float = 20.0,
    rate_bps: int = 0,
    segments: int = 0,
    retrans: int = 0,
) -> Subflow:
    return Subflow(
        local=ip_address("10.1.1.78"),
        local_port=40000,
        remote=ip_address("10.1.1.70"),
        remote_port=8388,
        rtt_us=round(rtt_ms * 1000),
        rttvar_us=1000,
        min_rtt_us=round(rtt_ms * 500),
        bytes_sent=acked,
        bytes_acked=acked,
        bytes_received=received,
        bytes_retrans=0,
        segments_out=segments,
        segments_retrans=retrans,
        unacked=unacked,
        segment=1448,
        not_sent=0,
        last_received_ms=received_ms,
        last_heard_ms=heard_ms,
        rate_bps=rate_bps,
    )


def looks(*seen: Subflow, step: float = STEP, reading: bool = True) -> FlowRecord:
    record = FlowRecord(seen[0], 100.0)
    for number, each in enumerate(seen[1:], 1):
        record.look(each, 100.0 + number * step, 0.1, reading=reading)
    return record


def test_counts_are_those_since_the_last_look() -> None:
    record = looks(
        flow(acked=1000, received=50, segments=10, retrans=1),
        flow(acked=3000, received=50, segments=14, retrans=2),
    )
    assert (record.acked, record.received, record.sent, record.retrans) == (2000, 0, 4, 1)
    assert not record.idle


def test_nothing_new_and_nothing_under_way_is_idle() -> None:
    assert looks(flow(acked=9), flow(acked=9)).idle
    assert not looks(flow(acked=9), flow(acked=9, unacked=1)).idle


@pytest.mark.parametrize(
    ("seen", "suspicious"),
    [
        # 10 segments out, and the last thing heard is older at each look.
        ([flow(unacked=10, heard_ms=4), flow(unacked=10, heard_ms=54), flow(unacked=10, heard_ms=104)], True),
        # The same, but something is heard now and then: a queue, or losses, and no silence.
        ([flow(unacked=10, heard_ms=4), flow(unacked=10, heard_ms=54), flow(unacked=10, heard_ms=8)], False),
        # A long path explains it.
        ([flow(unacked=10, heard_ms=9 + 50 * n, rtt_ms=300) for n in range(4)], False),
        ([flow(unacked=10, heard_ms=9 + 50 * n, rtt_ms=300) for n in range(16)], True),
        # A lone segment's acknowledgement may be delayed; for ever it may not.
        ([flow(unacked=1, heard_ms=50 * n) for n in range(5)], False),
        ([flow(unacked=1, heard_ms=50 * n) for n in range(8)], True),
        # Idle for minutes, then something is sent: the age of the last word means nothing yet.
        ([flow(heard_ms=90_000), flow(unacked=5, heard_ms=90_050)], False),
        # It is acknowledged: alive.
        ([flow(unacked=5, acked=n * 1000, heard_ms=0) for n in range(9)], False),
    ],
)
def test_silence(seen: list[Subflow], suspicious: bool) -> None:
    assert fold("attic", "10.1.1.78", [looks(*seen)], 101.0).suspicious is suspicious


def test_our_own_absence_is_not_the_paths_silence() -> None:
    seen = [flow(unacked=10, heard_ms=0), flow(unacked=10, heard_ms=2000)]
    record = looks(*seen, step=2.0)
    # Two looks' time at most is counted, however late we came, and what may have gone before.
    assert record.waiting_ms == pytest.approx(150.0)


def test_one_subflow_that_is_heard_of_speaks_for_the_path() -> None:
    silent = looks(*(flow(unacked=10, heard_ms=50 * n) for n in range(6)))
    alive = looks(*(flow(acked=n * 100, heard_ms=3) for n in range(6)))
    assert fold("attic", "a", [silent], 1.0).suspicious
    together = fold("attic", "a", [silent, alive], 1.0)
    assert not together.suspicious
    assert (together.heard_ms, together.flows, together.unacked) == (3.0, 2, 10)


def stream(then: int, *, start: int = 6) -> list[Subflow]:
    """Data comes in at ``start`` looks, then at none for ``then``."""
    coming = [flow(received=1000 * n) for n in range(start)]
    return coming + [
        flow(received=1000 * (start - 1), received_ms=50 * n, heard_ms=50 * n) for n in range(1, then + 1)
    ]


def test_a_stream_that_stops_is_suspicious_for_a_second() -> None:
    assert not fold("attic", "a", [looks(*stream(1))], 1.0).suspicious
    assert fold("attic", "a", [looks(*stream(3))], 1.0).suspicious
    assert not fold("attic", "a", [looks(*stream(40))], 1.0).suspicious
    assert not fold("attic", "a", [looks(*stream(3, start=3))], 1.0).suspicious, "it was no stream yet"


def test_who_does_not_read_must_not_wonder() -> None:
    assert not fold("attic", "a", [looks(*stream(5), reading=False)], 1.0).suspicious


def test_what_a_path_shows_as_a_whole() -> None:
    told = fold(
        "attic",
        "10.1.1.78",
        [
            looks(flow(), flow(acked=500, rtt_ms=30, rate_bps=5_000_000)),
            looks(flow(), flow(acked=700, rtt_ms=20, rate_bps=9_000_000)),
        ],
        7.0,
    )
    assert (told.acked, told.rtt_ms, told.min_rtt_ms, told.rate_bps) == (1200, 20.0, 10.0, 9_000_000)


def test_a_stream_that_stops_while_others_of_its_connection_go_on_is_outrun() -> None:
    record = looks(*stream(3))
    record.beside(record.received)
    assert fold("attic", "a", [record], 1.0).outrun_ms == 0.0, "its sender may just have paused"
    record.beside(record.received + 65_000)
    told = fold("attic", "a", [record], 1.0)
    assert told.outrun_ms == told.quiet_ms > 0.0
    # What has waited here meanwhile arrives once, and is no news.
    record.beside(record.received)
    assert fold("attic", "a", [record], 1.0).outrun_ms > 0.0
    record.look(flow(received=9000), 200.0, 0.1, reading=True)
    record.beside(4000)
    assert fold("attic", "a", [record], 1.0).outrun_ms == 0.0
