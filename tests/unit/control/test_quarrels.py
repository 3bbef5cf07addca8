from __future__ import annotations

import logging
import os
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from plait.control.quarrels import KNOWN, Quarrels, contenders, introduce
from plait.paths.changes import (
    AddEndpoint,
    AddRule,
    Change,
    DeleteEndpoint,
    LoadTable,
    PutRoute,
    SetSysctl,
)
from plait.paths.model import Endpoint, EndpointFlags, HostState, PolicyRule, Route, Ruleset

ENDPOINT = Endpoint(id=201, address=ip_address("10.1.1.78"), flags=EndpointFlags.SUBFLOW, ifindex=2)
RULE = PolicyRule(priority=891, family=4, table=18801)
ROUTE = Route(dst=ip_network("0.0.0.0/0"), oif=2, table=18801)
RULESET = Ruleset(text="table inet plait {}", digest="abc")
STATE = HostState(
    routes=(ROUTE,),
    rules=(RULE,),
    endpoints=(ENDPOINT,),
    sysctls={"net/mptcp/enabled": "1"},
    ruleset=RULESET,
)
ALL: list[Change] = [
    AddEndpoint(ENDPOINT, "wan1"),
    AddRule(RULE),
    PutRoute(ROUTE, "wan1"),
    SetSysctl("net/mptcp/enabled", "1", "0"),
    LoadTable(RULESET),
]


@pytest.mark.parametrize("change", ALL, ids=lambda change: type(change).__name__)
def test_what_is_undone_again_and_again_waits_ever_longer(
    change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    quarrels = Quarrels()
    made = [second / 10 for second in range(2000) if quarrels.sift([change], STATE, second / 10)]
    assert made[:8] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], "the first is ours, then it is mended at once"
    assert len(made) < 60, "200 seconds of quarrel cost little"
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert 3 <= len(warnings) <= 8
    assert change.line().partition("\n")[0] in warnings[0].message


def test_what_nobody_undid_is_no_quarrel() -> None:
    """A link that comes and goes: its things are not wanted in between."""
    quarrels = Quarrels()
    without = HostState()
    for turn in range(500):
        now = turn / 20
        assert quarrels.sift(ALL, STATE, now) == ALL
        gone: list[Change] = [DeleteEndpoint(ENDPOINT, "wan1")]
        assert quarrels.sift(gone, without, now) == gone
    assert quarrels.deadline(0.0) is None


def test_others_go_on_meanwhile_and_the_waiting_ends() -> None:
    quarrels = Quarrels()
    other = AddRule(PolicyRule(priority=811, family=4, table=18802))
    for turn in range(20):
        assert other in quarrels.sift([ALL[0], other], STATE, turn / 10)
    until = quarrels.deadline(2.0)
    assert until is not None
    assert 5.0 < until < 6.5
    assert quarrels.sift(ALL[:1], STATE, until - 0.1) == []
    assert quarrels.sift(ALL[:1], STATE, until) == ALL[:1]


def test_programs_are_found_by_name_in_our_network_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def process(pid: str, comm: str, net: str, *words: str) -> None:
        (tmp_path / pid / "ns").mkdir(parents=True)
        os.symlink(net, tmp_path / pid / "ns/net")
        (tmp_path / pid / "comm").write_text(comm + "\n")
        (tmp_path / pid / "cmdline").write_bytes("\0".join(words).encode())

    process("self", "plait", "net:[1]")
    (tmp_path / "meminfo").touch()
    process("5", "NetworkManager", "net:[1]")
    process("6", "mptcpd", "net:[2]")
    process("7", "sh", "net:[1]", "/bin/sh", "/usr/sbin/mwan3track", "wan")
    process("8", "sh", "net:[1]", "-sh")
    (tmp_path / "9").mkdir()
    assert contenders(tmp_path) == ["NetworkManager", "mwan3track"]
    said: set[str] = set()
    for _ in range(3):
        introduce(contenders(tmp_path), said)
    assert [record.message.split()[0] for record in caplog.records] == ["NetworkManager", "mwan3track"]
    assert "mptcp-flags disabled" in caplog.text
    assert contenders(tmp_path / "nothing") == []
    assert all(len(name) <= 15 for name in KNOWN)
