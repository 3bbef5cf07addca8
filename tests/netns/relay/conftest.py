from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.netns.relay.street import DRAWING, Street

from plait.lab.topology import Lab


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """The topology, one for all tests of a file; each test starts and stops what it needs on it."""
    with Lab(DRAWING, directory=tmp_path_factory.mktemp("street")) as lab:
        lab.forward("gateway", "exit")
        yield Street(lab)


@pytest.fixture(autouse=True)
def _programs_end(street: Street) -> Iterator[None]:
    """Whatever a test started in a node, it is gone when the test is over."""
    before = {node.name: len(node.processes) for node in street.lab.nodes}
    yield
    for node in street.lab.nodes:
        for process in reversed(node.processes[before[node.name] :]):
            if process not in street.lasting:
                process.stop(within=15.0)
