"""Looks at the host: what is there is found, what can't be read is None."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from plait.kernel import examine


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nameserver 9.9.9.9\nnameserver 2620:fe::fe\n", ["9.9.9.9", "2620:fe::fe"]),
        ("nameserver 127.0.0.53\n", []),
        ("nameserver fe80::1%eth0\n", ["fe80::1"]),
        ("# nameserver 1.1.1.1\nnameserver\nnameserver nonsense\n", []),
        ("", []),
    ],
)
def test_resolvers(tmp_path: Path, text: str, found: list[str]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert examine.resolvers([str(tmp_path / "none"), str(path)]) == found


def test_the_first_file_with_a_resolver_counts(tmp_path: Path) -> None:
    for name, text in (
        ("one", "nameserver ::1\n"),
        ("two", "nameserver 9.9.9.9\n"),
        ("three", "nameserver 8.8.8.8\n"),
    ):
        (tmp_path / name).write_text(text)
    assert examine.resolvers([str(tmp_path / name) for name in ("one", "two", "three")]) == ["9.9.9.9"]


def test_what_a_process_may_have(tmp_path: Path) -> None:
    own = examine.descriptors(os.getpid())
    assert own is not None
    assert own > 0
    assert examine.descriptors(None) is not None
    assert examine.descriptors(2**22 + 1) is None


def test_room(tmp_path: Path) -> None:
    free = examine.free_bytes(tmp_path / "not" / "there")
    assert free is not None
    assert free > 0


def test_loopback_leaves_from_itself() -> None:
    assert examine.leaves_from("127.0.0.1") == "127.0.0.1"
    assert examine.large_receive("lo") is False
    assert examine.large_receive("no-such-link") is False


def test_who_listens_on_loopback_alone_serves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setattr(examine, "_DNS", sock.getsockname()[1])
        assert examine.resolves_for_others() is False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        monkeypatch.setattr(examine, "_DNS", sock.getsockname()[1])
        assert examine.resolves_for_others() is True
