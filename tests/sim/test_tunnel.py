"""The tunnel on the profiles that it has to be good at, with a numeric clock and seeded lines.

``pytest -s`` prints the figures that docs/explanation/tunnel.md quotes.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.tunnel_traffic import PAYLOAD, Steady, Tcp, key, percentile
from tests.sim.tunnel_world import INNER, MTU, OVERHEAD, Packet, Shape, Tunnel, World

from plait.tunnel.classes import Wish

EQUAL = [Shape(20, 0.010), Shape(20, 0.010)]
UNEQUAL = [Shape(300, 0.005), Shape(80, 0.015)]
LTE = [Shape(30, 0.010, 0.010, 0.005), Shape(30, 0.020, 0.020, 0.005)]
"""Round trips of 20 to 40 and 40 to 80 ms."""
LOSSY = [Shape(20, 0.010, 0, 0.05), Shape(20, 0.020)]
VOICE: dict[str, Any] = {"rate": 0.064, "size": 188}
TCP_SHARE = PAYLOAD / MTU
"""What is left of a line's rate for TCP's payload, at best."""


def tunnel(shapes: list[Shape], seed: int = 1) -> Tunnel:
    return Tunnel(World(), [(shape, shape) for shape in shapes], seed)


def total(shapes: list[Shape]) -> float:
    return sum(shape.rate for shape in shapes)


def tcp(woven: Tunnel, flows: int, protocol: int = 6, port: int = 5201) -> list[Tcp]:
    world = woven.near.world
    return [
        Tcp(world, woven.near, woven.far, flow=key(protocol, port, 40000 + flow), start=0.1 * flow)
        for flow in range(flows)
    ]


def told(name: str, **figures: float) -> None:
    print(f"{name}:", ", ".join(f"{what} {figure:.4g}" for what, figure in figures.items()))


@pytest.mark.parametrize(
    ("name", "shapes", "flows", "seconds", "share"),
    [
        ("equal", EQUAL, 1, 6, 0.97),
        ("unequal", UNEQUAL, 4, 6, 0.92),
        ("LTE", LTE, 4, 10, 0.80),
        ("5 % loss", LOSSY, 4, 6, 0.92),
    ],
)
def test_tcp_fills_the_sum_of_the_paths(
    name: str, shapes: list[Shape], flows: int, seconds: float, share: float
) -> None:
    """Of what is left after all headers: plain TCP would get 0.965 of a line's rate, this 0.92 at most."""
    woven = tunnel(shapes)
    transfers = tcp(woven, flows)
    woven.near.world.run(seconds)
    rate = sum(each.rate(seconds / 2, seconds) for each in transfers)
    told(f"TCP, {name}, {flows} flows", Mbit_s=rate, of=total(shapes), use=rate / total(shapes) / TCP_SHARE)
    assert rate > share * total(shapes) * TCP_SHARE
    assert sum(each.timeouts for each in transfers) == 0


@pytest.mark.parametrize("protocol", [6, 17])
def test_one_flow_is_never_worse_off_than_on_the_best_path(protocol: int) -> None:
    """One TCP or QUIC flow over unequal paths, whose slow start ends when the slower one joins (HyStart)."""
    woven = tunnel(UNEQUAL)
    (transfer,) = tcp(woven, 1, protocol, 443)
    woven.near.world.run(6)
    rate = transfer.rate(2, 6)
    told(f"one flow of protocol {protocol}", Mbit_s=rate, best=300 * TCP_SHARE)
    assert rate > 0.95 * 300 * TCP_SHARE
    assert transfer.cuts == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_one_flow_outlives_the_losses_of_radio_links(seed: int) -> None:
    """Each loss holds the flow up for a round trip; nothing may hold it up for longer, or it times out."""
    woven = tunnel(LTE, seed)
    (transfer,) = tcp(woven, 1)
    woven.near.world.run(12)
    rate = transfer.rate(9, 12)
    told(f"one flow, LTE, seed {seed}", Mbit_s=rate, use=rate / total(LTE) / TCP_SHARE)
    assert transfer.timeouts == 0
    assert rate > 0.6 * total(LTE) * TCP_SHARE


@pytest.mark.parametrize(
    ("name", "shapes", "load", "lost", "most"),
    [
        ("equal", EQUAL, 0.9, 0.0, 0.005),
        ("unequal", UNEQUAL, 0.9, 0.0, 0.005),
        ("LTE", LTE, 0.8, 0.005, 0.005),
    ],
)
def test_udp_is_not_lost_below_the_sum(
    name: str, shapes: list[Shape], load: float, lost: float, most: float
) -> None:
    woven = tunnel(shapes)
    size = 1300
    rate = load * total(shapes) * size / (size + OVERHEAD)
    flow = Steady(
        woven.near.world,
        woven.near,
        rate=rate,
        size=size,
        flow=key(17, 9000),
        burst=max(1, int(total(shapes) / 100)),
    )
    woven.near.world.run(5)
    delays = flow.delays(1, 4.5)
    told(f"UDP, {name}, load {load}", loss=flow.loss(0, 4.5), p99_ms=1000 * percentile(delays, 0.99))
    assert flow.loss(0, 4.5) <= lost + most
    assert flow.twice == 0


