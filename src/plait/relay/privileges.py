"""Giving up what a worker does not need: root, and every way back to it.

A worker gets its listening sockets open and its keys over a socket pair, so after that it needs no
privilege at all (binding to a device is free for unbound sockets since Linux 5.7).
"""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_DROP = 24
_PR_SET_DUMPABLE = 4
_CAP_VERSION_3 = 0x20080522
_LAST_CAP = 63


class _Header(ctypes.Structure):
    """struct __user_cap_header_struct, include/uapi/linux/capability.h."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    """struct __user_cap_data_struct."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def drop(uid: int, gid: int) -> bool:
    """Become ``uid``:``gid`` without capabilities or a way to get any. Idempotent; no-op without root.

    In a user namespace that maps no other user, the identity stays (it is nobody outside) and only
    the capabilities go; so it does in a container that may not change it. Gives False then. Raises OSError
    when a privilege could not be given up.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        for capability in range(_LAST_CAP + 1):
            # Fails for numbers that this kernel does not have.
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        try:
            os.setgroups([])
        except PermissionError:
            # A user namespace without a map for groups.
            pass
        try:
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        except OSError:
            pass
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Keys are in our memory: no core file, no ptrace by others of the same user.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    header = _Header(_CAP_VERSION_3, 0)
    none = (_Data * 2)()
    if libc.capset(ctypes.byref(header), ctypes.byref(none)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"capset: {os.strerror(error)}")
    return os.geteuid() != 0


def raise_descriptor_limit(wanted: int) -> int:
    """Allow as many descriptors as ``wanted`` if we may; returns how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, OSError):
            wanted = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return max(soft, wanted)
