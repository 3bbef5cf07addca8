"""The topology that most tests of the relay share, and plait on it.

    client:eth0 ── lan:gateway:wan1 ══ w1:exit:out ── eth0:server
                           gateway:wan2 ══ w2:exit

The server's addresses are documentation ranges, so they are "the Internet" to plait. A server that
sees the exit's address was reached through plait; one that sees the client's was reached directly.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.lab.node import Node, Process, wait_for
from plait.lab.topology import Lab, plait_command
from plait.views.ask import ask

WAYS = """
gateway:wan1 10.1.1.78/24 fd01::78/64 -- 10gbit -- exit:w1 10.1.1.70/24 fd01::70/64
gateway:wan2 10.2.2.78/24 fd02::78/64 -- 10gbit -- exit:w2 10.2.2.70/24 fd02::70/64
"""
ENDS = """
client:eth0 192.168.78.2/24 fd78::2/64 via 192.168.78.1 via fd78::1 -- gateway:lan 192.168.78.1/24 fd78::1/64
exit:out 203.0.113.1/24 2001:db8:113::1/64 -- server:eth0 203.0.113.2/24 2001:db8:113::2/64 via 203.0.113.1
"""
DRAWING = ENDS + WAYS
SERVER = {4: "203.0.113.2", 6: "2001:db8:113::2"}
EXIT_OUT = {4: "203.0.113.1", 6: "2001:db8:113::1"}
CLIENT = {4: "192.168.78.2", 6: "fd78::2"}

PASSWORD = "correct horse battery staple"


def exit_config(
    method: str = "aes-128-gcm",
    *,
    password: str = PASSWORD,
    exit_lines: str = "",
    relay: str = "",
    workers: int = 1,
    rest: str = "",
) -> str:
    """A config of an exit; ``exit_lines`` go into [exit], ``relay`` into [relay]."""
    proof = f'password = "{password}"' if method != "none" else 'trust = ["10.0.0.0/8", "fd00::/8"]'
    return f"""
[exit]
method = "{method}"
{proof if password else ""}
{exit_lines}
[relay]
workers = {workers}
{relay}
{rest}
"""


def gateway_config(
    method: str = "aes-128-gcm",
    *,
    intercept: str = "tproxy",
    password: str = PASSWORD,
    address: str = '["10.1.1.70", "10.2.2.70"]',
    gateway_lines: str = "",
    relay: str = "",
    workers: int = 1,
    warm: int = 0,
    rest: str = "",
) -> str:
    """A config of a gateway with both links; nothing is dialled in advance, unless ``warm``."""
    proof = f'password = "{password}"' if method != "none" else ""
    return f"""