def test_processes_that_come_late_leave_little_of_the_paths_idle() -> None:
    """What waits for a process is no queue of the path, but the sender has to keep more under way for it."""
    woven = tunnel(UNEQUAL)
    draw = random.Random(1)
    for end in (woven.near, woven.far):
        end.late = lambda: 0.030 * draw.random() ** 3
    flow = Steady(woven.near.world, woven.near, rate=370, size=1300, flow=key(17, 9000), burst=8)
    woven.near.world.run(4)
    told("more UDP than fits, late processes", Mbit_s=flow.rate(1.5, 4))
    assert flow.rate(1.5, 4) > 0.9 * 380 * 1300 / (1300 + OVERHEAD)


def test_more_udp_than_fits_fills_the_paths_and_waits_for_a_bounded_time() -> None:
    woven = tunnel(EQUAL)
    flow = Steady(woven.near.world, woven.near, rate=60, size=1300, flow=key(17, 9000))
    woven.near.world.run(6)
    assert flow.rate(2, 6) > 0.97 * 40 * 1300 / (1300 + OVERHEAD)
    assert flow.delays(2, 5)[-1] < 0.5


@pytest.mark.parametrize(
    ("name", "shapes", "flows"), [("equal", EQUAL, 2), ("unequal", UNEQUAL, 2), ("LTE", LTE, 4)]
)
def test_a_call_does_not_notice_bulk(name: str, shapes: list[Shape], flows: int) -> None:
    alone = tunnel(shapes)
    quiet = Steady(alone.near.world, alone.near, **VOICE, flow=key(17, 7000))
    alone.near.world.run(6)
    woven = tunnel(shapes)
    tcp(woven, flows)
    call = Steady(woven.near.world, woven.near, **VOICE, flow=key(17, 7000))
    woven.near.world.run(6)
    before, during = (percentile(each.delays(1, 5.5), 0.99) for each in (quiet, call))
    told(f"call beside bulk, {name}", p99_alone_ms=1000 * before, p99_ms=1000 * during)
    assert during - before < 0.020
    # A copy on each path: what is lost is lost on both.
    assert call.loss(0.5, 5.5) <= (0.0 if not shapes[0].loss else 0.005)
    assert call.twice == 0


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize(("name", "shapes"), [("equal", EQUAL), ("unequal", UNEQUAL)])
def test_a_silent_path_is_left_at_once_and_taken_back(name: str, shapes: list[Shape], cut: int) -> None:
    woven = tunnel(shapes)
    world = woven.near.world
    transfers = tcp(woven, 2)
    calls = [
        Steady(world, end, **VOICE, flow=key(17, 7000 + number))
        for number, end in enumerate((woven.near, woven.far))
    ]
    world.at(3.0, lambda: woven.plug(cut, False))
    world.at(5.0, lambda: woven.plug(cut, True))
    world.run(8)
    silence = max(each.longest_silence(2.9, 5.0) for each in transfers)
    rates = [sum(each.rate(*span) for each in transfers) for span in ((2, 3), (3.5, 5), (6.5, 8))]
    told(
        f"silence, {name}, path {cut}",
        bulk_gap_ms=1000 * silence,
        before=rates[0],
        during=rates[1],
        after=rates[2],
    )
    assert [call.loss(0.5, 7.5) for call in calls] == [0.0, 0.0]
    assert max(call.longest_silence(1, 7.5) for call in calls) < 0.150
    assert silence < 0.300
    assert rates[1] > 0.9 * shapes[1 - cut].rate * TCP_SHARE
    # Both before and after, cubic growth is still on its way to more than the best path.
    assert rates[2] > 0.95 * min(rates[0], max(shape.rate for shape in shapes) * TCP_SHARE)
    assert sum(each.timeouts for each in transfers) == 0


def test_bulk_udp_goes_on_when_a_path_falls_silent() -> None:
    woven = tunnel(EQUAL)
    world = woven.near.world
    flow = Steady(world, woven.near, rate=15, size=1300, flow=key(17, 9000))
    world.at(3.0, lambda: woven.plug(0, False))
    world.run(5)
    told("bulk UDP at a silence", gap_ms=1000 * flow.longest_silence(2.5, 4.5))
    assert flow.longest_silence(2.5, 4.5) < 0.300
    assert flow.loss(3.3, 4.5) == 0.0


