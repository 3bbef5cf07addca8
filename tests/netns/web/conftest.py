from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.netns.relay.street import DRAWING, Street

from plait.lab.topology import Lab


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with Lab(DRAWING, directory=tmp_path_factory.mktemp("street")) as lab:
        lab.forward("gateway", "exit")
        yield Street(lab)
