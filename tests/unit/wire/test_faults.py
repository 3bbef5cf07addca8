"""A peer's faults are no ``PlaitError``: they must not end a command."""

from __future__ import annotations

import pytest

from plait.errors import PlaitError
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed


@pytest.mark.parametrize("kind", [Malformed, Forged, Replayed])
def test_faults_are_the_peers(kind: type[PeerFault]) -> None:
    assert issubclass(kind, PeerFault)
    assert not issubclass(kind, PlaitError)
    assert str(kind("why")) == "why"
