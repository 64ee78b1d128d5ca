# SPDX-License-Identifier: Apache-2.0
"""What every request passes before anything else sees it: who may ask at all, how much, how long."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xca_common.errors import place_of
from xca_plugin.agent.component.result_codes import Code, Refusal, failure
from xca_plugin.agent.process.settings import Settings

BODY_MAX: Final = 8 << 20
"""Bytes of a request's body."""
BODY_SECONDS: Final = 5.0
"""Seconds in which a body has to arrive."""

_log = logging.getLogger(__name__)

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: a form of ours would then be sent with the Origin "null".
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware around the whole application.

    A request with another Host is refused (DNS rebinding). One that another origin's page makes is refused,
    unless it opens a window (no frame) or its path is one that decides for itself. What changes anything is
    asked for by POST, and by a page of ours says so in Origin. Bodies are limited in size and time. What
    fails unexpectedly is answered without its text, which may hold a secret, and logged the same way.

    Args:
        app: what is guarded.
        settings: tells the own origins.
        is_open: tells the component's paths, which look at Origin themselves.
    """

    def __init__(self, app: ASGIApp, settings: Settings, is_open: Callable[[str], bool]) -> None:
        self._app = app
        self._origins = frozenset(settings.origins())
        self._hosts = frozenset(origin.removeprefix("http://") for origin in self._origins)
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on with its whole body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if refusal := self._refusal(scope):
                raise _RefusedError(refusal)
            body = await _body(scope, receive)
            await self._app(scope, _whole(body, receive), send_guarded)
        except _RefusedError as error:
            await error.answer(scope, receive, send_guarded)
        except ClientDisconnect:
            pass  # in the middle of its request, which is not to be done by half
        except Exception as error:
            _log.error("unexpected problem: %s", place_of(error))
            if not started:  # else half an answer is out, and the server ends the connection
                await _failed(Code.FAILED, 500)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return PlainTextResponse("This is not the host you asked for.\n", 421)
        if self._is_open(scope["path"]):
            return None
        origins = headers.getlist("origin")
        ours = all(origin in self._origins for origin in origins)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            ours = ours and bool(origins)
        elif headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            ours = (
                ours
                and headers.get("sec-fetch-mode") == "navigate"
                and headers.get("sec-fetch-dest") == "document"
            )
        return None if ours else PlainTextResponse("Only this agent's own pages may ask this.\n", 403)


class _RefusedError(Exception):
    def __init__(self, answer: Response) -> None:
        super().__init__()
        answer.headers["Connection"] = "close"
        self.answer = answer


async def _body(scope: Scope, receive: Receive) -> bytes:
    body = bytearray()
    length = int(Headers(scope=scope).get("content-length", "0"))
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while max(length, len(body)) <= BODY_MAX:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")  # both may be left out (ASGI HTTP, "Request")
                if not message.get("more_body", False) and len(body) <= BODY_MAX:
                    return bytes(body)
    except TimeoutError:
        raise _RefusedError(_failed(Code.FAILED, 408)) from None
    raise _RefusedError(_failed(Code.TOO_LARGE, 413))


def _whole(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives the body at once, and afterwards tells of the disconnection."""
    given = False

    async def receive_whole() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_whole


def _failed(code: Code, status: int) -> Response:
    return JSONResponse(failure("", Refusal(code)), status)
