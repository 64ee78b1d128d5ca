# SPDX-License-Identifier: Apache-2.0
"""Debian's Firefox, driven over WebDriver BiDi (w3.org/TR/webdriver-bidi), which it speaks by itself."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

SECONDS = 30
ENTER, TAB = "\ue007", "\ue004"  # WebDriver, 17.4.2
PREFERENCES = {
    "intl.accept_languages": "zh-TW",
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
}


class Firefox:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._ids = connection, count()
        self._ask("session.new", capabilities={})
        (first, *_) = self._ask("browsingContext.getTree")["contexts"]
        self._tab = first["context"]

    def window(self) -> "Firefox":
        """Return the window that this tab's page has just opened."""
        opened = copy(self)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for context in self._ask("browsingContext.getTree")["contexts"]:
                if context["context"] != self._tab and context["originalOpener"] == self._tab:
                    opened._tab = context["context"]
                    return opened
            time.sleep(0.05)
        raise AssertionError("no window was opened")

    def bring_to_front(self) -> None:
        self._ask("browsingContext.activate", context=self._tab)

    def go(self, url: str) -> None:
        self._ask("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def see(self, expression: str) -> Any:
        """Look until a script's expression has a value, and return it; pages may go and come meanwhile."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            answer = self._send(
                "script.evaluate", expression=expression, target={"context": self._tab}, awaitPromise=False
            )
            seen = answer.get("result", {}).get("result", {}).get("value")
            if seen:
                return seen
            time.sleep(0.05)
        raise AssertionError(f"not seen: {expression}")

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        self.see(f"document.querySelector({json.dumps(selector)}).scrollIntoView() ?? true")
        locator = {"type": "css", "value": selector}
        (node,) = self._ask("browsingContext.locateNodes", context=self._tab, locator=locator)["nodes"]
        there = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        self._act(
            "pointer",
            {"type": "pointerMove", "x": 0, "y": 0, "origin": there},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    def type(self, keys: str) -> None:
        """Press keys, as a hand does."""
        self._act("key", *({"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")))

    def _act(self, device: str, *actions: dict[str, Any]) -> None:
        source = {"type": device, "id": device, "actions": actions}
        self._ask("input.performActions", context=self._tab, actions=[source])

    def _ask(self, method: str, **parameters: Any) -> Any:
        answer = self._send(method, **parameters)
        assert answer["type"] == "success", answer
        return answer["result"]

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer: dict[str, Any] = json.loads(self._connection.recv(SECONDS))
            if answer.get("id") == number:
                return answer


@contextmanager
def firefox(home: Path) -> Iterator[Firefox]:
    """Run Firefox with a profile without a past, in Chinese."""
    profile = home / "profile"
    profile.mkdir(parents=True)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    process = subprocess.Popen(
        ["firefox-esr", "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        address = next(line.split()[-1] for line in process.stderr if "WebDriver BiDi listening" in line)
        with connect(f"{address}/session", max_size=None) as connection:
            yield Firefox(connection)
    finally:
        process.kill()
        process.communicate()
