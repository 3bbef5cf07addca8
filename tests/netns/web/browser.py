"""A headless Chromium, driven over a pipe in the DevTools protocol: no port, no driver, nothing to download.

https://chromedevtools.github.io/devtools-protocol/; the pipe (`--remote-debugging-pipe`) carries JSON texts
that end in a zero byte, on descriptors 3 and 4 of the browser.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = "chromium"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

_LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def available() -> bool:
    """Whether there is one. (Ubuntu's is a snap, which does not start in a namespace.)"""
    found = shutil.which(PROGRAM)
    return found is not None and "snap" not in os.path.realpath(found)


class Browser:
    """One browser with one page. Ends with `close`."""

    def __init__(self, enter: Sequence[str], data: Path) -> None:
        """``enter`` are the words that lead into a namespace; ``data`` is a new directory."""
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        # Out of the way first: either of them may be 3 or 4 here.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs_read, theirs_write)]
        flags = [*_FLAGS, f"--user-data-dir={data}"]
        with (data / "log").open("wb") as log:
            self._child = subprocess.Popen(
                [*enter, sys.executable, "-c", _LAUNCH, *map(str, ends), PROGRAM, *flags, "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=ends,
                env={**os.environ, "HOME": str(data), "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
                start_new_session=True,
            )
        for fd in (theirs_read, theirs_write, *ends):
            os.close(fd)
        self._read, self._write = ours_read, ours_write
        self._rest = b""
        self._asked = 0
        self.messages: list[dict[str, Any]] = []
        """Events of the page: its console, faults, what it has loaded."""
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the page."""
        return self._call(method, self._session, **parameters)

    def open(self, address: str) -> None:
        """Go to an address."""
        done = self.call("Page.navigate", url=address)
        assert "errorText" not in done, done
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address)})")

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to in the page."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str, within: float = 20.0) -> Any:
        """Wait until an expression is true; gives its value."""
        deadline = time.monotonic() + within
        while not (found := self.value(expression)):
            text = self.value("document.body ? document.body.innerText.slice(0, 800) : ''")
            assert time.monotonic() < deadline, f"waited in vain for {expression}; the page says:\n{text}"
            time.sleep(0.1)
        return found

    def size(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Pretend to be a screen of so many pixels."""
        scale = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def shot(self, path: Path, *, whole: bool = True) -> None:
        """Take a picture of the page (PNG), all of it or what a screen shows."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def press(self, key: str) -> None:
        """Press a key: ``Tab``, ``Enter``, ..."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            code = codes.get(key, 0)
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def faults(self) -> list[str]:
        """What the browser had to complain about: scripts that failed, policies that were broken; not that a
        server was away, or said no."""
        found = []
        for message in self.messages:
            parameters = message.get("params", {})
            if message["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif message["method"] == "Log.entryAdded":
                entry = parameters["entry"]
                if entry["level"] == "error" and entry["source"] != "network":
                    found.append(f"{entry['text']} {entry.get('url', '')}")
        return found

    def asked_for(self) -> set[str]:
        """All addresses that the page has asked for."""
        return {
            message["params"]["request"]["url"]
            for message in self.messages
            if message["method"] == "Network.requestWillBeSent"
        }

    def close(self) -> None:
        """End it."""
        try:
            self._call("Browser.close")
        except (AssertionError, OSError):
            pass
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        os.close(self._read)
        os.close(self._write)

    def _call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        self._asked += 1
        question: dict[str, Any] = {"id": self._asked, "method": method, "params": parameters}
        if session:
            question["sessionId"] = session
        os.write(self._write, json.dumps(question).encode() + b"\0")
        deadline = time.monotonic() + 60.0
        while True:
            for message in self._received(deadline):
                if message.get("id") == self._asked:
                    assert "error" not in message, f"{method}: {message['error']}"
                    return dict(message["result"])
                if "method" in message:
                    self.messages.append(message)

    def _received(self, deadline: float) -> list[dict[str, Any]]:
        ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, "the browser does not answer"
        data = os.read(self._read, 1 << 20)
        assert data, "the browser has ended"
        *texts, self._rest = (self._rest + data).split(b"\0")
        # An answer must not be lost behind events of the same read: all are looked at before it is given.
        found = [json.loads(text) for text in texts]
        answers = [message for message in found if "id" in message]
        return [message for message in found if "id" not in message] + answers
