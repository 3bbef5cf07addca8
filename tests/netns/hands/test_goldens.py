"""Every golden ruleset is one that this kernel and this nft take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plait.kernel import nft

from .namespaces import Namespace

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