[gateway]
lan = ["lan"]
intercept = "{intercept}"
{gateway_lines}
[[exit]]
name = "attic"
address = {address}
method = "{method}"
{proof}
[[path]]
interface = "wan1"
[[path]]
interface = "wan2"
[relay]
workers = {workers}
warm = {warm}
{relay}
{rest}
"""


@dataclass(slots=True)
class Plait:
    """One running plait in a node."""

    node: Node
    process: Process
    config: Path
    run_dir: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.process.text()

    def rewrite(self, text: str) -> None:
        """Change the config file; nothing is told."""
        self.config.write_text(text)

    def status(self) -> dict[str, Any]:
        """What ``plait status --json`` says, asked over the same socket."""
        # The node has a /run/plait of its own: the holder's root shows it.
        return ask(Path(f"/proc/{self.node.pid}/root{self.run_dir}"), "/v1/status")

    def workers(self) -> list[int]:
        """Pids of the workers."""
        return sorted(worker["pid"] for worker in self.status()["workers"])

    def until(self, what: str, judge: Callable[[dict[str, Any]], object], within: float = 15.0) -> Any:
        """Wait until ``judge(status)`` is true, and give what it gave."""
        return wait_for(what, lambda: judge(self.status()), within=within, every=0.05)

    def until_log(self, text: str, within: float = 15.0) -> str:
        """Wait for a line of the log that holds ``text``; gives it."""

        def look() -> str | None:
            return next((line for line in self.log().splitlines() if text in line), None)

        try:
            return wait_for(f"a log line with {text!r}", look, within=within)
        except Exception:
            print(self.log())
            raise

    def stop(self) -> int:
        """SIGTERM; gives the exit status."""
        return self.process.stop(within=15.0)


class Street:
    """The built topology."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.client = lab["client"]
        self.gateway = lab["gateway"]
        self.exit = lab["exit"]
        self.server = lab["server"]
        self.lasting: list[Process] = []
        """Programs that outlive the test that started them."""
        self._count = 0

    def direct_route(self) -> None:
        """Let LAN and server reach each other without plait, too, as an ISP would."""
        for family, lan, via, out, home in (
            ("-4", "192.168.78.0/24", "10.1.1.78", "10.1.1.70", EXIT_OUT[4]),
            ("-6", "fd78::/64", "fd01::78", "fd01::70", EXIT_OUT[6]),
        ):
            self.exit.run("ip", family, "route", "replace", lan, "via", via)
            self.server.run("ip", family, "route", "replace", "default", "via", home)
            self.gateway.run("ip", family, "route", "replace", "default", "via", out, "dev", "wan1")

    def plait(self, node: Node, verb: str, config: str, *options: str, run_dir: str = "/run/plait") -> Plait:
        """Start one and wait for ``ready``."""
        self._count += 1
        name = f"{verb}{self._count}.toml"
        process = self.lab.plait(node.name, verb, {name: config}, "--run-dir", run_dir, *options)
        return Plait(node, process, node.directory / name, run_dir)

    def launch(self, node: Node, verb: str, config: str, *options: str) -> Plait:
        """Start one and wait for nothing."""
        self._count += 1
        path = node.directory / f"{verb}{self._count}.toml"
        path.write_text(config)
        process = node.popen(*plait_command(), verb, "-c", path, *options, name=f"plait-{verb}")
        return Plait(node, process, path, "/run/plait")

    def pair(self, gateway: str, exit: str) -> tuple[Plait, Plait]:
        """Exit and gateway; the gateway has reached the exit."""
        there = self.plait(self.exit, "exit", exit)
        here = self.plait(self.gateway, "gateway", gateway)
        here.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
        return here, there


def left_in_kernel(node: Node) -> dict[str, str]:
    """All that plait could have left in a node: empty when there is nothing."""
    said = {
        "table": node.run("nft", "list", "tables").stdout,
        "rules": node.run("ip", "rule").stdout + node.run("ip", "-6", "rule").stdout,
        "routes": node.run("ip", "route", "show", "table", "all", "proto", "178").stdout
        + node.run("ip", "-6", "route", "show", "table", "all", "proto", "178").stdout,
        "endpoints": node.run("ip", "mptcp", "endpoint", "show").stdout,
    }
    # `ip rule show proto …` takes the word and forgets it.
    for kind, mark in (("table", "plait"), ("rules", "proto 178")):
        said[kind] = "\n".join(line for line in said[kind].splitlines() if mark in line)
    return {kind: text for kind, text in said.items() if text.strip()}


def sysctls(node: Node) -> str:
    """The kernel parameters and limits that plait touches."""
    keys = ("net.mptcp.enabled", "net.mptcp.blackhole_timeout", "net.mptcp.syn_retrans_before_tcp_fallback")
    found = node.run("sysctl", *keys, "net.mptcp.stale_loss_cnt", "net.ipv4.conf.wan1.rp_filter", check=False)
    return found.stdout + node.run("ip", "mptcp", "limits").stdout


def plait_words(text: str) -> list[str]:
    """A command line of the installed command."""
    return [*plait_command(), *shlex.split(text)]


def plain_log(log: str) -> bool:
    """Whether a log has nothing in it that a user should never see."""
    return not any(word in log for word in ("Traceback", "Error:", "never retrieved", "Unhandled"))
