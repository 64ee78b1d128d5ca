# SPDX-License-Identifier: Apache-2.0
"""The page with the log: what happened, when, and who did it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre.event_log import (
    LONGEST,
    PAGE,
    LogFilter,
    Position,
    SubjectKind,
    read,
    shown_facts,
    subjects,
)
from xca_centre.life.transitions import Role
from xca_centre.web.frame import Frame
from xca_centre.web.officers_desk import CASES, CERTIFICATES, LOG, ORGANISATIONS, STAFF, Desk
from xca_centre.web.officers_words import KINDS, actors, described

READERS: Final = (Role.OPERATOR, Role.SECOND_REVIEWER)
"""Who reads the whole log. What happened to a case stands on its page, for whoever may open that."""

_PAGES: Final[Mapping[SubjectKind, str]] = {
    SubjectKind.CASE: CASES,
    SubjectKind.CERTIFICATES: CERTIFICATES,
    SubjectKind.ORGANISATION: ORGANISATIONS,
    SubjectKind.OFFICER: STAFF,
}
_EARLIEST, _LATEST = date(2000, 1, 1), date(9000, 1, 1)


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    desk = Desk(frame)

    def log(request: Request) -> Response:
        fields = {
            name: request.query_params.get(name, "")[:LONGEST]
            for name in ("person", "about", "kind", "first", "last")
        }
        wanted = LogFilter(
            fields["person"],
            fields["about"],
            fields["kind"],
            _day(fields["first"]),
            _day(fields["last"]),
        )
        with desk.reading(request, *READERS) as (connection, officer):
            events = read(connection, wanted, _position(request), PAGE + 1)
            who, about = actors(connection), subjects(connection, events)
        shown = events[:PAGE]
        older = None
        if len(events) > PAGE:
            older = {**fields, "before": f"{shown[-1].at.isoformat()}~{shown[-1].id}"}
        return desk.page(
            request,
            officer,
            "officers_log.html",
            fields=fields,
            events=shown,
            older=older,
            choices=[(kind, said()) for kind, said in KINDS.items()],
            described=described,
            who=who,
            about=about,
            pages=_PAGES,
            facts=shown_facts,
            roles={each.value: each.said for each in Role},
        )

    return [Route(LOG, log)]


def _day(typed: str) -> date | None:
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        return None
    return day if _EARLIEST <= day <= _LATEST else None


def _position(request: Request) -> Position | None:
    at, _, identity = request.query_params.get("before", "").partition("~")
    try:
        position = Position(datetime.fromisoformat(at), UUID(identity))
    except ValueError:
        return None
    is_usable = position.at.tzinfo is not None and _EARLIEST <= position.at.date() <= _LATEST
    return position if is_usable else None
