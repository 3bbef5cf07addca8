"""What a scenario is: a drawing, how it is set going, and the courses that are run on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plait.lab.topology import Lab

if TYPE_CHECKING:
    from plait.lab.result import Result
    from plait.lab.stage import Stage

IPERF_PORT = 5201


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A bridge of the drawing, and the interface where the gateway meets it."""

    bridge: str
    node: str
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One way in which a transfer is run: who asks whom, and where the bytes go."""

    title: str
    client: str
    server: str
    address: str
    """What the client calls the server by."""
    download: bool
    """Whether the bytes go from server to client."""
    inward: bool
    """Whether they come in at the interfaces of the scenario's links, or go out."""
    interface: str = "eth0"
    """The receiver's."""
    port: int = IPERF_PORT
    congestion: str = ""
    """The sender's congestion control; empty: what its host uses."""

    @property
    def receiver(self) -> str:
        """The node to which the bytes go."""
        return self.client if self.download else self.server

    @property
    def ipv6(self) -> bool:
        """Whether the transfer is IPv6."""
        return ":" in self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A test bed and what is done on it.

    Without a ``study`` that is the trial of ``trial.py``: the first link is unplugged and replugged.
    """

    name: str
    summary: str
    drawing: str
    links: tuple[Link, ...]
    courses: tuple[Course, ...]
    prepare: Callable[[Lab], None]
    """Make the network work as it would without plait: forwarding, DHCP, masquerading."""
    weave: Callable[[Lab], None]
    """Start plait, and wait until it reaches its exits."""
    stall: float = 0.300
    """Seconds without progress that are allowed when the first link is unplugged."""
    study: Callable[[Stage], Result] | None = None
    """What is done instead of the trial. ``weave`` has not been called then."""
