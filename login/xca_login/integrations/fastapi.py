# SPDX-License-Identifier: Apache-2.0
"""Logins for FastAPI: the posts of a login, and the session for an endpoint, which others are refused."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response

from xca_login.errors import LoginRefused, NotLoggedIn
from xca_login.http import CardLogin, refusal
from xca_login.integrations.asgi import AsgiLogin, AsgiSessions, session_of
from xca_login.sessions import Session

__all__ = ["LoggedIn", "add_login"]


def _logged_in(request: Request) -> Session:
    session = session_of(request.scope)
    if session is None:
        raise NotLoggedIn
    return session


LoggedIn = Annotated[Session, Depends(_logged_in)]
"""The session of the holder who is logged in. Others are answered with 401. It needs add_login()."""


def add_login(app: FastAPI, card_login: CardLogin, path: str = "/login") -> None:
    """Add a login's posts and sessions to a program, and the answers to those whom LoggedIn refuses.

    Its middleware (AsgiSessions) lets no page of a holder be kept, whatever response an endpoint returns.
    """

    def refuse(request: Request, error: Exception) -> Response:
        if not isinstance(error, LoginRefused):
            raise error
        refused = refusal(error)
        return Response(refused.body, refused.status, dict(refused.headers))

    app.add_exception_handler(LoginRefused, refuse)
    app.add_middleware(AsgiSessions, card_login=card_login)
    app.mount(path, AsgiLogin(card_login), "login")
