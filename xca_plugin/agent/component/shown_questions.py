# SPDX-License-Identifier: Apache-2.0
"""The questions that the agent's popups show now, so that none takes the place of another unnoticed.

A site can load its popup anew, at another of the agent's names too, or close it and open another one. A
browser keeps what a popup remembers for one name and one window only, so the agent keeps this itself.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

AFTERWARDS_SECONDS: Final = 10.0
"""Seconds for which a question still counts after its popup has gone without an answer."""

OPEN_SECONDS: Final = 300.0
"""Seconds for which a question counts after its popup last said that it is open.

Popups say so once a minute; in a background tab a browser may slow this down to once in two minutes.
"""

KEPT: Final = 1000
"""The largest number of questions that are kept."""


@dataclass(frozen=True)
class _Shown:
    """A question without an answer.

    Attributes:
        site: the origin of the site that opened its popup; empty: unknown.
        until: when it no longer counts, by the clock.
        is_gone: its popup has gone.
    """

    site: str
    until: float
    is_gone: bool = False

    def may_be_of(self, site: str) -> bool:
        """Tell whether a site may have asked it: true where that is unknown."""
        return not site or self.site in ("", site)


class ShownQuestions:
    """The questions that popups show, or showed a moment ago, and that the person has not answered.

    Each popup names its question itself, so that it can take it back before the agent has answered. Any
    thread may use it: a question is judged and noted in one step.

    Args:
        clock: returns seconds; it is monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._by_name: dict[str, _Shown] = {}  # in the order in which they were first shown
        self._left_early: dict[str, float] = {}  # popups that went before they were known: name, until when
        self._doubt_until = 0.0  # until then a question that is no longer kept counts

    def show(self, name: str, site: str) -> bool:
        """Note that a popup is about to show its first question, or that this question is still open.

        Args:
            name: the popup's name for the question; no other popup has it.
            site: the origin of the site that opened the popup; empty: it cannot be known.

        Returns:
            whether it may take the place of another question: one of the same site, or one of which either
            site is unknown. In doubt it may.
        """
        with self._lock:
            now = self._clock()
            self._forget_old(now)
            others = [each for key, each in self._by_name.items() if key != name]
            replaces = now < self._doubt_until or any(each.may_be_of(site) for each in others)
            if gone_until := self._left_early.pop(name, None):
                self._by_name[name] = _Shown(site, gone_until, is_gone=True)
            elif name not in self._by_name or not self._by_name[name].is_gone:
                self._by_name[name] = _Shown(site, now + OPEN_SECONDS)
            if len(self._by_name) > KEPT:
                dropped = self._by_name.pop(next(iter(self._by_name)))
                self._doubt_until = max(self._doubt_until, dropped.until)
        return replaces

    def end(self, name: str) -> None:
        """Forget a question: the person answered it. The questions that it replaced are forgotten too."""
        with self._lock:
            if name not in self._by_name:
                return
            ended = self._by_name[name]
            names = list(self._by_name)
            for earlier in names[: names.index(name)]:
                each = self._by_name[earlier]
                if each.is_gone and each.may_be_of(ended.site):
                    del self._by_name[earlier]
            del self._by_name[name]

    def leave(self, name: str) -> None:
        """Note that a question's popup has gone: the person closed it, or the site replaced it.

        The browser may send this before the popup's word that it shows the question. Then that word is late,
        and the question counts as one whose popup has gone.
        """
        with self._lock:
            now = self._clock()
            self._forget_old(now)
            if shown := self._by_name.get(name):
                until = min(shown.until, now + AFTERWARDS_SECONDS)
                self._by_name[name] = replace(shown, until=until, is_gone=True)
                return
            self._left_early[name] = now + AFTERWARDS_SECONDS
            if len(self._left_early) > KEPT:
                del self._left_early[next(iter(self._left_early))]

    def _forget_old(self, now: float) -> None:
        self._by_name = {name: each for name, each in self._by_name.items() if now < each.until}
        self._left_early = {name: until for name, until in self._left_early.items() if now < until}
