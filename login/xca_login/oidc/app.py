# SPDX-License-Identifier: Apache-2.0
"""The provider as one ASGI program."""

import logging
from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from xca_common.folders import make_private
from xca_common.web.language import LanguageMiddleware
from xca_common.web.request_guard import RequestGuard
from xca_login.challenges import now
from xca_login.errors import LoginRefused
from xca_login.http import CardLogin
from xca_login.oidc.judging import verifier
from xca_login.oidc.keys import SigningKeys
from xca_login.oidc.pages import Pages
from xca_login.oidc.server import Server
from xca_login.oidc.settings import Settings
from xca_login.oidc.store import OidcStore, open_database
from xca_login.sql_store import SqlAccounts, SqlSessions, SqlStore, create_tables


def make_app(settings: Settings, clock: Callable[[], datetime] = now) -> ASGIApp:
    """Return the provider.

    Args:
        settings: the settings.
        clock: tells the time, with a time zone.

    Raises:
        BadTrust, BadTrustFile, BadTestCards: the certificates of the CAs cannot be used.
        DatabaseExposed: others may read the database.
        StoreUnavailable: the database cannot be reached.
        OSError: the folder cannot be used.
    """
    # authlib's debugging shows tokens.
    logging.getLogger("authlib").setLevel(logging.INFO)
    make_private(settings.folder)
    engine = open_database(settings.database)
    challenges = SqlStore(engine)
    store = OidcStore(engine)
    create_tables(engine)
    judge = verifier(settings, SqlAccounts(engine), clock)
    card_login = CardLogin(settings.site, judge, challenges, SqlSessions(engine), clock=clock)
    server = Server(settings.site.origin, settings.clients, store, SigningKeys(store, clock), clock)
    pages = Pages(settings, server, card_login, clock)
    handlers = dict.fromkeys((LoginRefused, HTTPException, Exception), pages.problem_page)
    app = Starlette(
        routes=pages.routes(), middleware=[Middleware(LanguageMiddleware)], exception_handlers=handlers
    )
    # What is posted to /token/ would be sent on to http://…/token: nothing tells of the https in front.
    app.router.redirect_slashes = False
    return RequestGuard(app, [settings.site.origin], pages.rule_of, pages.refuse)
