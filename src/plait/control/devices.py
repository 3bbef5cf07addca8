"""Which devices stand behind the addresses that clients have: by the neighbour table and by leases."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path

from plait.control.snapshot import ClientStatus
from plait.relay.rows import CountRow

LEASES = (
    Path("/tmp/dhcp.leases"),  # OpenWrt
    Path("/var/lib/misc/dnsmasq.leases"),  # Debian
    Path("/var/lib/dnsmasq/dnsmasq.leases"),
)
"""Where dnsmasq writes to whom it has given what."""

_FRESH = 5.0
"""Seconds for which neighbours and leases are taken as known."""
_MOST_LEASES = 1 << 20
_MOST_NEIGHBOURS = 4096
"""Addresses whose MAC is remembered."""
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")

Rates = Mapping[str, tuple[int, int]]
"""Bits a second up and down, by address."""


def read_leases(text: str) -> dict[str, str]:
    """Host names by address and by MAC, from dnsmasq's file (its man page, --dhcp-leasefile): expiry,
    MAC (or for IPv6 a number), address, name or ``*``. Clients choose their names: others than those of
    hosts are left out."""
    found = {}
    for text_line in text.splitlines():
        words = text_line.split()
        if len(words) < 4 or not _NAME.fullmatch(words[3]):
            continue
        try:
            found[str(ip_address(words[2]))] = words[3]
        except ValueError:
            continue
        if _MAC.fullmatch(words[1].lower()):
            found[words[1].lower()] = words[3]
    return found


def devices(
    counts: Mapping[str, CountRow], rates: Rates, macs: Mapping[str, str], names: Mapping[str, str]
) -> tuple[ClientStatus, ...]:
    """What clients' addresses carried, by device; the busiest first. ``macs`` are those of neighbours."""
    by_device: dict[str, list[str]] = {}
    for address in counts:
        by_device.setdefault(macs.get(address, address), []).append(address)
    found = [
        _device(each, macs.get(each[0], ""), counts, rates, names)
        for each in (sorted(addresses, key=_order) for addresses in by_device.values())
    ]
    found.sort(key=lambda each: (-each.up_bps - each.down_bps, -each.up_bytes - each.down_bytes, each.name))
    return tuple(found)


class Neighbourhood:
    """Neighbours and leases, read when somebody asks, and not every time. ``neighbours`` gives MACs by
    address, and may raise OSError."""

    def __init__(self, neighbours: Callable[[], Mapping[str, str]], leases: Iterable[Path] = LEASES) -> None:
        self._neighbours = neighbours
        self._leases = tuple(leases)
        self._read = float("-inf")
        self._macs: Mapping[str, str] = {}
        self._names: dict[str, str] = {}

    def devices(self, counts: Mapping[str, CountRow], rates: Rates, now: float) -> tuple[ClientStatus, ...]:
        """As `devices` does."""
        if counts:
            self._look(now)
        return devices(counts, rates, self._macs, self._names)

    def addresses(self, device: str, now: float) -> tuple[str, ...]:
        """Those of a device that is given by name, by MAC or by one of them; the word itself when nobody is
        known by it."""
        self._look(now)
        word = device.lower()
        named = {place for place, name in self._names.items() if name.lower() == word}
        macs = {place for place in (word, *named, self._macs.get(word, "")) if _MAC.fullmatch(place)}
        macs |= {self._macs[place] for place in named if place in self._macs}
        found = {address for address, mac in self._macs.items() if mac in macs}
        found |= {place for place in named if not _MAC.fullmatch(place)}
        return tuple(sorted(found, key=_order)) or (device,)

    def _look(self, now: float) -> None:
        if now - self._read <= _FRESH:
            return
        self._read = now
        try:
            fresh = self._neighbours()
            # Who is not there just now is remembered: what an address has carried must not leave its device.
            former = {place: mac for place, mac in self._macs.items() if place not in fresh}
            self._macs = dict([*former.items(), *fresh.items()][-_MOST_NEIGHBOURS:])
        except OSError:
            # As it was is good enough.
            pass
        self._names = {}
        for path in self._leases:
            try:
                self._names |= read_leases(_read(path))
            except OSError:
                continue


def _read(path: Path) -> str:
    """The text of a file, which may lie where anybody may make one: nothing but a file is waited for."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return ""
        return file.read(_MOST_LEASES).decode(errors="replace")


def _device(
    addresses: list[str], mac: str, counts: Mapping[str, CountRow], rates: Rates, names: Mapping[str, str]
) -> ClientStatus:
    known = next((names[each] for each in (*addresses, mac) if each in names), None)
    rows = [counts[address] for address in addresses]
    paces = [rates.get(address, (0, 0)) for address in addresses]
    return ClientStatus(
        name=known or addresses[0],
        mac=mac,
        addresses=tuple(addresses),
        open=sum(row.open for row in rows),
        total=sum(row.total for row in rows),
        up_bytes=sum(row.up for row in rows),
        down_bytes=sum(row.down for row in rows),
        up_bps=sum(pace[0] for pace in paces),
        down_bps=sum(pace[1] for pace in paces),
    )


def _order(address: str) -> tuple[int, str]:
    """IPv4 first: that is what people know a device by."""
    return (":" in address, address)
