from __future__ import annotations

import pytest

from plait.paths.model import Snapshot
from plait.paths.tuning import KEYS, link_keys, tuned, tuned_link


@pytest.mark.parametrize(
    ("is_now", "wanted"),
    [
        ("4096\t131072\t6291456", "4096\t4194304\t16777216"),
        ("4096 16384 4194304", "4096\t4194304\t16777216"),
        ("4096\t131072\t33554432", "4096\t4194304\t33554432"),
        ("4096\t8388608\t16777216", None),
        ("4096\t4194304\t33554432", None),
        ("", None),
        ("4096", None),
    ],
)
def test_buffers_may_grow_and_are_never_made_smaller(is_now: str, wanted: str | None) -> None:
    found = tuned(Snapshot(sysctls={"net/ipv4/tcp_rmem": is_now, "net/ipv4/tcp_wmem": "1\t2\t99999999"}))
    assert found.get("net/ipv4/tcp_rmem") == wanted
    assert "net/ipv4/tcp_wmem" not in found
    assert found["net/mptcp/blackhole_timeout"] == "0"


def test_what_is_sent_from_grows_by_itself() -> None:
    found = tuned(Snapshot(sysctls={"net/ipv4/tcp_wmem": "4096\t16384\t4194304"}))
    assert found["net/ipv4/tcp_wmem"] == "4096\t16384\t16777216"


def test_what_is_set_needs_no_setting_again() -> None:
    once = tuned(Snapshot(sysctls={"net/ipv4/tcp_rmem": "4096\t131072\t6291456"}))
    again = tuned(Snapshot(sysctls=dict(once)))
    assert {key: value for key, value in again.items() if once[key] != value} == {}
    assert once.keys() <= set(KEYS)


@pytest.mark.parametrize(("is_now", "wanted"), [("1000", "200"), ("250", None), ("100", None), ("", None)])
def test_a_neighbour_is_asked_for_more_often_never_less(is_now: str, wanted: str | None) -> None:
    (key,) = link_keys("wan1")
    assert tuned_link(Snapshot(sysctls={key: is_now}), "wan1").get(key) == wanted
    assert tuned_link(Snapshot(), "wan1") == {}
