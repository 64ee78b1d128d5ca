# SPDX-License-Identifier: Apache-2.0
"""What every page of the centre stands on: templates, languages, forms, one-time tokens, refusals.

Nothing is kept in the process: any number of workers answer, and none knows of the others. A module of
pages has `routes(frame)`; its endpoints are plain functions, which Starlette runs in threads.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlencode

from argon2 import PasswordHasher
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from xca_centre import applications, network_limits
from xca_centre.authority.hierarchy import Hierarchy
from xca_centre.deadlines import last_day
from xca_centre.errors import (
    CentreError,
    FormIncomplete,
    FormMalformed,
    LoginTooOld,
    NotAccepted,
    NotLoggedIn,
    OtherLoginNeeded,
    StoreProblem,
    TooManyRequests,
)
from xca_centre.i18n import plural, text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.transitions import Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.payment_provider import PaymentProvider
from xca_centre.producer import CardProducer
from xca_centre.store.database import Clock, Database
from xca_centre.user_codes import UserCodes, network_of
from xca_centre.web import menu, once, sessions
from xca_centre.web.problems import PATH as PROBLEMS
from xca_centre.web.problems import described, name_of, status_of
from xca_centre.web.sessions import Session
from xca_common.i18n import CHINESE, ENGLISH, LANGUAGE_TAGS
from xca_common.taipei import day, moment
from xca_common.web.assets import Assets
from xca_common.web.forms import MalformedForm, read_form
from xca_common.web.language import language_of
from xca_common.web.problems import Problem, problem_document, wants_page
from xca_common.web.templates import Templates
from xca_login.http import Cookie
from xca_login.site import Site

ASSETS: Final = Assets(Path(__file__).with_name("static"))
"""The scripts and styles of the pages."""

UPLOADS: Final = "/upload"
"""The end of the paths that take forms with files (multipart/form-data); others take none."""

Fields: TypeAlias = Mapping[str, str]
"""What a form has sent, by the names of its fields."""
Files: TypeAlias = Mapping[str, bytes]
"""The files that a form has sent, likewise; a field without a file is not there."""

RECENT: Final = timedelta(minutes=15)
"""What cannot be undone needs a login that is no older."""
_MOST_FIELDS: Final = 64
_MOST_FILES: Final = 4
_FIRST: Final[Mapping[type[CentreError], str]] = {NotLoggedIn: menu.LOGIN, NotAccepted: menu.ACCEPT}
"""Where a person goes before a page; the page comes after that."""
_DETAIL: Final = text("{message} {next_step}")
_TEMPLATES: Final = Templates(
    "xca_centre.web",
    text,
    plural,
    {"asset": ASSETS.address, "menu": menu, "day": day, "last_day": last_day, "moment": moment},
)


@dataclass(frozen=True)
class Frame:
    """What the pages of a centre have in common.

    Attributes:
        database: of the centre.
        rules: the issuer's.
        hierarchy: its CAs.
        origin: the centre's own, from its configuration; never from a request.
        clock: the time.
        component: the address of the holder's local component.
        producer: who makes the cards; None: no card can be applied for.
        payment_provider: who collects the fees; None: nobody does.
        hasher: computes the hashes of user codes.
    """

    database: Database
    rules: IssuerRules
    hierarchy: Hierarchy
    origin: str
    clock: Clock
    component: str = "http://localhost:61161"
    producer: CardProducer | None = None
    payment_provider: PaymentProvider | None = None
    hasher: PasswordHasher = field(default_factory=PasswordHasher)

    @cached_property
    def codes(self) -> UserCodes:
        """The user codes of the centre."""
        return UserCodes(self.database, applications.tell_locked, self.hasher)

    @cached_property
    def site(self) -> Site:
        """The centre as the site that people log in to."""
        return Site(self.origin, self.rules.about.name.zh)

    @cached_property
    def session_cookie(self) -> Cookie:
        """What keeps the secret of a session in a browser."""
        return Cookie("xca-session", self.site, "Lax")

    def secret_of(self, request: HTTPConnection) -> str | None:
        """Return the secret of a session that a browser sends; None: it sends none."""
        return self.session_cookie.value("; ".join(request.headers.getlist("cookie")))

    def session(self, connection: Connection, request: Request) -> Session | None:
        """Return who is logged in; None: nobody is.

        Args:
            connection: of the change that the answer counts in, or for reading.
            request: the request.
        """
        secret = self.secret_of(request)
        return sessions.find(connection, secret, self.clock()) if secret else None

    def holder(self, connection: Connection, request: Request) -> Session:
        """Return the session of a holder whose certificates are accepted; officers hold cards, too.

        Raises:
            NotLoggedIn: nobody is logged in.
            NotAccepted: the certificates are to be accepted first.
        """
        session = self.session(connection, request)
        if session is None:
            raise NotLoggedIn
        if not session.is_accepted:
            raise NotAccepted
        return session

    def officer(self, connection: Connection, request: Request, *roles: Role) -> RegisteredOfficer:
        """Return the officer who is logged in, and has one of some roles.

        Raises:
            NotLoggedIn, NotAccepted: as holder().
            OtherLoginNeeded: it is no officer's card, or one of another role.
        """
        officer = self.holder(connection, request).officer
        if officer is None or officer.roles.isdisjoint(roles):
            raise OtherLoginNeeded
        return officer

    def require_recent(self, session: Session) -> None:
        """See that who is logged in has just shown the card (RECENT), for what cannot be undone.

        Raises:
            LoginTooOld: it was some time ago. The page login_again.html says so, with the way `back`.
        """
        if self.clock() - session.began > RECENT:
            raise LoginTooOld(minutes=RECENT // timedelta(minutes=1))

    @staticmethod
    def network(request: Request) -> str:
        """Return the network of who asks (user_codes.network_of), as the web server tells it."""
        return network_of(request.client.host if request.client else "")

    def limit(self, request: Request, act: str, most: int) -> None:
        """Count something that costs much, and refuse it to a network that does it too often.

        Args:
            request: the request.
            act: names what is counted.
            most: how often a network may do it within an hour; many offices share one.

        Raises:
            TooManyRequests: it had its share.
        """
        network_limits.limit(self.database, act, self.network(request), most)

    def page(self, request: Request, template: str, status: int = 200, **context: object) -> Response:
        """Return a page in the language of the request."""
        language = language_of(request)
        other = ENGLISH if language == CHINESE else CHINESE
        html = _TEMPLATES.render(
            template,
            language,
            rules=self.rules,
            functions=menu.functions(self.rules),
            path=request.url.path,
            component=self.component,
            session=getattr(request.state, "session", None),
            now=self.clock,
            new_token=lambda: once.new_token(self.clock()),
            other_language=other,
            other_address="?" + urlencode([*_without_language(request), ("lang", other)]),
            **context,
        )
        answer = HTMLResponse(html, status)
        # The local component answers in a window of its own, and scripts find out why it does not.
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' {self.component}; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )
        return answer

    def refusal(
        self, request: Request, error: CentreError, template: str | None = None, **context: object
    ) -> Response:
        """Return an error: a person gets a page, a program a document (RFC 9457).

        Args:
            request: what is answered.
            error: why it is not carried out.
            template: the page with the form that was sent, to be shown again; it finds `error`. None: a page
                of its own.
            context: what the template needs.
        """
        status = status_of(error)
        if wants_page(request) and not request.url.path.startswith(f"{menu.API}/"):
            if request.method == "GET" and type(error) in _FIRST:
                return self.see_other(_FIRST[type(error)], next=_address(request))
            answer = self.page(request, template or "error.html", status, error=error, **context)
        else:
            spoken = language_of(request)
            said = {"message": error.message(spoken), "next_step": error.next_step(spoken)}
            problem = Problem(name_of(type(error)), status, described(type(error))[0], _DETAIL.format(**said))
            code = name_of(type(error)).replace("-", "_")
            more = {"code": code, **error.words(), "contact": self.rules.about.contact_line}
            if isinstance(error, FormIncomplete):
                more["problems"] = {
                    name: {tag: reason(language) for tag, language in LANGUAGE_TAGS.items()}
                    for name, reason in error.problems.items()
                }
            answer = problem_document(request, problem, f"{self.origin}{PROBLEMS}", more)
        if isinstance(error, TooManyRequests):
            answer.headers["Retry-After"] = str(error.minutes * 60)
        return answer

    def posted(
        self, handle: Callable[[Request, Fields], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a form: `handle` gets its fields, in a thread."""

        async def endpoint(request: Request) -> Response:
            try:
                fields = await read_form(request)
            except MalformedForm:
                return await run_in_threadpool(self.refusal, request, FormMalformed())
            return await run_in_threadpool(handle, request, fields)

        return endpoint

    def uploaded(
        self, handle: Callable[[Request, Fields, Files], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a form with files: as posted(). Its path ends with UPLOADS."""

        async def endpoint(request: Request) -> Response:
            fields: dict[str, str] = {}
            files: dict[str, bytes] = {}
            try:
                async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS) as form:
                    for name, value in form.multi_items():
                        if isinstance(value, str):
                            fields.setdefault(name, value)
                        elif content := await value.read():
                            files.setdefault(name, content)
            except HTTPException:  # what Starlette makes of a body that is none
                return await run_in_threadpool(self.refusal, request, FormMalformed())
            return await run_in_threadpool(handle, request, fields, files)

        return endpoint

    @staticmethod
    def see_other(path: str, **query: str) -> Response:
        """Return the answer to a post that was done: go to a page, which may be reloaded."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)

    def leave(self, path: str) -> Response:
        """Return the answer to a post that ended something: go to a page, and keep none that was shown."""
        answer = self.see_other(path)
        answer.headers["Clear-Site-Data"] = '"cache"'  # what the back button would show
        return answer


def _without_language(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]


def _address(request: Request) -> str:
    query = urlencode(_without_language(request))
    return f"{request.url.path}?{query}" if query else request.url.path


class SessionMiddleware:
    """ASGI middleware: pages show who is logged in (request.state.session), and the session is noted as used.

    What somebody may do is judged again where it is done (Frame.session).

    Args:
        app: the pages.
        frame: theirs.
    """

    def __init__(self, app: ASGIApp, frame: Frame) -> None:
        self._app, self._frame = app, frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        if scope["type"] == "http":
            secret = self._frame.secret_of(HTTPConnection(scope))
            found = await run_in_threadpool(self._found, secret) if secret else None
            scope.setdefault("state", {})["session"] = found
        await self._app(scope, receive, send)

    def _found(self, secret: str) -> Session | None:
        database, now = self._frame.database, self._frame.clock()
        try:
            with database.read() as connection:
                session = sessions.find(connection, secret, now)
            if session is not None and sessions.is_stale(session, now):
                with database.change() as change:
                    sessions.touch(change, session)
        except StoreProblem:  # the page itself says it, if it needs the database
            return None
        return session
