# SPDX-License-Identifier: Apache-2.0
"""Logins for any ASGI program: an application that takes the posts, and a middleware that tells who asks.

It needs no framework. Whatever may wait for a database or an issuer runs in a thread. Logins have threads of
their own, so that no page waits for them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

from xca_login.errors import LoginRefused, RequestTooSlow, StoreUnavailable
from xca_login.http import BODY_SECONDS, MOST_BODY_BYTES, CardLogin, Request, Response, refusal
from xca_login.sessions import Session

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_SESSION: Final = "xca_login.session"
_THREADS: Final = 32
"""Posts of logins that are answered at once. The others wait."""


def session_of(scope: Mapping[str, Any]) -> Session | None:
    """Return whose request it is; None: nobody is logged in. AsgiSessions has to stand around the program.

    Raises:
        LookupError: it does not.
    """
    if _SESSION not in scope:
        raise LookupError("AsgiSessions does not stand around this program. Add it, or call add_login().")
    session: Session | None = scope[_SESSION]
    return session


class AsgiLogin:
    """The application that takes a login's posts: …/begin, …/finish, …/logout and others (xca_login.http).

    Args:
        card_login: what answers them.
    """

    def __init__(self, card_login: CardLogin) -> None:
        self._card_login = card_login
        self._threads = ThreadPoolExecutor(_THREADS, "xca-login")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; no websocket is opened.

        Raises:
            ValueError: it is neither (ASGI, lifespan: the server then goes on without it).
        """
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
            return
        if scope["type"] != "http":
            raise ValueError(f"no {scope['type']} here")
        try:
            body = await _body(receive)
        except _GoneError:
            return
        except LoginRefused as error:
            await _send(refusal(error), send)
            return
        origins = _headers(scope, b"origin")
        request = Request(
            scope["method"],
            scope["path"],
            origins,
            ", ".join(_headers(scope, b"content-type")),
            cookies_of(scope),
            body,
        )
        loop = asyncio.get_running_loop()
        answer = self._card_login.answer
        await _send(await loop.run_in_executor(self._threads, copy_context().run, answer, request), send)


class AsgiSessions:
    """Middleware that finds out whose request it is (session_of), and lets no page of theirs be kept.

    A websocket that another site's page opens is nobody's: browsers let every page open one, and send cookies
    along from pages of sibling hosts.

    Args:
        app: the program.
        card_login: keeps the sessions.
    """

    def __init__(self, app: Application, card_login: CardLogin) -> None:
        self._app = app
        self._card_login = card_login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; with 503 instead if it cannot be told whose it is."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            session = await asyncio.to_thread(self._card_login.session, cookies_of(scope))
        except StoreUnavailable as error:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1013})  # try again later
            else:
                await _send(refusal(error), send)
            return
        if scope["type"] == "websocket" and _headers(scope, b"origin") != [self._card_login.site.origin]:
            session = None
        scope[_SESSION] = session
        self.tell(scope, session)

        async def send_unkept(message: Message) -> None:
            if message["type"] == "http.response.start" and session is not None:
                names = {name.lower() for name, _ in message.get("headers", ())}
                if b"cache-control" not in names:
                    message["headers"] = [*message.get("headers", ()), (b"cache-control", b"no-store")]
            await send(message)

        await self._app(scope, receive, send_unkept)

    def tell(self, scope: Scope, session: Session | None) -> None:
        """Tell a framework whose request it is, in its own way."""


def cookies_of(scope: Mapping[str, Any]) -> str:
    """Return the Cookie headers of a request, joined."""
    return "; ".join(_headers(scope, b"cookie"))


def _headers(scope: Mapping[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


class _GoneError(Exception):
    """The client went away before its request was whole."""


async def _body(receive: Receive) -> bytes:
    """Return the body of a request, of a longer one no more than a little.

    Raises:
        RequestTooSlow: it did not arrive in time.
        _GoneError: it will not arrive.
    """
    body = bytearray()  # it may come byte by byte
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= MOST_BODY_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _GoneError
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise RequestTooSlow from None
    return bytes(body)


async def _send(response: Response, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.status != 204:
        headers.append((b"content-length", str(len(response.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
