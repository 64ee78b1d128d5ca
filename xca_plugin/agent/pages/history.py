# SPDX-License-Identifier: Apache-2.0
"""The page of what happened to a card, or to all cards, as this computer recorded it."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.web.language import with_language_choice
from xca_plugin.agent.pages.card_snapshot import take_snapshot
from xca_plugin.agent.pages.rendering import page
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.model import Event

PATH: Final = "/history"
_SHOWN: Final = 300


def routes(state: AgentState) -> list[Route]:
    """Return the route of the page."""
    return [Route(PATH, with_language_choice(endpoint(state, _show)))]


async def _show(state: AgentState, request: Request) -> Response:
    """Show the history of the card that the address names, else of all cards, the latest event first."""
    number = request.query_params.get("card", "").strip().upper() or None
    snapshot = await take_snapshot(state, number)
    events: Sequence[Event] = ()
    error = None
    try:
        events = await state.card_worker.run(lambda cards: cards.history(number))
    except XcaError as failure:
        error = failure
    return page(
        request,
        "history.html",
        snapshot=snapshot,
        number=number,
        events=events[: -_SHOWN - 1 : -1],
        older=max(len(events) - _SHOWN, 0),
        error=error,
    )
