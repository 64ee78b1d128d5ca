# SPDX-License-Identifier: Apache-2.0
"""The login with the card, for holders and officers, and what it offers first: to accept the certificates.

Whether a certificate stands is read in the centre's own database: what is not accepted yet is called
suspended everywhere else, and its holder has to be able to come here.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from xca_centre import acceptance, certificate_sets
from xca_centre.certificate_sets import CertificateSet, Use, serial_of
from xca_centre.errors import NoSuchCertificates, NotLoggedIn, StoreProblem
from xca_centre.i18n import text
from xca_centre.life.certificate import CertificateState
from xca_centre.store.database import Database
from xca_centre.web import menu, sessions
from xca_centre.web.frame import Fields, Frame
from xca_common.pki.certificate import Certificate
from xca_common.pki.standing import Judgement, Standing
from xca_login import http as login_http
from xca_login.errors import LoginRefused, StoreUnavailable
from xca_login.http import Exchange, answer, refusal, script, shown
from xca_login.login import Binding
from xca_login.policy import Policy
from xca_login.revocation import Known
from xca_login.sql_store import SqlStore
from xca_login.trust import Trust
from xca_login.verifier import Verifier

_BEGINS_OF_A_NETWORK: Final = 600
"""Logins that a network may begin within an hour."""
_UNKNOWN: Final = text("this centre did not issue it")
_OVER: Final = text("it was not accepted in time")
_PATH: Final = re.compile(r"/(?![/\\])[A-Za-z0-9/_.~?&=%-]{0,200}")


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    exchange = _exchange(frame)

    def page(request: Request) -> Response:
        going = where_to(request.query_params.get("next"))
        after = f"{menu.ACCEPT}?{urlencode({'next': going})}"
        return frame.page(request, "login.html", after=after)

    async def posted(request: Request, act: str) -> Response:
        asked = login_http.Request(
            request.method,
            request.url.path,
            request.headers.getlist("origin"),
            request.headers.get("content-type", ""),
            "; ".join(request.headers.getlist("cookie")),
            await request.body(),
        )
        return await run_in_threadpool({"begin": begin, "finish": finish}[act], request, asked)

    def begin(request: Request, asked: login_http.Request) -> Response:
        frame.limit(request, "login", _BEGINS_OF_A_NETWORK)
        try:
            return _answer(exchange.begin(asked))
        except LoginRefused as error:
            return _answer(refusal(error))

    def finish(request: Request, asked: login_http.Request) -> Response:
        try:
            with exchange.finishing(asked) as login:
                try:
                    with frame.database.change() as change:
                        secret = sessions.begin(change, login)
                        if (before := frame.secret_of(request)) is not None:
                            sessions.end(change, before)  # who put it there is not logged in now
                except (StoreProblem, NoSuchCertificates) as error:
                    raise StoreUnavailable from error
        except LoginRefused as error:
            return _answer(refusal(error))
        return _answer(answer(HTTPStatus.OK, shown(login), [frame.session_cookie.set(secret)]))

    def done(request: Request) -> Response:
        going = where_to(request.query_params.get("next"))
        with frame.database.read() as connection:
            session = frame.session(connection, request)
            if session is None:
                raise NotLoggedIn
            if session.is_accepted:
                return RedirectResponse(going, 303)
            issued = certificate_sets.find(connection, session.certificates)
            certificates = certificate_sets.certificates_of(connection, session.certificates)
        read = [(each, Certificate.parse("", "", each.der)) for each in certificates]
        return frame.page(request, "login_accept.html", issued=issued, certificates=read, going=going)

    def accept(request: Request, fields: Fields) -> Response:
        arrived = frame.clock()
        with frame.database.change() as change:
            session = frame.session(change.connection, request)
            token = sessions.login_token(change.connection, session) if session else None
            if token is None:
                raise NotLoggedIn
            acceptance.accept_by_login(change, frame.rules, token, arrived)
        return frame.see_other(f"{menu.LOGIN}/accepted", next=where_to(fields.get("next")))

    def accepted(request: Request) -> Response:
        going = where_to(request.query_params.get("next"))
        with frame.database.read() as connection:
            if (session := frame.session(connection, request)) is None:
                raise NotLoggedIn
            issued = certificate_sets.find(connection, session.certificates)
        return frame.page(request, "login_accepted.html", issued=issued, going=going)

    def logout(request: Request, fields: Fields) -> Response:
        if (secret := frame.secret_of(request)) is not None:
            with frame.database.change() as change:
                sessions.end(change, secret)
        left = frame.leave(menu.HOME)
        left.headers.append(*frame.session_cookie.clear())
        return left

    def give_script(_: Request) -> Response:
        return _answer(script())

    return [
        Route(menu.LOGIN, page),
        Route(f"{menu.LOGIN}/{login_http.SCRIPT}", give_script),
        Route(f"{menu.LOGIN}/begin", partial(posted, act="begin"), methods=["POST"]),
        Route(f"{menu.LOGIN}/finish", partial(posted, act="finish"), methods=["POST"]),
        Route(menu.ACCEPT, done),
        Route(f"{menu.LOGIN}/accept", frame.posted(accept), methods=["POST"]),
        Route(f"{menu.LOGIN}/accepted", accepted),
        Route(menu.LOGOUT, frame.posted(logout), methods=["POST"]),
    ]


def where_to(named: str | None) -> str:
    """Return the path to go to after a login: of this site, and the home page if none is named."""
    return named if named is not None and _PATH.fullmatch(named) else menu.HOME


class OwnRecord:
    """Tells how certificates stand by the centre's database (RevocationSource)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
        """Tell how a certificate stands (RevocationSource.judge)."""
        try:
            with self._database.read() as connection:
                found = certificate_sets.of_serial(connection, serial_of(certificate))
                issued = certificate_sets.certificates_of(connection, found.id)
        except NoSuchCertificates:
            return Known(Judgement(Standing.UNKNOWN, detail=_UNKNOWN))
        except StoreProblem as error:
            raise StoreUnavailable from error
        own = certificate.public_bytes(Encoding.DER)
        if not any(each.der == own and each.use is not Use.ENCRYPTION for each in issued):
            return Known(Judgement(Standing.UNKNOWN, detail=_UNKNOWN))
        return Known(_judgement(found, moment))


