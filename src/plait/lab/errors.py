"""What can go wrong in the lab, apart from the thing under test.

The lab has errors of its own because it imports nothing of the product.
"""

from __future__ import annotations

import shutil


class LabError(Exception):
    """Ends a lab command: one line for the user, a remedy, and an exit status."""

    exit_status = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UnknownName(LabError):
    """A scenario or a node that does not exist."""

    exit_status = 2


class HostLacks(LabError):
    """This host lacks a program, a kernel feature or a right."""

    exit_status = 3


_PACKAGES = {
    "curl": "curl",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "iperf3": "iperf3",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "tc": "iproute2",
    "udhcpc": "udhcpc",
    "unshare": "util-linux",
}
"""Debian package of each program that the lab may call."""

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps programs that are not in an ordinary user's PATH."""


def program(name: str) -> str:
    """Absolute path of ``name``, or :class:`HostLacks` naming its Debian package."""
    found = shutil.which(name) or shutil.which(name, path=":".join(SBIN))
    if found is None:
        package = _PACKAGES.get(name, name)
        raise HostLacks(
            f"the lab needs the program {name!r}, which is not installed",
            f"on Debian: apt-get install {package}",
        )
    return found
