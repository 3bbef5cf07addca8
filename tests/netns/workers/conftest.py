from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.netns.hands.conftest import namespace

from .duo import Duo

__all__ = ["namespace"]


@pytest.fixture
def duo(namespace) -> Iterator[Duo]:  # type: ignore[no-untyped-def]
    made = Duo(namespace(), namespace())
    yield made
    made.close()
