"""Network namespaces without names: what nobody holds any more, the kernel takes away.

A :class:`Namespace` is a descriptor; entering one moves the calling thread.
Nothing has to be removed after a test, not even after a crash.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Namespace:
    """One network namespace, with its loopback up."""

    def __init__(self) -> None:
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.unshare(_CLONE_NEWNET))
            self._fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                sh("ip link set lo up")
                # Links that have long been up: in its first two seconds a link has no address to ask
                # for neighbours from, and whoever tunes their patience has none to spare.
                sh("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
            finally:
                _check(_libc.setns(before, _CLONE_NEWNET))
        finally:
            os.close(before)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    @property
    def path(self) -> str:
        """What `ip link … netns` takes."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Run the body in this namespace."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self._fd, _CLONE_NEWNET))
            try:
                yield
            finally:
                _check(_libc.setns(before, _CLONE_NEWNET))
        finally:
            os.close(before)

    def sh(self, *commands: str) -> str:
        """Run commands in here; give what the last one printed."""
        printed = ""
        with self.inside():
            for command in commands:
                printed = sh(command)
        return printed


def sh(command: str) -> str:
    """Run a command that must succeed."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise AssertionError(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout


def eventually(condition: Callable[[], object], deadline: float = 10.0) -> None:
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)
