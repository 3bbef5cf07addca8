"""nftables: whole rulesets by the ``nft`` program, and one question by netlink.

``nft -f -`` loads a text in one transaction, so that there is never half a
ruleset. Whether our table is there, and which, is asked of the kernel without
starting a program, as it is asked at every look: the table bears a digest of
its text as comment (NFTA_TABLE_USERDATA, Linux 5.10).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import struct
import subprocess

from plait.errors import KernelError, MissingCapability
from plait.kernel.netlink import NETLINK_NETFILTER, Netlink, NetlinkError, attributes, string, text
from plait.paths.marks import NFT_TABLE
from plait.paths.model import Ruleset

_GETTABLE = 10 << 8 | 1  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE
_NFPROTO_INET = 1
_TABLE_NAME, _TABLE_USERDATA = 1, 6
_UDATA_COMMENT = 0
_NFNLGRP_NFTABLES = 7
_TIMEOUT = 20.0  # seconds; a slow router with a large ruleset needs one or two

REMEDY = "install nftables: `apt install nftables`, on OpenWrt `opkg install nftables-json`"


class NftQuestion:
    """Asks the kernel about our table; belongs to the network namespace in which it was made."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_NETFILTER)

    def close(self) -> None:
        """Give the descriptor back."""
        self._netlink.close()

    def digest(self, table: str = NFT_TABLE) -> str | None:
        """The digest of our table; "" when it bears none; None when there is no such table."""
        asked = struct.pack("=BBH", _NFPROTO_INET, 0, 0) + text(_TABLE_NAME, table)
        try:
            answers = self._netlink.request(_GETTABLE, asked)
        except NetlinkError as error:
            # Without nf_tables in the kernel there is no table either.
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM):
                return None
            raise
        for body in answers:
            for kind, value in attributes(body, 4):
                if kind == _TABLE_USERDATA:
                    return _comment(value)
        return ""


def open_monitor() -> socket.socket:
    """A non-blocking socket that becomes readable when any nftables ruleset changes: a firewall's
    reload may flush all tables, ours too. As with ``rtnl.open_monitor``: drain it, then look."""
    monitor = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
    )
    try:
        monitor.bind((0, 1 << _NFNLGRP_NFTABLES - 1))
    except BaseException:
        monitor.close()
        raise
    return monitor


def load(ruleset: Ruleset) -> None:
    """Put our table in place. What others have added to its ``kept`` sets stays."""
    run(ruleset.text + "".join(_elements(name) for name in ruleset.kept))


def _elements(name: str) -> str:
    """A line that adds again what a set of our table holds now: with a new time to live, or with what was
    left of its own where it had been given one."""
    program = shutil.which("nft", path=_search_path())
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "list", "set", "inet", NFT_TABLE, name],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    _, there, rest = done.stdout.partition("elements = {")
    if not there:
        return ""  # no such set yet, or nothing in it
    found = (element.split() for element in rest.partition("}")[0].split(","))
    again = ", ".join(_again(words) for words in found if words)
    return f"add element inet {NFT_TABLE} {name} {{ {again} }}\n"


def _again(words: list[str]) -> str:
    """An element as nft lists it: ``ADDRESS [timeout TIME] expires TIME``."""
    if "timeout" not in words or words[-2] != "expires":
        return words[0]
    # Whole seconds will do; how nft writes less than one differs between its versions.
    return f"{words[0]} timeout {re.sub(r'[0-9]+ms$', '', words[-1]) or '1s'}"


def drop(table: str = NFT_TABLE) -> None:
    """Remove a table of ours; it need not be there."""
    run(f"table inet {table}\ndelete table inet {table}\n")


def run(script: str, *, check_only: bool = False) -> None:
    """Have ``nft`` carry out a script, all of it or nothing."""
    program = shutil.which("nft", path=_search_path())
    if program is None:
        raise MissingCapability("the program nft is not there", REMEDY)
    command = [program, *(["-c"] if check_only else []), "-f", "-"]
    try:
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"nft: {error}") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise KernelError("nft: " + (lines[0] if lines else f"ended with status {done.returncode}"))


def _search_path() -> str:
    """Root's programs too: a user's PATH may lack them."""
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


def _comment(userdata: bytes) -> str:
    """Userdata is a row of type, length, value; each of the first two one byte."""
    offset = 0
    while offset + 2 <= len(userdata):
        kind, length = userdata[offset], userdata[offset + 1]
        if kind == _UDATA_COMMENT:
            return string(userdata[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""
