"""What a running plait takes for granted, on its way to `plait plan`."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from plait.config.model import Mode
from plait.control.picture import Picture
from plait.paths.model import Detour
from plait.paths.standing import Condition, Standing

WHOLE = Picture(
    modes={"wan2": Mode.BACKUP},
    health={
        "wan1": Standing(
            condition=Condition.DOWN, why="probes get no answer", unanswered=frozenset({"attic"})
        ),
        "wan2": Standing(
            condition=Condition.UP, benched="too far behind", rtt=0.3, loss=0.05, lingering=True
        ),
    },
    taking=False,
    tunnelled=True,
    tunnels={0: 12, 1: 13},
    away=frozenset({"wan2"}),
    detours=(
        Detour(interface="wan2", address=ip_address("10.1.1.70"), port=8388, instead=ip_address("10.2.2.70")),
    ),
)


@pytest.mark.parametrize("picture", [WHOLE, Picture()])
def test_it_travels_whole(picture: Picture) -> None:
    assert Picture.from_json(json.loads(json.dumps(picture.to_json()))) == picture


@pytest.mark.parametrize(
    "raw", [{}, {**WHOLE.to_json(), "modes": {"wan1": "fast"}}, {**WHOLE.to_json(), "paths": [1]}]
)
def test_what_is_no_picture_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        Picture.from_json(raw)
