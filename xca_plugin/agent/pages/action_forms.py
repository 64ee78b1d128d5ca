# SPDX-License-Identifier: Apache-2.0
"""The pages of the PIN actions: the form, its submission and the result."""

from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.secret import Secret
from xca_common.web.forms import MalformedForm, read_form
from xca_common.web.language import is_from_elsewhere, with_language_choice
from xca_plugin import last_try, receipt
from xca_plugin.agent.component import site_requests
from xca_plugin.agent.pages.acceptance import known_status
from xca_plugin.agent.pages.card_snapshot import take_snapshot
from xca_plugin.agent.pages.pin_actions import ACTIVATE, PIN_ACTIONS, PinAction
from xca_plugin.agent.pages.pin_pattern import USER_CODE_PATTERN, pin_pattern
from xca_plugin.agent.pages.problems import (
    LED_HERE,
    MALFORMED_FORM,
    RECEIPT_GONE,
    problem_of,
    problem_response,
)
from xca_plugin.agent.pages.rendering import download, page
from xca_plugin.agent.pages.results import ActionResult
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.cards import REAL_CARD_WARNING, Cards
from xca_plugin.made_pin import made_pin
from xca_plugin.model import Card


def routes(state: AgentState) -> list[Route]:
    """Return the routes of the PIN actions and of what belongs to them."""
    return [
        *(Route(action.path, with_language_choice(partial(_show, state, action))) for action in PIN_ACTIONS),
        *(Route(action.path, partial(_perform, state, action), methods=["POST"]) for action in PIN_ACTIONS),
        Route("/receipt", endpoint(state, _receipt)),
        Route("/made-pin", endpoint(state, _made_pin), methods=["POST"]),
    ]


async def _show(state: AgentState, action: PinAction, request: Request) -> Response:
    """Return an action's form, or its result; not to who was led here by another site."""
    if is_from_elsewhere(request):
        return problem_response(state, request, LED_HERE)
    query = request.query_params
    result = state.action_results.get(query.get("result"))
    if result and result.action is action and result.card:
        if action is not ACTIVATE:
            return page(request, "action_done.html", result=result, receipt=None)
        address = f"/receipt?result={query['result']}"
        known = await known_status(state, result.card)
        return page(request, "action_done.html", result=result, receipt=address, known=known)
    snapshot = await take_snapshot(state, query.get("card"))
    return page(
        request,
        "pin_action.html",
        action=action,
        snapshot=snapshot,
        obstacle=action.obstacle(snapshot.card) if snapshot.card else None,
        error=result.error if result and result.action is action else None,
        stale="stale" in query,
        different="different" in query,
        token=state.form_tokens.issue(action.path),
        user_code_pattern=USER_CODE_PATTERN,
        pin_pattern=pin_pattern(snapshot.card) if snapshot.card else None,
        last_try=last_try,
        real_card_warning=REAL_CARD_WARNING,
    )


async def _perform(state: AgentState, action: PinAction, request: Request) -> Response:
    """Perform the form's action once, and redirect the browser to the result."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)
    card_number = fields.get("card", "")
    if not state.form_tokens.spend(action.path, fields.get("token", "")):
        return _redirect(action.path, card=card_number, stale="yes")

    secret, new_pin, again = (Secret(fields.pop(name, "")) for name in ("secret", "new_pin", "again"))
    with again:
        is_different = again != new_pin
    if is_different:
        for each in (secret, new_pin):
            each.wipe()
        return _redirect(action.path, card=card_number, different="yes")

    def perform(cards: Cards) -> Card:
        return action.perform(
            cards,
            card_number,
            secret,
            new_pin,
            agreed=fields.get("agreed") == "yes",
            last_try=last_try.confirms(fields.get("last_try", "")),
        )

    try:
        card = await state.card_worker.run(perform, [secret, new_pin])
        result = ActionResult(action, card_number, datetime.now(UTC), card=card)
    except XcaError as error:
        result = ActionResult(action, card_number, datetime.now(UTC), error=error)
    await site_requests.record(request, None, action.path, result.error)
    return _redirect(action.path, card=card_number, result=state.action_results.add(result))


async def _receipt(state: AgentState, request: Request) -> Response:
    """Return the record of an activation as a file."""
    result = state.action_results.get(request.query_params.get("result"))
    if not result or result.action is not ACTIVATE or not result.card:
        return problem_response(state, request, RECEIPT_GONE)
    record = receipt.activation(result.card, result.at, "xcactl agent")
    return download(record, f"{result.card_number}-receipt", "json", "application/json")


async def _made_pin(state: AgentState, request: Request) -> Response:
    """Make a PIN for a card, for the form that asks for it. It is kept nowhere."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)

    def make(cards: Cards) -> Secret:
        card = cards.find(fields.get("card", ""))
        return made_pin(card, partial(cards.check_new_pin, card))

    try:
        with await state.card_worker.run(make) as pin:
            return PlainTextResponse(pin.reveal())
    except XcaError as error:
        return problem_response(state, request, problem_of(error))


def _redirect(path: str, **query: str) -> Response:
    return RedirectResponse(f"{path}?{urlencode(query)}", 303)
