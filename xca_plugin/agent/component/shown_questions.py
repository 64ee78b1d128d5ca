# SPDX-License-Identifier: Apache-2.0
"""The questions that the agent's popups show now, so that none takes the place of another unnoticed.

A site can load its popup anew, at another of the agent's names too, or close it and open another one. A
browser keeps what a popup remembers for one name and one window only, so the agent keeps this itself.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from xca_common.web.one_time_tokens import LIFETIME

AFTERWARDS_SECONDS: Final = 10.0
"""Seconds for which a question still counts after its popup has gone without an answer."""

_KEPT: Final = 1000


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
        """Tell whether a site may have asked it. In doubt it may."""
        return not site or self.site in ("", site)


class ShownQuestions:
    """The questions that popups show, or showed a moment ago, and that the person has not answered.

    A question that a popup never takes back counts for as long as it can be answered. Any thread may use it:
    that a question is judged and noted is one step.

    Args:
        clock: returns seconds; it is monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._by_name: dict[str, _Shown] = {}

    def show(self, site: str) -> tuple[str, bool]:
        """Note that a popup is about to show its first question.

        Args:
            site: the origin of the site that opened the popup; empty: it cannot be known.

        Returns:
            a name for the question, and whether it may take the place of another: one of the same site, or
            one of which either site is unknown. In doubt it may.
        """
        name = secrets.token_urlsafe(16)
        with self._lock:
            now = self._clock()
            self._by_name = {key: each for key, each in self._by_name.items() if now < each.until}
            if len(self._by_name) >= _KEPT:
                return name, True
            replaces = any(each.may_be_of(site) for each in self._by_name.values())
            self._by_name[name] = _Shown(site, now + LIFETIME)
        return name, replaces

    def end(self, name: str) -> None:
        """Forget a question: the person answered it. With it go those that it took the place of."""
        with self._lock:
            if ended := self._by_name.pop(name, None):
                self._by_name = {
                    key: each
                    for key, each in self._by_name.items()
                    if not (each.is_gone and each.may_be_of(ended.site))
                }

    def leave(self, name: str) -> None:
        """Note that a question's popup has gone: the person closed it, or the site replaced it."""
        with self._lock:
            if shown := self._by_name.get(name):
                until = min(shown.until, self._clock() + AFTERWARDS_SECONDS)
                self._by_name[name] = _Shown(shown.site, until, is_gone=True)
