"""Drawings are read as they look."""

from __future__ import annotations

import pytest

from plait.lab import scenarios
from plait.lab.drawing import DrawingError, End, Shape, nodes, parse, quantity


def test_a_whole_drawing() -> None:
    wires = parse(
        """
        # a remark
        laptop:eth0 192.168.78.100/24 fd78::2/64 via 192.168.78.1 via fd78::1 -- gateway:lan 192.168.78.1/24
        gateway:wan1 dhcp == bridge1 20/5mbit 3ms loss 1/0% jitter 500us queue 80ms == exit:wan1 10.1.1.70/24

        a:x -- 1gbit -- b:y
        """
    )
    assert nodes(wires) == ["laptop", "gateway", "exit", "a", "b"]
    lan, bridge, fast = wires
    assert lan.left == End(
        node="laptop",
        interface="eth0",
        addresses=("192.168.78.100/24", "fd78::2/64"),
        via=("192.168.78.1", "fd78::1"),
    )
    assert not lan.bridge
    assert bridge.name == "bridge1"
    assert bridge.left.dhcp
    assert bridge.forth == Shape(rate=20e6, delay=0.003, jitter=0.0005, loss=0.01, queue=0.08)
    assert bridge.back == Shape(rate=5e6, delay=0.003, jitter=0.0005, loss=0.0, queue=0.08)
    assert fast.forth.rate == fast.back.rate == 1e9


def test_seed_and_mtu() -> None:
    (wire,) = parse("a:x == air seed 7 mtu 1400 == b:y")
    assert (wire.seed, wire.mtu) == (7, 1400)


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("a:x b:y", "not a link"),
        ("a:x ==  == b:y", "not a link|needs a name"),
        ("a:x == b:y", "needs a name"),
        ("ax -- b:y", "NODE:INTERFACE"),
        ("a:x 10.0.0.300/24 -- b:y", "not an address"),
        ("a:x via nowhere -- b:y", "not an address"),
        ("a:x via -- b:y", "not an address"),
        ("a:x == air 20parsec == b:y", "not a quantity"),
        ("a:x == air loss == b:y", "lacks its value"),
        ("a:x == air loss 3ms == b:y", "can't read"),
        ("a:x == air jitter 1% == b:y", "can't read"),
        ("a:x == air 5% == b:y", "can't read"),
        ("a:x == air seed blue == b:y", "whole number"),
    ],
)
def test_a_bad_line_is_named(line: str, about: str) -> None:
    with pytest.raises(DrawingError, match=about) as caught:
        parse(line)
    assert caught.value.exit_status == 1


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("20mbit", ("bit", 20e6, 20e6)),
        ("1.5/0.5gbit", ("bit", 1.5e9, 0.5e9)),
        ("3ms", ("s", 0.003, 0.003)),
        ("10/40ms", ("s", 0.01, 0.04)),
        ("2%", ("%", 0.02, 0.02)),
    ],
)
def test_quantities(word: str, read: tuple[str, float, float]) -> None:
    kind, forth, back = quantity(word)
    assert kind == read[0]
    assert (forth, back) == pytest.approx(read[1:])


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda scenario: scenario.name)
def test_every_scenario_draws_what_it_speaks_of(scenario: scenarios.Scenario) -> None:
    wires = parse(scenario.drawing)
    there = nodes(wires)
    bridges = {wire.name for wire in wires if wire.bridge}
    ends = {(end.node, end.interface) for wire in wires for end in (wire.left, wire.right)}
    assert len(scenario.drawing.strip().splitlines()) <= 10, "a drawing is short"
    for link in scenario.links:
        assert link.bridge in bridges
        assert (link.node, link.interface) in ends
    for course in scenario.courses:
        assert {course.client, course.server} <= set(there)
        assert (course.receiver, course.interface) in ends
        addresses = [
            address.split("/")[0]
            for wire in wires
            for end in (wire.left, wire.right)
            if end.node == course.server
            for address in end.addresses
        ]
        assert course.address in addresses
