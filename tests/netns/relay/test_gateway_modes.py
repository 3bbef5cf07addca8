"""Modes set while plait runs, under a live connection.

client ── gateway ══ bridge1 ══ exit ── server
                  ══ bridge2 ══
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from tests.netns.relay.street import ENDS, Plait, Street, exit_config, gateway_config, plait_words
from tests.netns.relay.transfer import LINKS, RATE, Stream, pause, transfer, up

from plait.lab.node import wait_for
from plait.lab.topology import Lab


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with Lab(ENDS + LINKS, directory=tmp_path_factory.mktemp("modes")) as lab:
        lab.forward("gateway", "exit")
        yield Street(lab)


def say(street: Street, *words: str, status: int = 0) -> str:
    """``plait paths …`` on the gateway."""
    done = street.gateway.run(*plait_words("paths"), *words, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def carried(street: Street, direction: str) -> list[int]:
    """Bytes over each bridge in a transfer's direction."""
    side = 0 if direction == "upload" else 1
    return [bridge.traffic()[side].bytes for bridge in street.lab.bridges]


def only(street: Street, direction: str, number: int, stream: Stream) -> None:
    """The transfer uses one bridge alone."""

    def alone() -> bool:
        before = carried(street, direction)
        pause(0.5)
        after = carried(street, direction)
        moved = [now - then for now, then in zip(after, before, strict=True)]
        return moved[number - 1] > 0.3 * RATE and moved[2 - number] < 0.02 * RATE

    wait_for(f"bridge{number} alone to be used", alone, within=20)


@pytest.mark.parametrize("direction", ["download", "upload"])
def test_modes_act_on_a_live_connection(street: Street, direction: str) -> None:
    gateway, exit = street.pair(gateway_config(), exit_config())
    workers = gateway.workers()
    stream = transfer(street, direction)
    both = 1.5 * RATE
    try:
        wait_for("both links to be used", lambda: stream.at_rate(both), within=20)
        for mode in ("backup", "handover", "off"):
            assert f"{mode}*" in say(street, "wan2", mode)
            only(street, direction, 1, stream)
            state = "off" if mode == "off" else "standby"
            gateway.until(state, lambda _, state=state: up(gateway, "wan2", state))
            flows = gateway.status()["paths"][1]["subflows"]
            assert flows == (1 if mode == "backup" else 0)
            assert "*" not in say(street, "wan2", "config")
            wait_for("both links again", lambda: stream.at_rate(both), within=20)
        # The first subflow's path is no special one.
        say(street, "wan1", "off")
        only(street, direction, 2, stream)
        say(street, "wan1", "on")
        wait_for("both links again", lambda: stream.at_rate(both), within=20)
        # A standing backup takes over when the other goes; a handover makes its subflow then.
        for mode in ("backup", "handover"):
            say(street, "wan2", mode)
            only(street, direction, 1, stream)
            street.lab.bridge("bridge1").unplug()
            wait_for(f"the {mode} to carry", lambda: stream.at_rate(0.7 * RATE), within=20)
            street.lab.bridge("bridge1").plug()
            only(street, direction, 1, stream)
            say(street, "wan2", "config")
            wait_for("both links again", lambda: stream.at_rate(both), within=20)
    finally:
        for bridge in street.lab.bridges:
            bridge.plug()
        stream.end()
    assert stream.faults == []
    assert not stream.wrong
    assert gateway.workers() == workers, "nothing was restarted"
    assert gateway.stop() == exit.stop() == 0


def modes(plait: Plait) -> list[str]:
    return [path["mode"] for path in plait.status()["paths"]]


def test_a_mode_survives_reload_and_crash_and_ends_with_a_stop(street: Street) -> None:
    gateway, exit = street.pair(gateway_config(), exit_config())
    assert "wan2" in say(street)
    assert "did you mean backup?" in say(street, "wan2", "bakup", status=2)
    assert "no path is named wan3" in say(street, "wan3", "on", status=2)
    say(street, "wan2", "master")
    assert modes(gateway) == ["on", "master"]
    os.kill(gateway.pid, signal.SIGHUP)
    gateway.until_log("config reloaded")
    assert modes(gateway) == ["on", "master"]
    gateway.process.kill()
    gateway = street.plait(street.gateway, "gateway", gateway_config())
    assert modes(gateway) == ["on", "master"]
    assert gateway.stop() == 0
    gateway = street.plait(street.gateway, "gateway", gateway_config())
    assert modes(gateway) == ["on", "on"]
    assert gateway.stop() == exit.stop() == 0
