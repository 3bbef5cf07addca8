"""The log of all our processes in the form that was asked for."""

from __future__ import annotations

import json
import os
import signal

import pytest
from tests.netns.relay.street import Street, exit_config, gateway_config
from tests.netns.web.visits import WEB, Visitor, page_pid

from plait.lab.node import wait_for


@pytest.mark.parametrize("form", ["json", "journal"])
def test_every_line_is_for_programs(street: Street, form: str) -> None:
    exit = street.plait(street.exit, "exit", exit_config())
    web = f'{WEB}history_directory = "{street.gateway.directory}/h"\n'
    gateway = street.plait(street.gateway, "gateway", gateway_config(rest=web), "--log", form, "-v")
    try:
        gateway.until("the exit", lambda status: status["exits"][0]["state"] == "up")
        wait_for("the page", lambda: Visitor(street.client).log_in().status == 200, within=20)
        # A worker, the courier and the page end with a few words of others about them.
        os.kill(page_pid(gateway), signal.SIGKILL)
        os.kill(gateway.workers()[0], signal.SIGKILL)
        gateway.until("another worker", lambda status: status["restarts"] == 1)
    finally:
        gateway.stop()
        exit.stop()
    lines = [line for line in gateway.log().splitlines() if not line.startswith("ready: ")]
    if form == "journal" and os.path.exists("/run/systemd/journal/socket"):
        assert lines == []
    elif form == "json":
        said = [json.loads(line) for line in lines]
        assert {"plait", "plait.web"} <= {each["logger"] for each in said}
        assert any(each.get("path") == "wan1" and each["state"] == "up" for each in said)
        assert any(each.get("exit") == "attic" for each in said)
        assert len({each["pid"] for each in said}) >= 2
    else:
        assert any("exit attic: up" in line for line in lines), "without a journal people get it"
