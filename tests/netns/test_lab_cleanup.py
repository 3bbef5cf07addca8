"""Whatever ends a lab, nothing of it stays: no process, no namespace, no mount."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plait.lab.node import wait_for

SOURCE = Path(__file__).parents[2] / "src"
LAB = [sys.executable, "-m", "plait", "lab"]

# A lab that is up says so and waits. It imports nothing of the product, so that only the lab is tested.
UP = """
import sys, time
from plait.lab import dhcp, sandbox
if not sandbox.inside():
    sys.exit(sandbox.run_self())
from plait.lab.run import end_on_signals
from plait.lab.topology import Lab
end_on_signals()
print("inside", flush=True)
with Lab("a:eth0 dhcp == air == b:eth0 10.9.1.1/24", directory=None) as lab:
    dhcp.serve(lab["b"], eth0="10.9.1.1/24")
    lab.dhcp_clients()
    print("up", flush=True)
    time.sleep(60)
"""


def processes() -> dict[int, str]:
    """All processes that we can see, by id, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:  # it has just ended
                continue
            if state != "Z":
                found[int(entry.name)] = words
    return found


def namespaces() -> set[str]:
    """All network, mount, PID and user namespaces that some process is in."""
    found = set()
    for pid in processes():
        for kind in ("net", "mnt", "pid", "user", "uts"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                pass
    return found


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    found = []
    for other in processes():
        try:
            parent = int(Path(f"/proc/{other}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(other)
    return found


@contextmanager
def nothing_stays() -> Iterator[None]:
    """Compare the machine before and after."""
    before = set(processes()), namespaces(), mounts(), sorted(os.listdir("/run"))
    yield

    def gone() -> bool:
        return set(processes()) <= before[0] and namespaces() <= before[1]

    try:
        wait_for("all processes and namespaces to go", gone, within=10.0)
    finally:
        left = {pid: words for pid, words in processes().items() if pid not in before[0]}
        assert left == {}
    assert mounts() == before[2]
    assert sorted(os.listdir("/run")) == before[3]


def mounts() -> list[str]:
    return [line.split(" ", 1)[1] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def outside() -> dict[str, str]:
    """An environment in which a command does not know that these tests have a sandbox of their own."""
    return {key: value for key, value in os.environ.items() if key != "PLAIT_LAB_SANDBOX"}


@contextmanager
def started(script: Path, until: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script of ours until it has printed a line."""
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=outside()
    ) as child:
        assert child.stdout is not None
        lines = iter(child.stdout.readline, "")
        assert until in (line.strip() for line in lines), "it ended too early"
        yield child


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "up.py"
    path.write_text(UP)
    return path


@pytest.mark.parametrize("until", ["inside", "up"])
@pytest.mark.parametrize("victim", ["outer", "unshare", "init", "command"])
def test_killed_with_9(script: Path, victim: str, until: str) -> None:
    with nothing_stays(), started(script, until) as outer:
        chain = [outer.pid]
        while len(chain) < 4:
            chain.append(children(chain[-1])[0])
        os.kill(chain[["outer", "unshare", "init", "command"].index(victim)], signal.SIGKILL)
        # 1: unshare could not hand on how init ended (util-linux 2.38, with signals blocked)
        assert outer.wait(10) in (-signal.SIGKILL, 128 + signal.SIGKILL, 1)


@pytest.mark.parametrize("milliseconds", [20, 60, 110, 170, 240, 330, 450])
def test_killed_at_any_moment(script: Path, milliseconds: int) -> None:
    with nothing_stays():
        outer = subprocess.Popen([sys.executable, script], stdout=subprocess.DEVNULL, env=outside())
        with pytest.raises(subprocess.TimeoutExpired):
            outer.wait(milliseconds / 1000)
        outer.kill()
        outer.wait()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_end_it_orderly(script: Path, number: signal.Signals, status: int) -> None:
    with nothing_stays(), started(script, "up") as outer:
        outer.send_signal(number)
        assert outer.wait(20) == status


def test_an_exception_inside(tmp_path: Path) -> None:
    path = tmp_path / "crash.py"
    path.write_text(UP.replace("time.sleep(60)", "raise ZeroDivisionError"))
    with nothing_stays():
        done = subprocess.run([sys.executable, path], capture_output=True, text=True, env=outside())
        assert done.returncode == 1
        assert "ZeroDivisionError" in done.stderr


def test_ctrl_c_at_a_terminal(tmp_path: Path) -> None:
    """The keystroke itself: the terminal sends SIGINT to the whole foreground group."""
    command = [*LAB, "run", "wifi-bridges", "--out", str(tmp_path / "out")]
    with nothing_stays():
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(command[0], command, outside())
        said = b""
        try:
            while b"alone" not in said:
                said += os.read(terminal, 4096)
            os.write(terminal, b"\x03")
            while True:
                said += os.read(terminal, 4096)
        except OSError:  # EIO: the terminal's last user has gone
            pass
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 130
        assert b"interrupted; the network is gone" in said
        assert b"Traceback" not in said


def readable_python() -> str | None:
    """A python that a user without rights can run, with plait's source readable to it."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        # Through a shell: what setpriv itself executes is still found with its own rights.
        command = [*as_nobody(), "sh", "-c", 'exec "$0" -c "import plait.lab.topology"', candidate]
        if subprocess.run(command, env=environment(), capture_output=True, cwd="/").returncode == 0:
            return candidate
    return None


def as_nobody() -> list[str]:
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


def environment() -> dict[str, str]:
    kept = {key: value for key, value in outside().items() if key != "HOME"}
    return {**kept, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}


def test_without_root() -> None:
    """A user without any right builds the same network in a user namespace."""
    status = Path("/proc/self/uid_map").read_text().split()
    if status[0] == "0" and status[2] == "1":
        return  # this whole run is such a user's: all other tests here have just shown it
    python = readable_python()
    if python is None:
        pytest.skip("no python here that a user without rights may run")
    path = Path("/tmp") / f"plait-lab-{os.getpid()}.py"
    path.write_text(
        UP.replace("time.sleep(60)", "import os; print('uid', os.getuid(), lab.bridge('air').backend)")
    )
    path.chmod(0o644)
    try:
        with nothing_stays():
            done = subprocess.run(
                [*as_nobody(), python, str(path)], env=environment(), capture_output=True, text=True, cwd="/"
            )
            assert done.stderr == ""
            assert done.stdout.splitlines()[:2] == ["inside", "up"]
            assert "uid 0" in done.stdout, "root inside, and nobody outside"
            assert done.returncode == 0
    finally:
        path.unlink()
