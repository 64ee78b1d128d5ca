# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for officers: who there is, who is appointed or dismissed, and with which card.

Whoever has a say about an officer proposes, supports and drops; what takes two persons is judged in
staff_changes alone.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import officers, organisations, staff_changes
from xca_centre.errors import AddressUnknown, CentreError, OfficerIdTaken, StaffChangeNotYours
from xca_centre.life.transitions import Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.staff_changes import Appointment
from xca_centre.store.database import Change
from xca_centre.web import once
from xca_centre.web.frame import Fields, Frame
from xca_centre.web.officers_desk import STAFF, Desk
from xca_centre.web.officers_words import history

_ROLE: Final = "role."
"""The fields of a form that name a role begin so."""


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return _Staff(Desk(frame)).routes()


class _Staff:
    def __init__(self, desk: Desk) -> None:
        self._desk, self._frame = desk, desk.frame

    def routes(self) -> Sequence[Route]:
        posted, one = self._frame.posted, f"{STAFF}/{{officer}}"
        proposal = f"{STAFF}/proposals/{{proposal:uuid}}/{{act}}"
        return [
            Route(STAFF, self._list),
            Route(STAFF, posted(self._appoint), methods=["POST"]),
            Route(proposal, posted(self._decide), methods=["POST"]),
            Route(proposal, self._back),
            Route(one, self._one),
            Route(f"{one}/{{act}}", posted(self._act), methods=["POST"]),
            Route(f"{one}/{{act}}", self._back_to_one),
        ]

    def _list(
        self, request: Request, error: CentreError | None = None, typed: Fields | None = None
    ) -> Response:
        with self._desk.reading(request) as (connection, officer):
            staff = [each for each in officers.everybody(connection) if staff_changes.sees(officer, each)]
            context = {
                "staff": staff,
                "waiting": staff_changes.waiting_for(connection, officer, self._frame.clock()),
                **_choices(connection, officer, typed),
            }
        return self._desk.page(request, officer, "officers_staff.html", error, **context)

    def _one(
        self, request: Request, error: CentreError | None = None, typed: Fields | None = None
    ) -> Response:
        with self._desk.reading(request) as (connection, officer):
            about = officers.find(connection, request.path_params["officer"])
            if not staff_changes.sees(officer, about):
                raise StaffChangeNotYours
            context = {
                "about": about,
                "has_a_say": staff_changes.has_a_say(officer, about),
                "waiting": [
                    each
                    for each in staff_changes.waiting_for(connection, officer, self._frame.clock())
                    if each.change.officer == about.id
                ],
                **history(connection, [about.id]),
                **_choices(connection, officer, typed),
            }
        return self._desk.page(request, officer, "officers_officer.html", error, **context)

    def _appoint(self, request: Request, fields: Fields) -> Response:
        def do(change: Change, officer: RegisteredOfficer) -> None:
            once.spend(change, fields)
            wanted = _appointment(fields.get("officer", "").strip(), fields)
            if any(each.id == wanted.officer for each in officers.everybody(change.connection)):
                raise OfficerIdTaken(officer=wanted.officer)
            staff_changes.appoint(change, wanted, officer)

        return self._desk.act(
            request, do, lambda error: self._list(request, error, fields), STAFF, is_grave=True
        )

    def _act(self, request: Request, fields: Fields) -> Response:
        about, act = request.path_params["officer"], request.path_params["act"]
        if act not in ("change", "card", "dismiss"):
            raise AddressUnknown

        def do(change: Change, officer: RegisteredOfficer) -> None:
            once.spend(change, fields)
            if act == "dismiss":
                staff_changes.dismiss(change, about, officer)
            elif act == "card":
                staff_changes.give_card(change, about, _card(fields), officer)
            else:
                officers.find(change.connection, about)
                staff_changes.appoint(change, _appointment(about, fields), officer)

        return self._desk.act(
            request,
            do,
            lambda error: self._one(request, error, fields),
            f"{STAFF}/{about}",
            is_grave=True,
        )

    def _decide(self, request: Request, fields: Fields) -> Response:
        proposal: UUID = request.path_params["proposal"]
        decide = {"support": staff_changes.support, "drop": staff_changes.drop}.get(
            request.path_params["act"]
        )
        if decide is None:
            raise AddressUnknown

        def do(change: Change, officer: RegisteredOfficer) -> None:
            once.spend(change, fields)
            decide(change, proposal, officer)

        return self._desk.act(
            request,
            do,
            lambda error: self._list(request, error),
            STAFF,
            is_grave=decide is staff_changes.support,
        )

    def _back(self, _: Request) -> Response:
        return self._frame.see_other(STAFF)

    def _back_to_one(self, request: Request) -> Response:
        return self._frame.see_other(f"{STAFF}/{request.path_params['officer']}")


def _choices(connection: Connection, officer: RegisteredOfficer, typed: Fields | None) -> dict[str, object]:
    """Return what the forms for an appointment offer to an officer."""
    counters = [officer.own_counter] if officer.own_counter else organisations.counters(connection)
    return {
        "counters": counters,
        "roles_to_give": staff_changes.roles_to_give(officer),
        "is_alone": Role.OPERATOR in officer.roles,
        "typed": typed or {},
    }


def _appointment(about: str, fields: Fields) -> Appointment:
    """Return what a form wants an officer to be.

    A role that is none leaves it without any, which nobody is appointed to.
    """
    try:
        roles = frozenset(Role(name.removeprefix(_ROLE)) for name in fields if name.startswith(_ROLE))
    except ValueError:
        roles = frozenset()
    name, counter = fields.get("name", "").strip(), fields.get("counter", "").strip()
    return Appointment(about, name, roles, counter or None, _card(fields))


def _card(fields: Fields) -> str:
    return fields.get("card", "").strip().upper()
