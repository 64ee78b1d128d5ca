# SPDX-License-Identifier: Apache-2.0
"""Logins for Flask: the posts of a login below a path, the session of a request, and a decorator."""

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from flask import Flask, Response, current_app, request

from xca_login.errors import LoginRefused, NotLoggedIn
from xca_login.http import CardLogin, refusal
from xca_login.http import Response as Answer
from xca_login.integrations.wsgi import request_of
from xca_login.sessions import Session

_P = ParamSpec("_P")
_T = TypeVar("_T")

_NAME: Final = "xca_login"
_SESSION: Final = "xca_login.session"
"""Where the session of a request is kept in its environ. `g` may be of several requests."""


def add_login(app: Flask, card_login: CardLogin, path: str = "/login") -> None:
    """Add a login's posts to a program, and the answers to those whom login_required refuses."""

    def take(action: str) -> Response:
        return _response(card_login.answer(request_of(request.environ)))

    def refuse(error: LoginRefused) -> Response:
        return _response(refusal(error))

    app.extensions[_NAME] = card_login
    app.add_url_rule(f"{path}/<action>", _NAME, take, methods=["GET", "POST"])
    app.register_error_handler(LoginRefused, refuse)
    app.after_request(_unkept)


def current_session() -> Session | None:
    """Return whose request it is; None: nobody is logged in.

    Raises:
        StoreUnavailable: it cannot be told; add_login() has it answered.
    """
    if _SESSION not in request.environ:
        card_login: CardLogin = current_app.extensions[_NAME]
        request.environ[_SESSION] = card_login.session(request.environ.get("HTTP_COOKIE", ""))
    session: Session | None = request.environ[_SESSION]
    return session


def login_required(view: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let only holders who are logged in see a page. Others are answered with 401, in words."""

    @wraps(view)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if current_session() is None:
            raise NotLoggedIn
        return view(*args, **kwargs)

    return guarded


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, [*answer.headers])


def _unkept(response: Response) -> Response:
    """Let nobody keep a page that was made for a holder."""
    if request.environ.get(_SESSION) is not None:
        response.headers.setdefault("Cache-Control", "no-store")
    return response