def test_a_path_that_becomes_slow_is_noticed() -> None:
    woven = tunnel(EQUAL)
    world = woven.near.world
    tcp(woven, 2)
    call = Steady(world, woven.near, **VOICE, flow=key(17, 7000))

    def slow() -> None:
        woven.near.lines[0].shape = Shape(4, 0.010)

    world.at(3.0, slow)
    world.run(4.5)
    line = woven.near.lines[0]
    line.longest = 0.0
    world.run(7.0)
    told("20 to 4 Mbit/s", queue_ms=1000 * line.longest)
    assert line.longest < 0.060
    assert percentile(call.delays(2, 6.5), 0.99) < 0.010 + 0.030


def test_a_lossy_path_delays_only_those_who_use_it() -> None:
    """One flow is kept to the better path by a rule; beside it bulk is put in order over both."""
    world = World()
    pinned_key = key(17, 9999)
    shapes = [Shape(20, 0.005), Shape(20, 0.010, 0, 0.05)]
    woven = Tunnel(
        world,
        [(shape, shape) for shape in shapes],
        1,
        lambda each: Wish.FAILOVER if each == pinned_key else Wish.AUTO,
    )
    tcp(woven, 2)
    flow = Steady(world, woven.near, rate=2, size=1000, flow=pinned_key)
    world.run(5)
    delays = flow.delays(1, 4.5)
    told("beside a lossy path", p99_ms=1000 * percentile(delays, 0.99))
    assert percentile(delays, 0.99) < 0.005 + 0.025
    assert flow.loss(1, 4.5) == 0.0
    assert flow.late == 0


def test_an_idle_tunnel_is_silent() -> None:
    woven = tunnel(EQUAL)
    world = woven.near.world
    Steady(world, woven.near, **VOICE, flow=key(17, 7000), stop=1.0)
    tcp(woven, 1, 6)[0].most = 50
    world.run(1.0)
    woven.near.give = lambda *_: False  # type: ignore[method-assign]
    world.run(5.0)
    before = woven.near.sent_bytes, woven.far.sent_bytes
    world.run(65.0)
    assert (woven.near.sent_bytes, woven.far.sent_bytes) == before
    assert woven.near.sender.deadline() is None
    assert woven.near.receiver.deadline() is None


shapes_of_any_kind = st.builds(
    Shape,
    rate=st.sampled_from((2, 20, 200)),
    delay=st.floats(0, 0.1),
    jitter=st.floats(0, 0.05),
    loss=st.sampled_from((0.0, 0.01, 0.2)),
    queue=st.floats(0.01, 0.3),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(shapes_of_any_kind, min_size=1, max_size=3),
    st.lists(st.tuples(st.floats(0, 1.5), st.integers(0, 2), st.booleans()), max_size=6),
    st.integers(0, 1 << 30),
)
def test_at_most_once_in_order_and_nothing_kept(
    shapes: list[Shape], plugs: list[tuple[float, int, bool]], seed: int
) -> None:
    """Whatever the paths do: no segment comes out twice, none of an ordered flow after a later one.

    And at the end nobody keeps a payload.
    """
    world = World()
    wishes = {
        key(17, 1): Wish.ORDERED,
        key(17, 2): Wish.REDUNDANT,
        key(17, 3): Wish.BOND,
        key(17, 4): Wish.AUTO,
    }
    woven = Tunnel(world, [(shape, shape) for shape in shapes], seed, lambda each: wishes[each])
    draw = random.Random(seed)
    came: dict[bytes, list[int]] = {flow: [] for flow in wishes}
    given_: dict[bytes, int] = dict.fromkeys(wishes, 0)

    def offer(flow: bytes) -> None:
        count = draw.choice((1, 1, 2, 44))
        first = given_[flow]
        given_[flow] += count
        out = came[flow]
        woven.near.give(
            flow,
            Packet(
                lambda first, count, _: out.extend(range(first, first + count)),
                first,
                count,
                INNER,
                world.now,
            ),
        )

    for flow in wishes:
        for _ in range(40):
            world.at(draw.uniform(0, 1.5), lambda flow=flow: offer(flow))
    for when, path, in_ in plugs:
        world.at(when, lambda path=path, in_=in_: woven.plug(path % len(shapes), in_))
    world.at(1.6, lambda: [woven.plug(path, True) for path in range(len(shapes))])
    world.run(60)
    for flow, numbers in came.items():
        assert len(set(numbers)) == len(numbers), wishes[flow]
        assert set(numbers) <= set(range(given_[flow]))
    assert came[key(17, 1)] == sorted(came[key(17, 1)])
    assert woven.payloads == 0
