"""What Prometheus is told, and that the documents, the dashboard and the alerts speak of nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

from plait.control.snapshot import (
    ClientStatus,
    Datagrams,
    ExitStatus,
    PathStatus,
    Sessions,
    Status,
    UserStatus,
    WorkerStatus,
)
from plait.control.tunnel_status import TunnelPathStatus, TunnelStatus
from plait.views.web import metrics

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
FULL = Status(
    role="node",
    version="1.2",
    pid=7,
    uptime=12.5,
    sessions=Sessions(
        open=3, total=9, failed=2, outcomes={"done": 4}, strangers={"silent": 1}, up_bytes=10, down_bytes=20
    ),
    datagrams=Datagrams(open=1, total=2, outcomes={"not allowed": 1}, strangers={"forged": 3}),
    exits=(
        ExitStatus(name="attic", state="up", rtt_ms=12.5),
        ExitStatus(name="vps", state="down", rtt_ms=None),
    ),
    paths=(
        PathStatus(
            name="dsl",
            interface="wan1",
            mode="master",
            state="up",
            rtt_ms=20.0,
            jitter_ms=1.0,
            loss=0.25,
            tx_bytes=100,
            rx_bytes=2**53,
            subflows=4,
        ),
        PathStatus(name='od"d\\', interface="wan2", mode="off", state="off"),
    ),
    tunnels=(
        TunnelStatus(
            exit="attic",
            state="open",
            addresses=("10.188.0.2",),
            mtu=1400,
            refused=1,
            dropped=2,
            resent=3,
            given_up=4,
            paths=(TunnelPathStatus(name="dsl", tx_bytes=5, rx_bytes=6, fits=None),),
        ),
    ),
    users=(
        UserStatus(
            name="roof",
            state="spent",
            open=1,
            total=2,
            up_bytes=3,
            down_bytes=4,
            rate=0,
            volume=5,
            used_bytes=6,
        ),
        UserStatus(
            name="free", state="ok", open=0, total=0, up_bytes=0, down_bytes=0, rate=0, volume=0, used_bytes=0
        ),
    ),
    workers=(WorkerStatus(pid=8, open=3),),
    clients=tuple(
        ClientStatus(
            name=f"tv{number}",
            mac="",
            addresses=(),
            open=1,
            total=1,
            up_bytes=1,
            down_bytes=2,
            up_bps=0,
            down_bps=0,
        )
        for number in range(300)
    ),
    restarts=1,
    intercepting=True,
)
FAMILIES = {
    family.name: family for family in text_string_to_metric_families(metrics.page(FULL.to_json()).decode())
}
NAMES = {sample.name for family in FAMILIES.values() for sample in family.samples}


def value(name: str, **labels: str) -> float | None:
    found = [
        sample.value
        for family in FAMILIES.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found[0] if found else None


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("plait_info", {"version": "1.2", "role": "node"}, 1),
        ("plait_sessions_open", {}, 3),
        ("plait_sessions_total", {}, 9),
        ("plait_sessions_ended_total", {"outcome": "done"}, 4),
        ("plait_session_bytes_total", {"direction": "down"}, 20),
        ("plait_path_rtt_seconds", {"path": "dsl"}, 0.02),
        ("plait_path_loss_ratio", {"path": "dsl"}, 0.25),
        ("plait_path_rtt_seconds", {"path": 'od"d\\'}, None),
        ("plait_path_state", {"path": "dsl", "state": "up"}, 1),
        ("plait_path_state", {"path": "dsl", "state": "down"}, 0),
        ("plait_path_state", {"path": 'od"d\\', "state": "off"}, 1),
        ("plait_path_mode", {"path": "dsl", "mode": "master"}, 1),
        ("plait_path_bytes_total", {"path": "dsl", "direction": "receive"}, 2**53),
        ("plait_exit_state", {"exit": "vps", "state": "down"}, 1),
        ("plait_exit_rtt_seconds", {"exit": "attic"}, 0.0125),
        ("plait_tunnel_open", {"exit": "attic"}, 1),
        ("plait_tunnel_losses_total", {"exit": "attic", "fate": "resent"}, 3),
        ("plait_tunnel_bytes_total", {"exit": "attic", "path": "dsl", "direction": "receive"}, 6),
        ("plait_user_volume_bytes", {"user": "roof"}, 5),
        ("plait_user_volume_bytes", {"user": "free"}, None),
        ("plait_user_state", {"user": "roof", "state": "spent"}, 1),
        ("plait_device_bytes_total", {"device": "tv0", "mac": "", "direction": "down"}, 2),
        ("plait_device_bytes_total", {"device": "tv299", "mac": "", "direction": "down"}, None),
    ],
)
def test_what_is_told(name: str, labels: dict[str, str], expected: float | None) -> None:
    assert value(name, **labels) == expected


def test_an_exit_alone_has_no_paths() -> None:
    text = metrics.page(Status(role="exit", version="1", pid=1, uptime=0.0, sessions=Sessions()).to_json())
    assert b"plait_sessions_open 0" in text
    assert b"plait_path" not in text


def test_names_say_their_unit_and_have_a_text() -> None:
    for family in FAMILIES.values():
        assert family.documentation.endswith("."), family.name
        assert family.name.startswith("plait_")
        assert not re.search(r"_(ms|bps|bits|percent)\b", family.name)
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name


def test_the_reference_lists_them_all_with_their_labels() -> None:
    rows = dict(re.findall(r"^\| `(plait_\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    assert set(rows) == NAMES
    for family in FAMILIES.values():
        for sample in family.samples:
            assert set(re.findall(r"`(\w+)`", rows[sample.name])) == set(sample.labels), sample.name


@pytest.mark.parametrize("file", ["contrib/grafana/plait.json", "contrib/prometheus/plait.rules.yml"])
def test_dashboard_and_alerts_ask_for_what_there_is(file: str) -> None:
    text = (ROOT / file).read_text()
    asked = set(re.findall(r"\bplait_[a-z_]+\b", text))
    assert len(asked) > 5
    assert asked <= NAMES


def test_labels_in_dashboard_and_alerts_exist() -> None:
    labels = {label for family in FAMILIES.values() for sample in family.samples for label in sample.labels}
    known = labels | {"instance", "job", "value"}
    for file in ("contrib/grafana/plait.json", "contrib/prometheus/plait.rules.yml"):
        text = (ROOT / file).read_text()
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= known
        assert set(re.findall(r"\{\{(\w+)\}\}", text)) <= known
        assert set(re.findall(r'[{,](\w+)(?:=~|!=|=)\\?"', text)) <= known


def test_the_dashboard_is_json_whose_panels_do_not_overlap() -> None:
    panels = json.loads((ROOT / "contrib/grafana/plait.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)
