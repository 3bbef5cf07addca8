"""What is made of the notes of a call, and verdicts of made-up ones."""

from __future__ import annotations

import pytest

from plait.lab.calling import Heard, Seen, heard, judge

SECONDS = 10
EVERY = 0.02


def call(
    delay: float = 0.010, *, late: float = 0.0, missing: tuple[int, ...] = (), twice: tuple[int, ...] = ()
) -> Heard:
    """50 datagrams a second; those from the 4th second to the 6th take ``late`` longer."""
    left = [number * EVERY for number in range(int(SECONDS / EVERY))]
    came = [
        (number, at, delay + (late if 4 <= at < 6 else 0.0))
        for number, at in enumerate(left)
        if number not in missing
    ]
    return heard(left, came + [(number, left[number], 1.0) for number in twice])


def test_notes() -> None:
    notes = call(missing=(10, 11, 12), twice=(5,))
    assert notes.lost(0.0, 10.0) == 3
    assert notes.lost(1.0, 10.0) == 0
    assert notes.twice == 1
    assert notes.delay(0.0, 10.0) == pytest.approx(0.010), "the first one counts"
    assert notes.pause(0.1, 1.0) == pytest.approx(4 * EVERY)
    assert notes.pause(11.0, 12.0) == 1.0
    assert notes.delay(11.0, 12.0) == float("inf")


@pytest.mark.parametrize(
    ("voice", "stream", "broken"),
    [
        (call(late=0.019), call(), []),
        (call(late=0.021), call(), ["added delay"]),
        (call(missing=(250,)), call(), ["call beside TCP"]),
        (call(missing=(360,)), call(), ["silence: call"]),
        (call(twice=(20,)), call(), ["call twice"]),
        (call(), call(missing=tuple(range(360, 373))), []),
        (call(), call(missing=tuple(range(360, 376))), ["silence: pause"]),
        (call(), call(missing=tuple(range(100, 200))), []),  # not then
    ],
)
def test_promises(voice: Heard, stream: Heard, broken: list[str]) -> None:
    seen = Seen(
        quiet=(1.0, 3.0),
        full=(4.0, 6.0),
        cuts=[("silence", 7.0, 8.0), ("silence", 8.5, 9.5)],
        voice={"down": call(), "up": voice},
        stream={"down": call(), "up": stream},
    )
    result = judge(seen)
    assert [(check.course, check.promise) for check in result.checks if not check.kept] == [
        ("up", promise) for promise in broken
    ]
