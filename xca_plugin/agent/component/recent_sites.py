# SPDX-License-Identifier: Apache-2.0
"""Which web sites came lately, and whether their windows reached the agent: how a pop-up blocker shows.

A site first asks the component who is there (p11Image.bmp) and then opens a window of the agent's; when the
browser blocks that window, nothing of it comes here. Kept in memory, for the self-test page alone.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from xca_plugin.agent.component.popups import BRIDGES
from xca_plugin.agent.pages.events import Topic
from xca_plugin.agent.process.settings import is_origin

_KEPT: Final = 20
_QUESTIONS: Final = {"/p11Image.bmp", "/pkcs11info"}


@dataclass(frozen=True)
class Visit:
    """What a site did.

    Attributes:
        site: its origin, such as https://xcaweb.nat.gov.tw.
        asked: when it last asked the component.
        window: when its last window came.
    """

    site: str
    asked: datetime | None = None
    window: datetime | None = None

    @property
    def at(self) -> datetime:
        """When it came last."""
        return max(at for at in (self.asked, self.window) if at)

    @property
    def window_came(self) -> bool:
        """Tell whether its last question was followed by a window."""
        return self.window is not None and self.window == self.at


class Visits(Topic):
    """The latest visits, one a site."""

    def __init__(self) -> None:
        super().__init__()
        self._visits: dict[str, Visit] = {}

    @property
    def latest(self) -> list[Visit]:
        """The visits, the latest first."""
        return sorted(self._visits.values(), key=lambda visit: visit.at, reverse=True)

    def note(self, site: str, *, window: bool) -> None:
        """Note that a site asked, or that its window came; only in the event loop's thread."""
        visit = self._visits.pop(site, Visit(site))
        while len(self._visits) >= _KEPT:
            del self._visits[next(iter(self._visits))]
        now = datetime.now(UTC)
        self._visits[site] = replace(visit, window=now) if window else replace(visit, asked=now)
        self.changed()


class Noting:
    """ASGI middleware that notes who comes to the component."""

    def __init__(self, app: ASGIApp, visits: Visits) -> None:
        self._app, self._visits = app, visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the site, and hand the request on."""
        if scope["type"] == "http" and scope["path"] in (*_QUESTIONS, *BRIDGES):
            site = _site(Headers(scope=scope))
            if site:
                self._visits.note(site, window=scope["path"] in BRIDGES)
        await self._app(scope, receive, send)


def _site(headers: Headers) -> str | None:
    """Return the site that asks; a window comes without Origin, but with a Referer if the site lets it."""
    try:
        parts = urlsplit(headers.get("origin") or headers.get("referer", ""))
    except ValueError:
        return None
    site = f"{parts.scheme}://{parts.netloc}"
    return site if is_origin(site) and parts.netloc != headers.get("host") else None
