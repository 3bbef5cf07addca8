"""What follows from exits that answer or are silent: who serves what, and whether the LAN is taken."""

from __future__ import annotations

import logging
from collections.abc import Callable

from plait.config.model import Config, WhenExitLost
from plait.control.judgement import Judgement
from plait.control.keeper import Keeper
from plait.relay.orders import JsonObject

log = logging.getLogger(__name__)


class Serving:
    """Tells workers and courier which exit serves. ``tell`` reaches the former, ``lead`` the latter."""

    def __init__(
        self,
        judgement: Judgement,
        keeper: Keeper,
        tell: Callable[[JsonObject], None],
        lead: Callable[[dict[str, str]], None],
    ) -> None:
        self._judgement = judgement
        self._keeper = keeper
        self._tell = tell
        self._lead = lead
        self._told: dict[str, str] = {}

    def now(self) -> dict[str, str]:
        """Which exit serves what is meant for each. While none can, each is asked itself."""
        return {name: other or name for name, other in self._judgement.serving().items()}

    def changed(self, config: Config) -> None:
        """Act on what the judgement has come to."""
        self._say()
        lost = self._judgement.all_lost
        if self._keeper.taking == lost:
            assert config.gateway is not None
            direct = config.gateway.when_exit_lost is WhenExitLost.DIRECT
            if lost:
                log.warning("no exit answers: the LAN %s", "goes out directly" if direct else "is blocked")
            else:
                log.info("an exit answers again: the LAN's TCP is taken")
            self._keeper.taking = not lost
        self._keeper.wake()

    def _say(self) -> None:
        serving = self.now()
        for name, other in serving.items():
            if other != self._told.get(name, name):
                back = other == name
                log.info("exit %s: new connections go %s", name, "to it again" if back else f"to {other}")
        self._told = serving
        self._tell({"serving": serving})
        self._lead(serving)
