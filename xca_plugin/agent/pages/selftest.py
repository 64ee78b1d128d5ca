# SPDX-License-Identifier: Apache-2.0
"""The self-test page (元件環境檢測): whether computer and browser are ready, and what to do if not."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_common.pki.certificate import Certificate
from xca_common.web.language import with_language_choice
from xca_plugin import errors
from xca_plugin.agent.pages.rendering import page
from xca_plugin.agent.process.card_worker import CardWorker
from xca_plugin.agent.process.origin import is_origin
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.cards import STATUS_SECONDS, Cards
from xca_plugin.checks.finding import CheckOutcome, Finding
from xca_plugin.checks.run import run
from xca_plugin.i18n import text
from xca_plugin.model import Card, CertificateStatus, Event

_DEFAULT_SITE: Final = "https://xcaweb.nat.gov.tw"
"""The issuer's own site: the instructions name it unless the person names another."""

_OUTCOMES: Final = {
    CheckOutcome.PASSED: text("passed"),
    CheckOutcome.FAILED: text("failed"),
    CheckOutcome.SKIPPED: text("skipped"),
}

_T = TypeVar("_T")


def routes(state: AgentState) -> list[Route]:
    """Return the routes of the page and of the popup that it tries to open. Sites link to the page."""
    return [
        Route("/selfTest.htm", with_language_choice(endpoint(state, _self_test))),
        Route("/selfTest/window", _popup),
    ]


async def _self_test(state: AgentState, request: Request) -> Response:
    version = state.recent_sites.version
    findings: Sequence[Finding] | None = None
    # The checks take long and ask servers in the network: a link on another site does not start them.
    own = request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    if "run" in request.query_params and own:
        cards = _CardsOfWorker(state.card_worker, asyncio.get_running_loop())
        findings = await state.self_test.run(lambda: list(run(cards)))
    return page(
        request,
        "selftest.html",
        version=version,
        findings=findings,
        outcomes=_OUTCOMES,
        recent_sites=state.recent_sites.latest_first,
        site=_other_site(request, request.query_params.get("site", ""))
        or _other_site(request, request.headers.get("referer", ""))
        or _DEFAULT_SITE,
    )


async def _popup(request: Request) -> Response:
    return page(request, "selftest_popup.html")


class _CardsOfWorker:
    """The cards, for the checks, which run in a thread of their own.

    Each question is one operation of the card worker, so that other operations can run in between.
    """

    def __init__(self, card_worker: CardWorker, loop: asyncio.AbstractEventLoop) -> None:
        self._card_worker, self._loop = card_worker, loop

    def readers(self) -> Sequence[str]:
        return self._ask(lambda cards: cards.readers())

    def detect(self) -> Sequence[Card]:
        return self._ask(lambda cards: cards.detect())

    def missing(self) -> errors.CardError:
        return self._ask(lambda cards: cards.missing())

    def certificates(self, card: Card) -> Sequence[Certificate]:
        return self._ask(lambda cards: cards.certificates(card))

    def certificate_status(self, card: Card, *, seconds: float = STATUS_SECONDS) -> CertificateStatus | None:
        return self._ask(lambda cards: cards.certificate_status(card, seconds=seconds))

    def history(self) -> Sequence[Event]:
        return self._ask(lambda cards: cards.history())

    def _ask(self, question: Callable[[Cards], _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(self._card_worker.run(question), self._loop).result()


def _other_site(request: Request, address: str) -> str | None:
    """Return the origin of an address that was typed or that the browser came from, if not the agent's."""
    try:
        parts = urlsplit(address if "//" in address else f"https://{address.strip()}")
    except ValueError:
        return None
    site = f"{parts.scheme}://{parts.netloc}".lower()
    return site if is_origin(site) and parts.netloc != request.headers["host"] else None
