# SPDX-License-Identifier: Apache-2.0
"""Which language a browser is spoken to in."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from xca_common.i18n import CHINESE, ENGLISH, LANGUAGES, speaking

COOKIE: Final = "xca-language"
"""Cookie that keeps what a person chose."""

Endpoint = Callable[[Request], Awaitable[Response]]

_YEAR: Final = 365 * 24 * 3600
_BY_PRIMARY_TAG: Final = {"zh": CHINESE, "en": ENGLISH}


def chosen(request: HTTPConnection) -> str:
    """Return the language (zh_TW, en) that the person chose, else the browser's (RFC 9110, 12.5.4)."""
    kept = request.cookies.get(COOKIE)
    if kept in LANGUAGES:
        return kept
    wished = []
    for position, item in enumerate(request.headers.get("accept-language", "").split(",")):
        tag, _, quality = item.partition(";q=")
        language = _BY_PRIMARY_TAG.get(tag.strip().partition("-")[0].lower())
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if language and weight > 0:
            wished.append((-weight, position, language))
    return min(wished)[2] if wished else CHINESE


def choosable(endpoint: Endpoint) -> Endpoint:
    """Let ?lang= choose the language of a page of ours, from now on."""

    async def choose(request: Request) -> Response:
        wished = request.query_params.get("lang")
        if wished not in LANGUAGES:
            return await endpoint(request)
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
        answer = RedirectResponse(f"{request.url.path}?{urlencode(rest)}".rstrip("?"), 303)
        answer.set_cookie(COOKIE, wished, max_age=_YEAR, httponly=True, samesite="lax")
        return answer

    return choose


class Speaking:
    """ASGI middleware: while a request is answered, its language is spoken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with speaking(chosen(HTTPConnection(scope))):
            await self._app(scope, receive, send)
