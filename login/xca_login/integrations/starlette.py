# SPDX-License-Identifier: Apache-2.0
"""Logins for Starlette: a route to mount, and a middleware with which `request.user` and `@requires` work."""

from starlette.authentication import AuthCredentials, BaseUser, UnauthenticatedUser
from starlette.routing import Mount

from xca_login.http import CardLogin
from xca_login.integrations.asgi import AsgiLogin, AsgiSessions, Scope, session_of
from xca_login.sessions import Session

__all__ = ["CardUser", "LoginMiddleware", "login_routes", "session_of"]


class CardUser(BaseUser):
    """The user of a request whose holder is logged in.

    Attributes:
        session: who that is.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def is_authenticated(self) -> bool:
        """True: nobody else is a CardUser."""
        return True

    @property
    def display_name(self) -> str:
        """The holder as people say it."""
        return self.session.holder_name

    @property
    def identity(self) -> str:
        """The account in one line: what the site keeps it under."""
        return "/".join(self.session.account)


class LoginMiddleware(AsgiSessions):
    """Middleware that sets `request.user` and `request.auth`; its scope is `authenticated`."""

    def tell(self, scope: Scope, session: Session | None) -> None:
        """Set the user of a request."""
        scope["user"] = CardUser(session) if session else UnauthenticatedUser()
        scope["auth"] = AuthCredentials(["authenticated"] if session else [])


def login_routes(card_login: CardLogin, path: str = "/login") -> Mount:
    """Return the route of a login's posts, below a path."""
    return Mount(path, app=AsgiLogin(card_login), name="login")
