# SPDX-License-Identifier: Apache-2.0
"""Logins for FastAPI: a dependency that gives an endpoint the session, or refuses.

The posts of a login are an application to mount: `app.mount("/login", AsgiLogin(card_login))`.
"""

from fastapi import FastAPI, Request, Response
from fastapi.responses import Response as PlainResponse

from xca_login.errors import LoginRefused, NotLoggedIn
from xca_login.http import CardLogin, refusal
from xca_login.integrations.asgi import AsgiLogin
from xca_login.sessions import Session

__all__ = ["LoggedIn", "add_login"]


class LoggedIn:
    """Dependency: the session of the holder who is logged in. Others are answered with 401, in words.

    Args:
        card_login: keeps the sessions.
    """

    def __init__(self, card_login: CardLogin) -> None:
        self._card_login = card_login

    def __call__(self, request: Request, response: Response) -> Session:
        """Return the session.

        Raises:
            NotLoggedIn: there is none.
            StoreUnavailable: it cannot be told.
        """
        session = self._card_login.session("; ".join(request.headers.getlist("cookie")))
        if session is None:
            raise NotLoggedIn
        response.headers["Cache-Control"] = "no-store"
        return session


def add_login(app: FastAPI, card_login: CardLogin, path: str = "/login") -> None:
    """Add a login's posts to a program, and the answers to those whom LoggedIn refuses."""

    def refuse(request: Request, error: Exception) -> PlainResponse:
        if not isinstance(error, LoginRefused):
            raise error
        refused = refusal(error)
        return PlainResponse(refused.body, refused.status, dict(refused.headers))

    app.add_exception_handler(LoginRefused, refuse)
    app.mount(path, AsgiLogin(card_login), "login")
