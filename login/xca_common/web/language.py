# SPDX-License-Identifier: Apache-2.0
"""The language of a web page: what the person chose, else what the browser prefers."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from xca_common.i18n import CHINESE, ENGLISH, LANGUAGES, speaking

COOKIE: Final = "xca-language"
"""The cookie that keeps what a person chose."""

Endpoint = Callable[[Request], Awaitable[Response]]

_YEAR: Final = 365 * 24 * 3600
_BY_PRIMARY_TAG: Final = {"zh": CHINESE, "en": ENGLISH}


def language_of(request: HTTPConnection) -> str:
    """Return the language (zh_TW, en) that the person chose, else the browser's (RFC 9110, 12.5.4)."""
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    preferences = []
    for position, item in enumerate(request.headers.get("accept-language", "").split(",")):
        tag, _, quality = item.partition(";q=")
        language = _BY_PRIMARY_TAG.get(tag.strip().partition("-")[0].lower())
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if language and weight > 0:
            preferences.append((-weight, position, language))
    return min(preferences)[2] if preferences else CHINESE


def is_from_elsewhere(request: HTTPConnection) -> bool:
    """Tell whether a page of another origin made the browser send a request (Fetch Metadata, section 2.4).

    A request of a browser that sends no such header counts as the person's own.
    """
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def with_language_choice(endpoint: Endpoint) -> Endpoint:
    """Wrap a page's endpoint: ?lang= chooses the language of all pages from now on.

    In a link or a form of another web site ?lang= has no effect: that site would choose for the person.
    """

    async def choose(request: Request) -> Response:
        return _choice(request) or await endpoint(request)

    return choose


def _choice(request: HTTPConnection) -> Response | None:
    """Return the answer to a request that chooses a language; None: it chooses none."""
    chosen = request.query_params.get("lang")
    if chosen not in LANGUAGES or is_from_elsewhere(request):
        return None
    rest = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    path = "/" + request.url.path.lstrip("/")  # two slashes in front would name a host
    answer = RedirectResponse(f"{path}?{urlencode(rest)}".rstrip("?"), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, chosen, max_age=_YEAR, httponly=True, samesite="lax", secure=secure)
    return answer


class LanguageChoiceMiddleware:
    """ASGI middleware: with_language_choice() for all pages of a program."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that chooses a language, and hand on all others."""
        answer = _choice(HTTPConnection(scope)) if scope.get("method") == "GET" else None
        await (answer or self._app)(scope, receive, send)


class LanguageMiddleware:
    """ASGI middleware: sentences that are said while a request is answered are in its language."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, in its language."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with speaking(language_of(HTTPConnection(scope))):
            await self._app(scope, receive, send)
