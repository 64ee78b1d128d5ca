# SPDX-License-Identifier: Apache-2.0
"""What follows from what happens to certificates: their contact gets a mail, their application is closed.

The jobs are added in the changes that they follow from. Each is done in one change, which queues the mail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from xca_centre import (
    applications,
    certificate_sets,
    deadlines,
    name_changes,
    orders,
    organisations,
    sweeps,
)
from xca_centre.certificate_sets import CertificateSet
from xca_centre.errors import NoSuchOrder, Refused
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.application import ApplicationEvent
from xca_centre.life.certificate import CertificateEvent, CertificateState
from xca_centre.life.transitions import Actor, Role
from xca_centre.mail import Mail, send
from xca_centre.name_changes import ChangeKind
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Facts
from xca_centre.store.job_queue import Handler, Job, finish
from xca_common import taipei

_BY: Final = Actor(Role.CENTRE, "notices")
_MAIL_OF: Final[Mapping[CertificateEvent, Mail]] = {
    CertificateEvent.ACCEPT: Mail.ACCEPTED,
    CertificateEvent.REFUSE: Mail.REVOKED,
    CertificateEvent.SUSPEND: Mail.SUSPENDED,
    CertificateEvent.RESUME: Mail.RESUMED,
    CertificateEvent.REVOKE: Mail.REVOKED,
    CertificateEvent.LAPSE: Mail.LAPSED,
}
"""The others tell the contact nothing new: the reminders said it, or the contact did it just now."""
_MAIL_OF_CHANGE: Final[Mapping[ChangeKind, Mail]] = {
    ChangeKind.RENAMED: Mail.NAME_CHANGED,
    ChangeKind.DISSOLVED: Mail.DISSOLVED,
}
_REMINDERS: Final = {sweeps.ACCEPTANCE: Mail.ACTIVATION_REMINDER, sweeps.EXPIRY: Mail.EXPIRY_REMINDER}
_FREE: Final = (CertificateState.ISSUED, CertificateState.VALID)


@dataclass(frozen=True)
class _Contact:
    """Whom the mails about certificates go to.

    Attributes:
        application: id of the application that they were issued for.
        email: the address of its contact person.
        facts: what mails say of them.
    """

    application: UUID
    email: str
    facts: Facts


def handlers(rules: IssuerRules) -> dict[str, Handler]:
    """Return how these jobs are done.

    Args:
        rules: the issuer's.
    """
    return {
        certificate_sets.TELL_CONTACT: lambda database, job: _tell(database, job, rules),
        sweeps.REMIND_CONTACT: _remind,
        name_changes.TELL_ORGANISATION: _tell_organisation,
    }


def _tell(database: Database, job: Job, rules: IssuerRules) -> None:
    with database.change() as change:
        finish(change, job)
        certificates = certificate_sets.find(change.connection, UUID(str(job.facts["set"])))
        contact = _contact(change.connection, certificates)
        if contact is None:
            return
        if certificates.standing.is_over or certificates.standing.state is CertificateState.VALID:
            _close(change, rules, contact.application)
        event = CertificateEvent(str(job.facts["event"]))
        if event is CertificateEvent.RESUME and certificates.standing.state not in _FREE:
            return  # somebody else's suspension stays, or a new one came
        mail = _MAIL_OF.get(event)
        if mail is None:
            return
        facts = dict(contact.facts)
        if mail is Mail.LAPSED:
            free = deadlines.blocked_until(certificates.lapses_at, rules)
            facts["last_day"] = deadlines.last_day(certificates.lapses_at).isoformat()
            facts["free_day"] = taipei.day(max(free, change.now)).isoformat()
        send(change, mail, contact.email, str(certificates.id), facts)


def _remind(database: Database, job: Job) -> None:
    with database.change() as change:
        finish(change, job)
        certificates = certificate_sets.find(change.connection, UUID(str(job.facts["set"])))
        contact = _contact(change.connection, certificates)
        if contact is None or certificates.standing.is_over:
            return
        deadline = str(job.facts["deadline"])
        is_accepted = certificates.accepted is not None
        if is_accepted is (deadline == sweeps.ACCEPTANCE):
            return  # it was accepted meanwhile
        if date.fromisoformat(str(job.facts["last_day"])) < taipei.day(change.now):
            return  # the workers did not run until after that day
        facts = {**contact.facts, "last_day": job.facts["last_day"]}
        send(change, _REMINDERS[deadline], contact.email, str(certificates.id), facts)


def _tell_organisation(database: Database, job: Job) -> None:
    with database.change() as change:
        finish(change, job)
        mail = _MAIL_OF_CHANGE[ChangeKind(str(job.facts["kind"]))]
        organisation, last = str(job.facts["organisation"]), date.fromisoformat(str(job.facts["last_day"]))
        for certificates in certificate_sets.of_organisation(change.connection, organisation):
            contact = _contact(change.connection, certificates)
            if contact is None or certificates.standing.is_over:
                continue
            facts = {**contact.facts, "last_day": last.isoformat()}
            send(change, mail, contact.email, str(certificates.id), facts)


def _contact(connection: Connection, certificates: CertificateSet) -> _Contact | None:
    """Return whom mails about certificates go to; None: they were not issued for an application."""
    try:
        order = orders.of_certificates(connection, certificates.id)
    except NoSuchOrder:
        return None
    case = applications.read(connection, order.application)
    name = organisations.organisation(connection, certificates.organisation).name
    first = certificate_sets.certificates_of(connection, certificates.id)[0]
    facts = {"number": certificates.card or first.serial, "organisation": name}
    return _Contact(case.id, case.form.contact.email, facts)


def _close(change: Change, rules: IssuerRules, application: UUID) -> None:
    try:
        applications.advance(change, rules, application, ApplicationEvent.CLOSE, _BY)
    except Refused:
        return  # the card is still being made
