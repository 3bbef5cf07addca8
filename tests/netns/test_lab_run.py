"""``plait lab run`` and ``plait lab shell`` as a user types them, with plait itself inside."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

LAB = [sys.executable, "-m", "plait", "lab"]


def outside() -> dict[str, str]:
    """An environment in which the command makes a sandbox of its own."""
    return {key: value for key, value in os.environ.items() if key != "PLAIT_LAB_SANDBOX"}


@pytest.mark.timeout(240)
def test_wifi_bridges(tmp_path: Path) -> None:
    """The whole of it. How fast and how soon is the verdict's affair: a loaded machine may miss that."""
    command = [*LAB, "run", "wifi-bridges", "--seconds", "4", "--json", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=outside())
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    kept = json.loads((tmp_path / "result.json").read_text())
    assert (done.returncode == 0) is told["passed"] is kept["passed"]
    assert [course["title"] for course in kept["courses"]] == ["down", "up"]
    for course in kept["courses"]:
        assert course["survived"] is True
        paths = course["samples"]["paths"]
        unplugged = course["events"][0]["at"]
        until = max(index for index, at in enumerate(paths["at"]) if at <= unplugged)
        carried = [now - before for before, now in zip(paths["bytes"][0], paths["bytes"][until], strict=True)]
        assert min(carried) > 0.2 * sum(carried) > 0, "two links at once, and alike"
        assert course["both_bps"] > 0.5 * max(course["singles_bps"].values())
        assert course["unplugged_bps"] > 0.25 * course["singles_bps"]["wan2"], "it went on with one"
        assert [event["what"] for event in course["events"]] == ["bridge1 unplugged", "bridge1 replugged"]
        assert len(course["samples"]["receiver"]["at"]) > 1000
    assert "client" in done.stderr, "progress, a line a second"
    for name in ("gateway/gateway.toml", "exit/exit.toml"):
        assert (tmp_path / "logs" / name).exists()


def test_shell_fed_by_a_pipe() -> None:
    words = """
        on gateway hostname
        on laptop iperf3 -c 192.168.70.107 -n 100K > /dev/null && echo carried
        on gateway plait status --json | grep '"intercepting": true'
        bridge bridge1 unplug
        on gateway ip -o link show wan1 | grep -o NO-CARRIER
        on nowhere true || echo refused
        exit 7
    """
    done = subprocess.run(
        [*LAB, "shell", "wifi-bridges"], input=words, capture_output=True, text=True, env=outside()
    )
    said = done.stdout.splitlines()
    assert said[0] == "gateway"
    assert said[1] == "carried"
    assert '"intercepting": true' in said[2]
    assert "left UNPLUGGED, right UNPLUGGED" in said
    assert "NO-CARRIER" in said
    assert said[-1] == "refused"
    assert done.returncode == 7
    assert "== bridge1 20mbit 3ms" in done.stderr, "the drawing"


def test_shell_at_a_terminal() -> None:
    """Ctrl-C ends what runs in the shell, and neither the shell nor the lab."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*LAB, "shell", "lan-to-lan"], outside())
    said = b""

    def until(words: bytes) -> None:
        nonlocal said
        while words not in said:
            said += os.read(terminal, 4096)

    until(b"take everything down")
    os.write(terminal, b"on anna sh -c 'echo it is $((40+2)); sleep 50'\n")
    until(b"it is 42")
    os.write(terminal, b"\x03")
    until(b"^C")
    os.write(terminal, b"on bert echo still $((60+6))\n")
    until(b"still 66")
    os.write(terminal, b"exit 5\n")
    try:
        while True:
            said += os.read(terminal, 4096)
    except OSError:  # EIO: the terminal's last user has gone
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert b"Traceback" not in said


def test_shell_in_an_unknown_node() -> None:
    done = subprocess.run(
        [*LAB, "shell", "wifi-bridges", "attic"], input="", capture_output=True, text=True, env=outside()
    )
    assert done.returncode == 2
    assert "there are laptop, gateway, exit, pc" in done.stderr
