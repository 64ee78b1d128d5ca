# SPDX-License-Identifier: Apache-2.0
"""The posts of a login, and the page that makes them."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from http import HTTPStatus
from typing import Final

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, authenticate
from django.contrib.auth import login as begin_session
from django.contrib.auth import logout as end_session
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from xca_common.i18n import CHINESE, ENGLISH
from xca_login.errors import AccountClosed, LoginRefused, NotLoggedIn, RequestMalformed
from xca_login.http import MOST_BODY_BYTES, SESSION_LIFETIME, Request, Response, answer, refusal, shown
from xca_login.http import script as found_script
from xca_login.i18n import text
from xca_login.integrations.django.configured import TEMPLATE, exchange
from xca_login.integrations.django.store import reaching
from xca_login.integrations.wsgi import request_with
from xca_login.login import Account, Login

_ACCOUNT: Final = "xca_login_account"
"""Where the session keeps the account of the card that it began with."""
_View = Callable[[HttpRequest, Request], Response]


def _response(given: Response) -> HttpResponse:
    response = HttpResponse(given.body, status=int(given.status))
    del response["Content-Type"]
    for name, value in given.headers:
        response[name] = value
    return response


def _body(request: HttpRequest) -> bytes:
    """Return the body of a request, of a longer one no more than a little unless a middleware read it all.

    Raises:
        RequestMalformed: it does not arrive.
    """
    if hasattr(request, "_body"):  # a middleware asked for it
        return request.body
    try:
        return request.read(MOST_BODY_BYTES + 1)
    except UnreadablePostError:
        raise RequestMalformed from None


def _post(view: _View) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view that answers a post. It asks for no CSRF token: its Origin is judged (Exchange.check)."""

    @csrf_exempt
    @wraps(view)
    def answered(request: HttpRequest) -> HttpResponse:
        try:
            with reaching():
                given = view(request, request_with(request.META, _body(request)))
        except LoginRefused as error:
            given = refusal(error)
        return _response(given)

    return answered


@_post
def begin(request: HttpRequest, read: Request) -> Response:
    """Give the page a challenge."""
    return exchange().begin(read)


@_post
def finish(request: HttpRequest, read: Request) -> Response:
    """Verify what the card signed; begin a session with a new key."""
    with exchange().finishing(read) as login, reaching():
        return _let_in(request, login)


def _let_in(request: HttpRequest, login: Login) -> Response:
    user = authenticate(request, login=login)
    if user is None:
        raise AccountClosed
    begin_session(request, user)
    request.session.cycle_key()  # also for who was logged in already
    if settings.SESSION_EXPIRE_AT_BROWSER_CLOSE:
        request.session.set_expiry(0)  # at last after SESSION_COOKIE_AGE
    else:
        site_lifetime = timedelta(seconds=request.session.get_session_cookie_age())
        request.session.set_expiry(min(SESSION_LIFETIME, site_lifetime))
    request.session[_ACCOUNT] = [*login.account]
    request.session.save()  # here, where it is told that it cannot be kept
    return answer(HTTPStatus.OK, shown(login))


@_post
def logout(request: HttpRequest, read: Request) -> Response:
    """End the session."""
    exchange().check(read)
    end_session(request)
    return answer(HTTPStatus.NO_CONTENT, None, (("Clear-Site-Data", '"cache"'),))


@_post
def register(request: HttpRequest, read: Request) -> Response:
    """Register the key for encryption of the card that logged in."""
    return exchange().register(read, _account(request, read))


@_post
def prove(request: HttpRequest, read: Request) -> Response:
    """Give the page an envelope that the card opens."""
    return exchange().prove(read, _account(request, read))


@_post
def proved(request: HttpRequest, read: Request) -> Response:
    """Take what was in the envelope."""
    return exchange().proved(read, _account(request, read))


def _account(request: HttpRequest, read: Request) -> Account:
    """Return the account that a session began with.

    Raises:
        NotLoggedIn: it began with no card, or nobody is logged in.
    """
    exchange().check(read)
    found = request.session.get(_ACCOUNT)
    if found is None or not request.user.is_authenticated:
        raise NotLoggedIn
    return Account(*found)


@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    """Show the page with the button. ?next= names the site's page that comes next."""
    to = request.GET.get(REDIRECT_FIELD_NAME, "")
    if not url_has_allowed_host_and_scheme(to, {request.get_host()}, request.is_secure()):
        to = resolve_url(settings.LOGIN_REDIRECT_URL)
    language = ENGLISH if (get_language() or "").startswith("en") else CHINESE
    words = {
        "title": text("Log in with your card.")(language),
        "button": text("Log in")(language),
        "language": "en" if language == ENGLISH else "zh-TW",
        "next": to,
        "path": reverse("xca_login:page").rstrip("/"),
    }
    return render(request, TEMPLATE, words)


@require_safe
def script(request: HttpRequest) -> HttpResponse:
    """Give the page its script."""
    return _response(found_script())
