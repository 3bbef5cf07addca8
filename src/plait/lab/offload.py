"""``python -m plait.lab.offload INTERFACE``: switch checksum and segmentation offloads off.

What ``ethtool -K INTERFACE tx off tso off gso off gro off`` does, for hosts without ethtool
(include/uapi/linux/ethtool.h). Needed where a program reads frames from an interface.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys

_SIOCETHTOOL = 0x8946
_SWITCHES = {
    "rx checksum": 0x00000015,
    "tx checksum": 0x00000017,
    "scatter-gather": 0x00000019,
    "tso": 0x0000001F,
    "gso": 0x00000024,
    "gro": 0x0000002C,
}


def switch_off(interface: str) -> list[str]:
    """Switch off what the driver lets us; gives the names of those it refused."""
    refused = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for name, command in _SWITCHES.items():
            value = array.array("B", struct.pack("II", command, 0))
            address, _ = value.buffer_info()
            try:
                fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), address))
            except OSError:
                refused.append(name)
    return refused


if __name__ == "__main__":
    raise SystemExit("tx checksum" in switch_off(sys.argv[1]))
