"""MPTCP or the tunnel for what is new: decided by health, and without a moment in between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from plait.config.model import Config, Gateway, Path, TcpVia, UdpVia
from plait.control.ladder import Ladder
from plait.paths.standing import Condition, Standing

UP = Standing(condition=Condition.UP)
PLAIN = replace(UP, plain="stripped")


@dataclass
class Keeping:
    """As much of a keeper as a ladder needs."""

    config: Config
    health: dict[str, Standing] = field(default_factory=dict)
    tunnelled: bool = False
    wakes: int = 0

    def wake(self) -> None:
        self.wakes += 1


def keeping(tcp: TcpVia = TcpVia.MPTCP, udp: UdpVia = UdpVia.TUNNEL) -> Keeping:
    paths = tuple(Path(interface=name, name=name) for name in ("wan1", "wan2"))
    return Keeping(Config(gateway=Gateway(lan=("lan",), tcp=tcp, udp=udp), paths=paths))


def via(ladder: Ladder, *, open: bool = True) -> TcpVia:
    gateway = ladder.look(open=open).gateway
    assert gateway is not None
    return gateway.tcp


def test_the_tunnel_takes_over_where_mptcp_works_nowhere() -> None:
    keeper = keeping()
    ladder = Ladder(keeper)  # type: ignore[arg-type]
    keeper.health = {"wan1": PLAIN, "wan2": UP}
    assert (via(ladder), keeper.tunnelled, keeper.wakes) == (TcpVia.MPTCP, False, 0)
    keeper.health = {"wan1": PLAIN, "wan2": PLAIN}
    assert via(ladder, open=False) is TcpVia.MPTCP, "there is none"
    assert (via(ladder), keeper.tunnelled, keeper.wakes) == (TcpVia.TUNNEL, True, 1)
    assert (via(ladder), keeper.tunnelled, keeper.wakes) == (TcpVia.TUNNEL, True, 1)
    keeper.health = {"wan1": UP, "wan2": PLAIN}
    assert (via(ladder), keeper.tunnelled, keeper.wakes) == (TcpVia.TUNNEL, False, 2), (
        "until the keeper takes"
    )
    assert (via(ladder), keeper.tunnelled, keeper.wakes) == (TcpVia.MPTCP, False, 2)


def test_the_owner_is_asked_first() -> None:
    for tcp, udp in ((TcpVia.DIRECT, UdpVia.TUNNEL), (TcpVia.MPTCP, UdpVia.DIRECT)):
        keeper = keeping(tcp, udp)
        keeper.health = {"wan1": PLAIN, "wan2": PLAIN}
        ladder = Ladder(keeper)  # type: ignore[arg-type]
        assert via(ladder) is tcp
        assert not keeper.tunnelled
    exit_alone = Keeping(Config())
    assert Ladder(exit_alone).look(open=True) == Config()  # type: ignore[arg-type]
