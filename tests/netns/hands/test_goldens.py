"""Every golden ruleset is one that this kernel and this nft take."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.kernel import nft

from .namespaces import Namespace, sh

GOLDEN = Path(__file__).parents[2] / "golden" / "nft"


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.nft")), ids=lambda each: each.stem)
def test_golden_loads(golden: Path, namespace: Callable[[], Namespace]) -> None:
    with namespace().inside():
        question = nft.NftQuestion()
        assert question.digest() is None
        nft.run(golden.read_text())
        digest = question.digest()
        assert digest
        assert f'comment "{digest}"' in golden.read_text()
        nft.run(golden.read_text())  # in the place of the one that is there
        nft.drop()
        assert question.digest() is None
        nft.drop()
        question.close()


def test_a_flush_by_another_program_wakes_the_monitor(namespace: Callable[[], Namespace]) -> None:
    with namespace().inside(), nft.open_monitor() as monitor:
        assert select.select([monitor], [], [], 0)[0] == []
        nft.run((GOLDEN / "plain-tproxy.nft").read_text())
        assert select.select([monitor], [], [], 10)[0] == [monitor]
        with pytest.raises(BlockingIOError):
            drain(monitor)
        sh("nft flush ruleset")
        assert select.select([monitor], [], [], 10)[0] == [monitor]


def drain(monitor: socket.socket) -> None:
    while monitor.recv(65536):
        pass
