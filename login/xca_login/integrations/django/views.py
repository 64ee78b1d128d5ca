# SPDX-License-Identifier: Apache-2.0
"""The posts of a login, and the page that makes them."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from django.contrib.auth import authenticate
from django.contrib.auth import login as begin_session
from django.contrib.auth import logout as end_session
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from xca_login.errors import AccountClosed, LoginRefused
from xca_login.http import Request, Response, answer, refusal, shown
from xca_login.integrations.django.configured import exchange
from xca_login.integrations.wsgi import request_of

_View = Callable[[HttpRequest, Request], Response]


def _post(view: _View) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view that answers a post. It asks for no CSRF token: its Origin is judged (Exchange.check)."""

    @csrf_exempt
    @wraps(view)
    def answered(request: HttpRequest) -> HttpResponse:
        try:
            given = view(request, request_of(request.META))
        except LoginRefused as error:
            given = refusal(error)
        response = HttpResponse(given.body, status=int(given.status))
        del response["Content-Type"]
        for name, value in given.headers:
            response[name] = value
        return response

    return answered


@_post
def begin(request: HttpRequest, read: Request) -> Response:
    """Give the page a challenge."""
    return exchange().begin(read)


@_post
def finish(request: HttpRequest, read: Request) -> Response:
    """Verify what the card signed; begin a session with a new key."""
    login = exchange().finish(read)
    user = authenticate(request, login=login)
    if user is None:
        raise AccountClosed
    begin_session(request, user)
    request.session.cycle_key()  # also for who was logged in already
    return answer(HTTPStatus.OK, shown(login))


@_post
def logout(request: HttpRequest, read: Request) -> Response:
    """End the session."""
    exchange().check(read)
    end_session(request)
    return answer(HTTPStatus.NO_CONTENT, None, (("Clear-Site-Data", '"cache"'),))
