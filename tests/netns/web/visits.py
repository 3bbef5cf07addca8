"""Visitors of the page, in the LAN and elsewhere."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.netns.relay.street import Plait, Street, exit_config, gateway_config

from plait.lab.node import Node, wait_for

PASSWORD = "correct horse"
TOKEN = "battery-staple-battery"
PAGE = "http://192.168.78.1:8390"
WEB = f"""
[web]
listen = ["192.168.78.1:8390", "[fd78::1]:8390"]
password = "{PASSWORD}"
token = "{TOKEN}"
names = ["gateway.lan"]
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has said."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def facts(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Visitor:
    """Somebody with curl and a cookie jar."""

    node: Node
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    page: str = PAGE

    def ask(self, path: str, *options: str, body: object = None, within: float = 30.0) -> Answer:
        words = ["curl", "-s", "-i", "-g", "-m", str(within), *options]
        if self.cookies:
            words += ["-b", "; ".join(f"{name}={value}" for name, value in self.cookies.items())]
        if self.token:
            words += ["-H", f"X-Plait-Token: {self.token}"]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = self.node.run(*words, f"{self.page}{path}", check=False, within=within + 5)
        if done.returncode:
            return Answer(-done.returncode, {}, done.stderr)
        head, _, text = done.stdout.partition("\n\n")
        first, *lines = head.splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "set-cookie" in headers:
            name, _, value = headers["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return Answer(int(first.split()[1]), headers, text)

    def log_in(self, password: str = PASSWORD) -> Answer:
        answer = self.ask("/api/login", body={"password": password})
        if answer.status == 200:
            self.token = self.ask("/api/me").facts["token"]
        return answer


@contextmanager
def served(street: Street, web: str = WEB) -> Iterator[Plait]:
    """A gateway with a page, and its exit."""
    directory = street.gateway.directory / "history"
    gateway, exit = street.pair(
        gateway_config(rest=f'{web}history_directory = "{directory}"\n'), exit_config()
    )
    try:
        wait_for("the page", lambda: Visitor(street.client).ask("/").status in (200, 421), within=20)
        yield gateway
    finally:
        gateway.stop()
        exit.stop()


def page_pid(gateway: Plait) -> int:
    """Of the page's process; 0 while there is none."""
    words = ("pgrep", "-P", str(gateway.pid), "-f", "plait.views.web.process")
    return int((gateway.node.run(*words, check=False).stdout.split() or ["0"])[0])


def freeze(pid: int, *, on: bool) -> None:
    """Stop a process, or let it go on."""
    os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)
