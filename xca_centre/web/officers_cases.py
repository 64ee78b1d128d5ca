# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for applications: the work list, and each case with what may be done to it now."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from xca_centre import applications, officers, organisations, scans, user_codes
from xca_centre.applications import Application
from xca_centre.case_number import shown as shown_number
from xca_centre.errors import (
    AddressUnknown,
    CentreError,
    FormMalformed,
    NotYours,
    ScanUnusable,
)
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.application import ApplicationEvent, ApplicationState
from xca_centre.life.transitions import OFFICERS as REVIEWERS
from xca_centre.life.transitions import Actor, Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Change
from xca_centre.web import menu, once
from xca_centre.web.frame import UPLOADS, Fields, Files, Frame
from xca_centre.web.officers_desk import CASES, Desk, reader
from xca_centre.web.officers_words import history

_MOST: Final = 100
"""Applications on a page of the work list: the oldest of their state."""
_WAITING: Final = (
    (ApplicationState.FIRST_REVIEW, ApplicationEvent.PASS),
    (ApplicationState.SECOND_REVIEW, ApplicationEvent.APPROVE),
    (ApplicationState.ISSUED, ApplicationEvent.MAIL),
    (ApplicationState.PAID, ApplicationEvent.RECEIVE),
    (ApplicationState.SUBMITTED, ApplicationEvent.RECEIVE),
)
"""States in which applications wait for officers, and for what; what waits for them alone comes first."""
_QUIET: Final = (
    (Role.FIRST_REVIEWER, ApplicationState.FIRST_REVIEW),
    (Role.SECOND_REVIEWER, ApplicationState.SECOND_REVIEW),
    (Role.OPERATOR, ApplicationState.MAKING),
)
"""Where the list opens for an officer for whom nothing waits."""
_ACTS: Final = (
    ApplicationEvent.RECEIVE,
    ApplicationEvent.PASS,
    ApplicationEvent.APPROVE,
    ApplicationEvent.RETURN,
    ApplicationEvent.WITHDRAW,
)
"""What officers do to applications."""
_FINAL: Final = frozenset({ApplicationEvent.APPROVE, ApplicationEvent.WITHDRAW})
"""What of that nobody takes back."""
_HAS_ARRIVED: Final = (ApplicationState.LETTER_ARRIVED, ApplicationState.FIRST_REVIEW)
_TYPES: Final = {"pdf": "application/pdf", "png": "image/png", "jpeg": "image/jpeg"}


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return _Cases(Desk(frame)).routes()


