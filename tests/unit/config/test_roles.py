"""A verb runs only a config that has its role; the refusal names the verb that would do."""

from __future__ import annotations

import pytest

from plait.config.model import Config, Exit, Gateway
from plait.config.roles import EXIT, GATEWAY, require, roles
from plait.errors import UsageError

G = Config(gateway=Gateway(lan=("lan",)))
E = Config(exit=Exit())
BOTH = Config(gateway=Gateway(lan=("lan",)), exit=Exit())


@pytest.mark.parametrize(("config", "expected"), [(G, {GATEWAY}), (E, {EXIT}), (BOTH, {GATEWAY, EXIT})])
def test_roles(config: Config, expected: set[str]) -> None:
    assert roles(config) == expected


@pytest.mark.parametrize(
    ("config", "wanted"),
    [(G, {GATEWAY}), (E, {EXIT}), (BOTH, {GATEWAY, EXIT}), (BOTH, {GATEWAY}), (BOTH, {EXIT})],
)
def test_a_config_with_the_role_will_do(config: Config, wanted: set[str]) -> None:
    require(config, wanted)


@pytest.mark.parametrize(
    ("config", "wanted", "message", "hint"),
    [
        (
            E,
            {GATEWAY},
            "the config has no [gateway]",
            "`plait exit -c FILE`; a far end to use is written [[exit]]",
        ),
        (G, {EXIT}, "the config has no [exit]", "`plait gateway -c FILE`"),
        (G, {GATEWAY, EXIT}, "the config has no [exit]", "or run `plait gateway -c FILE`"),
        (E, {GATEWAY, EXIT}, "the config has no [gateway]", "or run `plait exit -c FILE`"),
    ],
)
def test_a_config_without_it_is_refused(config: Config, wanted: set[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        require(config, wanted)
    assert caught.value.message == message
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(hint)
    assert caught.value.exit_status == 2
