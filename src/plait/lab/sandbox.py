"""Run a command inside fresh namespaces that vanish with it.

Cleaning up is not a matter of remembering what was made. The command is started again inside
new PID, mount and network namespaces (and a user namespace when we are not root), and when it
ends, crashes or is killed with -9, the kernel takes away the processes, the namespaces, and with
these the links, TAPs, routes and rules. Three processes stand in a row::

    outer     the command as the user started it; waits, hands signals on
    └─ unshare --kill-child       dies with outer (PR_SET_PDEATHSIG)
       └─ init (pid 1 inside)     dies with unshare; mounts, reaps, ends with the command
          └─ the command again    sees inside() and does its work

pid_namespaces(7): when pid 1 of a namespace ends, the kernel kills all others in it. A chain of
parent-death signals therefore leaves no gap: whichever of the four is killed, all go.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from plait.lab.errors import SBIN, HostLacks, program

_MARK = "PLAIT_LAB_SANDBOX"
_PR_SET_PDEATHSIG = 1
_SI_KERNEL = 0x80
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STATUS_OF_SIGNAL = 128


def _pid_namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def inside() -> bool:
    """Whether this process runs in a sandbox made by :func:`run`."""
    return os.environ.get(_MARK) == _pid_namespace()


def run_self() -> int:
    """Run the current command line once more, inside a sandbox; returns its exit status."""
    return run([sys.executable, *sys.orig_argv[1:]])


def run(command: Sequence[str], *, quiet_interrupt: bool = True) -> int:
    """Run ``command`` inside a sandbox and return its exit status.

    A command ended by signal N gives 128 + N, as in a shell. SIGINT, SIGTERM and SIGHUP sent to
    this process reach the command. With ``quiet_interrupt`` a terminal's Ctrl-C, which the
    command gets from the terminal itself, is not sent a second time.
    """
    unshare = [program("unshare"), "--fork", "--kill-child", "--pid", "--mount", "--net"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    _probe(unshare)
    down, up = os.pipe()
    # Blocked rather than handled: sigwaitinfo below also tells who sent a signal.
    waited = {*_FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    try:
        child = subprocess.Popen(
            [*unshare, "--", sys.executable, "-m", __name__, str(down), *command],
            pass_fds=(down,),
            preexec_fn=_child_setup(),
        )
    finally:
        os.close(down)
    try:
        while True:
            info = signal.sigwaitinfo(waited)
            if info.si_signo == signal.SIGCHLD:
                status = child.poll()
                if status is not None:
                    return _STATUS_OF_SIGNAL - status if status < 0 else status
            elif not (quiet_interrupt and info.si_code == _SI_KERNEL):
                try:
                    os.write(up, bytes([info.si_signo]))
                except BrokenPipeError:
                    pass  # it has just ended by itself; SIGCHLD is next
    finally:
        os.close(up)
        if child.poll() is None:
            child.kill()
            child.wait()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _probe(unshare: list[str]) -> None:
    """Raise :class:`HostLacks` when the kernel does not let us make the namespaces."""
    tried = subprocess.run([*unshare, "--", "true"], stderr=subprocess.PIPE)
    if tried.returncode != 0:
        hint = "run it as root, or allow user namespaces: see docs/how-to/lab.md"
        if os.geteuid() == 0:
            hint = "this looks like a container without CAP_SYS_ADMIN"
        reason = tried.stderr.decode(errors="replace").strip()
        raise HostLacks(f"can't make namespaces: {reason}", hint)


def _child_setup() -> Callable[[], None]:
    """What the child does between fork and exec: promise to die with us.

    The signals stay blocked until init has its handlers.
    """
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def setup() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we were killed before the line above
            os._exit(1)

    return setup


def _init(control: int, command: list[str]) -> int:
    """pid 1 of the sandbox: mount, start the command, reap, hand signals on, end with it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (*_FORWARDED, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_FORWARDED, signal.SIGCHLD})
    # We are root here, also for a user in whose PATH sbin is not.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
    _mounts()
    subprocess.run([program("ip"), "link", "set", "lo", "up"], check=True)
    os.environ[_MARK] = _pid_namespace()
    child = subprocess.Popen(command)
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if control in ready:
            asked = os.read(control, 64)
            if not asked:
                return 1  # outer is gone; the kernel ends the rest with us
            for byte in asked:
                child.send_signal(byte)
        if woken in ready:
            os.read(woken, 4096)
            status = _reap(child.pid)
            if status is not None:
                return status


def _reap(main: int) -> int | None:
    """Collect every ended process; the exit status when ``main`` was among them."""
    result = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return result
        if pid == 0:
            return result
        if pid == main:
            code = os.waitstatus_to_exitcode(status)
            result = _STATUS_OF_SIGNAL - code if code < 0 else code


def _mounts() -> None:
    """A private /proc, and an empty /run: /run/netns and /run/plait of the host stay unseen.

    All of /run, because without root one can't make /run/netns on a host that has none.
    """
    mount = program("mount")
    # -n: mount(8) would make /run/mount for its notes, and at first that is the host's /run.
    # In some containers /proc may not be mounted afresh. The old one then still shows us under
    # /proc/self, which is all that the lab asks of it.
    subprocess.run([mount, "-n", "-t", "proc", "proc", "/proc"], stderr=subprocess.DEVNULL)
    done = subprocess.run(
        [mount, "-n", "-t", "tmpfs", "-o", "mode=755", "lab", "/run"], stderr=subprocess.PIPE
    )
    if done.returncode != 0:
        raise HostLacks(
            f"can't mount a private /run: {done.stderr.decode(errors='replace').strip()}",
            "the lab needs root, or a kernel that lets users make user namespaces",
        )
    os.makedirs("/run/netns")


def _main() -> int:
    try:
        return _init(int(sys.argv[1]), sys.argv[2:])
    except HostLacks as problem:
        print(f"plait lab: {problem}", file=sys.stderr)
        return problem.exit_status


if __name__ == "__main__":
    raise SystemExit(_main())
