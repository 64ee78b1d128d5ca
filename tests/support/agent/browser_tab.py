# SPDX-License-Identifier: Apache-2.0
"""A browser tab as a person uses it: through keys, mouse and wheel, and what the screen shows."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 60

HOLD_TIMERS = """
const [held, start, stop] = [new Map(), setTimeout, clearTimeout];
let last = 1000000;
window.setTimeout = (act, pause) => {
    if (pause !== 1000) return start(act, pause);
    last += 1;
    held.set(last, act);
    return last;
};
window.clearTimeout = (timer) => { held.delete(timer) || stop(timer); };
window.submissions = 0;
window.addEventListener("submit", () => { window.submissions += 1; });
window.letTimePass = () => {
    const acts = [...held.values()];
    held.clear();
    acts.forEach((act) => act());
    return true;
};
"""
"""A second that a page waits for is over at letTimePass(), not before; other timers run, as that of a window
that grows. submissions counts the forms that were really sent."""

_CONTROLS = """[...document.querySelectorAll(
    "a[href], button, summary, input, select, textarea, [tabindex='0']")].filter(
    (control) => control.checkVisibility({visibilityProperty: true}) && !control.disabled)"""
_NAME = (
    "((control) => control.dataset.part || control.id || control.name || control.getAttribute('href')"
    " || control.innerText.trim())"
)
_WHERE = """(() => {
    const element = document.querySelector(SELECTOR);
    const [box] = element?.getClientRects() ?? [];
    if (!box) return null;
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const hit = document.elementFromPoint(x, y);
    return JSON.stringify({x, y, height: innerHeight, there: hit !== null && element.contains(hit)});
})()"""
_PAINTED = "new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(() => painted(true))))"
_FOCUS = f"""(() => {{
    const [control, controls, name] = [document.activeElement, {_CONTROLS}, {_NAME}];
    const [box, style] = [control.getBoundingClientRect(), getComputedStyle(control)];
    const ring = parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
    return JSON.stringify({{
        at: controls.indexOf(control),
        names: controls.map(name),
        ringed: control.matches(":focus-visible") && style.outlineStyle === "solid",
        inside: box.width > 1 && box.left >= ring && box.right <= innerWidth - ring
            && box.bottom > 8 && box.top < innerHeight - 8, // Firefox scrolls to nothing that is seen in part
        top: box.top + scrollY, bottom: box.bottom + scrollY, left: box.left, right: box.right,
    }});
}})()"""


class Tab(ABC):
    """One tab, or a window that a page opened."""

    @abstractmethod
    def go(self, url: str) -> None:
        """Enter an address."""

    @abstractmethod
    def opened(self) -> "Tab | None":
        """Return the window that this tab's page has opened, if it is there."""

    @abstractmethod
    def others(self) -> "dict[str, Tab]":
        """Return the other tabs and windows of its person, by their addresses."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    @abstractmethod
    def is_closed(self) -> bool:
        """Tell whether it is closed."""

    @abstractmethod
    def bring_to_front(self) -> None:
        """Put it before all other windows."""

    @abstractmethod
    def picture(self, file: Path) -> None:
        """Write what is seen to a PNG file."""

    @abstractmethod
    def resize(self, width: int, height: int) -> None:
        """Give its page another size, in pixels."""

    @abstractmethod
    def before_scripts(self, script: str) -> None:
        """Run a script in each page and popup from now on, before the page's own scripts."""

    @abstractmethod
    def _evaluate(self, expression: str) -> Any:
        """Return an expression's value; None while there is no page."""

    @abstractmethod
    def key_down(self, key: str) -> None:
        """Press a key, named as in KeyboardEvent.key, and hold it. A second call repeats the key."""

    @abstractmethod
    def key_up(self, key: str) -> None:
        """Release a key."""

    @abstractmethod
    def mouse_move(self, x: float, y: float) -> None:
        """Move the mouse."""

    @abstractmethod
    def mouse_down(self) -> None:
        """Press the mouse button where the mouse is."""

    @abstractmethod
    def mouse_up(self) -> None:
        """Release the mouse button."""

    @abstractmethod
    def wheel(self, by: float) -> None:
        """Turn the mouse wheel down by a number of pixels."""

    def now(self, expression: str) -> Any:
        """Return an expression's value at this moment."""
        return self._evaluate(expression)

    def see(self, expression: str) -> Any:
        """Wait until an expression is true and return its value. Pages may change meanwhile."""
        return until(lambda: self._evaluate(expression), f"not seen: {expression}")

    def read(self, words: str, selector: str = "body") -> None:
        """Wait until an element shows words."""
        self.see(
            f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(words)}) || null"
        )

    def point_at(self, selector: str) -> None:
        """Scroll with the wheel until an element is on the screen, and move the mouse there."""
        where = _WHERE.replace("SELECTOR", json.dumps(selector))
        before: dict[str, Any] = {}

        def arrived() -> bool:
            nonlocal before
            place = json.loads(self._evaluate(where) or "{}")
            if not place:
                return False
            still, before = place == before, place
            if still and place["there"]:
                self._evaluate(_PAINTED)  # what the mouse hits is decided by what was painted last
                self.mouse_move(place["x"], place["y"])
                return True
            if still:
                self.mouse_move(5, 5)
                self.wheel(place["y"] - place["height"] / 2)
            return False

        until(arrived, f"not to be clicked: {selector}")

    def scroll_until(self, selector: str, expression: str) -> None:
        """Turn the wheel over an element until an expression is true, as a person who reads does."""

        def is_true() -> bool:
            if self._evaluate(expression):
                return True
            self.point_at(selector)
            self.wheel(10_000)
            return False

        until(is_true, f"not seen: {expression}")

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        self.point_at(selector)
        self.mouse_down()
        self.mouse_up()

    def press(self, *keys: str) -> None:
        """Press keys one after the other; Shift+Tab is one of them."""
        for key in keys:
            *held, last = key.split("+") if len(key) > 1 else [key]
            for each in (*held, last):
                self.key_down(each)
            for each in (last, *reversed(held)):
                self.key_up(each)

    def type(self, text: str) -> None:
        """Press the key of each character."""
        self.press(*text)

    def window(self) -> "Tab":
        """Return the window that this tab's page opens."""
        window = until(self.opened, "no window was opened")
        assert isinstance(window, Tab)
        return window

    def closes(self) -> None:
        """Wait until it has closed by itself."""
        until(self.is_closed, "it does not close")

    def other(self, address: str) -> "Tab":
        """Wait for another tab or window of its person, whose address begins so."""

        def found() -> "Tab | None":
            return next((tab for at, tab in self.others().items() if at.startswith(address)), None)

        tab = until(found, f"no other window shows {address}")
        assert isinstance(tab, Tab)
        return tab

    def focused(self) -> str:
        """Return the part, id or name of the element that has the focus."""
        return str(self.now(f"{_NAME}(document.activeElement)"))

    def tab_to(self, name: str) -> None:
        """Press Tab until a control of this part, id, name or address has the focus."""
        self.see("document.hasFocus()")
        for _ in range(60):
            if self.focused() == name:
                return
            self.press("Tab")
        raise AssertionError(f"Tab does not reach {name}")

    def walk(self) -> list[str]:
        """Walk with Tab to a page's last control, and with Shift+Tab to its first; return all of them.

        Each comes in its turn, in the order in which they are seen, on the screen, and with a ring.
        """
        self.see("document.hasFocus()")
        for _ in range(2):  # the document itself may come first
            if json.loads(self._evaluate(_FOCUS))["at"] < 0:
                self.press("Tab")
        here = json.loads(self._evaluate(_FOCUS))  # where the page put it
        names: list[str] = here["names"]
        for at in range(here["at"] + 1, len(names)):
            self.press("Tab")
            before, here = here, self._step()
            assert here["at"] == at, (names[at], here)
            below, right = here["top"] >= before["bottom"] - 2, here["left"] >= before["right"] - 2
            assert below or right, f"{names[at]} comes after {names[at - 1]}, and is seen before it"
        for at in reversed(range(len(names) - 1)):
            self.press("Shift+Tab")
            assert self._step()["at"] == at, names[at]
        return names

    def _step(self) -> dict[str, Any]:
        here: dict[str, Any] = {}

        def is_in_sight() -> bool:
            self._evaluate(_PAINTED)  # the page is scrolled to what has the focus before it is painted next
            here.update(json.loads(self._evaluate(_FOCUS)))
            assert here["at"] >= 0, f"the focus is on no control; {here['names']}"
            assert here["ringed"], f"not seen to have the focus: {here['names'][here['at']]}"
            return bool(here["inside"])

        until(is_in_sight, "what has the focus stays out of sight")
        return here


def until(holds: Callable[[], Any], otherwise: str) -> Any:
    """Wait for a value that is true, and return it."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if value := holds():
            return value
        time.sleep(0.02)
    raise AssertionError(otherwise)
