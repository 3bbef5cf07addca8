"""Elements of nftables sets that live for a while, put in by netlink: it takes no program and no time.

Sources: include/uapi/linux/netfilter/nf_tables.h, net/netfilter/nf_tables_api.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from plait.kernel.netlink import F_CREATE, NETLINK_NETFILTER, Netlink, attribute, nested, text
from plait.paths.marks import NFT_TABLE

_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_NEWSETELEM = _SUBSYSTEM << 8 | 12
_DELSETELEM = _SUBSYSTEM << 8 | 14
_HEADER = struct.pack("=BBH", 1, 0, 0)  # struct nfgenmsg: NFPROTO_INET
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEMENT = 1
_KEY, _TIMEOUT = 1, 4
_VALUE = 1

Element = tuple[str, bytes, int]
"""A set of our table, a packed address, and seconds to live."""


class SetFiller:
    """Adds elements; belongs to the network namespace in which it was made."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_NETFILTER)

    def close(self) -> None:
        """Give the descriptor back."""
        self._netlink.close()

    def add(self, elements: Iterable[Element]) -> None:
        """Have each of them there for so long from now on, in one transaction.

        Raises NetlinkError: ENOENT without such a set, ENFILE when one is full.
        """
        messages = []
        for name, address, seconds in elements:
            plain, lasting = _list(name, address, 0), _list(name, address, seconds)
            # One that is there already keeps its time when it is added (before Linux 6.12), and none can be
            # removed that is not there: so add, remove, add.
            messages += [
                (_NEWSETELEM, plain, F_CREATE),
                (_DELSETELEM, plain, 0),
                (_NEWSETELEM, lasting, F_CREATE),
            ]
        if messages:
            self._netlink.batch(_SUBSYSTEM, messages)


def _list(name: str, address: bytes, seconds: int) -> bytes:
    parts = [nested(_KEY, attribute(_VALUE, address))]
    if seconds:
        parts.append(attribute(_TIMEOUT, (seconds * 1000).to_bytes(8, "big")))
    return (
        _HEADER
        + text(_LIST_TABLE, NFT_TABLE)
        + text(_LIST_SET, name)
        + nested(_LIST_ELEMENTS, nested(_ELEMENT, *parts))
    )
