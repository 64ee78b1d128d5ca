# SPDX-License-Identifier: Apache-2.0
"""What browsers and clients ask the provider for over HTTP."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError
from markupsafe import escape
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from xca_common.errors import place_of
from xca_common.i18n import LANGUAGES
from xca_common.web.assets import Assets
from xca_common.web.forms import FORM
from xca_common.web.language import language_of, with_language_choice
from xca_common.web.request_guard import PathRule, RefusalReason
from xca_common.web.templates import Templates
from xca_login.errors import LoginRefused, RequestTooLong, RequestTooSlow, StoreUnavailable
from xca_login.http import BODY_SECONDS, MOST_BODY_BYTES, CardLogin, tell_operator
from xca_login.i18n import plural, text
from xca_login.integrations.starlette import login_routes
from xca_login.oidc.client import SCOPES, Client
from xca_login.oidc.holder import ACR, CLAIMS, Person
from xca_login.oidc.keys import ALGORITHM
from xca_login.oidc.pending import Pending, PendingRequests
from xca_login.oidc.problems import (
    AskedFromElsewhere,
    AskedMalformed,
    AskedTooLate,
    ClientUnknown,
    PageUnknown,
    ProviderFailed,
)
from xca_login.oidc.server import NO_TOKEN, AskedRequest, Server
from xca_login.oidc.settings import Settings

_LOG: Final = logging.getLogger("xca_login.oidc")

MOST_ASKED_BYTES: Final = 8 << 10
"""A query or a form of a client that is read."""
_MOST_FIELDS: Final = 32
_LONGEST: Final = {"nonce": 512, "scope": 1024, "code_challenge": 128}
_ASKED: Final = (
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "request",
    "request_uri",
)
"""What is kept of an authentication request while it waits; of an ID token in it only whom that is about."""
_REPEATED_IN_ERRORS: Final = (
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "prompt",
    "response_mode",
)
_AUTHORIZE, _RESUME, _TOKEN, _USERINFO = "/authorize", "/authorize/resume", "/token", "/userinfo"
_CONSENT, _CANCEL = "/authorize/consent", "/authorize/cancel"
_END, _CONFIRM = "/end-session", "/end-session/confirm"
_KEYS, _DISCOVERY = "/jwks", "/.well-known/openid-configuration"
_OF_PROGRAMS: Final = (_TOKEN, _USERINFO)

# A form whose answer leads to the client must not be held back by form-action: browsers judge each address
# that the answer leads to (W3C Content Security Policy 3, issue 8), and a client may have several.
# The script of the login asks the local component's port why its window says nothing.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' http://localhost:61161; base-uri 'none'; frame-ancestors 'none'"
)
_TO_CLIENT: Final = {"Content-Security-Policy": _POLICY}
_WITH_WINDOWS: Final = {"Cross-Origin-Opener-Policy": "same-origin-allow-popups"}
"""The window of the local component answers its page."""
_FOR_ALL: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "public, max-age=300",
    "Cross-Origin-Resource-Policy": "cross-origin",
}

_STATUSES: Final[dict[type[LoginRefused], HTTPStatus]] = {
    AskedFromElsewhere: HTTPStatus.FORBIDDEN,
    PageUnknown: HTTPStatus.NOT_FOUND,
    ProviderFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    RequestTooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RequestTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Pages:
    """The provider over HTTP.

    Args:
        settings: the settings.
        server: judges what clients ask for.
        card_login: the card's login, and its sessions.
        clock: tells the time, with a time zone.
    """

    def __init__(
        self, settings: Settings, server: Server, card_login: CardLogin, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._server = server
        self._card_login = card_login
        self._clock = clock
        self._pending = PendingRequests(server.store.secret("requests"))
        self._assets = Assets(Path(__file__).with_name("static"))
        self._templates = Templates(
            "xca_login.oidc", text, plural, {"asset": self._assets.address, "site": settings.site.name}
        )

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        choice = with_language_choice
        shared = [
            Middleware(
                CORSMiddleware, allow_origins=self._origins_of_programs(), allow_headers=["Authorization"]
            )
        ]
        return [
            Route(_AUTHORIZE, choice(self._authorize), methods=["GET", "POST"]),
            Route(_RESUME, choice(self._resume), methods=["GET"]),
            Route(_CONSENT, self._consent, methods=["POST"]),
            Route(_CANCEL, self._cancel, methods=["GET"]),
            Route(_TOKEN, self._token, methods=["POST", "OPTIONS"], middleware=shared),
            Route(_USERINFO, self._userinfo, methods=["GET", "POST", "OPTIONS"], middleware=shared),
            Route(_END, self._end, methods=["GET", "POST"]),
            Route(_CONFIRM, choice(self._end_asked), methods=["GET"]),
            Route(_CONFIRM, self._end_confirmed, methods=["POST"]),
            Route(_KEYS, self._keys, methods=["GET"]),
            Route(_DISCOVERY, self._discovery, methods=["GET"]),
            *self._assets.routes(),
            login_routes(self._card_login),
        ]

    def _origins_of_programs(self) -> list[str]:
        """Return the origins of clients that are scripts in pages."""
        public = [one for one in self._settings.clients.values() if one.secret_digest is None]
        parts = [urlsplit(uri) for one in public for uri in one.redirect_uris]
        return [f"{one.scheme}://{one.netloc}" for one in parts if one.scheme in ("http", "https")]

    # What clients have a person's browser ask for.

    async def _authorize(self, request: Request) -> Response:
        """Answer an authentication request (OpenID Connect Core, section 3.1.2.1)."""
        pending = await run_in_threadpool(self._begun, await _fields(request))
        if request.method == "POST":  # another site's form brings no cookies of this one along
            return RedirectResponse(self._resumed(pending), 303)
        return await run_in_threadpool(self._decide, request, pending)

    async def _resume(self, request: Request) -> Response:
        """Go on with a request, after a login."""
        return await run_in_threadpool(self._decide, request, self._read("authorize", await _fields(request)))

    async def _consent(self, request: Request) -> Response:
        """Take the person's answer."""
        fields = await _fields(request)
        pending = self._read("consent", fields)
        answers = {"allow": self._allow, "refuse": self._refuse}
        if fields.get("answer") not in answers:
            raise AskedMalformed
        return await run_in_threadpool(answers[fields["answer"]], request, pending)

    async def _cancel(self, request: Request) -> Response:
        """Take a person back who does not log in."""
        pending = self._read("authorize", await _fields(request))
        return await run_in_threadpool(self._refuse, request, pending)

    def _begun(self, fields: Mapping[str, str]) -> Pending:
        """Return a request that has come; an ID token in it comes into no address and no page."""
        asked = {name: fields[name] for name in _ASKED if name in fields}
        hint = fields.get("id_token_hint")
        meant = self._server.subject_of(hint, fields.get("client_id", "")) if hint is not None else None
        return Pending(asked, self._now(), meant=meant)

    def _decide(self, request: Request, pending: Pending, *, has_agreed: bool = False) -> Response:
        """Send a person back with a code, or show the page that is missing for that."""
        fields = pending.fields
        client = self._checked(fields)
        asked = self._asked("GET", _AUTHORIZE, {}, fields)
        prompts = fields.get("prompt", "").split()
        try:
            person = self._meant(self._fresh(self._person(request, client), pending, prompts), pending)
            _check_supported(fields)
            grant = self._server.get_consent_grant(asked, person)
            if person is None:
                return self._login_page(request, pending, client)
            scopes = frozenset((asked.scope or "").split())
            known = self._server.store.consented(person.session.account, client.id)
            is_remembered = scopes <= known and client.is_recognised(fields["redirect_uri"])
            if not has_agreed and ("consent" in prompts or not is_remembered):
                if "none" in prompts:
                    raise ConsentRequiredError(redirect_uri=fields["redirect_uri"], state=fields.get("state"))
                return self._consent_page(request, pending, person, scopes)
            return self._with_issuer(self._server.create_authorization_response(asked, person, grant))
        except OAuth2Error as error:
            return self._sent_back(error)

    def _allow(self, request: Request, pending: Pending) -> Response:
        client = self._checked(pending.fields)
        person = self._person(request, client)
        if person is None or person.key != pending.session_key:
            raise AskedTooLate
        scopes = (client.get_allowed_scope(pending.fields.get("scope")) or "").split()
        self._server.store.consent(person.session.account, client.id, scopes, int(self._now()))
        return self._decide(request, pending, has_agreed=True)

    def _refuse(self, request: Request, pending: Pending) -> Response:
        self._checked(pending.fields)
        asked = self._asked("GET", _AUTHORIZE, {}, pending.fields)
        try:
            grant = self._server.get_authorization_grant(asked)
        except OAuth2Error as error:
            return self._sent_back(error)
        return self._with_issuer(self._server.create_authorization_response(asked, None, grant))

    def _checked(self, fields: Mapping[str, str]) -> Client:
        """Return the client of a request whose address to go back to is the client's.

        Raises:
            ClientUnknown: nobody is sent to an address that nobody registered.
            AskedMalformed: an error could not even repeat what it asked for.
        """
        client = self._server.query_client(fields.get("client_id", ""))
        if client is None or not client.check_redirect_uri(fields.get("redirect_uri", "")):
            raise ClientUnknown
        if not all(_is_repeatable(fields.get(name, "")) for name in _REPEATED_IN_ERRORS):
            raise AskedMalformed
        if any(len(fields.get(name, "")) > longest for name, longest in _LONGEST.items()):
            raise AskedMalformed
        return client

    def _fresh(self, person: Person | None, pending: Pending, prompts: list[str]) -> Person | None:
        """Return a person whose login is new enough for a request; None: a login is needed.

        What max_age says holds when the code is given: the person may have taken long to agree. 0 asks for a
        new login, as prompt=login does (OpenID Connect Core, section 3.1.2.1).
        """
        if person is None:
            return None
        at, age = person.session.at.timestamp(), _max_age(pending.fields)
        if age and int(self._now()) - int(at) > age:  # as the client computes it from auth_time
            return None
        is_new_one_asked = age == 0 or "login" in prompts or "select_account" in prompts
        return None if is_new_one_asked and at < pending.at else person

    def _meant(self, person: Person | None, pending: Pending) -> Person | None:
        """Return the person if a request is for that one (id_token_hint); None: a login is needed.

        Raises:
            LoginRequiredError: somebody else has logged in for the request.
        """
        if person is None or pending.meant in (None, self._server.claims(person, "openid")["sub"]):
            return person
        if person.session.at.timestamp() >= pending.at:
            fields = pending.fields
            raise LoginRequiredError(redirect_uri=fields["redirect_uri"], state=fields.get("state"))
        return None

    def _login_page(self, request: Request, pending: Pending, client: Client) -> Response:
        own = self._pending.write("authorize", pending)
        context = {
            "client": client.name,
            "next": escape(self._resumed(pending)),
            "cancel": escape(f"{_CANCEL}?{urlencode({'request': own})}"),
        }
        return self._page(
            request, "sign_in.html", self._resumed(pending), _TO_CLIENT | _WITH_WINDOWS, context
        )

    def _consent_page(
        self, request: Request, pending: Pending, person: Person, scopes: frozenset[str]
    ) -> Response:
        own = replace(pending, session_key=person.key)
        context = {
            "client": person.client.name,
            "host": urlsplit(pending.fields["redirect_uri"]).hostname or pending.fields["redirect_uri"],
            "holder": person.session.holder_name,
            "handed_over": [words for name, words in SCOPES.items() if name in scopes and words is not None],
            "is_remembered": person.client.is_recognised(pending.fields["redirect_uri"]),
            "action": _CONSENT,
            "pending": escape(self._pending.write("consent", own)),
        }
        return self._page(request, "consent.html", self._resumed(pending), _TO_CLIENT, context)

    def _resumed(self, pending: Pending) -> str:
        return f"{_RESUME}?{urlencode({'request': self._pending.write('authorize', pending)})}"

    def _sent_back(self, error: OAuth2Error) -> Response:
        """Tell the client of an error, if its address is known to be its own; else the person."""
        if not error.redirect_uri:
            _LOG.info("asked in a wrong way: %s", error.error)
            raise AskedMalformed
        return self._with_issuer(self._server.handle_error_response(None, error))

    def _with_issuer(self, response: Response) -> Response:
        """Say whose answer it is (RFC 9207, section 2)."""
        if "location" in response.headers:
            issuer = {"iss": self._server.issuer}
            response.headers["location"] = add_params_to_uri(response.headers["location"], issuer)
        return response

    # What clients ask for themselves.

    async def _token(self, request: Request) -> Response:
        """Exchange a code or a refresh token (RFC 6749, section 3.2)."""
        return await self._of_program(request, self._server.create_token_response)

    async def _userinfo(self, request: Request) -> Response:
        """Tell who the holder is (OpenID Connect Core, section 5.3)."""

        def answer(asked: AskedRequest) -> Response:
            return JSONResponse(self._server.userinfo(asked))

        return await self._of_program(request, answer)

    async def _of_program(self, request: Request, answer: Callable[[AskedRequest], Response]) -> Response:
        try:
            is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
            fields = await _fields(request) if request.method == "POST" and is_form else {}
            asked = self._asked(request.method, request.url.path, request.headers, fields)
            response = await run_in_threadpool(answer, asked)
        except OAuth2Error as error:
            response = self._server.handle_error_response(None, error)
        except StoreUnavailable as error:
            tell_operator(error)
            return _program_error("temporarily_unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
        except (ValueError, AskedMalformed):  # such as credentials that are no UTF-8
            return _program_error("invalid_request", HTTPStatus.BAD_REQUEST)
        return response

    def _keys(self, request: Request) -> Response:
        return JSONResponse(self._server.keys.published(), headers=_FOR_ALL)

    def _discovery(self, request: Request) -> Response:
        """Describe the provider (OpenID Connect Discovery, section 3)."""
        issuer = self._server.issuer
        document = {
            "issuer": issuer,
            "authorization_endpoint": issuer + _AUTHORIZE,
            "token_endpoint": issuer + _TOKEN,
            "userinfo_endpoint": issuer + _USERINFO,
            "jwks_uri": issuer + _KEYS,
            "end_session_endpoint": issuer + _END,
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public", "pairwise"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "acr_values_supported": list(ACR.values()),
            "claims_supported": ["iss", "aud", "iat", "exp", *CLAIMS],
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "authorization_response_iss_parameter_supported": True,
            "ui_locales_supported": ["zh-TW", "en"],
        }
        return JSONResponse(document, headers=_FOR_ALL)

    # The end of a session.

    async def _end(self, request: Request) -> Response:
        """Take a logout that a client asks for (OpenID Connect RP-Initiated Logout, section 2).

        Another site's form brings no cookies of this one along: the redirect does. Its address holds what
        the ID token is judged to say, and never the token.
        """
        pending = await run_in_threadpool(self._logout, await _fields(request))
        own = self._pending.write("logout", pending)
        return RedirectResponse(f"{_CONFIRM}?{urlencode({'request': own})}", 303)

    async def _end_asked(self, request: Request) -> Response:
        """End the session if a client may end it, else ask the person."""
        fields = await _fields(request)
        pending = self._read("logout", fields)
        return await run_in_threadpool(self._end_or_ask, request, pending, fields["request"])

    async def _end_confirmed(self, request: Request) -> Response:
        """End the session, as the person said."""
        pending = self._read("end", await _fields(request))
        if self._card_login.session_key(_cookies(request)) not in (None, pending.session_key):
            raise AskedTooLate
        return await run_in_threadpool(self._ended, request, pending.fields["to"])

    def _logout(self, fields: dict[str, str]) -> Pending:
        """Judge a logout that a client asks for."""
        asked = self._asked("GET", _END, {}, fields)
        try:
            judged = self._server.validate_endpoint_request("end_session", asked)
            hint, target, client = judged.id_token_claims or {}, judged.redirect_uri or "", judged.client
        except (OAuth2Error, *NO_TOKEN):
            hint, target, client = {}, "", None
        if hint and hint.get("iss") != self._server.issuer:
            hint, target = {}, ""
        sid, client_id = str(hint.get("sid", "")), client.id if client is not None else ""
        return Pending({"to": target, "sid": sid, "client_id": client_id}, self._now())

    def _end_or_ask(self, request: Request, pending: Pending, own: str) -> Response:
        cookies, asked = _cookies(request), pending.fields
        session, key = self._card_login.session(cookies), self._card_login.session_key(cookies)
        if session is None or key is None:
            return self._ended(request, asked["to"])
        client = self._server.query_client(asked["client_id"])
        if client is not None and self._server.is_told(asked["sid"], Person(session, key, client)):
            return self._ended(request, asked["to"])
        # Any site could ask for this; so the person is asked.
        context = {
            "holder": session.holder_name,
            "action": _CONFIRM,
            "pending": escape(self._pending.write("end", replace(pending, session_key=key))),
        }
        return self._page(
            request, "end.html", f"{_CONFIRM}?{urlencode({'request': own})}", _TO_CLIENT, context
        )

    def _ended(self, request: Request, target: str) -> Response:
        """End the session of a request, and with it all that came from it."""
        name, value = self._card_login.end(_cookies(request))
        response = (
            RedirectResponse(target, 303) if target else self._page(request, "ended.html", None, {}, {})
        )
        response.headers.append(name, value)
        # What the back button would show is not kept (W3C Clear Site Data, section 3.1).
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    # What they share.

    def _person(self, request: Request, client: Client) -> Person | None:
        """Return who is logged in."""
        cookies = _cookies(request)
        session, key = self._card_login.session(cookies), self._card_login.session_key(cookies)
        return Person(session, key, client) if session is not None and key is not None else None

    def _asked(
        self, method: str, path: str, headers: Mapping[str, str], fields: dict[str, str]
    ) -> AskedRequest:
        return AskedRequest(method, self._server.issuer + path, headers, fields)

    def _now(self) -> float:
        return self._clock().timestamp()

    def _read(self, purpose: str, fields: Mapping[str, str]) -> Pending:
        pending = self._pending.read(purpose, fields.get("request", ""), self._now())
        if pending is None:
            raise AskedTooLate
        return pending

    def _page(
        self,
        request: Request,
        template: str,
        own: str | None,
        headers: Mapping[str, str],
        context: Mapping[str, Any],
        status: int = 200,
    ) -> Response:
        """Return a page.

        Args:
            request: what is answered.
            template: its template.
            own: the address where it can be asked for again, in another language; None: there is none.
            headers: more headers.
            context: what the template shows. What a browser sends back is escaped already: of other texts the
                template shows no more than the beginning.
            status: of HTTP.
        """
        links = {one: escape(f"{own}&lang={one}") for one in LANGUAGES} if own is not None else {}
        named = {**context, "languages": links}
        body = self._templates.render(template, language_of(request), **named)
        return HTMLResponse(body, status, dict(headers))

    # Refusals.

    def rule_of(self, path: str) -> PathRule:
        """Return what requests to a path may be (RequestGuard)."""
        if path.startswith("/login/"):  # it judges the origin itself
            return PathRule(True, None, MOST_BODY_BYTES, BODY_SECONDS)
        if path == _USERINFO:
            return PathRule(True, None, MOST_ASKED_BYTES)
        is_of_clients = path in (_AUTHORIZE, _TOKEN, _END, _KEYS, _DISCOVERY)
        # A page's own form repeats a whole request, signed.
        return PathRule(is_of_clients, frozenset({FORM}), MOST_ASKED_BYTES if is_of_clients else 32 << 10)

    def refuse(self, request: Request, reason: RefusalReason) -> Response:
        """Return the answer to what the guard refused."""
        if request.url.path in _OF_PROGRAMS:
            return _program_error("invalid_request", reason.value)
        errors: dict[RefusalReason, LoginRefused] = {
            RefusalReason.WRONG_HOST: AskedFromElsewhere(),
            RefusalReason.FOREIGN_ORIGIN: AskedFromElsewhere(),
            RefusalReason.WRONG_CONTENT_TYPE: AskedMalformed(),
            RefusalReason.BODY_TOO_LARGE: RequestTooLong(most=self.rule_of(request.url.path).body_max),
            RefusalReason.BODY_TOO_SLOW: RequestTooSlow(),
            RefusalReason.UNEXPECTED_ERROR: ProviderFailed(),
        }
        return self.problem_page(request, errors[reason], reason.value)

    def problem_page(self, request: Request, error: Exception, status: int | None = None) -> Response:
        """Return the page that says why a request is not carried out, for a Starlette program's errors."""
        if isinstance(error, HTTPException):
            status, error = error.status_code, PageUnknown()
        if not isinstance(error, LoginRefused):
            _LOG.error("unexpected problem: %s", place_of(error))
            error = ProviderFailed()
        tell_operator(error)
        status = status or _STATUSES.get(type(error), HTTPStatus.BAD_REQUEST)
        language = language_of(request)
        words = {"code": error.code, "message": error.message(language), "step": error.next_step(language)}
        return self._page(request, "problem.html", None, {}, words, int(status))


async def _fields(request: Request) -> dict[str, str]:
    """Return the parameters of a query, or the fields of a form; one without a value is left out.

    Raises:
        AskedMalformed: they are too many, too long, there twice, or no UTF-8.
    """
    body = await request.body() if request.method == "POST" else request.url.query.encode("utf-8", "replace")
    if request.method != "POST" and len(body) > 2 * MOST_ASKED_BYTES:
        raise AskedMalformed
    try:
        pairs = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise AskedMalformed from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\0" in value for value in fields.values()):
        raise AskedMalformed
    return fields


def _cookies(request: Request) -> str:
    return "; ".join(request.headers.getlist("cookie"))


def _check_supported(fields: Mapping[str, str]) -> None:
    """Refuse what the provider does not know, and what would change the meaning of the rest.

    Raises:
        OAuth2Error: the client is told.
    """
    back = {"redirect_uri": fields["redirect_uri"], "state": fields.get("state")}
    for name in ("request", "request_uri"):
        if name in fields:
            raise OAuth2Error(error=f"{name}_not_supported", **back)
    if fields.get("response_mode", "query") != "query":
        raise InvalidRequestError("The response_mode has to be query.", **back)
    if "max_age" in fields and _max_age(fields) is None:
        raise InvalidRequestError("The max_age has to be a number of seconds.", **back)


def _max_age(fields: Mapping[str, str]) -> int | None:
    given = fields.get("max_age", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else None


def _is_repeatable(value: str) -> bool:
    """Tell whether an error may repeat a value (RFC 6749, section 4.1.2.1)."""
    return value.isascii() and value.isprintable() and '"' not in value and "\\" not in value


def _program_error(name: str, status: int) -> Response:
    return JSONResponse({"error": name}, int(status), {"Cache-Control": "no-store"})
