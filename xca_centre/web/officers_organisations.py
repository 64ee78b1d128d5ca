# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for organisations: what the centre has of them; records of their changes and end.

What a record leads to is shown before it is made: it cannot be taken back.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import applications, certificate_sets, name_changes, officers, organisations
from xca_centre.case_number import shown as shown_number
from xca_centre.errors import AddressUnknown, CentreError, ChangeInFuture, DayMissing, OrganisationDissolved
from xca_centre.name_changes import ChangeKind
from xca_centre.officers import RegisteredOfficer, require_counter
from xca_centre.store.database import Change
from xca_centre.web import once
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.officers_desk import ORGANISATIONS, Desk, reader
from xca_centre.web.officers_words import history
from xca_common import taipei

_LONGEST: Final = 64
_MOST: Final = 100
"""Changes that are listed: those whose days end first."""
_EARLIEST: Final = date(2000, 1, 1)
"""An earlier day was mistyped."""


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return _Organisations(Desk(frame)).routes()


class _Organisations:
    def __init__(self, desk: Desk) -> None:
        self._desk, self._frame = desk, desk.frame

    def routes(self) -> Sequence[Route]:
        page = f"{ORGANISATIONS}/{{oid}}"
        return [
            Route(ORGANISATIONS, self._search),
            Route(page, self._one),
            Route(f"{page}/confirm", self._confirm),
            Route(f"{page}/record", self._frame.posted(self._record), methods=["POST"]),
            Route(f"{page}/record", self._back),
        ]

    def _search(self, request: Request) -> Response:
        typed = request.query_params.get("typed", "")[:_LONGEST].strip()
        with self._desk.reading(request) as (connection, officer):
            found = organisations.look_up(connection, typed, officer.own_counter) if typed else None
            running = name_changes.running(connection, officer.own_counter, _MOST)
            holders = {oid: organisations.organisation(connection, oid) for oid, _ in running}
        return self._desk.page(
            request,
            officer,
            "officers_organisations.html",
            typed=typed,
            found=found,
            most=organisations.MOST_FOUND,
            running=[] if typed else [(holders[oid], each) for oid, each in running],
        )

    def _one(
        self, request: Request, error: CentreError | None = None, typed: Mapping[str, str] | None = None
    ) -> Response:
        oid = request.path_params["oid"]
        with self._desk.reading(request) as (connection, officer):
            context = {
                "holder": require_counter(connection, oid, officer),
                "sets": certificate_sets.of_organisation(connection, oid),
                "cases": applications.of_organisation(connection, oid),
                "changes": name_changes.of_organisation(connection, oid),
                **history(connection, [oid]),
            }
        return self._desk.page(
            request,
            officer,
            "officers_organisation.html",
            error,
            **context,
            number=shown_number,
            typed=typed or {},
            today=taipei.day(self._frame.clock()),
        )

    def _confirm(self, request: Request) -> Response:
        oid, asked = request.path_params["oid"], request.query_params
        kind = _kind(asked)
        with self._desk.reading(request) as (connection, officer):
            holder = require_counter(connection, oid, officer)
            try:
                changed = self._judged_day(asked)
                if holder.is_dissolved:
                    raise OrganisationDissolved(name=holder.name)
                name = _name(asked) or holder.name
                organisations.check_name(name)
            except CentreError as refused:
                error: CentreError | None = refused
            else:
                error = None
                untrue = name_changes.untrue(connection, oid, kind, self._frame.clock())
                cards = {each.card for each in untrue} - {None}
                staff = [each for each in officers.everybody(connection) if each.card in cards]
        if error is not None:
            return self._one(request, error, asked)
        last = name_changes.last_day(changed, self._frame.rules)
        return self._desk.page(
            request,
            officer,
            "officers_organisation_confirm.html",
            holder=holder,
            kind=kind,
            name=name,
            changed=changed,
            last=last,
            is_late=last < taipei.day(self._frame.clock()),
            untrue=untrue,
            losing=[each.name for each in staff if each.is_active],
        )

    def _record(self, request: Request, fields: Fields) -> Response:
        oid, kind = request.path_params["oid"], _kind(fields)

        def do(change: Change, officer: RegisteredOfficer) -> None:
            once.spend(change, fields)
            require_counter(change.connection, oid, officer)
            by, changed = reader(officer).actor, _day(fields)
            if kind is ChangeKind.DISSOLVED:
                name_changes.dissolve(change, oid, changed, by, self._frame.rules)
            else:
                name_changes.record(change, oid, changed, by, self._frame.rules, _name(fields))

        return self._desk.act(
            request,
            do,
            lambda error: self._one(request, error, fields),
            f"{ORGANISATIONS}/{oid}",
            is_grave=True,
        )

    def _back(self, request: Request) -> Response:
        return self._frame.see_other(f"{ORGANISATIONS}/{request.path_params['oid']}")

    def _judged_day(self, asked: Mapping[str, str]) -> date:
        changed = _day(asked)
        if changed > taipei.day(self._frame.clock()):
            raise ChangeInFuture(day=changed)
        return changed


def _kind(asked: Mapping[str, str]) -> ChangeKind:
    try:
        return ChangeKind(asked.get("kind", ""))
    except ValueError:
        raise AddressUnknown from None


def _name(asked: Mapping[str, str]) -> str | None:
    """Return the new name; None: it stays."""
    return asked.get("name", "").strip() or None


def _day(asked: Mapping[str, str]) -> date:
    """Return the day of a change.

    Raises:
        DayMissing: there is none.
    """
    try:
        found = date.fromisoformat(asked.get("day", ""))
    except ValueError:
        raise DayMissing from None
    if found < _EARLIEST:
        raise DayMissing
    return found
