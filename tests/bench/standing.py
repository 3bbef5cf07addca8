"""All peers of a measure, started each on a lane of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.peers import Peer
from tests.bench.topology import Lane, build

from plait.lab.topology import Lab

Say = Callable[[str], None]


@contextmanager
def standing(chosen: Sequence[Peer], directory: Path, say: Say) -> Iterator[tuple[Lab, list[Lane]]]:
    """The lab and its lanes, in the order of ``chosen``, everything serving; gone afterwards."""
    say(f"starting {', '.join(peer.name for peer in chosen)}")
    lab, lanes = build([peer.paths for peer in chosen], directory)
    with lab:
        for peer, lane in zip(chosen, lanes, strict=True):
            peer.start(lane)
        yield lab, lanes