class _Cases:
    def __init__(self, desk: Desk) -> None:
        self._desk, self._frame = desk, desk.frame

    def routes(self) -> Sequence[Route]:
        case, posted = f"{CASES}/{{case:uuid}}", self._frame.posted
        return [
            Route(menu.OFFICERS, self._list),
            Route(f"{menu.OFFICERS}/search", self._search),
            Route(case, self._case),
            Route(f"{case}/unlock", posted(self._unlock), methods=["POST"]),
            Route(f"{case}{UPLOADS}", self._frame.uploaded(self._scan), methods=["POST"]),
            Route(f"{case}/{{act}}", posted(self._act), methods=["POST"]),
            Route(f"{case}/{{act}}", self._back),
            Route(f"{menu.OFFICERS}/scans/{{scan:uuid}}", self._give_scan),
        ]

    def _list(self, request: Request, error: CentreError | None = None) -> Response:
        with self._desk.reading(request) as (connection, officer):
            chosen = _chosen(request)
            waiting = None if chosen else self._waiting(connection, officer)
            state = chosen or waiting or next(state for role, state in _QUIET if role in officer.roles)
            cases = applications.in_state(connection, state, reader(officer), _MOST)
            counts = applications.counts(connection, reader(officer))
            names = {each.organisation for each in cases}
            holders = {oid: organisations.organisation(connection, oid) for oid in names}
        return self._desk.page(
            request,
            officer,
            "officers.html",
            error,
            state=state,
            cases=cases,
            counts=counts,
            states=ApplicationState,
            holders=holders,
            number=shown_number,
            most=_MOST,
            is_idle=chosen is None and waiting is None,
        )

    def _waiting(self, connection: Connection, officer: RegisteredOfficer) -> ApplicationState | None:
        """Return the first state with an application that waits for an officer; None: there is none."""
        for state, event in _WAITING:
            if _role_in(state, event, officer, self._frame.rules) is None:
                continue
            cases = applications.in_state(connection, state, reader(officer), _MOST)
            if any(_waits(case, event, officer) for case in cases):
                return state
        return None

    def _search(self, request: Request) -> Response:
        with self._desk.reading(request) as (connection, officer):
            try:
                found = applications.of_case_number(connection, request.query_params.get("case", ""))
                applications.of_officer(connection, found.id, reader(officer))
            except CentreError as error:
                refused = error
            else:
                return RedirectResponse(f"{CASES}/{found.id}", 303)
        return self._list(request, refused)

    def _case(
        self, request: Request, error: CentreError | None = None, typed: Fields | None = None
    ) -> Response:
        case_id: UUID = request.path_params["case"]
        with self._desk.reading(request) as (connection, officer):
            case = applications.of_officer(connection, case_id, reader(officer))
            holder = organisations.organisation(connection, case.organisation)
            context = {
                "case": case,
                "number": shown_number(case.case_number),
                "holder": holder,
                "scans": scans.of_application(connection, case.id),
                "is_locked": user_codes.is_locked(connection, case.code),
                "people": {each.id: each.name for each in officers.everybody(connection)},
                **history(connection, [str(case.id), str(case.code)]),
                "acts": self._acts(case, holder.counter, officer),
                "is_same": _is_same(case, officer),
                "may_scan": bool(officer.roles & REVIEWERS),
                "typed": typed or {},
                "path_of_case": f"{CASES}/{case.id}",
                "scan_megabytes": scans.MOST_BYTES >> 20,
            }
        return self._desk.page(request, officer, "officers_case.html", error, **context)

    def _act(self, request: Request, fields: Fields) -> Response:
        try:
            event = ApplicationEvent(request.path_params["act"])
        except ValueError:
            raise AddressUnknown from None
        if event not in _ACTS:
            raise AddressUnknown
        case_id: UUID = request.path_params["case"]
        version = version_of(fields)
        rules = self._frame.rules

        def do(change: Change, officer: RegisteredOfficer) -> None:
            applications.require_version(change, case_id, version)
            case = applications.read(change.connection, case_id)
            role = _role(case, event, officer, rules) or min(officer.roles)
            acting = officer.acting(role)
            if event is ApplicationEvent.WITHDRAW:
                applications.lock(change, case_id, acting or reader(officer))
                applications.withdraw(change, rules, case_id, Actor(role, officer.id))
            elif acting is None:
                raise NotYours(event=event.said, role=role.said)
            elif event is ApplicationEvent.RECEIVE:
                applications.receive(change, rules, case_id, acting)
            elif event is ApplicationEvent.PASS:
                applications.pass_first(change, rules, case_id, acting)
            elif event is ApplicationEvent.APPROVE:
                applications.approve(change, rules, case_id, acting)
            else:
                reason = " ".join(fields.get("reason", "").split())
                applications.send_back(change, rules, case_id, acting, reason)

        return self._desk.act(
            request,
            do,
            lambda error: self._case(request, error, fields),
            f"{CASES}/{case_id}",
            is_grave=event in _FINAL,
        )

    def _back(self, request: Request) -> Response:
        """Lead to the case from the address of an act, which the browser shows when one was refused."""
        return self._frame.see_other(f"{CASES}/{request.path_params['case']}")

    def _unlock(self, request: Request, fields: Fields) -> Response:
        case_id: UUID = request.path_params["case"]

        def do(change: Change, officer: RegisteredOfficer) -> None:
            once.spend(change, fields)
            case = applications.lock(change, case_id, reader(officer))
            if user_codes.is_locked(change.connection, case.code):
                user_codes.lift(change, case.code, reader(officer).actor)

        return self._desk.act(
            request, do, lambda error: self._case(request, error), f"{CASES}/{case_id}", *REVIEWERS
        )

    def _scan(self, request: Request, fields: Fields, files: Files) -> Response:
        case_id: UUID = request.path_params["case"]

        def do(change: Change, officer: RegisteredOfficer) -> None:
            if not files:
                raise ScanUnusable(megabytes=scans.MOST_BYTES >> 20)
            for content in files.values():
                scans.add(change, case_id, content, reader(officer))

        return self._desk.act(
            request, do, lambda error: self._case(request, error), f"{CASES}/{case_id}", *REVIEWERS
        )

    def _give_scan(self, request: Request) -> Response:
        with self._desk.reading(request) as (connection, officer):
            scan, content, case = scans.content(connection, request.path_params["scan"], reader(officer))
        # It is a stranger's file: the browser keeps it, and shows nothing of it here.
        headers = {
            "Content-Disposition": f'attachment; filename="{case.case_number}-{scan.id}.{scan.kind}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        return Response(content, headers=headers, media_type=_TYPES[scan.kind])

    def _acts(self, case: Application, counter: str, officer: RegisteredOfficer) -> list[ApplicationEvent]:
        """Return what an officer may do to an application now."""
        acts = []
        for event in _ACTS:
            role = _role(case, event, officer, self._frame.rules)
            is_foreign = role is Role.FIRST_REVIEWER and officer.counter not in (None, counter)
            is_done = event is ApplicationEvent.RECEIVE and case.state in _HAS_ARRIVED
            is_same = event is ApplicationEvent.APPROVE and _is_same(case, officer)
            if role is not None and not (is_foreign or is_done or is_same):
                acts.append(event)
        return acts


def version_of(fields: Fields) -> int:
    """Return the version that a form says its officer saw.

    Raises:
        FormMalformed: it says none.
    """
    version = fields.get("version", "")
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise FormMalformed
    return int(version)


def _role(
    case: Application, event: ApplicationEvent, officer: RegisteredOfficer, rules: IssuerRules
) -> Role | None:
    """Return in which of his roles an officer may do something to an application in its state."""
    return _role_in(case.state, event, officer, rules)


def _waits(case: Application, event: ApplicationEvent, officer: RegisteredOfficer) -> bool:
    """Tell whether an application in the state of an event waits for an officer of the event's role."""
    if event is ApplicationEvent.APPROVE:
        return not _is_same(case, officer)
    return event is not ApplicationEvent.MAIL or case.request is None


def _role_in(
    state: ApplicationState, event: ApplicationEvent, officer: RegisteredOfficer, rules: IssuerRules
) -> Role | None:
    return min(rules.applications.roles(state, event) & officer.roles, default=None)


def _is_same(case: Application, officer: RegisteredOfficer) -> bool:
    """Tell whether an officer, or his card, made the first review."""
    first = case.first_reviewer
    return first is not None and (first.person == officer.id or first.card == officer.key)


def _chosen(request: Request) -> ApplicationState | None:
    """Return the state that somebody wants to see; None: none, or one that there is not."""
    try:
        return ApplicationState(request.query_params.get("state", ""))
    except ValueError:
        return None
