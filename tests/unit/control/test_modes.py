from __future__ import annotations

from collections.abc import Mapping

import pytest

from plait.config.model import Config, Mode, Path
from plait.control.modes import CONFIG, Modes
from plait.errors import UsageError

CONFIGURED = {"dsl": Mode.MASTER, "lte": Mode.BACKUP, "mesh": Mode.ON}
OF_CONFIG = Config(
    paths=tuple(Path(interface=name, name=name, mode=mode) for name, mode in CONFIGURED.items())
)


def words(modes: Modes, config: Config = OF_CONFIG) -> list[str]:
    return [path.mode.value for path in modes.merged(config).paths]


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ([], ["master", "backup", "on"]),
        ([("lte", "on")], ["master", "on", "on"]),
        ([("lte", "handover"), ("lte", "off")], ["master", "off", "on"]),
        ([("lte", "off"), ("lte", CONFIG)], ["master", "backup", "on"]),
        ([("dsl", "off"), ("mesh", "backup")], ["off", "backup", "backup"]),
        # One master: the former one is an ``on`` for as long.
        ([("lte", "master")], ["on", "master", "on"]),
        ([("lte", "master"), ("mesh", "master")], ["on", "on", "master"]),
        ([("lte", "master"), ("dsl", "master")], ["master", "on", "on"]),
        ([("lte", "master"), ("lte", CONFIG)], ["master", "backup", "on"]),
        ([("dsl", "backup"), ("lte", "master")], ["backup", "master", "on"]),
        ([("dsl", "master"), ("lte", "master")], ["on", "master", "on"]),
    ],
)
def test_modes_lie_over_the_config(said: list[tuple[str, str]], result: list[str]) -> None:
    kept: list[Mapping[str, str]] = [{}]
    modes = Modes({}, kept.append)
    for name, word in said:
        modes.put(OF_CONFIG, name, word)
        assert words(modes).count("master") <= 1
    assert words(modes) == result
    assert words(Modes(kept[-1], kept.append)) == result, "what was kept is enough after a crash"


def test_what_does_not_exist_is_named_and_changes_nothing() -> None:
    kept: list[Mapping[str, str]] = []
    modes = Modes({}, kept.append)
    with pytest.raises(UsageError, match="no path is named lt") as wrong_path:
        modes.put(OF_CONFIG, "lt", "on")
    assert wrong_path.value.hint == "did you mean lte?"
    with pytest.raises(UsageError, match="bakcup is not a mode") as wrong_mode:
        modes.put(OF_CONFIG, "lte", "bakcup")
    assert wrong_mode.value.hint == "did you mean backup?"
    assert modes.merged(OF_CONFIG) == OF_CONFIG
    assert kept == []


def test_a_path_that_a_reload_took_away_is_forgotten_with_the_next_change() -> None:
    kept: list[Mapping[str, str]] = []
    modes = Modes({"old": "master", "lte": "off", "dsl": "nonsense"}, kept.append)
    assert words(modes) == ["master", "off", "on"], "a master that is gone deposes nobody"
    modes.put(OF_CONFIG, "mesh", "handover")
    assert kept == [{"lte": "off", "mesh": "handover"}]
