# SPDX-License-Identifier: Apache-2.0
"""元件環境檢測: whether this computer and this browser are ready, and what to do where they are not."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_common.single_flight import Shared
from xca_common.web.language import choosable
from xca_plugin.agent.component.recent_sites import Visits
from xca_plugin.agent.pages.rendering import page
from xca_plugin.agent.process.card_worker import Desk
from xca_plugin.agent.process.settings import is_origin
from xca_plugin.cards import Cards
from xca_plugin.checks.finding import Finding, Outcome
from xca_plugin.checks.run import run
from xca_plugin.i18n import text

_SITE: Final = "https://xcaweb.nat.gov.tw"
"""The issuer's own site, unless another is named or led here."""

_OUTCOMES: Final = {
    Outcome.PASSED: text("passed"),
    Outcome.FAILED: text("failed"),
    Outcome.SKIPPED: text("skipped"),
}


def routes() -> list[Route]:
    """Return the routes: the page that sites link to, and the window that it tries to open."""
    return [Route("/selfTest.htm", choosable(_self_test)), Route("/selfTest/window", _window)]


async def _self_test(request: Request) -> Response:
    visits: Visits = request.app.state.visits
    version = visits.version
    findings: Sequence[Finding] | None = None
    # Not for a page of somebody else's that leads here: they take long, and ask servers in the network.
    own = request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    if "run" in request.query_params and own:
        cards = cast("Cards", _AtDesk(request.app.state.desk))
        shared: Shared[Sequence[Finding]] = request.app.state.self_test
        findings = await shared.result(lambda: list(run(cards)))
    return page(
        request,
        "selftest.html",
        version=version,
        findings=findings,
        outcomes=_OUTCOMES,
        visits=visits.latest,
        site=_site(request, request.query_params.get("site", ""))
        or _site(request, request.headers.get("referer", ""))
        or _SITE,
    )


async def _window(request: Request) -> Response:
    return page(request, "selftest_window.html")


class _AtDesk:
    """Cards whose methods are asked at the desk, so that others use theirs while a check waits."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._loop = desk, asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*given: object) -> Any:
            asked = self._desk.ask(lambda cards: getattr(cards, name)(*given))
            return asyncio.run_coroutine_threadsafe(asked, self._loop).result()

        return ask


def _site(request: Request, said: str) -> str | None:
    """Return the origin of an address that a person typed or a browser came from; None: no other site's."""
    try:
        parts = urlsplit(said if "//" in said else f"https://{said.strip()}")
    except ValueError:
        return None
    site = f"{parts.scheme}://{parts.netloc}".lower()
    return site if is_origin(site) and parts.netloc != request.headers["host"] else None
