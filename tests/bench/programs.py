"""What must be installed, asked for before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable

from plait.lab.errors import HostLacks, program

_PACKAGES = {
    "ab": "apache2-utils",
    "iperf3": "iperf3",
    "nft": "nftables",
    "nginx": "nginx-light",
    "ss-redir": "shadowsocks-libev",
    "ss-server": "shadowsocks-libev",
    "wg": "wireguard-tools",
}
"""Debian package of a program, where it is called otherwise."""


def need(names: Iterable[str]) -> None:
    """Raise :class:`HostLacks` that names every program of these that is missing."""
    missing = [name for name in dict.fromkeys(names) if not _there(name)]
    if missing:
        packages = dict.fromkeys(_PACKAGES.get(name, name) for name in missing)
        raise HostLacks(
            f"the benchmark needs {', '.join(missing)}, not installed",
            f"on Debian: apt-get install {' '.join(packages)}",
        )


def _there(name: str) -> bool:
    try:
        program(name)
    except HostLacks:
        return False
    return True
