from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from plait.config.model import Path as ConfigPath
from plait.control.remedies import find_pppd, hang_up, openwrt_name, steps

DSL = ConfigPath(interface="ppp0", name="dsl")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("networkctl", [["networkctl", "reconfigure", "ppp0"]]),
        ("link", [["ip", "link", "set", "dev", "ppp0", "down"],
                  ["sleep", "1"], ["ip", "link", "set", "dev", "ppp0", "up"]]),
        ("ifup", [["ifdown", "--force", "ppp0"], ["ifup", "--force", "ppp0"]]),
        ("usb_modeswitch -R; ifup dsl", [["/bin/sh", "-c", "usb_modeswitch -R; ifup dsl"]]),
    ],
)  # fmt: skip
def test_steps(kind: str, words: list[list[str]]) -> None:
    assert [list(each) for each in steps(kind, DSL)] == words


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('{"interface": [{"interface": "loopback", "device": "lo"},'
         ' {"interface": "wwan", "l3_device": "ppp0"}]}', "wwan"),
        ('{"interface": [{"interface": "wan", "device": "ppp0", "l3_device": "pppoe-wan"}]}', "wan"),
        ('{"interface": [{"interface": "wan", "device": "eth1"}]}', None),
        ('{"interface": 7}', None),
        ('{"interface": [7]}', None),
        ("", None),
    ],
)  # fmt: skip
def test_openwrt_has_its_own_names(said: str, name: str | None) -> None:
    assert openwrt_name(said, "ppp0") == name


def process(proc: Path, pid: int, comm: str, *words: str) -> None:
    entry = proc / str(pid)
    entry.mkdir(parents=True)
    (entry / "comm").write_text(comm + "\n")
    (entry / "cmdline").write_bytes("\0".join(words).encode() + b"\0")


def test_a_pppd_is_found_by_its_pid_file(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    process(proc, 41, "pppd", "pppd", "call", "other")
    process(proc, 42, "pppd", "pppd")
    (tmp_path / "ppp0.pid").write_text("42\n")
    assert find_pppd(DSL, tmp_path, proc) == 42
    (tmp_path / "ppp0.pid").write_text("43\n")
    assert find_pppd(DSL, tmp_path, proc) is None, "a stale file, and two to choose from"
    process(proc, 43, "sshd", "sshd")
    assert find_pppd(DSL, tmp_path, proc) is None, "the number is another program's now"
    (tmp_path / "ppp-dsl.pid").write_text("41\nppp7\n")
    assert find_pppd(DSL, tmp_path, proc) == 41


@pytest.mark.parametrize("words", [("unit", "0"), ("ifname", "ppp0"), ("linkname", "dsl"), ("call", "dsl")])
def test_or_by_its_options(tmp_path: Path, words: tuple[str, str]) -> None:
    proc = tmp_path / "proc"
    (proc / "net").mkdir(parents=True)
    process(proc, 7, "pppd", "/usr/sbin/pppd", "unit", "1", "call", "lte")
    process(proc, 8, "pppd", "/usr/sbin/pppd", "persist", *words)
    process(proc, 9, "sh", "sh", "-c", "pppd", *words)
    assert find_pppd(DSL, tmp_path, proc) == 8


def test_or_because_it_is_alone(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    process(proc, 9, "sh", "sh")
    assert find_pppd(DSL, tmp_path, proc) is None
    process(proc, 10, "pppd", "/usr/sbin/pppd", "/dev/ttyUSB2")
    assert find_pppd(DSL, tmp_path, proc) == 10


def test_it_is_told_to_hang_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    assert not hang_up(DSL, tmp_path, proc)
    assert "no pppd of ppp0 runs" in caplog.text
    heard = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    try:
        process(proc, os.getpid(), "pppd", "pppd")
        assert hang_up(DSL, tmp_path, proc)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == [signal.SIGHUP]
