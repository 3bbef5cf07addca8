"""A machine of the lab: network, ``/run/plait``, ``/sys``, host name of its own.

A node is held by one sleeping process in fresh network, mount and UTS namespaces; programs enter
them through ``nsenter``. The network is also bound to ``/run/netns/NAME``, so that ``ip -n NAME``
works. (Binding the mount namespace to a file as well would spare the sleeper, but Linux 6.18
refuses that now and then with EINVAL: its check for loops compares namespace numbers that are
handed out per core, fs/namespace.c ``mnt_ns_loop``.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from plait.lab.errors import LabError, program

NETNS = Path("/run/netns")
_TAIL_LINES = 12
_SETUP = """
set -e
mount -t tmpfs -o mode=755 "$1" /run/plait
mount -t sysfs "$1" /sys 2>/dev/null || true   # not allowed in some containers; ip needs no /sys
hostname "$1"
ip link set lo up
sysctl -q -e -w {sysctls}
echo ready
exec sleep infinity
"""
_SYSCTLS = (
    # Addresses are ours alone: no second of waiting for a duplicate.
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
    "net.ipv6.conf.default.accept_ra=0",
    # What OpenWrt and Debian routers with several ways out have.
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
)

T = TypeVar("T")


def wait_for(what: str, predicate: Callable[[], T | None], *, within: float, every: float = 0.02) -> T:
    """Call ``predicate`` until it gives something true, and return that.

    ``within`` and ``every`` are seconds. Raises :class:`LabError` with ``what`` when time is up.
    """
    deadline = time.monotonic() + within
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise LabError(f"waited {within:g} s in vain for {what}")
        time.sleep(every)


class Process:
    """A program running in a node, its output in a file."""

    def __init__(self, name: str, child: subprocess.Popen[bytes], output: Path) -> None:
        self.name = name
        self.output = output
        self._child = child

    @property
    def pid(self) -> int:
        """Process id inside the sandbox."""
        return self._child.pid

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal, None while running."""
        return self._child.poll()

    def text(self) -> str:
        """All that it has written so far, both streams."""
        return self.output.read_text(errors="replace")

    def tail(self) -> str:
        """The last lines of its output, for an error message."""
        lines = self.text().splitlines()[-_TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it printed nothing)"

    def wait(self, within: float) -> int:
        """Wait for its end, at most ``within`` seconds; gives the exit status."""
        try:
            return self._child.wait(within)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end within {within:g} s\n{self.tail()}") from None

    def wait_line(self, prefix: str, within: float = 10.0) -> str:
        """Wait until it has printed a line that begins with ``prefix``; gives the line."""

        def look() -> str | None:
            for line in self.text().splitlines():
                if line.startswith(prefix):
                    return line
            if self.status is not None:
                raise LabError(f"{self.name} ended with status {self.status}\n{self.tail()}")
            return None

        try:
            return wait_for(f"{self.name} to print {prefix!r}", look, within=within)
        except LabError as problem:
            if self.status is not None:
                raise
            raise LabError(f"{problem.message}\n{self.tail()}") from None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self._child.poll() is None:
            self._child.send_signal(number)

    def stop(self, within: float = 5.0) -> int:
        """SIGTERM, and SIGKILL when it is still there after ``within`` seconds."""
        self.send(signal.SIGTERM)
        try:
            return self._child.wait(within)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL; gives the exit status."""
        self.send(signal.SIGKILL)
        return self._child.wait()


class Node:
    """One machine of the lab. ``directory`` keeps its files and its programs' output."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.processes: list[Process] = []
        directory.mkdir(parents=True, exist_ok=True)
        Path("/run/plait").mkdir(exist_ok=True)
        NETNS.mkdir(exist_ok=True)
        netns = NETNS / name
        netns.touch(exist_ok=False)
        setup = _SETUP.format(sysctls=" ".join(_SYSCTLS))
        self._holder = subprocess.Popen(
            [program("unshare"), f"--net={netns}", "--mount", "--uts", "sh", "-c", setup, "sh", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != b"ready\n":
            reason = self._holder.stderr.read().decode(errors="replace").strip()
            raise LabError(f"can't make node {name}: {reason}")
        self._holder.stdout.close()
        self._holder.stderr.close()

    @property
    def pid(self) -> int:
        """Id of the process that holds the node's namespaces."""
        return self._holder.pid

    def enter(self) -> list[str]:
        """The words to put before a command so that it runs in this node."""
        return [program("nsenter"), f"--target={self.pid}", "--net", "--mount", "--uts", "--"]

    def run(
        self, *command: str | Path, check: bool = True, within: float = 30.0, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return what it printed.

        A status other than 0 raises :class:`LabError`, unless ``check`` is false.
        """
        words = [str(word) for word in command]
        done = subprocess.run(
            [*self.enter(), *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within,
            start_new_session=True,  # a terminal's Ctrl-C is for the lab alone
        )
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise LabError(f"{self.name}: {' '.join(words)}: status {done.returncode}: {said}")
        return done

    def popen(
        self,
        *command: str | Path,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        """Start a program that goes on running; it is ended with the lab.

        It gets a session of its own, so that a terminal's Ctrl-C reaches only the lab.
        """
        words = [str(word) for word in command]
        label = name or Path(words[0]).name
        output = self.directory / f"{len(self.processes):02d}-{label}.log"
        with output.open("wb") as log:
            child = subprocess.Popen(
                [*self.enter(), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                pass_fds=pass_fds,
                start_new_session=True,
            )
        process = Process(f"{self.name}: {label}", child, output)
        self.processes.append(process)
        return process

    def sysctl(self, **values: object) -> None:
        """Set kernel switches, e.g. ``sysctl(**{"net.ipv4.ip_forward": 1})``."""
        self.run("sysctl", "-q", "-w", *(f"{key}={value}" for key, value in values.items()))

    def forward(self) -> None:
        """Make it a router."""
        self.sysctl(**{"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})

    def masquerade(self, *interfaces: str) -> None:
        """Hide what leaves by these interfaces behind the node's own address, as home routers do."""
        names = ", ".join(f'"{name}"' for name in interfaces)
        self.run(
            program("nft"),
            "-f",
            "-",
            stdin="table inet lab_masquerade { chain out { type nat hook postrouting priority srcnat;\n"
            f"oifname {{ {names} }} masquerade\n}}\n}}\n",
        )

    def overlay(self, path: str, text: str) -> None:
        """Give the node its own content of a file that exists, e.g. ``/etc/hosts``."""
        own = self.directory / path.strip("/").replace("/", "-")
        own.write_text(text)
        self.run("mount", "--bind", own, path)

    def addresses(self, interface: str, family: int = 4) -> list[str]:
        """Global addresses that an interface has now, without prefix lengths."""
        said = self.run("ip", f"-{family}", "-o", "addr", "show", "dev", interface, "scope", "global").stdout
        return [line.split()[3].split("/")[0] for line in said.splitlines()]

    def listening(self, port: int, *, udp: bool = False) -> bool:
        """Whether some program listens on ``port``, in either family."""
        kind = "udp" if udp else "tcp"
        state = "07" if udp else "0A"
        for family in ("", "6"):
            table = Path(f"/proc/{self.pid}/net/{kind}{family}")
            for line in table.read_text().splitlines()[1:]:
                words = line.split()
                if int(words[1].rsplit(":", 1)[1], 16) == port and words[3] == state:
                    return True
        return False

    def close(self) -> None:
        """End all its programs and give its namespaces up."""
        for process in reversed(self.processes):
            process.send(signal.SIGTERM)
        for process in reversed(self.processes):
            process.stop(within=2.0)
        self._holder.kill()
        self._holder.wait()
        subprocess.run([program("ip"), "netns", "delete", self.name], check=True)
