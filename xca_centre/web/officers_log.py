# SPDX-License-Identifier: Apache-2.0
"""The page with the log: what happened, when, and who did it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import name_changes
from xca_centre.event_log import LONGEST, PAGE, LogFilter, Position, read, shown_facts
from xca_centre.i18n import text
from xca_centre.life.application import ApplicationEvent
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.payment import PaymentEvent
from xca_centre.life.transitions import Role
from xca_centre.name_changes import ChangeKind
from xca_centre.web.frame import Frame
from xca_centre.web.officers_desk import LOG, Desk
from xca_common.i18n import Text

READERS: Final = (Role.OPERATOR, Role.SECOND_REVIEWER)
"""Who reads the whole log. What happened to a case stands on its page, for whoever may open that."""

_KINDS: Final[Mapping[str, Text]] = {
    "acceptance": text("Proof of the acceptance"),
    "application_scanned": text("A scan was added"),
    "application_submitted": text("Upload of the application"),
    "certificates.issue": text("Issue of the certificates"),
    "certificates_letter": text("A letter asked for it"),
    "contact_changed": text("Change of the contact person"),
    "job_dropped": text("A job was given up"),
    "logged_in": text("Login with the card"),
    "mail_refused": text("A mail was refused"),
    "mail_sent": text("A mail was sent"),
    name_changes.RECORDED: ChangeKind.RENAMED.said,
    name_changes.SETTLED: text("End of the days after a change of the organisation"),
    "officer_card_given": text("An officer got a card"),
    "officer_deactivated": text("An officer was dismissed"),
    "officer_recorded": text("An officer was recorded"),
    "order_certified": text("Certificates for the order"),
    "order_closed": text("The order was closed"),
    name_changes.DISSOLVED: ChangeKind.DISSOLVED.said,
    "organisations_imported": text("Import of organisations"),
    "payment_issued": text("A payment slip was issued"),
    "staff_change_dropped": text("A proposal about an officer was dropped"),
    "staff_change_proposed": text("A proposal about an officer"),
    "ticket_issued": text("A ticket was issued"),
    "user_code_lock_lifted": text("The lock of the user code was lifted"),
    "user_code_locked": text("The user code was locked"),
    "user_code_refused": text("A user code was refused"),
    "user_code_replaced": text("A new user code"),
    "user_code_reset_approved": text("Approval of a user code reset"),
    "user_code_reset_cancelled": text("End of a request for a user code reset"),
    "user_code_reset_refused": text("Refusal of a user code reset"),
    "user_code_reset_requested": text("Request for a user code reset"),
    **{f"application_{each.value}": each.said for each in ApplicationEvent},
    **{f"certificates.{each.value}": each.said for each in CertificateEvent},
    **{f"payment_{each.value}": each.said for each in PaymentEvent},
}
"""What kinds of event are called."""
_EARLIEST, _LATEST = date(2000, 1, 1), date(9000, 1, 1)


def described(kind: str) -> str:
    """Return what a kind of event is called, in the language being spoken."""
    said = _KINDS.get(kind)
    return said() if said else kind


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
            choices=[(kind, said()) for kind, said in _KINDS.items()],
            described=described,
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
