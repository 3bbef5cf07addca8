from __future__ import annotations

import pytest

from plait.views.web.access import LASTS, STRANGER, Access, Rights

KEY = bytes(range(32))
NOW = 1_790_000_000.0
HOME = "192.168.1.20"


def access(password: str = "correct horse", token: str = "t" * 20) -> Access:
    return Access(KEY, password, token)


def test_a_cookie_is_good_until_it_is_over_or_ended() -> None:
    door = access()
    assert door.right_password("correct horse", HOME, NOW)
    cookie = door.cookie(b"n" * 16, NOW)
    visitor = door.visitor(cookie, None, NOW + 5)
    assert visitor.rights is Rights.CHANGE
    assert access().visitor(cookie, None, NOW).rights is Rights.CHANGE, "a restart ends no login"
    assert door.visitor(cookie, None, NOW + LASTS + 1) == STRANGER
    door.end(visitor, NOW)
    assert door.visitor(cookie, None, NOW) == STRANGER
    assert door.visitor(door.cookie(b"m" * 16, NOW), None, NOW).rights is Rights.CHANGE


def test_another_password_or_key_ends_all_cookies() -> None:
    cookie = access().cookie(b"n" * 16, NOW)
    assert access("another horse").visitor(cookie, None, NOW) == STRANGER
    assert Access(bytes(32), "correct horse", "").visitor(cookie, None, NOW) == STRANGER
    assert Access(KEY, "", "t" * 20).visitor(cookie, None, NOW) == STRANGER


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: "",
        lambda cookie: "..",
        lambda cookie: "9999999999.00.00",
        lambda cookie: cookie[:-1],
        lambda cookie: cookie[:-1] + "é",
        lambda cookie: "9" + cookie,
        lambda cookie: cookie.replace(".", ",", 1),
        lambda cookie: cookie * 1000,
        lambda cookie: "x" * 100_000,
        lambda cookie: "\udcff" + cookie,
    ],
)
def test_no_other_cookie_is_good(forge) -> None:  # type: ignore[no-untyped-def]
    door = access()
    assert door.visitor(forge(door.cookie(b"n" * 16, NOW)), None, NOW) == STRANGER


def test_a_token_may_read() -> None:
    door = access()
    assert door.visitor(None, "t" * 20, NOW).rights is Rights.READ
    assert door.visitor(None, "T" * 20, NOW) == STRANGER
    assert door.visitor(None, None, NOW) == STRANGER
    assert access(token="").visitor(None, "", NOW) == STRANGER
    assert not door.may_change(door.visitor(None, "t" * 20, NOW), "anything")


def test_where_nobody_is_asked_everybody_may_change() -> None:
    door = Access(KEY, "", "")
    assert door.open
    visitor = door.visitor(None, None, NOW)
    assert visitor.rights is Rights.CHANGE
    assert not door.may_change(visitor, None)
    assert door.may_change(visitor, door.csrf(visitor))


def test_a_change_needs_what_other_sites_can_not_read() -> None:
    door = access()
    one, other = (door.visitor(door.cookie(nonce * 16, NOW), None, NOW) for nonce in (b"n", b"m"))
    assert door.may_change(one, door.csrf(one))
    assert not door.may_change(one, door.csrf(other))
    assert not door.may_change(one, "é")
    assert not door.may_change(STRANGER, door.csrf(STRANGER))


def test_wrong_passwords_are_slowed_down_by_address() -> None:
    door = access()
    assert door.wait(HOME, NOW) == 0.0
    for _ in range(5):
        assert door.wait(HOME, NOW) == 0.0
        assert not door.right_password("guess", HOME, NOW)
    assert 0 < door.wait(HOME, NOW) <= 10.0
    assert door.wait("192.168.1.21", NOW) == 0.0
    assert door.wait("::ffff:192.168.1.20", NOW) > 0
    assert door.wait(HOME, NOW + 10.5) == 0.0
    assert not door.right_password("guess", HOME, NOW + 10.5)
    assert door.wait(HOME, NOW + 10.6) > 0
    assert door.wait(HOME, NOW - 1e6) == 0.0, "a clock that was put back locks nobody out"


def test_an_ipv6_network_guesses_as_one() -> None:
    door = access()
    for last in range(5):
        door.right_password("guess", f"fd00::{last:x}", NOW)
    assert door.wait("fd00::ffff", NOW) > 0
    assert door.wait("fd00:0:0:1::1", NOW) == 0.0


def test_many_addresses_guess_no_faster_than_some() -> None:
    door = access()
    guesses = 0
    for second in range(60):
        for number in range(200):
            address = f"10.0.{second}.{number}"
            if not door.wait(address, NOW + second):
                door.right_password("guess", address, NOW + second)
                guesses += 1
    assert guesses <= 50 + 60


def test_a_right_password_costs_nothing() -> None:
    door = access()
    for _ in range(50):
        assert door.right_password("correct horse", HOME, NOW)
    assert door.wait(HOME, NOW) == 0.0
