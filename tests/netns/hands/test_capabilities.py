"""On this kernel, as far as the tests may use it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plait.config.model import Config, Exit, Gateway, Intercept, Peer
from plait.kernel.capabilities import has_net_admin, missing
from plait.kernel.nft import NftQuestion

from .namespaces import Namespace


@pytest.mark.parametrize("intercept", list(Intercept))
def test_a_gateway_can_start_and_the_probes_leave_no_trace(
    intercept: Intercept, namespace: Callable[[], Namespace]
) -> None:
    config = Config(
        gateway=Gateway(lan=("lan",), intercept=intercept), peers=(Peer(name="attic", address=("a",)),)
    )
    with namespace().inside():
        assert has_net_admin()
        assert [str(lack) for lack in missing(config)] == []
        question = NftQuestion()
        assert question.digest() is None
        question.close()


def test_mptcp_that_is_switched_off_is_named(namespace: Callable[[], Namespace]) -> None:
    here = namespace()
    here.sh("sysctl -qw net.mptcp.enabled=0")
    with here.inside():
        [lack] = missing(Config(exit=Exit()))
    assert lack.hint == "sysctl -w net.mptcp.enabled=1"
