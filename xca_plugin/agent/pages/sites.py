# SPDX-License-Identifier: Apache-2.0
"""The page of the trusted web sites: what each may do, when it last asked, what was done without asking.

The person changes it there. A site can open this page in a window and have a click fall on it. So a page that
a site opened offers nothing that gives a site more, and elsewhere such a button has a delay in the browser.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.web.forms import MalformedForm, read_form
from xca_common.web.language import is_from_elsewhere, with_language_choice
from xca_plugin import errors
from xca_plugin.agent.component import site_requests
from xca_plugin.agent.component.allowances import ALLOWANCE_SECONDS, Allowance, UnaskedUse
from xca_plugin.agent.pages.problems import MALFORMED_FORM, problem_of, problem_response
from xca_plugin.agent.pages.rendering import page
from xca_plugin.agent.process.origin import fault_of, is_exposed
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.i18n import text
from xca_plugin.model import Card, CardState

PATH: Final = "/sites"
_ON_HOME: Final = 5
_MINUTES: Final = ALLOWANCE_SECONDS // 60
_UNSEEN: Final = text("it cannot be seen whether the card is pulled out, so nothing was allowed")


@dataclass(frozen=True)
class SiteEntry:
    """A trusted site as the page shows it.

    Attributes:
        origin: the site.
        by_administrator: it signs and decrypts without asking, because the administrator's list names it.
        last_asked: when it last asked; None: never.
        allowances: for which cards it need not ask now.
        uses: what was done for it without asking since the agent was started, the latest first.
        uses_dropped: how many earlier ones are no longer known.
        card_number: the card that is used for it if there are several; None: it asks which.
        is_blind: it may make blind requests.
        is_blind_by_administrator: it is on the administrator's list of those that may, so the person cannot
            switch that off.
    """

    origin: str
    by_administrator: bool
    last_asked: datetime | None
    allowances: Sequence[Allowance]
    uses: Sequence[UnaskedUse]
    uses_dropped: int
    card_number: str | None
    is_blind: bool
    is_blind_by_administrator: bool

    @property
    def is_exposed(self) -> bool:
        """Whether others on the network can read what goes between the site and the person."""
        return is_exposed(self.origin)


@dataclass(frozen=True)
class SitesView:
    """What the page shows, and the part of it on the home page.

    Attributes:
        sites: the sites; the one that asked last comes first.
        cards: the cards for which a site can be allowed.
        problem: why the person's sites are not known, if that is so.
        token: for the page's forms.
        is_from_elsewhere: a page of another origin opened this one, so nothing here gives a site more.
        minutes: how long a site is allowed.
    """

    sites: Sequence[SiteEntry]
    cards: Sequence[Card]
    problem: XcaError | None
    token: str
    is_from_elsewhere: bool
    minutes: int = _MINUTES

    @property
    def on_home(self) -> Sequence[SiteEntry]:
        """The sites that the home page shows: those that asked last, of those that ask."""
        return [site for site in self.sites if not site.by_administrator][:_ON_HOME]


def routes(state: AgentState) -> list[Route]:
    """Return the routes of the page and its forms."""
    return [
        Route(PATH, with_language_choice(endpoint(state, _show))),
        Route(PATH, endpoint(state, _change), methods=["POST"]),
    ]


def sites_view(state: AgentState, request: Request, cards: Sequence[Card]) -> SitesView:
    """Return the trusted sites as they are now.

    Args:
        state: the agent's.
        request: the request for the page.
        cards: the cards that are there.
    """
    trusted = state.trusted_sites
    problem: XcaError | None = None
    try:
        own = trusted.own()
    except errors.BadAgentConfiguration as error:
        own, problem = [], error
    entries = [
        SiteEntry(
            origin=origin,
            by_administrator=trusted.allowed_by_administrator(origin),
            last_asked=state.last_asked.of(origin),
            allowances=trusted.allowances.of_site(origin),
            uses=trusted.allowances.uses_of(origin),
            uses_dropped=trusted.allowances.uses_dropped(origin),
            card_number=trusted.remembered_card(origin),
            is_blind=state.blind_sites.allows(origin),
            is_blind_by_administrator=state.blind_sites.allowed_by_administrator(origin),
        )
        for origin in dict.fromkeys((*own, *trusted.of_administrator()))
    ]
    entries.sort(key=lambda entry: entry.last_asked.timestamp() if entry.last_asked else 0.0, reverse=True)
    token = state.form_tokens.issue(PATH)
    return SitesView(entries, usable(cards), problem, token, is_from_elsewhere(request))


def usable(cards: Sequence[Card]) -> list[Card]:
    """Return the cards for which a site can be allowed to go on without asking.

    At the last try it asks all the same.
    """
    return [card for card in cards if card.state is CardState.ACTIVE and card.pin_tries not in (0, 1)]


async def allow(state: AgentState, request: Request, site: str, card_number: str) -> None:
    """Let a site sign and decrypt with a card without asking for a while.

    Raises:
        CardNotFound: the card is not there.
        ReaderFault: nobody would notice that the card is pulled.
    """
    await site_requests.watch_for_allowance(state)
    card = await state.card_worker.run(lambda cards: cards.find(card_number))
    state.trusted_sites.allowances.allow(site, card)
    if not state.trusted_sites.allowances.cover(site, card_number):
        raise errors.ReaderFault(detail=_UNSEEN)
    await site_requests.record(request, site, "allow")


async def _show(state: AgentState, request: Request) -> Response:
    return await _page(state, request)


async def _page(
    state: AgentState, request: Request, error: XcaError | None = None, typed: str = "", status: int = 200
) -> Response:
    try:
        cards = await state.card_worker.run(lambda cards: cards.detect())
    except XcaError:
        cards = []  # the home page tells what is wrong with them
    fault = fault_of(typed) if typed else None
    view = sites_view(state, request, cards)
    return page(request, "sites.html", status=status, view=view, error=error, typed=typed, fault=fault)


async def _change(state: AgentState, request: Request) -> Response:
    """Do what a form of the page asks for, once, and show the page anew."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)
    site, action = fields.get("site", "").strip(), fields.get("action", "")
    back = "/" if fields.get("from") == "home" else PATH
    if not state.form_tokens.spend(PATH, fields.get("token", "")):
        return RedirectResponse(back, 303)
    if action == "add" and fault_of(site):
        return await _page(state, request, typed=site or ":", status=400)
    try:
        if action == "add":
            if not state.trusted_sites.trusts(site):
                await asyncio.to_thread(state.blind_sites.switch_off, site)
            await asyncio.to_thread(state.trusted_sites.add, site)
            await site_requests.record(request, site, "trust")
        elif action == "see":
            await asyncio.to_thread(state.blind_sites.switch_off, site)
            await site_requests.record(request, site, "no blind requests")
        elif action == "remove":
            await asyncio.to_thread(state.blind_sites.switch_off, site)
            await asyncio.to_thread(state.trusted_sites.remove, site)
            state.trusted_sites.trusts(site)  # ends what it was allowed
            await site_requests.record(request, site, "trust no longer")
        elif action == "ask":
            state.trusted_sites.allowances.end(site)
            state.trusted_sites.forget_card(site)
            await site_requests.record(request, site, "ask again")
        elif action == "allow" and state.trusted_sites.trusts(site):
            await allow(state, request, site, fields.get("card", ""))
    except XcaError as error:
        return await _page(state, request, error=error, status=problem_of(error).status)
    return RedirectResponse(back, 303)
