# SPDX-License-Identifier: Apache-2.0
"""The pages of a user code reset (用戶代碼重設): what it needs, and the ticket that leads to a new code."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.harmless_text import harmless
from xca_common.pki.ticket import MOST_BYTES, Ticket
from xca_common.secret import Secret, TypedAtReader
from xca_common.web.forms import MalformedForm, read_form
from xca_common.web.language import is_from_elsewhere, with_language_choice
from xca_plugin import code_ticket, errors
from xca_plugin.agent.component import site_requests
from xca_plugin.agent.pages.card_snapshot import CardSnapshot, take_snapshot
from xca_plugin.agent.pages.pin_actions import RESET_USER_CODE
from xca_plugin.agent.pages.pin_pattern import USER_CODE_PATTERN
from xca_plugin.agent.pages.problems import LED_HERE, MALFORMED_FORM, problem_response
from xca_plugin.agent.pages.rendering import USER_CODE_RESET, page
from xca_plugin.agent.pages.results import ActionResult
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.cards import REAL_CARD_WARNING, Cards
from xca_plugin.model import Card

FILE_PATH: Final = f"{USER_CODE_RESET}/file"
"""Where the script of the page sends the file that the person chose."""
FILE_TYPE: Final = "application/octet-stream"
"""The media type of such a file."""
FILE_BYTES: Final = MOST_BYTES + 1
"""The script sends no more of a file: by then it is no ticket."""

_FORM: Final = RESET_USER_CODE.path


def routes(state: AgentState) -> list[Route]:
    """Return the routes of these pages."""
    return [
        Route(USER_CODE_RESET, with_language_choice(endpoint(state, _explain))),
        Route(FILE_PATH, endpoint(state, _take_file), methods=["POST"]),
        Route(_FORM, with_language_choice(endpoint(state, _show))),
        Route(_FORM, endpoint(state, _perform), methods=["POST"]),
    ]


async def _explain(state: AgentState, request: Request) -> Response:
    """Show what to do when the user code is lost or locked, and ask for the ticket."""
    result = _result(state, request)
    return page(
        request,
        "user_code_reset.html",
        snapshot=await take_snapshot(state, request.query_params.get("card")),
        error=result.error if result else None,
        gone="gone" in request.query_params,
        file_path=FILE_PATH,
        file_bytes=FILE_BYTES,
    )


async def _take_file(state: AgentState, request: Request) -> Response:
    """Take a file that should be a ticket."""
    given = await request.body()
    try:
        code_ticket.read(given, harmless(unquote(request.headers.get("x-name", ""))))
    except errors.NotATicket as error:
        result = ActionResult(RESET_USER_CODE, "", datetime.now(UTC), error=error)
        return _redirect(USER_CODE_RESET, result=state.action_results.add(result))
    return _redirect(_FORM, ticket=state.code_tickets.add(given))


async def _show(state: AgentState, request: Request) -> Response:
    """Return the form for a ticket, or the result; not to who was led here by another site."""
    if is_from_elsewhere(request):
        return problem_response(state, request, LED_HERE)
    result = _result(state, request)
    if result and result.card:
        return page(request, "action_done.html", result=result, receipt=None)
    ticket_id = request.query_params.get("ticket", "")
    given = state.code_tickets.get(ticket_id)
    if given is None:
        return _redirect(USER_CODE_RESET, gone="yes")
    ticket = Ticket.read(given)
    snapshot = await take_snapshot(state, ticket.card)
    return page(
        request,
        "code_ticket.html",
        action=RESET_USER_CODE,
        ticket=ticket,
        ticket_id=ticket_id,
        snapshot=snapshot,
        refusal=await _refusal(state, snapshot, given),
        is_over=isinstance(result.error, errors.TicketRefused) if result else False,
        error=result.error if result else None,
        stale="stale" in request.query_params,
        different="different" in request.query_params,
        token=state.form_tokens.issue(_FORM),
        user_code_pattern=USER_CODE_PATTERN,
        real_card_warning=REAL_CARD_WARNING,
    )


async def _refusal(state: AgentState, snapshot: CardSnapshot, given: bytes) -> XcaError | None:
    """Return why the card would not take a ticket, as far as that can be told; None: it may."""
    card = snapshot.card
    if card is None:
        return None
    try:
        await state.card_worker.run(lambda cards: code_ticket.check(cards, card, given))
    except XcaError as error:
        return error
    return None


async def _perform(state: AgentState, request: Request) -> Response:
    """Give the card the new user code once, and redirect the browser to the result."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)
    ticket_id = fields.get("ticket", "")
    given = state.code_tickets.get(ticket_id)
    if given is None or not state.form_tokens.spend(_FORM, fields.get("token", "")):
        return _redirect(_FORM, ticket=ticket_id, stale="yes")
    new, again = (Secret(fields.pop(name, "")) for name in ("new_code", "again"))
    with again:
        is_different = again != new
    if is_different:
        new.wipe()
        return _redirect(_FORM, ticket=ticket_id, different="yes")
    number = Ticket.read(given).card

    def perform(cards: Cards) -> Card:
        card = cards.find(number)
        if card.real and fields.get("agreed") != "yes":
            raise errors.NotAgreed
        code_ticket.check(cards, card, given)
        return cards.reset_user_code(card, given, TypedAtReader() if card.has_keypad else new)

    try:
        card = await state.card_worker.run(perform, [new])
        result = ActionResult(RESET_USER_CODE, number, datetime.now(UTC), card=card)
    except XcaError as error:
        result = ActionResult(RESET_USER_CODE, number, datetime.now(UTC), error=error)
    await site_requests.record(request, None, _FORM, result.error)
    return _redirect(_FORM, ticket=ticket_id, result=state.action_results.add(result))


def _result(state: AgentState, request: Request) -> ActionResult | None:
    result = state.action_results.get(request.query_params.get("result"))
    return result if result and result.action is RESET_USER_CODE else None


def _redirect(path: str, **query: str) -> Response:
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)
