# SPDX-License-Identifier: Apache-2.0
"""The centre's web program: pages behind the request guard, and beside them what relying parties ask for."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xca_centre import acceptance_routes
from xca_centre.errors import AddressUnknown, CentreError, MethodRefused
from xca_centre.status.routes import status_routes
from xca_centre.web import (
    apply,
    apply_api,
    apply_cases,
    card_pages,
    certificate_acceptance,
    certificates,
    contact_pages,
    home,
    information,
    login,
    menu,
    officers,
    problems,
    secure_email,
    status_changes,
    trial_payments,
    user_code_pages,
)
from xca_centre.web.frame import ASSETS, UPLOADS, Frame, SessionMiddleware
from xca_common.web.forms import FORM
from xca_common.web.language import LanguageChoiceMiddleware, LanguageMiddleware
from xca_common.web.request_guard import PathRule, RefusalReason, RequestGuard
from xca_login.http import MOST_BODY_BYTES

PAGES: Final = (
    home,
    login,
    apply,
    apply_api,
    apply_cases,
    trial_payments,
    certificates,
    information,
    status_changes,
    user_code_pages,
    card_pages,
    certificate_acceptance,
    contact_pages,
    secure_email,
    officers,
)
"""The modules of pages, each with `routes(frame)`."""

_FORM_RULE: Final = PathRule(any_origin=False, content_types=frozenset({FORM}), body_max=64 << 10)
_UPLOAD_RULE: Final = PathRule(
    any_origin=False, content_types=frozenset({"multipart/form-data"}), body_max=4 << 20, body_seconds=30.0
)
_LOGIN_RULE: Final = PathRule(
    any_origin=False, content_types=frozenset({"application/json", FORM}), body_max=MOST_BODY_BYTES
)
_OPEN_RULE: Final = PathRule(any_origin=True, content_types=None, body_max=1 << 20)
"""Of what programs post, with a signature or a question that anybody may ask."""

_API_RULE: Final = PathRule(any_origin=True, content_types=frozenset({"application/json"}), body_max=64 << 10)
"""Of what programs post without a session. A page of another site cannot send this type unasked."""

_YEAR: Final = 365 * 24 * 3600  # seconds


def application(frame: Frame) -> ASGIApp:
    """Return the whole web program of a centre."""

    def refuse(request: Request, reason: RefusalReason) -> Response:
        return frame.refusal(request, problems.of_the_guard(reason))

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, CentreError)  # noqa: S101  # Starlette calls it for no other
        return frame.refusal(request, error)

    def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # likewise
        is_unknown = error.status_code == 404
        answer = frame.refusal(request, AddressUnknown() if is_unknown else MethodRefused())
        answer.headers.update(error.headers or {})
        return answer

    def rule_of(path: str) -> PathRule:
        if path == acceptance_routes.PATH:
            return _OPEN_RULE
        if path.startswith(f"{menu.LOGIN}/"):
            return _LOGIN_RULE
        if path == apply_api.PATH or path.startswith(f"{apply_api.PATH}/"):
            return _API_RULE
        return _UPLOAD_RULE if path.endswith(UPLOADS) else _FORM_RULE

    pages = Starlette(
        routes=[
            *(route for module in PAGES for route in module.routes(frame)),
            *acceptance_routes.acceptance_routes(frame.database, frame.rules, frame.origin),
            *ASSETS.routes(),
        ],
        exception_handlers={CentreError: refused, 404: no_route, 405: no_route},
        middleware=[
            Middleware(RequestGuard, origins=[frame.origin], rule_of=rule_of, refuse=refuse),
            Middleware(LanguageMiddleware),
            Middleware(LanguageChoiceMiddleware),
            Middleware(SessionMiddleware, frame=frame),
        ],
    )
    published = status_routes(frame.database, frame.hierarchy, frame.clock)
    # Certificates name the repository's own host, and everybody may ask there. OpenSSL leaves out the port.
    named = [frame.origin, frame.hierarchy.repository.base]
    hosts = [*named, *(f"http://{urlsplit(one).hostname}" for one in named)]
    repository = RequestGuard(Router(published), hosts, lambda _: _OPEN_RULE, refuse)
    secured = _SecureTransport(pages) if frame.origin.startswith("https:") else pages
    return _Parts(published, repository, secured)


class _SecureTransport:
    """ASGI middleware: browsers come back over https alone (RFC 6797), for a year."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Strict-Transport-Security"] = f"max-age={_YEAR}"
            await send(message)

        await self._app(scope, receive, send_with_header)


class _Parts:
    """Hands each request to the repository or to the pages."""

    def __init__(self, published: Sequence[Route], repository: ASGIApp, pages: ASGIApp) -> None:
        self._published, self._repository, self._pages = published, repository, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_published = scope["type"] == "http" and any(
            route.matches(scope)[0] is not Match.NONE for route in self._published
        )
        await (self._repository if is_published else self._pages)(scope, receive, send)
