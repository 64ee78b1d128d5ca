# SPDX-License-Identifier: Apache-2.0
"""The popups that web sites open: one asks for consent to a request, one asks to trust a site."""

import asyncio
import base64
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.i18n import LANGUAGES
from xca_common.web.forms import MalformedForm, read_form
from xca_common.web.language import Endpoint, language_of
from xca_plugin.agent.component import site_requests
from xca_plugin.agent.component.allowances import ALLOWANCE_SECONDS
from xca_plugin.agent.component.dispatcher import ANSWER_NAMES, Agreement, CardChoice, ConsentRequest
from xca_plugin.agent.component.popup_paths import FIRST_WORDS
from xca_plugin.agent.component.result_codes import success, to_json
from xca_plugin.agent.pages import sites
from xca_plugin.agent.pages.acceptance import known_status
from xca_plugin.agent.pages.pin_actions import ACTIVATE
from xca_plugin.agent.pages.problems import problem_of
from xca_plugin.agent.pages.rendering import ASSETS, page, render
from xca_plugin.agent.process.origin import is_exposed, is_origin
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.model import Card, CertificateStatus

REQUEST_PATH: Final = "/popup"
"""Where the consent popup sends the request that it got from a site."""

QUESTION_PATH: Final = "/popup/question"
"""Where popups tell that they show a question, and that it was answered or has gone."""

_CARDS_SECONDS: Final = 3.0
_QUESTION_NAME_MAX: Final = 64  # characters
_ORIGIN_MAX: Final = 300  # characters; a host's name has at most 253 (RFC 1035, 2.3.4)
_ADD_SITE: Final = "/addDomain"
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# A popup answers the page that opened it, so that page must stay reachable.
_KEEP_OPENER: Final = {"Cross-Origin-Opener-Policy": "unsafe-none"}


def routes(state: AgentState) -> list[Route]:
    """Return the routes of the popups."""
    return [
        *(Route(path, _consent_popup(first_word)) for path, first_word in FIRST_WORDS.items()),
        Route(REQUEST_PATH, endpoint(state, _carry_request), methods=["POST"]),
        Route(QUESTION_PATH, endpoint(state, _note_question), methods=["POST"]),
        Route("/waiting.gif", _waiting_picture),
        Route(_ADD_SITE, endpoint(state, _ask_to_add_site)),
        Route(_ADD_SITE, endpoint(state, _add_site), methods=["POST"]),
    ]


def _consent_popup(first_word: str) -> Endpoint:
    """Return the endpoint of the consent popup. Its HTML is rendered in advance: sites wait for it."""
    html = {
        language: render("consent_popup.html", language, first_word=first_word, answer_names=ANSWER_NAMES)
        for language in LANGUAGES
    }

    async def serve(request: Request) -> Response:
        return HTMLResponse(html[language_of(request)], headers=_KEEP_OPENER)

    return serve


async def _carry_request(state: AgentState, request: Request) -> Response:
    """Answer a request that the popup got from a site, or tell the popup what to ask the person."""
    try:
        message = json.loads(await request.body())
        site, body = message["site"], message["request"]
        agreement = _agreement(message["agreement"]) if "agreement" in message else None
        choice = _choice(message["choice"]) if "choice" in message else None
        switch_on = str(message["switchOn"]) if "switchOn" in message else None
        since = message.get("since")
        if not (isinstance(site, str) and isinstance(body, str) and isinstance(since, int | None)):
            raise TypeError
        json.dumps(message, ensure_ascii=False).encode()  # refuses half surrogate pairs
    except (ValueError, TypeError, KeyError, RecursionError):
        return JSONResponse({}, 400)
    if since is not None:
        return await _look(state, request, site, body, since)
    answer = await site_requests.answer(
        state, request, site, body, agreement=agreement, choice=choice, switch_on=switch_on
    )
    if isinstance(answer, ConsentRequest):
        question = {**answer.question, "word": state.own_word.read()}
        if answer.done_by:
            question = {**question, "since": state.action_results.count}
        return JSONResponse({"consent": question, "refusal": to_json(answer.refusal)})
    return JSONResponse({"answer": to_json(answer)})


async def _look(state: AgentState, request: Request, site: str, body: str, since: int) -> Response:
    """Tell a popup whether the person has done on a page of the agent what the site asked for.

    Args:
        state: the agent's.
        request: the popup's.
        site: the origin of the site.
        body: the site's request.
        since: how many actions there had been when the popup began to wait.
    """
    answer = await state.dispatcher.answer(site, body)
    if not isinstance(answer, ConsentRequest):
        return JSONResponse({"answer": to_json(answer)})
    action = answer.done_by
    if action is None:
        return JSONResponse({})
    card = state.action_results.done_since(since, action, answer.card_number)
    if card is None:
        return JSONResponse({})
    func = str(answer.refusal["func"])
    await site_requests.record(request, site, action.path)
    members = await _acceptance(state, card) if action is ACTIVATE else {}
    return JSONResponse({"answer": to_json(success(func, **members))})


