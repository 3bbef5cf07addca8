from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.relay.orders import DoorOrder, ExitOrder, Job, Lacking, Lines, ListenOrder, Traffic, line

JOB = Job(
    listeners=[ListenOrder(fd=7, kind="tproxy", exit="attic"), ListenOrder(fd=8, kind="exit")],
    exits=[ExitOrder(name="attic", method="aes-128-gcm", secret="00ff", mptcp=True)],
    door=DoorOrder(method="aes-128-gcm", secrets={"": "ab", "roof": "cd"}, allow=["10.0.0.0/8"], salts_fd=9),
    own=["192.0.2.1", "fe80::1"],
    serving={"attic": "vps"},
    ways={"attic": [["10.1.1.70", 8388, "10.1.1.78", "wan1", "dsl", 0.025]]},
    connect_timeout=10.0,
    handshake_timeout=60.0,
    idle_timeout=7440.0,
    half_close_timeout=600.0,
    sessions=100,
    uid=65534,
    gid=65534,
    verbose=1,
)


@pytest.mark.parametrize("job", [JOB, replace(JOB, door=None, listeners=[], exits=[], ways={})])
def test_a_job_travels_whole(job: Job) -> None:
    (message,) = Lines().feed(line({"job": job.to_json()}))
    raw = message["job"]
    assert isinstance(raw, dict)
    assert Job.from_json(raw) == job


def test_traffic_and_what_is_lacking_travel_whole() -> None:
    traffic = Traffic(
        exit="attic",
        local="10.1.1.78",
        at=17.25,
        flows=3,
        acked=65536,
        received=0,
        sent=46,
        retrans=1,
        unacked=10,
        heard_ms=12.0,
        waiting_ms=0.0,
        quiet_ms=0.0,
        outrun_ms=0.0,
        suspicious=False,
        rtt_ms=24.5,
        min_rtt_ms=20.0,
        rate_bps=8_000_000,
    )
    lacking = Lacking(exit="attic", local="10.2.2.78", count=2, looked=5, longest_s=1.5)
    (message,) = Lines().feed(line({"traffic": [traffic.to_json()], "subflows": [lacking.to_json()]}))
    told, lacks = message["traffic"], message["subflows"]
    assert isinstance(told, list)
    assert isinstance(lacks, list)
    assert Traffic.from_json(told[0]) == traffic
    assert Lacking.from_json(lacks[0]) == lacking


messages = st.lists(
    st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.lists(st.text()))), max_size=5
)


@given(messages, st.integers(1, 20))
def test_lines_come_out_however_they_are_cut(sent: list[dict[str, object]], size: int) -> None:
    stream = b"".join(line(message) for message in sent)
    lines = Lines()
    got = [message for at in range(0, len(stream), size) for message in lines.feed(stream[at : at + size])]
    assert got == sent


def test_a_message_is_one_line() -> None:
    assert line({"text": "a\nb"}).count(b"\n") == 1
    assert json.loads(line({"text": "a\nb"})) == {"text": "a\nb"}
