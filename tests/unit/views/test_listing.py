from __future__ import annotations

from dataclasses import asdict
from typing import Any

from plait.control.snapshot import ClientStatus, Connection, SubflowStatus
from plait.views.listing import devices, host, render

FLOW = SubflowStatus(
    path="dsl", local="10.1.1.78:4001", remote="10.1.1.70:8388", state="established", backup=False,
    rtt_ms=12.34, cwnd=10, tx_bytes=1500, rx_bytes=2_000_000, retrans_bytes=0, tx_bps=8000, rx_bps=19_600_000,
)  # fmt: skip
SESSION = Connection(
    id="7-1", client="192.168.5.7:4711", target="9.9.9.9:443", exit="attic", user="", age=61.0,
    up_bytes=1000, down_bytes=2_000_000, up_bps=8000, down_bps=19_600_000, transport="mptcp",
    token="00000abc", subflows=(FLOW,),
)  # fmt: skip
PHONE = ClientStatus(
    name="phone", mac="02:00:00:00:00:07", addresses=("192.168.5.7", "fd78::7"), open=1, total=4,
    up_bytes=1000, down_bytes=3_000_000, up_bps=8000, down_bps=19_600_000,
)  # fmt: skip


def answer(
    *connections: dict[str, Any], matched: int = 0, clients: tuple[ClientStatus, ...] = (PHONE,)
) -> Any:
    return {
        "connections": list(connections),
        "matched": matched or len(connections),
        "clients": [asdict(each) for each in clients],
    }


def test_a_session_with_its_subflows() -> None:
    second = asdict(FLOW) | {"path": "", "local": "10.2.2.78:9", "state": "fin wait 1", "backup": True}
    page = render(answer(asdict(SESSION) | {"subflows": [asdict(FLOW), second]}), subflows=True)
    assert page == (
        "192.168.5.7:4711 (phone) > 9.9.9.9:443  via attic  down 19.6 Mbit/s 2 MB  up 8 kbit/s 1 kB  1 min"
        " 1 s  MPTCP 00000abc\n"
        "  PATH  LOCAL           REMOTE          STATE               RTT      CWND  DOWN         UP        "
        "SENT    RECEIVED  AGAIN\n"
        "  dsl   10.1.1.78:4001  10.1.1.70:8388  established         12.3 ms  10    19.6 Mbit/s  8 kbit/s  "
        "1.5 kB  2 MB      0 B\n"
        "  -     10.2.2.78:9     10.1.1.70:8388  fin wait 1, backup  12.3 ms  10    19.6 Mbit/s  8 kbit/s  "
        "1.5 kB  2 MB      0 B\n"
    )


def test_short_and_more() -> None:
    plain = asdict(SESSION) | {"transport": "tcp", "user": "roof", "exit": "", "client": "[fd78::9]:1"}
    page = render(answer(plain, asdict(SESSION) | {"transport": ""}, matched=7), subflows=False)
    first, second, last = page.splitlines()
    assert first == (
        "[fd78::9]:1 > 9.9.9.9:443  user roof  down 19.6 Mbit/s 2 MB  up 8 kbit/s 1 kB  1 min 1 s  plain TCP"
    )
    assert second.endswith("not looked at")
    assert last == "and 5 more: --limit shows them"


def test_names_that_others_chose_can_do_no_harm() -> None:
    page = render(answer(asdict(SESSION) | {"target": "evil\x1b[2J:443"}), subflows=False)
    assert "\x1b" not in page
    assert "evil?[2J:443" in page


def test_nothing_to_show() -> None:
    assert render(answer(), subflows=True) == "no sessions\n"
    assert render(answer(), subflows=True, filtered=True) == "no session is like that\n"
    assert devices([]) == "no devices\n"


def test_devices() -> None:
    assert devices([asdict(PHONE)]) == (
        "DEVICE  DOWN         UP        TOTAL DOWN  TOTAL UP  SESSIONS  ADDRESSES\n"
        "phone   19.6 Mbit/s  8 kbit/s  3 MB        1 kB      1 of 4    192.168.5.7 fd78::7 "
        "02:00:00:00:00:07\n"
    )


def test_hosts() -> None:
    assert [host(text) for text in ("10.0.0.1:80", "[fd78::7]:80")] == ["10.0.0.1", "fd78::7"]
