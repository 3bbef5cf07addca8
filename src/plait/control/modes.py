"""Modes that the owner sets while plait runs: ``plait paths wan2 backup``.

They lie over the config's until they are taken away again (``plait paths wan2 config``) or plait is
stopped. A reload keeps them, and so does a crash: they are written to the run directory at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from plait.config.model import Config, Mode
from plait.config.values import suggest
from plait.errors import UsageError
from plait.paths.choice import with_modes

log = logging.getLogger(__name__)

CONFIG = "config"
"""The word that puts the config's mode back."""
WORDS = (*(mode.value for mode in Mode), CONFIG)


class Modes:
    """The modes set live, by path. ``remember`` keeps them where a crash does not reach."""

    def __init__(self, kept: Mapping[str, str], remember: Callable[[Mapping[str, str]], None]) -> None:
        known = {mode.value for mode in Mode}
        self._live = {path: Mode(word) for path, word in kept.items() if word in known}
        self._remember = remember
        if self._live:
            log.info(
                "modes set live before: %s",
                ", ".join(f"{path} {mode.value}" for path, mode in self._live.items()),
            )

    @property
    def live(self) -> Mapping[str, Mode]:
        """What was set, by the path's name."""
        return self._live

    def put(self, config: Config, name: str, word: str) -> None:
        """Set the mode of a path, or with ``config`` put back the config's; raises UsageError.

        There is one master at most: the former one becomes ``on``.
        """
        names = [path.name for path in config.paths]
        if name not in names:
            raise UsageError(f"no path is named {name}", suggest(name, names, quote=""))
        if word not in WORDS:
            raise UsageError(f"{word} is not a mode", suggest(word, WORDS, quote=""))
        live = {path: mode for path, mode in self._live.items() if path != name and path in names}
        if word != CONFIG:
            if word == Mode.MASTER.value:
                live = {path: Mode.ON if mode is Mode.MASTER else mode for path, mode in live.items()}
            live[name] = Mode(word)
        self._live = live
        self._remember({path: mode.value for path, mode in live.items()})

    def merged(self, config: Config) -> Config:
        """The config with these modes in it. A master set live makes the config's own an ``on``."""
        return with_modes(config, self._live)
