# SPDX-License-Identifier: Apache-2.0
"""What happened, in the words of the officers' pages: kinds of events, and who it was."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from xca_centre import case_number, event_log, name_changes, officers, reissue_blocks
from xca_centre.errors import BadCaseNumber
from xca_centre.i18n import text
from xca_centre.life.application import ApplicationEvent
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.payment import PaymentEvent
from xca_centre.life.transitions import OFFICERS as REVIEWERS
from xca_centre.life.transitions import Role
from xca_centre.name_changes import ChangeKind
from xca_centre.store.events import Event
from xca_centre.store.restored import LOST
from xca_common.i18n import Text

KINDS: Final[Mapping[str, Text]] = {
    "acceptance": text("Proof of the acceptance"),
    "application_scanned": text("A scan was added"),
    "application_submitted": text("Upload of the application"),
    "centre_begun": text("The centre was begun"),
    "certificates.issue": text("Issue of the certificates"),
    "certificates_letter": text("A letter asked for it"),
    "contact_changed": text("Change of the contact person"),
    "job_dropped": text("A job was given up"),
    "logged_in": text("Login with the card"),
    LOST: text("Lost after a backup was restored"),
    "mail_refused": text("A mail was refused"),
    "mail_sent": text("A mail was sent"),
    name_changes.RECORDED: ChangeKind.RENAMED.said,
    name_changes.SETTLED: text("End of the days after a change of the organisation"),
    "officer_card_given": text("An officer got a card"),
    "officer_deactivated": text("An officer was dismissed"),
    "officer_recorded": text("An officer was recorded"),
    reissue_blocks.BLOCKED: text("Block of the organisation"),
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
    "user_code_reset_unknown": text(
        "Request for a user code reset of a card that is not there, or has ended"
    ),
    **{f"application_{each.value}": each.said for each in ApplicationEvent},
    **{f"certificates.{each.value}": each.said for each in CertificateEvent},
    **{f"payment_{each.value}": each.said for each in PaymentEvent},
}
"""What kinds of event are called."""
_PROGRAMS: Final = frozenset({Role.CENTRE, Role.PRODUCER, Role.PAYMENT_PROVIDER})
"""Roles of programs: which part of one it was says nothing to people."""
_NOBODY: Final[Mapping[str, Text]] = {
    "beginning": text("the beginning of the centre"),
    "sandbox": text("the sandbox"),
    "link": text("who had the mailed link"),
    "unknown": text("somebody unknown"),
}
"""What stands in the place of a name where there is none."""
_USER: Final = "user "
"""So begins the name of who typed a command (commands.common.operator)."""


def described(kind: str) -> str:
    """Return what a kind of event is called, in the language being spoken."""
    said = KINDS.get(kind)
    return said() if said else kind


def history(connection: Connection, subjects: Sequence[str]) -> dict[str, Any]:
    """Return what the table of what happened to some things needs (officers_macros.html)."""
    return {
        "events": event_log.of_subjects(connection, subjects),
        "described": described,
        "who": actors(connection),
    }


def actors(connection: Connection) -> Callable[[Event], str]:
    """Return what tells who it was, in the language being spoken."""
    names = {each.id: each.name for each in officers.everybody(connection)}
    return lambda event: _actor(event, names)


def _actor(event: Event, names: Mapping[str, str]) -> str:
    role, name = Role(event.role), event.name
    if role in _PROGRAMS:
        return role.said()
    if role in REVIEWERS | {Role.OPERATOR} and name in names:
        return f"{names[name]} ({name})"
    if role is Role.OPERATOR and name.startswith(_USER):
        return text("{user}, in a terminal").format(user=name.removeprefix(_USER))()
    if role is Role.COURT:
        return text("letter {number}").format(number=name)()
    if name in _NOBODY:
        return _NOBODY[name]()
    if role is Role.APPLICANT:
        with suppress(BadCaseNumber):
            return case_number.shown(case_number.read(name))
    with suppress(ValueError):
        UUID(name)
        return text("certificate without a card")()
    return name