def _judgement(found: CertificateSet, moment: datetime) -> Judgement:
    if sessions.stands(found, moment):
        return Judgement(Standing.GOOD)
    match found.standing.state:
        case CertificateState.HELD | CertificateState.HELD_UNACCEPTED:
            return Judgement(Standing.SUSPENDED, found.since)
        case CertificateState.REVOKED | CertificateState.SUPERSEDED:
            return Judgement(Standing.REVOKED, found.since)
    return Judgement(Standing.UNKNOWN, detail=_OVER)


def verifier_of(frame: Frame) -> Verifier:
    """Return what verifies signatures of the centre's own cards, asked for by its own pages.

    Only a component that compares the origin is good enough: with another one, a site that imitates this
    one could have the holder sign in here.
    """
    hierarchy = frame.hierarchy
    issuers = [each.certificate for each in hierarchy.generations.values()]
    policy = Policy(frozenset({frame.rules.profile.policy}), binding=Binding.VERIFIED)
    return Verifier(
        frame.site,
        Trust.of([hierarchy.root, *issuers]),
        OwnRecord(frame.database),
        policy,
        clock=frame.clock,
    )


def _exchange(frame: Frame) -> Exchange:
    """Return what asks for logins."""
    store = SqlStore(frame.database.engine)
    return Exchange(frame.site, verifier_of(frame), store, clock=frame.clock)


def _answer(said: login_http.Response) -> Response:
    made = Response(said.body, said.status)
    for name, value in said.headers:
        made.headers.append(name, value)
    return made
