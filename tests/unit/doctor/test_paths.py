"""Sentences about paths."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from plait.doctor.facts import Answer, Carried, Hop, Idle, PathFacts, WayFacts
from plait.doctor.finding import Finding, Severity
from plait.doctor.paths import judge, keeps_options, lacking
from plait.wire.segments import Options

GOOD = WayFacts(
    exit="attic",
    local=ip_address("192.168.1.2"),
    remote=ip_address("9.0.0.70"),
    port=8388,
    syn=Answer.PLAIN,
    capable=Answer.MPTCP,
    came_in="wan1",
    carried=Carried.MPTCP,
    udp=True,
    tunnel=True,
    rtt=0.012,
    loss=0.0,
    mtu_up=1500,
    mtu_down=1500,
    up_bps=5_000_000,
    down_bps=1_200_000_000,
)
MODEM = Hop(distance=1, address=ip_address("192.168.2.1"), mptcp=Options.INTACT)
STRIPPER = Hop(distance=2, address=ip_address("10.0.0.1"), mptcp=Options.STRIPPED)
STRIPPED = replace(GOOD, capable=Answer.PLAIN, carried=Carried.TCP)
PROBLEM, NOTE, FINE = Severity.PROBLEM, Severity.NOTE, Severity.FINE


def path(way: WayFacts | None, name: str = "wan2", **more: object) -> PathFacts:
    if way is not None and way.came_in == "wan1":
        way = replace(way, came_in=name)
    facts = PathFacts(name=name, interface=name, mtu=1500, ways=(way,) if way is not None else ())
    return replace(facts, **more)  # type: ignore[arg-type]


def findings(way: WayFacts, other: WayFacts | None = GOOD, *, tunnelled: bool = False) -> list[Finding]:
    mine = path(way)
    return judge(mine, [mine, path(other, "wan1")], tunnelled=tunnelled)


def only(found: list[Finding], id: str) -> Finding:
    [one] = [each for each in found if each.id == id]
    return one


def test_a_path_that_is_well() -> None:
    found = findings(GOOD)
    assert [(each.id, each.severity) for each in found] == [("path.mptcp", FINE), ("path.figures", FINE)]
    assert found[1].sentence == (
        "wan2: round trip 12.0 ms, about 1.2 Gbit/s down and 5 Mbit/s up, packets of 1500 bytes"
    )


@pytest.mark.parametrize(
    ("changes", "id", "severity", "words"),
    [
        ({"syn": Answer.REFUSED}, "path.tcp.refused", PROBLEM, "9.0.0.70:8388 refuses"),
        ({"syn": Answer.SILENT}, "path.tcp.blocked", PROBLEM, "although UDP does"),
        ({"syn": Answer.SILENT, "udp": False}, "path.silent", PROBLEM, "other paths reach it"),
        ({"came_in": "wan7"}, "path.asymmetric", PROBLEM, "leaves by wan2 is answered by way of wan7"),
        (
            {"capable": Answer.SILENT, "carried": Carried.UNTRIED, "hops": (MODEM,)},
            "path.mptcp.dropped",
            PROBLEM,
            "vanish beyond hop 1 (192.168.2.1)",
        ),
        (
            {"capable": Answer.REFUSED, "carried": Carried.UNTRIED},
            "path.mptcp.dropped",
            PROBLEM,
            "refused on",
        ),
        (
            {"capable": Answer.PLAIN, "carried": Carried.TCP, "hops": (MODEM, STRIPPER)},
            "path.mptcp.stripped",
            PROBLEM,
            "taken out between hop 1 (192.168.2.1) and hop 2 (10.0.0.1); connections begin on the other",
        ),
        ({"carried": Carried.FELL_BACK}, "path.mptcp.stripped-later", PROBLEM, "pass in the handshake"),
        ({"carried": Carried.BROKE}, "path.mptcp.broken", PROBLEM, "then nothing comes"),
        ({"udp": False}, "path.udp.blocked", PROBLEM, "UDP port 8388"),
        ({"mtu_up": 1400, "mtu_down": 1400}, "path.mtu.blackhole", NOTE, "more than 1400 bytes do not get"),
        ({"mtu_up": 1400, "icmp_told": True}, "path.mtu.small", NOTE, "a router says so"),
        ({"mtu_down": 1300}, "path.mtu.down", NOTE, "do not come back"),
        ({"mtu_up": 1200, "mtu_down": 1200}, "path.mtu.tiny", PROBLEM, "IPv6 needs 1280"),
        ({"loss": 0.05}, "path.loss", NOTE, "5 %"),
        ({"loss": 0.4}, "path.loss", PROBLEM, "40 %"),
        ({"idle": Idle(seconds=30, tcp_lives=False)}, "path.nat.forgets", NOTE, "silent for 30 s"),
        ({"idle": Idle(seconds=30, udp_port_kept=False)}, "path.nat.forgets-udp", NOTE, "within 30 s"),
        (
            {
                "seen": ip_address("9.9.9.1"),
                "hops": (MODEM, Hop(distance=2, address=ip_address("100.64.0.1"), mptcp=Options.INTACT)),
            },
            "path.nat.double",
            NOTE,
            "translated twice: 192.168.1.2 here",
        ),
    ],
)
def test_sentences(changes: dict[str, object], id: str, severity: Severity, words: str) -> None:
    found = only(findings(replace(GOOD, **changes)), id)  # type: ignore[arg-type]
    assert found.severity is severity
    assert words in found.sentence


@pytest.mark.parametrize(
    ("way", "other", "tunnelled", "then"),
    [
        (STRIPPED, GOOD, False, "get no subflow here; the tunnel still uses it"),
        (replace(STRIPPED, tunnel=False), GOOD, False, "get no subflow here; nothing else uses it"),
        (replace(STRIPPED, udp=False), GOOD, False, "get no subflow here; nothing else uses it"),
        (
            replace(STRIPPED, hops=(MODEM, STRIPPER)),
            STRIPPED,
            False,
            "TCP on this path goes through the tunnel",
        ),
        (replace(STRIPPED, tunnel=None), None, False, "TCP uses one path at a time"),
        (STRIPPED, GOOD, True, "TCP goes through the tunnel in any case"),
    ],
)
def test_what_plait_makes_of_it(way: WayFacts, other: WayFacts | None, tunnelled: bool, then: str) -> None:
    found = only(findings(way, other, tunnelled=tunnelled), "path.mptcp.stripped")
    assert found.remedy.startswith(then) or then in found.remedy


def test_an_only_path_may_mean_the_exit() -> None:
    assert "or the exit has no MPTCP" in only(findings(STRIPPED, None), "path.mptcp.stripped").text
    told = replace(STRIPPED, hops=(MODEM, STRIPPER))
    assert "or the exit" not in only(findings(told, None), "path.mptcp.stripped").text


def test_an_exit_without_mptcp_is_not_said_of_its_paths() -> None:
    assert lacking([STRIPPED, STRIPPED])
    assert not any(each.id.startswith("path.mptcp") for each in findings(STRIPPED, STRIPPED))
    assert not lacking([STRIPPED])
    assert not lacking([STRIPPED, GOOD])
    assert not lacking([STRIPPED, replace(STRIPPED, hops=(MODEM, STRIPPER))])


def test_a_silent_exit_is_not_said_of_its_paths() -> None:
    silent = replace(GOOD, syn=Answer.SILENT, capable=Answer.UNTRIED, carried=Carried.UNTRIED, udp=False)
    assert findings(silent, silent) == []


def test_what_is_not_known_is_not_said() -> None:
    dark = WayFacts(exit="attic", local=GOOD.local, remote=GOOD.remote, port=8388, syn=Answer.PLAIN)
    assert findings(dark) == []
    assert keeps_options(dark) is None


def test_what_is_said_of_the_path_itself() -> None:
    down = path(None, state="no carrier")
    assert [each.sentence for each in judge(down, [down], tunnelled=False)] == ["wan2: no carrier"]
    odd = path(GOOD, strict_filter=True, hijacked=True, running="the running plait says: up, slow")
    assert [each.id for each in judge(odd, [odd], tunnelled=False)][:3] == [
        "path.filter",
        "path.dns.hijacked",
        "path.running",
    ]


def test_with_several_exits_each_is_named() -> None:
    both = replace(path(GOOD), ways=(GOOD, replace(GOOD, exit="cellar")))
    subjects = {each.subject for each in judge(both, [both], tunnelled=False)}
    assert subjects == {"wan2 to attic", "wan2 to cellar"}


def test_ipv6_is_written_as_such() -> None:
    six = replace(GOOD, local=ip_address("fd00::1"), remote=ip_address("fd00::2"), syn=Answer.REFUSED)
    assert "[fd00::2]:8388 refuses" in only(findings(six), "path.tcp.refused").text
