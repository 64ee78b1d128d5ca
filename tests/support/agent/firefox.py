# SPDX-License-Identifier: Apache-2.0
"""Debian's Firefox, driven through its own WebDriver BiDi (w3.org/TR/webdriver-bidi)."""

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from support.agent.browser_tab import SECONDS, Tab, until

PREFERENCES = {
    "intl.accept_languages": "zh-TW",
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "general.smoothScroll": False,
    # Clicks and turns of the wheel go to the page itself. By way of the browser's own process some reach no
    # page at all, if the page was painted last a moment ago.
    "remote.events.async.mouse.enabled": False,
    "remote.events.async.wheel.enabled": False,
}
_KEYS = {  # WebDriver, 17.4.2
    "Backspace": "\ue003",
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Shift": "\ue008",
    "Control": "\ue009",
    "PageDown": "\ue00f",
    "End": "\ue010",
    "ArrowUp": "\ue013",
    "ArrowLeft": "\ue012",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}


class Connection:
    """A WebDriver BiDi connection to a running Firefox."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._ids = socket, count()
        self.ask("session.new", capabilities={})

    def ask(self, method: str, **parameters: Any) -> Any:
        answer = self.send(method, **parameters)
        assert answer["type"] == "success", answer
        return answer["result"]

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer: dict[str, Any] = json.loads(self._socket.recv(SECONDS))
            if answer.get("id") == number:
                return answer

    @contextmanager
    def tab(self) -> Iterator["Firefox"]:
        """Open a tab with a new profile; it and its popups are closed at the end."""
        person = self.ask("browser.createUserContext")["userContext"]
        try:
            opened = self.ask("browsingContext.create", type="tab", userContext=person)
            yield Firefox(self, opened["context"], person, opened["context"])
        finally:
            self.ask("browser.removeUserContext", userContext=person)


class Firefox(Tab):
    """One tab, or a window that it has opened. The first is the one that the person began with."""

    def __init__(self, connection: Connection, context: str, person: str, first: str) -> None:
        self._connection, self._context, self._person, self._first = connection, context, person, first
        self._mouse = (0, 0)

    def go(self, url: str) -> None:
        self._ask("browsingContext.navigate", url=url, wait="complete")

    def opened(self) -> "Firefox | None":
        for context in self._contexts():
            # Of a page with Cross-Origin-Opener-Policy nobody knows any more who opened it.
            is_cut_off = context["originalOpener"] is None and context["userContext"] == self._person
            is_ours = context["originalOpener"] == self._context or is_cut_off
            if is_ours and context["context"] not in (self._context, self._first):
                return Firefox(self._connection, context["context"], self._person, self._first)
        return None

    def others(self) -> dict[str, Tab]:
        return {
            context["url"]: Firefox(self._connection, context["context"], self._person, self._first)
            for context in self._contexts()
            if context["userContext"] == self._person and context["context"] != self._context
        }

    def close(self) -> None:
        self._ask("browsingContext.close")

    def is_closed(self) -> bool:
        return self._context not in [context["context"] for context in self._contexts()]

    def bring_to_front(self) -> None:
        self._ask("browsingContext.activate")

    def picture(self, file: Path) -> None:
        def taken() -> str | None:
            answer = self._connection.send("browsingContext.captureScreenshot", context=self._context)
            return answer["result"]["data"] if answer["type"] == "success" else None

        # Of a page that is being painted anew it takes none.
        file.write_bytes(base64.b64decode(until(taken, "no picture is taken")))

    def resize(self, width: int, height: int) -> None:
        self._ask("browsingContext.setViewport", viewport={"width": width, "height": height})

    def before_scripts(self, script: str) -> None:
        declaration = f"() => {{ {script} }}"
        self._connection.ask(
            "script.addPreloadScript", functionDeclaration=declaration, userContexts=[self._person]
        )

    def _evaluate(self, expression: str) -> Any:
        target = {"context": self._context}
        answer = self._connection.send(
            "script.evaluate",
            expression=expression,
            target=target,
            awaitPromise=True,
            userActivation=False,
        )
        return answer.get("result", {}).get("result", {}).get("value")

    def key_down(self, key: str) -> None:
        self._act("key", {"type": "keyDown", "value": _KEYS.get(key, key)})

    def key_up(self, key: str) -> None:
        self._act("key", {"type": "keyUp", "value": _KEYS.get(key, key)})

    def mouse_move(self, x: float, y: float) -> None:
        self._mouse = (int(x), int(y))
        self._act("pointer", {"type": "pointerMove", "x": self._mouse[0], "y": self._mouse[1]})

    def mouse_down(self) -> None:
        self._act("pointer", {"type": "pointerDown", "button": 0})

    def mouse_up(self) -> None:
        self._act("pointer", {"type": "pointerUp", "button": 0})

    def wheel(self, by: float) -> None:
        x, y = self._mouse
        self._act("wheel", {"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": int(by)})

    def _act(self, device: str, action: dict[str, Any]) -> None:
        source = {"type": device, "id": device, "actions": [action]}
        answer = self._connection.send("input.performActions", context=self._context, actions=[source])
        # A key or a click may close the window before the answer arrives.
        assert answer["type"] == "success" or answer["error"] == "no such frame" or self.is_closed(), answer

    def _contexts(self) -> list[dict[str, Any]]:
        contexts: list[dict[str, Any]] = self._connection.ask("browsingContext.getTree")["contexts"]
        return contexts

    def _ask(self, method: str, **parameters: Any) -> Any:
        return self._connection.ask(method, context=self._context, **parameters)


@contextmanager
def firefox(home: Path, language: str = "zh-TW") -> Iterator[Connection]:
    """Run Firefox with a new profile, whose person prefers a language."""
    profile = home / "profile"
    profile.mkdir(parents=True)
    preferences = {**PREFERENCES, "intl.accept_languages": language}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
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
        with connect(f"{address}/session", max_size=None) as socket:
            yield Connection(socket)
    finally:
        process.kill()
        process.communicate()
