# SPDX-License-Identifier: Apache-2.0
"""Logins for any WSGI program (PEP 3333): an application that takes the posts, and a middleware.

It needs no framework. How long a body may take is the server's affair.
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from xca_login.errors import LoginRefused, RequestMalformed, StoreUnavailable
from xca_login.http import MOST_BODY_BYTES, CardLogin, Request, Response, refusal
from xca_login.sessions import Session

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_SESSION: Final = "xca_login.session"


def session_of(environ: Mapping[str, Any]) -> Session | None:
    """Return whose request it is; None: nobody is logged in. WsgiSessions has to stand around the program.

    Raises:
        LookupError: it does not.
    """
    if _SESSION not in environ:
        raise LookupError("WsgiSessions does not stand around this program. Add it, or call add_login().")
    session: Session | None = environ[_SESSION]
    return session


class WsgiLogin:
    """The application that takes a login's posts: …/begin, …/finish, …/logout and others (xca_login.http).

    Args:
        card_login: what answers them.
    """

    def __init__(self, card_login: CardLogin) -> None:
        self._card_login = card_login

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        try:
            response = self._card_login.answer(request_of(environ))
        except LoginRefused as error:
            response = refusal(error)
        return _start(response, start_response)


class WsgiSessions:
    """Middleware that finds out whose request it is (session_of), and lets no page of theirs be kept.

    Args:
        app: the program.
        card_login: keeps the sessions.
    """

    def __init__(self, app: "WSGIApplication", card_login: CardLogin) -> None:
        self._app = app
        self._card_login = card_login

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Hand a request on; with 503 instead if it cannot be told whose it is."""
        try:
            session = self._card_login.session(environ.get("HTTP_COOKIE", ""))
        except StoreUnavailable as error:
            return _start(refusal(error), start_response)
        environ[_SESSION] = session

        def start_unkept(
            status: str,
            headers: list[tuple[str, str]],
            failure: tuple[type[BaseException], BaseException, TracebackType]
            | tuple[None, None, None]
            | None = None,
            /,
        ) -> Any:  # the server's write(), which nobody uses any more
            if session is not None and "cache-control" not in {name.lower() for name, _ in headers}:
                headers = [*headers, ("Cache-Control", "no-store")]
            return start_response(status, headers, failure)

        return self._app(environ, start_unkept)


def request_of(environ: "WSGIEnvironment") -> Request:
    """Read a request.

    Raises:
        RequestMalformed: the length of its body is not told.
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdecimal()) or "HTTP_TRANSFER_ENCODING" in environ:
        raise RequestMalformed
    body = environ["wsgi.input"].read(min(int(length[:18]), MOST_BODY_BYTES + 1)) if length != "0" else b""
    return request_with(environ, body)


def request_with(environ: "WSGIEnvironment", body: bytes) -> Request:
    """Return a request whose body was read already."""
    return Request(
        environ["REQUEST_METHOD"],
        environ.get("PATH_INFO", ""),
        [environ["HTTP_ORIGIN"]] if "HTTP_ORIGIN" in environ else [],
        environ.get("CONTENT_TYPE", ""),
        environ.get("HTTP_COOKIE", ""),
        body,
    )


def _start(response: Response, start_response: "StartResponse") -> Iterable[bytes]:
    status = response.status
    start_response(f"{int(status)} {status.phrase}", [*response.headers])
    return [response.body]
