# SPDX-License-Identifier: Apache-2.0
"""The agent as an ASGI application: all its routes, behind the request guard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from xca_common.web.forms import FORM
from xca_common.web.language import LanguageMiddleware
from xca_common.web.request_guard import PathRule, RefusalReason, RequestGuard
from xca_plugin.agent.component import popups, routes
from xca_plugin.agent.component.recent_sites import RecentSitesMiddleware
from xca_plugin.agent.component.result_codes import refusal_response
from xca_plugin.agent.files.workspace import FILE_BYTES
from xca_plugin.agent.pages import (
    action_forms,
    code_reset,
    file_jobs,
    history,
    home,
    problems,
    rendering,
    selftest,
    server_sent_events,
    sites,
)
from xca_plugin.agent.process.delivery import deliver_while_running
from xca_plugin.agent.process.state import AgentState

_REQUEST_MAX: Final = 8 << 20  # bytes; a site's request holds what is to be signed
_FORM_MAX: Final = 4096  # bytes
_COMPONENT_RULE: Final = PathRule(any_origin=True, content_types=None, body_max=_REQUEST_MAX)
_POPUP_RULE: Final = PathRule(
    any_origin=False, content_types=frozenset({"application/json"}), body_max=_REQUEST_MAX
)
_QUESTION_RULE: Final = PathRule(
    any_origin=False, content_types=frozenset({"application/json"}), body_max=_FORM_MAX
)
_PAGE_RULE: Final = PathRule(any_origin=False, content_types=frozenset({FORM}), body_max=_FORM_MAX)
_TICKET_RULE: Final = PathRule(
    any_origin=False, content_types=frozenset({code_reset.FILE_TYPE}), body_max=code_reset.FILE_BYTES
)
_UPLOAD_RULE: Final = PathRule(
    any_origin=False,
    content_types=frozenset({file_jobs.UPLOAD_TYPE}),
    body_max=FILE_BYTES,
    body_seconds=30.0,
    streamed=True,
)


def create_app(state: AgentState) -> Starlette:
    """Return the application. When it ends, so does the state's card worker."""
    refuse = partial(_refuse, state)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        delivery = asyncio.create_task(deliver_while_running())
        yield
        delivery.cancel()
        state.card_changes.close()
        state.card_worker.close()
        state.workspaces.close()

    app = Starlette(
        routes=[
            Route("/agent.json", _about),
            *home.routes(state),
            *history.routes(state),
            *action_forms.routes(state),
            *code_reset.routes(state),
            *file_jobs.routes(state),
            *server_sent_events.routes(state),
            *selftest.routes(state),
            *sites.routes(state),
            *routes.routes(state),
            *popups.routes(state),
            *problems.routes(state),
            *rendering.ASSETS.routes(),
        ],
        exception_handlers={404: partial(_no_route, state), 405: partial(_no_route, state)},
        middleware=[
            Middleware(RequestGuard, origins=state.settings.origins(), rule_of=_rule_of, refuse=refuse),
            Middleware(RecentSitesMiddleware, recent_sites=state.recent_sites),
            Middleware(LanguageMiddleware),
        ],
        lifespan=lifespan,
    )
    app.state.own_word = state.own_word  # every page shows it
    return app


def _rule_of(path: str) -> PathRule:
    if routes.is_open(path):
        return _COMPONENT_RULE
    if path == file_jobs.UPLOAD_PATH:
        return _UPLOAD_RULE
    if path == code_reset.FILE_PATH:
        return _TICKET_RULE
    if path == popups.QUESTION_PATH:
        return _QUESTION_RULE
    return _POPUP_RULE if path == popups.REQUEST_PATH else _PAGE_RULE


def _refuse(state: AgentState, request: Request, reason: RefusalReason) -> Response:
    if reason is not RefusalReason.WRONG_HOST and _is_vendors(request.url.path):
        return refusal_response(reason)
    return problems.problem_response(state, request, problems.refusal_of(reason))


async def _no_route(state: AgentState, request: Request, error: Exception) -> Response:
    """Answer a request for an unknown address, or one with a method that its address does not take."""
    assert isinstance(error, HTTPException)  # noqa: S101  # Starlette calls it for no other
    if routes.is_open(request.url.path):
        return routes.unsupported()
    is_unknown = error.status_code == problems.UNKNOWN_ADDRESS.status
    problem = problems.UNKNOWN_ADDRESS if is_unknown else problems.WRONG_METHOD
    response = problems.problem_response(state, request, problem)
    if problem is problems.WRONG_METHOD:
        response.headers["Allow"] = ", ".join(_methods(request))  # RFC 9110, section 15.5.6
    return response


def _methods(request: Request) -> list[str]:
    """Return the methods that a request's address takes, sorted.

    Starlette's own Allow names those of one route only. A page and its form are two routes of one address.
    """
    matching = (
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    )
    return sorted({method for route in matching for method in route.methods or ()})


def _is_vendors(path: str) -> bool:
    """Tell whether a path belongs to the vendor's protocol, in which errors have codes of its own."""
    return routes.is_open(path) or path == popups.REQUEST_PATH


async def _about(request: Request) -> JSONResponse:
    return JSONResponse({"name": "xca-plugin", "version": version("xca-plugin")})
