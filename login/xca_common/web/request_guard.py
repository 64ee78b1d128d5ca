# SPDX-License-Identifier: Apache-2.0
"""Which requests reach a web program at all: by host, origin, content type, size and time.

The guard names the reason of a refusal and its status. What the client reads is the program's own choice.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xca_common.errors import place_of

_log = logging.getLogger(__name__)

_SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it, browsers send the program's own forms with the Origin "null".
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")  # RFC 9110, section 9.2.1


class RefusalReason(Enum):
    """Why the guard answered instead of the program. The value is the HTTP status (RFC 9110)."""

    WRONG_HOST = 421
    """The Host header names none of the program's hosts (DNS rebinding)."""
    FOREIGN_ORIGIN = 403
    """A page of another origin sent a request that only the program's own pages may send."""
    WRONG_CONTENT_TYPE = 415
    """The body has a media type that this path does not take."""
    BODY_TOO_LARGE = 413
    """The body has more bytes than this path takes."""
    BODY_TOO_SLOW = 408
    """The body did not arrive in time."""
    UNEXPECTED_ERROR = 500
    """The program failed. The log names the place; the text of the error may hold a secret."""


@dataclass(frozen=True, slots=True)
class PathRule:
    """What requests to a path may be.

    Attributes:
        any_origin: pages of other origins may ask; the endpoint judges the Origin header itself.
        content_types: media types that a body may have; None: any, and none at all.
        body_max: bytes of a body.
        body_seconds: seconds in which the body has to arrive; if it is streamed, each part of it.
        streamed: the program reads the body as it arrives, because it does not fit into memory.
    """

    any_origin: bool
    content_types: frozenset[str] | None
    body_max: int
    body_seconds: float = 5.0
    streamed: bool = False


class RequestGuard:
    """ASGI middleware around a whole web program.

    A request whose Host is not the program's own is refused. So is one that a page of another origin makes,
    unless the path's rule allows it or the request opens a page in a window of its own (not in a frame).
    Whatever changes something is asked for by POST, with an Origin header that names the program. The program
    sees a request only when its whole body is there, unless the path's rule says that it is streamed. Every
    answer carries headers that forbid frames, inline scripts, sniffing and caching, unless the endpoint has
    set them otherwise.

    Args:
        app: the program.
        origins: its own origins, such as https://login.example.gov.tw.
        rule_of: returns the rule of a path.
        refuse: returns the answer to a refused request.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: Sequence[str],
        rule_of: Callable[[str], PathRule],
        refuse: Callable[[Request, RefusalReason], Response],
    ) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(origin.partition("://")[2] for origin in origins)
        self._rule_of = rule_of
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or hand it on with its whole body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        rule = self._rule_of(scope["path"])
        try:
            self._check_head(scope, rule)
            if rule.streamed:
                guarded = _receive_parts(scope, receive, rule)
            else:
                guarded = _receive_whole(await _read_body(scope, receive, rule), receive)
        except _RefusedError as error:
            await self._answer_refused(error, scope, receive, send_with_headers)
            return
        except ClientDisconnect:
            return  # half a request is not answered
        try:
            await self._app(scope, guarded, send_with_headers)
        except ClientDisconnect:
            return
        except _RefusedError as error:
            if not started:
                await self._answer_refused(error, scope, receive, send_with_headers)
        except Exception as error:
            _log.error("unexpected problem: %s", place_of(error))
            if not started:  # else half an answer is out, and the server ends the connection
                response = self._refuse(Request(scope), RefusalReason.UNEXPECTED_ERROR)
                await response(scope, receive, send_with_headers)

    async def _answer_refused(
        self, error: "_RefusedError", scope: Scope, receive: Receive, send: Send
    ) -> None:
        response = self._refuse(Request(scope), error.reason)
        response.headers["Connection"] = "close"  # the rest of this request may still follow
        await response(scope, receive, send)

    def _check_head(self, scope: Scope, rule: PathRule) -> None:
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            raise _RefusedError(RefusalReason.WRONG_HOST)
        if not rule.any_origin and not self._is_own_request(scope["method"], headers):
            raise _RefusedError(RefusalReason.FOREIGN_ORIGIN)
        if scope["method"] not in _SAFE_METHODS and rule.content_types is not None:
            media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type not in rule.content_types:
                raise _RefusedError(RefusalReason.WRONG_CONTENT_TYPE)

    def _is_own_request(self, method: str, headers: Headers) -> bool:
        """Tell whether a page of the program's own asks, or somebody who opens one of its pages."""
        origins = headers.getlist("origin")
        if not all(origin in self._origins for origin in origins):
            return False
        if method not in _SAFE_METHODS:
            return bool(origins)
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return True


class _RefusedError(Exception):
    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason.name)
        self.reason = reason


def _announced(scope: Scope, rule: PathRule) -> int:
    """Return the size of the body that the head states; more than allowed, if that is no number."""
    length = Headers(scope=scope).get("content-length", "0")
    # A server that lets through what is no number cannot be trusted with the size either.
    return int(length) if length.isascii() and length.isdecimal() else rule.body_max + 1


async def _read_body(scope: Scope, receive: Receive, rule: PathRule) -> bytes:
    body = bytearray()
    announced = _announced(scope, rule)
    try:
        async with asyncio.timeout(rule.body_seconds):
            while max(announced, len(body)) <= rule.body_max:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")  # both may be left out (ASGI HTTP, "Request")
                if not message.get("more_body", False) and len(body) <= rule.body_max:
                    return bytes(body)
    except TimeoutError:
        raise _RefusedError(RefusalReason.BODY_TOO_SLOW) from None
    raise _RefusedError(RefusalReason.BODY_TOO_LARGE)


def _receive_parts(scope: Scope, receive: Receive, rule: PathRule) -> Receive:
    """Return a receive function that gives the body in parts, and ends one that is too large or too slow."""
    if _announced(scope, rule) > rule.body_max:
        raise _RefusedError(RefusalReason.BODY_TOO_LARGE)
    size = 0
    is_complete = False

    async def receive_part() -> Message:
        nonlocal size, is_complete
        if is_complete:
            return await receive()
        try:
            async with asyncio.timeout(rule.body_seconds):
                message = await receive()
        except TimeoutError:
            raise _RefusedError(RefusalReason.BODY_TOO_SLOW) from None
        size += len(message.get("body", b""))
        if size > rule.body_max:
            raise _RefusedError(RefusalReason.BODY_TOO_LARGE)
        is_complete = not message.get("more_body", False)
        return message

    return receive_part


def _receive_whole(body: bytes, receive: Receive) -> Receive:
    """Return a receive function that gives the body at once, and then whatever comes after it."""
    given = False

    async def receive_whole() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_whole
