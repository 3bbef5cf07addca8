"""Bridge commands of the lab's shell, on a bridge whose cables are made of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.lab import bridge_command
from plait.lab.bridge import control_path, stable_mac
from plait.lab.bridge_process import Bridge
from plait.lab.errors import LabError
from plait.lab.middlebox import Box


class Port:
    """An end that only remembers its carrier."""

    def __init__(self) -> None:
        self.fd = -1
        self.plugged = True

    def carrier(self, on: bool) -> None:
        self.plugged = on


@pytest.fixture
def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bridge]:
    made = Bridge(
        {
            "control": str(control_path(tmp_path, "air")),
            "backend": "tap",
            "ends": [],
            "shapes": [{}, {}],
            "seed": 1,
            "mtu": 1500,
        }
    )
    made._ports = [Port(), Port()]  # type: ignore[list-item]

    def ask(path: Path, **command: Any) -> dict[str, object]:
        reply = made.obey(command)
        if "error" in reply:
            raise LabError(str(reply["error"]))
        return reply

    monkeypatch.setattr(bridge_command, "ask", ask)
    yield made
    made._ports.clear()
    made.close()


def test_commands(bridge: Bridge, tmp_path: Path) -> None:
    def say(*words: str) -> str:
        return bridge_command.command(tmp_path, ["air", *words])

    assert "left plugged, right plugged" in say("look")
    assert "left UNPLUGGED, right UNPLUGGED" in say("unplug")
    assert [port.plugged for port in bridge._ports] == [False, False]  # type: ignore[union-attr]
    assert not any(channel.open for channel in bridge._channels)
    assert "left plugged" in say("plug")
    assert "SILENT" in say("silence")
    assert "SILENT" not in say("unsilence")
    say("rate=20/5mbit", "delay=3ms", "loss=1%")
    assert [channel.shape.rate for channel in bridge._channels] == [20e6, 5e6]
    assert [channel.shape.loss for channel in bridge._channels] == [0.01, 0.01]


@pytest.mark.parametrize("words", [[], ["air"], ["air", "explode"], ["nix", "plug"], ["air", "rate=fast"]])
def test_bad_commands(bridge: Bridge, tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(LabError):
        bridge_command.command(tmp_path, words)


def test_one_end_and_one_direction(bridge: Bridge) -> None:
    bridge.obey({"do": "unplug", "ends": [0]})
    assert [port.plugged for port in bridge._ports] == [False, True]  # type: ignore[union-attr]
    assert not any(channel.open for channel in bridge._channels), "a link with one cable out carries nothing"
    bridge.obey({"do": "plug", "ends": [0]})
    bridge.obey({"do": "silence", "directions": [1]})
    assert [channel.open for channel in bridge._channels] == [True, False]
    assert "error" in bridge.obey({"do": "sing"})


def test_macs_are_stable_and_local() -> None:
    assert stable_mac("gateway", "wan1") == stable_mac("gateway", "wan1") != stable_mac("gateway", "wan2")
    assert int(stable_mac("gateway", "wan1")[:2], 16) & 3 == 2, "locally administered, not a group"


def test_a_long_directory_still_has_a_socket() -> None:
    assert len(str(control_path(Path("/" + "d" * 200), "air"))) < 108


def test_meddling(bridge: Bridge, tmp_path: Path) -> None:
    def say(*words: str) -> str:
        return bridge_command.command(tmp_path, ["air", *words])

    assert "meddles" not in say("look")
    assert "strip all" in say("strip=all", "block=udp/8388", "delay=3ms")
    assert bridge._meddler.box == Box(strip="all", block=((17, 8388),))
    say("strip=no")
    assert bridge._meddler.box == Box(block=((17, 8388),)), "the rest stays"
    assert "meddles" not in say("block=no")
    with pytest.raises(LabError, match="a link can't"):
        say("strip=perhaps")
