# SPDX-License-Identifier: Apache-2.0
"""A tab of Debian's Chromium, driven by Playwright."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page

from support.agent.browser_tab import Tab

_PLAYWRIGHT_NAMES = {" ": "Space"}


class Chromium(Tab):
    """One tab. A key or a click may close it before Playwright has the answer."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def go(self, url: str) -> None:
        self._page.goto(url)

    def opened(self) -> "Chromium | None":
        self._pump()
        for page in self._page.context.pages:
            with suppress(Error):
                if not page.is_closed() and page.opener() == self._page:
                    return Chromium(page)
        return None

    def others(self) -> dict[str, Tab]:
        self._pump()
        return {page.url: Chromium(page) for page in self._page.context.pages if page != self._page}

    def close(self) -> None:
        self._page.close()

    def is_closed(self) -> bool:
        self._pump()
        return self._page.is_closed()

    def bring_to_front(self) -> None:
        self._page.bring_to_front()

    def picture(self, file: Path) -> None:
        self._page.screenshot(path=file)

    def resize(self, width: int, height: int) -> None:
        self._page.set_viewport_size({"width": width, "height": height})

    def before_scripts(self, script: str) -> None:
        self._page.context.add_init_script(script)

    def _evaluate(self, expression: str) -> Any:
        try:
            return self._page.evaluate(expression)
        except Error as error:
            if self._page.is_closed() or "context was destroyed" in str(error) or "navigat" in str(error):
                return None
            if any(kind in str(error) for kind in ("TypeError", "ReferenceError")):
                return None  # not there yet
            raise

    def key_down(self, key: str) -> None:
        if key.isascii():
            self._unless_it_closes(lambda: self._page.keyboard.down(_PLAYWRIGHT_NAMES.get(key, key)))
        else:  # a character that an input method enters
            self._page.keyboard.insert_text(key)

    def key_up(self, key: str) -> None:
        if key.isascii():
            self._unless_it_closes(lambda: self._page.keyboard.up(_PLAYWRIGHT_NAMES.get(key, key)))

    def mouse_move(self, x: float, y: float) -> None:
        self._page.mouse.move(x, y)

    def mouse_down(self) -> None:
        self._unless_it_closes(self._page.mouse.down)

    def mouse_up(self) -> None:
        self._unless_it_closes(self._page.mouse.up)

    def wheel(self, by: float) -> None:
        self._page.mouse.wheel(0, by)

    def _unless_it_closes(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Error:
            if not self._page.is_closed():
                raise

    def _pump(self) -> None:
        # Playwright handles events only during a call to it.
        with suppress(Error):
            self._page.context.pages[0].evaluate("0")
