# SPDX-License-Identifier: Apache-2.0
"""Recent web sites, and whether their popups opened. This shows whether the browser blocks popups.

A site first asks who is there (p11Image.bmp or pkcs11info) and then opens a popup of the agent. When the
browser blocks the popup, no request for it arrives. The list is kept in memory, for the self-test page alone.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from xca_plugin.agent.component.popup_paths import FIRST_WORDS
from xca_plugin.agent.process.change_topics import ChangeTopic
from xca_plugin.agent.process.origin import is_origin

_KEPT: Final = 20
_QUERY_PATHS: Final = frozenset({"/p11Image.bmp", "/pkcs11info"})


@dataclass(frozen=True)
class RecentSite:
    """A site, and when it last asked and last opened a popup.

    Attributes:
        origin: such as https://xcaweb.nat.gov.tw.
        asked_at: when it last asked who is there.
        popup_at: when its last popup opened.
    """

    origin: str
    asked_at: datetime | None = None
    popup_at: datetime | None = None

    @property
    def latest_at(self) -> datetime:
        """The later of the two times."""
        return max(at for at in (self.asked_at, self.popup_at) if at)

    @property
    def popup_opened(self) -> bool:
        """Whether a popup followed its last question."""
        return self.popup_at is not None and self.popup_at == self.latest_at


class RecentSites(ChangeTopic):
    """The sites that asked most recently."""

    def __init__(self) -> None:
        super().__init__()
        self._by_origin: dict[str, RecentSite] = {}

    @property
    def latest_first(self) -> list[RecentSite]:
        """The sites, the latest first."""
        return sorted(self._by_origin.values(), key=lambda site: site.latest_at, reverse=True)

    def record(self, origin: str, *, popup: bool) -> None:
        """Record that a site asked, or that its popup opened."""
        site = self._by_origin.pop(origin, RecentSite(origin))
        while len(self._by_origin) >= _KEPT:
            del self._by_origin[next(iter(self._by_origin))]
        now = datetime.now(UTC)
        self._by_origin[origin] = replace(site, popup_at=now) if popup else replace(site, asked_at=now)
        self.announce()


class RecentSitesMiddleware:
    """ASGI middleware that records the sites that ask the component."""

    def __init__(self, app: ASGIApp, recent_sites: RecentSites) -> None:
        self._app, self._recent_sites = app, recent_sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record the site and hand the request on."""
        if scope["type"] == "http" and (scope["path"] in _QUERY_PATHS or scope["path"] in FIRST_WORDS):
            origin = _asking_origin(Headers(scope=scope))
            if origin:
                self._recent_sites.record(origin, popup=scope["path"] in FIRST_WORDS)
        await self._app(scope, receive, send)


def _asking_origin(headers: Headers) -> str | None:
    """Return the site that asks. A popup has no Origin header, but a Referer unless the site forbids it."""
    try:
        parts = urlsplit(headers.get("origin") or headers.get("referer", ""))
    except ValueError:
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if is_origin(origin) and parts.netloc != headers.get("host") else None
