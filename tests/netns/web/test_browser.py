"""The page in a real browser beside a running gateway: what people see, click and hear.

browser ── lan:gateway ══ exit ── server
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns.relay.street import SERVER, Plait, Street
from tests.netns.web.browser import Browser, available
from tests.netns.web.visits import PAGE, PASSWORD, freeze, page_pid, served

from plait.lab.node import wait_for

pytestmark = pytest.mark.skipif(
    not available(),
    reason="no Chromium here (Debian: chromium; Ubuntu's is a snap, which has no place in a namespace)",
)

# Runs in the server: sends without end to whoever comes.
SOURCE = """
import socket, threading
s = socket.create_server(("0.0.0.0", 9000)); print("ready", flush=True)
def feed(c):
    try:
        c.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        while True: c.sendall(b"x" * 65536)
    except OSError: pass
while True: threading.Thread(target=feed, args=s.accept()[:1], daemon=True).start()
"""
LOOKS = Path(__file__).with_name("looks.js").read_text().partition("\n")[2].rstrip()
CARD = "document.querySelectorAll('.path')"
LIVE = "document.getElementById('pulse').className === 'pulse live'"


@pytest.fixture(scope="module")
def gateway(street: Street) -> Iterator[Plait]:
    street.server.popen(sys.executable, "-c", SOURCE, name="source").wait_line("ready")
    with served(street) as found:
        street.client.popen(
            "curl", "-s", "-o", "/dev/null", "--limit-rate", "3M", f"http://{SERVER[4]}:9000/"
        )
        yield found


@pytest.fixture(scope="module")
def browser(street: Street, gateway: Plait, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(street.client.enter(), tmp_path_factory.mktemp("browser"))
    try:
        found.size(1280, 900)
        yield found
        assert found.faults() == []
        assert all(address.startswith((PAGE, "about:")) for address in found.asked_for()), found.asked_for()
    finally:
        found.close()


def log_in(browser: Browser) -> None:
    """However the page is found."""
    if browser.value("location.href") != f"{PAGE}/":
        browser.open(f"{PAGE}/")
    browser.wait("!document.getElementById('login').hidden || !document.getElementById('main').hidden")
    if browser.value("!document.getElementById('login').hidden"):
        browser.wait("document.activeElement.id === 'password'")
        browser.type(PASSWORD)
        browser.press("Enter")
    browser.wait(f"{CARD}.length === 2 && {LIVE}")


def test_a_wrong_password_is_said_and_the_right_one_opens(browser: Browser) -> None:
    browser.open(f"{PAGE}/")
    browser.wait("document.activeElement.id === 'password'")
    browser.type("a guess")
    browser.press("Enter")
    browser.wait("document.getElementById('login-fault').textContent === 'That is not the password.'")
    browser.value("document.getElementById('password').value = ''")
    log_in(browser)
    assert browser.value("document.cookie") == "", "scripts can't read the cookie"


def test_paths_sessions_and_the_chart_are_shown(browser: Browser) -> None:
    log_in(browser)
    browser.wait("document.querySelectorAll('.path .state.good').length === 2")
    browser.wait("/[1-9].* [MG]bit/.test(document.getElementById('sum-down').textContent)")
    browser.wait(f"document.getElementById('sessions').innerText.includes('{SERVER[4]}:9000')")
    browser.wait("document.getElementById('sessions').querySelectorAll('.swatch').length >= 1")
    browser.wait("document.querySelector('#devices tbody tr') !== null")
    assert browser.value("document.querySelectorAll('.chart canvas').length") == 2
    # Something is drawn: more than one colour.
    browser.wait(f"{LOOKS}.colours() >= 3")
    for span in ("hour", "day", "week", "month", "year", "live"):
        browser.value(f"document.querySelector('#spans [value={span}]').click()")
        browser.wait(
            f"document.querySelector('#spans [value={span}]').getAttribute('aria-pressed') === 'true'"
        )
    for figure in ("rtt", "loss", "traffic"):
        browser.value(f"document.querySelector('#figures [value={figure}]').click()")


def test_a_session_shows_its_subflows(browser: Browser) -> None:
    log_in(browser)
    browser.wait("document.querySelector('#sessions .flows') !== null")
    browser.value("document.querySelector('#sessions .flows').click()")
    browser.wait("document.getElementById('details').open")
    browser.wait("document.querySelectorAll('#subflows tbody tr').length === 2")
    browser.wait("document.getElementById('subflows').innerText.includes('wan2')")
    assert f"to {SERVER[4]}:9000" in browser.value("document.getElementById('details-title').textContent")
    assert browser.value(f"{LOOKS}.pale()") == []
    browser.value("document.querySelector('#details button').click()")
    browser.wait("!document.getElementById('details').open")


def test_sessions_are_filtered(browser: Browser) -> None:
    log_in(browser)
    browser.wait("document.querySelectorAll('#sessions tbody tr').length >= 1")
    browser.value("document.getElementById('filter').focus()")
    browser.type("no such session")
    browser.wait("document.getElementById('sessions').hidden")
    browser.value("document.getElementById('filter').value = ''")
    browser.wait("!document.getElementById('sessions').hidden")


def test_a_mode_is_set_by_keyboard_and_told(browser: Browser, gateway: Plait) -> None:
    log_in(browser)
    button = f"{CARD}[1].querySelector('[value=backup]')"
    browser.value(f"{button}.previousElementSibling.focus()")
    browser.press("Tab")
    assert browser.value(f"document.activeElement === {button}")
    browser.press("Enter")
    browser.wait(f"{button}.getAttribute('aria-pressed') === 'true'")
    assert gateway.status()["paths"][1]["mode"] == "backup"
    browser.wait(f"{CARD}[1].querySelector('.state').textContent === 'standby'")
    browser.wait("document.getElementById('told').textContent.includes('wan2')")
    browser.wait("document.getElementById('events').innerText.includes('wan2')")
    browser.wait(f"!{CARD}[1].querySelector('.modes-note').hidden")
    browser.value(f"{CARD}[1].querySelector('.modes-note button').click()")
    browser.wait(f"{CARD}[1].querySelector('[value=on]').getAttribute('aria-pressed') === 'true'")


def test_everything_has_a_name_and_enough_contrast(browser: Browser) -> None:
    log_in(browser)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = ("button", "textbox", "searchbox", "img", "link", "article")
    for node in tree:
        if node.get("role", {}).get("value") in named and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
    for dark in (False, True):
        browser.size(1280, 900, dark=dark)
        assert browser.value(f"{LOOKS}.pale()") == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_cut_off_on_a_phone(browser: Browser, width: int) -> None:
    log_in(browser)
    browser.size(width, 740, phone=width < 700, dark=width == 768)
    browser.wait(f"innerWidth === {width} && document.documentElement.scrollWidth <= {width}")
    browser.wait(f"document.querySelector('#chart-a .uplot').getBoundingClientRect().right <= {width}")
    if width == 360:
        assert browser.value(f"{LOOKS}.small()") == []
    if where := os.environ.get("PLAIT_SHOTS"):
        browser.shot(Path(where) / f"page-{width}.png")
    browser.size(1280, 900)


def test_while_plait_is_silent_or_gone_the_page_says_so_and_recovers(
    browser: Browser, gateway: Plait
) -> None:
    log_in(browser)
    freeze(gateway.pid, on=True)
    try:
        browser.wait("!document.getElementById('banner').hidden")
        assert "plait does not answer" in browser.value("document.getElementById('banner').textContent")
    finally:
        freeze(gateway.pid, on=False)
    browser.wait(f"document.getElementById('banner').hidden && {LIVE}")
    pid = page_pid(gateway)
    os.kill(pid, signal.SIGKILL)
    wait_for("another process", lambda: page_pid(gateway) not in (0, pid), within=20)
    browser.wait(f"{LIVE} && document.getElementById('banner').hidden")
    browser.wait(f"{CARD}.length === 2")


def test_logging_out_hides_everything(browser: Browser) -> None:
    log_in(browser)
    browser.value("document.getElementById('logout').click()")
    browser.wait("!document.getElementById('login').hidden && document.getElementById('main').hidden")
    browser.open(f"{PAGE}/")
    browser.wait("!document.getElementById('login').hidden")


def test_a_killed_plait_is_missed_and_its_successor_needs_no_login(
    browser: Browser, street: Street, gateway: Plait
) -> None:
    log_in(browser)
    gateway.process.kill()
    browser.wait("!document.getElementById('banner').hidden")
    assert "No connection to plait since" in browser.value("document.getElementById('banner').textContent")
    successor = street.plait(street.gateway, "gateway", gateway.config.read_text())
    try:
        browser.wait(f"{LIVE} && document.getElementById('banner').hidden && {CARD}.length === 2", within=40)
        assert browser.value("document.getElementById('login').hidden")
        successor.until("the exit", lambda status: status["exits"][0]["state"] == "up")
    finally:
        successor.stop()
