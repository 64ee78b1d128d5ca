# SPDX-License-Identifier: Apache-2.0
"""What the officers' pages have in common: who may open which, acts, and how their refusals are shown.

An act is a form with the version that the officer saw, or with a token that is spent. It is judged in the
change that does it. If it is refused, the page is shown as it is now, with the reason.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from xca_centre.applications import Officer
from xca_centre.errors import CentreError, LoginTooOld, RequestRefused, StoreProblem
from xca_centre.i18n import text
from xca_centre.life.application import Reviewer
from xca_centre.life.transitions import OFFICERS as REVIEWERS
from xca_centre.life.transitions import Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Change
from xca_centre.web import menu
from xca_centre.web.frame import Frame
from xca_common.i18n import Text

EVERYBODY: Final = REVIEWERS | {Role.OPERATOR}
"""The roles of officers."""
CASES: Final = f"{menu.OFFICERS}/cases"
"""Below it each application has its page."""
CERTIFICATES: Final = f"{menu.OFFICERS}/certificates"
REQUESTS: Final = f"{menu.OFFICERS}/requests"
ORGANISATIONS: Final = f"{menu.OFFICERS}/organisations"
STAFF: Final = f"{menu.OFFICERS}/staff"
POST: Final = f"{menu.OFFICERS}/post"
LOG: Final = f"{menu.OFFICERS}/log"

Shown: TypeAlias = Callable[[CentreError], Response]
"""Shows a page as it is now, with why something was not done."""


@dataclass(frozen=True)
class Section:
    """A part of the officers' pages.

    Attributes:
        path: of its first page.
        label: what it is called.
        roles: who may open it.
    """

    path: str
    label: Text
    roles: frozenset[Role]


SECTIONS: Final = (
    Section(menu.OFFICERS, text("Applications"), EVERYBODY),
    Section(REQUESTS, text("User code resets"), REVIEWERS),
    Section(CERTIFICATES, text("Certificates"), EVERYBODY),
    Section(ORGANISATIONS, text("Organisations"), EVERYBODY),
    Section(STAFF, text("Officers"), EVERYBODY),
    Section(POST, text("Post"), frozenset({Role.OPERATOR})),
    Section(LOG, text("Log"), frozenset({Role.OPERATOR, Role.SECOND_REVIEWER})),
)


class Desk:
    """The officers' pages over a frame."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    @contextmanager
    def reading(self, request: Request, *roles: Role) -> Iterator[tuple[Connection, RegisteredOfficer]]:
        """Yield a connection for reading, and the officer who is logged in.

        Raises:
            NotLoggedIn, NotAccepted, OtherLoginNeeded: who is logged in may not read it (Frame.officer).
        """
        with self.frame.database.read() as connection:
            yield connection, self.frame.officer(connection, request, *(roles or EVERYBODY))

    def page(
        self,
        request: Request,
        officer: RegisteredOfficer,
        template: str,
        error: CentreError | None = None,
        **context: object,
    ) -> Response:
        """Return a page for an officer; with `error`: the page again, and why something was not done."""
        sections = [each for each in SECTIONS if officer.roles & each.roles]
        known = {"officer": officer, "sections": sections, "done": "done" in request.query_params, **context}
        if error is not None:
            return self.frame.refusal(request, error, template, **known)
        return self.frame.page(request, template, 200, error=None, **known)

    def act(
        self,
        request: Request,
        do: Callable[[Change, RegisteredOfficer], None],
        shown: Shown,
        back: str,
        *roles: Role,
        is_grave: bool = False,
    ) -> Response:
        """Do something in one change, and lead to a page that may be reloaded.

        Args:
            request: the form's.
            do: does it, for the officer who is logged in.
            shown: shows the page again if it is refused.
            back: the path of the page that shows what became of it.
            roles: who may do it; none: every officer.
            is_grave: it cannot be undone, and needs a login of the last minutes (Frame.require_recent).
        """
        try:
            with self.frame.database.change() as change:
                officer = self.frame.officer(change.connection, request, *(roles or EVERYBODY))
                if is_grave:
                    self.frame.require_recent(self.frame.holder(change.connection, request))
                do(change, officer)
        except LoginTooOld as error:
            return self.frame.refusal(request, error, "login_again.html", back=back)
        except (RequestRefused, StoreProblem):
            raise
        except CentreError as error:
            return shown(error)
        path, _, query = back.partition("?")
        return self.frame.see_other(path + (f"?{query}&done=1" if query else "?done=1"))


def reader(officer: RegisteredOfficer) -> Officer:
    """Return an officer as one who reads cases; of his counter, if first reviews are all that he does."""
    return Officer(Reviewer(officer.id, officer.key or ""), min(officer.roles), officer.own_counter)
