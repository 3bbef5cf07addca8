from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from .namespaces import Namespace


@pytest.fixture
def namespace() -> Iterator[Callable[[], Namespace]]:
    """Makes namespaces; skips where that is not allowed (unless PLAIT_REQUIRE says it must be)."""
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace())
        return made[-1]

    try:
        make()
    except PermissionError:
        if "netns" in os.environ.get("PLAIT_REQUIRE", ""):
            raise
        pytest.skip("may not make network namespaces here")
    for program in ("ip", "nft"):
        assert shutil.which(program), f"{program} is missing"
    yield make
    for each in made:
        each.close()
