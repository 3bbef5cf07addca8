"""``plait plan`` beside a running plait: what that has judged and was told is no change.

client ── gateway ══ two links ══ exit ── server
"""

from __future__ import annotations

import json
import signal

import pytest
from tests.netns.relay.street import Plait, Street, exit_config, gateway_config, plait_words

from plait.lab.node import wait_for

WITHIN = 20.0
NOTHING = "# nothing to change: the host is as wanted\n"


def plan(street: Street, plait: Plait, *options: str) -> str:
    done = street.gateway.run(*plait_words("plan"), "-c", plait.config, *options)
    assert not done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _routes(street: Street) -> None:
    street.direct_route()


def test_what_was_judged_or_set_live_is_no_change(street: Street) -> None:
    gateway, exit = street.pair(
        gateway_config(gateway_lines='udp = "tunnel"'), exit_config(rest="[tunnel]\nserve = true\n")
    )
    gateway.until_log("tunnel: open")
    wait_for("the plan with the tunnel", lambda: plan(street, gateway) == NOTHING, within=WITHIN)

    # A mode that was set live, and the master's throne with it.
    street.gateway.run(*plait_words("paths wan2 master"))
    wait_for("the plan with another master", lambda: plan(street, gateway) == NOTHING, within=WITHIN)
    street.gateway.run(*plait_words("paths wan2 config"))

    # A path that is silent.
    street.gateway.run("nft", "-f", "-", stdin=SILENCE)
    gateway.until("wan2 down", lambda status: status["paths"][1]["state"] == "down", within=WITHIN)
    wait_for("the plan with a silent path", lambda: plan(street, gateway) == NOTHING, within=WITHIN)
    street.gateway.run("nft", "delete", "table", "inet", "silence")
    gateway.until("wan2 up", lambda status: status["paths"][1]["state"] == "up", within=WITHIN)

    # An exit that is lost: the LAN is let out directly.
    assert exit.stop() == 0
    gateway.until("the exit lost", lambda status: status["exits"][0]["state"] == "down", within=WITHIN)
    wait_for("the plan without the exit", lambda: plan(street, gateway) == NOTHING, within=WITHIN)

    # Another config is a change, and what somebody took away is one.
    before = gateway.config.read_text()
    gateway.rewrite(before.replace('interface = "wan2"', 'interface = "wan2"\nmode = "off"'))
    changes = json.loads(plan(street, gateway, "--json"))["changes"]
    gateway.rewrite(before)
    assert any("endpoint delete id 202" in change for change in changes)

    # Control that does not answer: said, and the rest as if nothing were known.
    gateway.process.send(signal.SIGSTOP)
    told = plan(street, gateway)
    gateway.process.send(signal.SIGCONT)
    assert "no answer" in told.partition("\n")[0]
    assert "as if no mode was set live" in told
    assert gateway.stop() == 0


SILENCE = """table inet silence {
    chain in { type filter hook prerouting priority -400; iifname "wan2" drop
    }
}
"""


def test_where_no_plait_runs_nothing_is_said_of_one(street: Street) -> None:
    config = street.gateway.directory / "plan.toml"
    config.write_text(gateway_config())
    done = street.gateway.run(*plait_words("plan"), "-c", config)
    assert "ip mptcp endpoint add" in done.stdout
    assert "as if" not in done.stdout