async def _acceptance(state: AgentState, card: Card) -> dict[str, str]:
    """Return what a card signed for its centre, as a member of an answer, until the centre has it."""
    known = await known_status(state, card)
    acceptance = known.acceptance if isinstance(known, CertificateStatus) else None
    if acceptance is None or not acceptance.statement:
        return {}
    return {"acceptance": base64.b64encode(acceptance.statement).decode("ascii")}


async def _note_question(state: AgentState, request: Request) -> Response:
    """Note what a popup tells of its question; tell it whether its question may take another's place."""
    try:
        message = json.loads(await request.body())
        event, question = message["event"], message["question"]
        site = message["site"] if event == "shown" else ""
        for each, most in ((question, _QUESTION_NAME_MAX), (site, _ORIGIN_MAX)):
            if not isinstance(each, str) or len(each) > most:
                raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        return JSONResponse({}, 400)
    match event:
        case "shown":
            return JSONResponse({"replaces": state.shown_questions.show(question, site)})
        case "answered":
            state.shown_questions.end(question)
        case "gone":
            state.shown_questions.leave(question)
        case _:
            return JSONResponse({}, 400)
    return JSONResponse({})


def _agreement(members: dict[str, Any]) -> Agreement:
    def typed(name: str) -> str | None:
        return str(members[name]) if members.get(name) else None

    return Agreement(
        ticket=str(members["ticket"]),
        card_number=str(members["number"]),
        pin=typed("pin"),
        new_pin=typed("newPin"),
        for_a_while=members.get("forAWhile") is True,
        last_try=members.get("lastTry") is True,
    )


def _choice(members: dict[str, Any]) -> CardChoice:
    return CardChoice(number=str(members["number"]), remember=members.get("remember") is True)


async def _waiting_picture(request: Request) -> Response:
    return ASSETS.response("waiting.gif")


async def _ask_to_add_site(state: AgentState, request: Request) -> Response:
    """Ask the person whether to trust a site. A GET changes nothing."""
    host = request.query_params.get("domain", "").lower()
    if not _HOST.fullmatch(host):
        return _popup(request, "add_domain.html", status=400, site=None, problem=None)
    site = _origin_to_add(request, host)
    if state.trusted_sites.trusts(site):
        # Only the site itself is told: no other may learn which sites are trusted.
        return _popup(
            request, "domain_added.html", site=site, tell_site=_opener_origin(request) == site, problem=None
        )
    return _popup(
        request,
        "add_domain.html",
        site=site,
        is_exposed=is_exposed(site),
        problem=None,
        token=state.form_tokens.issue(f"{_ADD_SITE} {site}"),
        cards=await _usable_cards(state),
        minutes=ALLOWANCE_SECONDS // 60,
    )


async def _add_site(state: AgentState, request: Request) -> Response:
    """Trust a site, if the person pressed the button of the page that asked."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        fields = {}
    site = fields.get("site", "")
    is_asked = is_origin(site) and state.form_tokens.spend(f"{_ADD_SITE} {site}", fields.get("token", ""))
    if not is_asked:
        return _popup(request, "add_domain.html", status=400, site=None, problem=None)
    state.shown_questions.end(fields.get("question", ""))
    try:
        if not state.trusted_sites.trusts(site):
            # What it had when it was trusted before does not come back.
            await asyncio.to_thread(state.blind_sites.switch_off, site)
        await asyncio.to_thread(state.trusted_sites.add, site)  # it may wait for another agent
    except XcaError as error:
        await site_requests.record(request, site, "trust", error)
        status = problem_of(error).status
        return _popup(request, "add_domain.html", status=status, site=None, problem=error)
    await site_requests.record(request, site, "trust")
    problem: XcaError | None = None
    if fields.get("allow") == "yes":
        try:
            await sites.allow(state, request, site, fields.get("card", ""))
        except XcaError as error:
            problem = error
    return _popup(request, "domain_added.html", site=site, tell_site=problem is None, problem=problem)


async def _usable_cards(state: AgentState) -> Sequence[Card]:
    """Return the cards for which a site can be allowed; none while the cards are busy or cannot be read."""
    try:
        async with asyncio.timeout(_CARDS_SECONDS):
            return sites.usable(await state.card_worker.run(lambda cards: cards.detect()))
    except (TimeoutError, XcaError):
        return []


def _origin_to_add(request: Request, host: str) -> str:
    """Return the origin of a host. A site names its host only.

    It is that of the page that opened the popup, if that page is on this host, else the host over HTTPS.
    """
    opener = _opener_origin(request)
    address = opener.partition("://")[2]
    same_host = address == host or address.startswith(f"{host}:")
    return opener if same_host and is_origin(opener) else f"https://{host}"


def _opener_origin(request: Request) -> str:
    """Return the origin of the page that opened the popup, as far as the browser tells it."""
    scheme, _, rest = request.headers.get("referer", "").partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _popup(request: Request, template: str, *, status: int = 200, **context: object) -> Response:
    popup = page(request, template, status=status, **context)
    popup.headers.update(_KEEP_OPENER)
    return popup
