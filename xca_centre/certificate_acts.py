# SPDX-License-Identifier: Apache-2.0
"""What officers do with certificates that were issued: suspend, resume, revoke.

A registration officer acts for the organisation that asked for it on paper, an operator for the certification
authority, or as a court has ordered. The event of a court's order has the number of its letter, and another
event says who carried it out.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from xca_centre import certificate_sets
from xca_centre.certificate_sets import CertificateSet
from xca_centre.errors import CertificatesChanged, LetterNumberMissing, NotYours
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import CertificateEvent, Reason, Standing
from xca_centre.life.transitions import Actor, Role
from xca_centre.officers import RegisteredOfficer, require_counter
from xca_centre.plain_text import objection
from xca_centre.store.database import Change

ACTS: Final = (CertificateEvent.SUSPEND, CertificateEvent.RESUME, CertificateEvent.REVOKE)
"""What officers do with certificates."""
_LONGEST_LETTER: Final = 64


@dataclass(frozen=True)
class Seen:
    """Certificates as an officer saw them.

    Attributes:
        certificates: the id of the set.
        version: its version then.
    """

    certificates: UUID
    version: int


def roles_for(officer: RegisteredOfficer) -> tuple[Role, ...]:
    """Return in which roles an officer acts on certificates: an operator also carries out courts' orders."""
    own = [
        role for role in (Role.FIRST_REVIEWER, Role.SECOND_REVIEWER, Role.OPERATOR) if role in officer.roles
    ]
    return (*own, Role.COURT) if Role.OPERATOR in officer.roles else tuple(own)


def possible(found: CertificateSet, officer: RegisteredOfficer, rules: IssuerRules) -> list[CertificateEvent]:
    """Return what an officer may do with certificates as they are, if all conditions hold."""
    table = rules.certificates
    return [act for act in ACTS if table.roles(found.standing.state, act).intersection(roles_for(officer))]


def find(connection: Connection, certificates: UUID, officer: RegisteredOfficer) -> CertificateSet:
    """Return certificates, for an officer who may act on them.

    Raises:
        NoSuchCertificates: there is no such set.
        ForeignCounter: they are of another counter's organisation.
    """
    found = certificate_sets.find(connection, certificates)
    require_counter(connection, found.organisation, officer)
    return found


def act(
    change: Change,
    rules: IssuerRules,
    seen: Seen,
    event: CertificateEvent,
    officer: RegisteredOfficer,
    role: Role,
    *,
    reason: Reason | None = None,
    letter: str = "",
) -> Standing:
    """Suspend, resume or revoke certificates.

    Args:
        change: the change.
        rules: the issuer's.
        seen: the certificates, as the officer saw them.
        event: of ACTS.
        officer: who does it.
        role: in which of his roles (roles_for).
        reason: why they are to be revoked; None: they are not to be.
        letter: the number of the letter that asks for it; a court's order needs one.

    Raises:
        CertificatesChanged: they are not any more as they were seen.
        ForeignCounter: they are of another counter's organisation.
        LetterNumberMissing: it is a court's order, and its letter has no number that can be kept.
        NotYours: the officer does not have this role.
        Refused: it cannot happen now, or not in this role.
    """
    if event not in ACTS:
        raise ValueError(event)
    if role not in roles_for(officer):
        raise NotYours(event=event.said, role=role.said)
    number = letter.strip()
    wrong = objection(number, text("the number of the letter"), _LONGEST_LETTER) if number else None
    if wrong is not None or (role is Role.COURT and not number):
        raise LetterNumberMissing(detail=wrong or text("it is missing"))
    found = certificate_sets.lock(change, seen.certificates)
    require_counter(change.connection, found.organisation, officer)
    if found.version != seen.version:
        raise CertificatesChanged
    by = Actor(role, number if role is Role.COURT else officer.id)
    after = certificate_sets.change_state(change, found.id, event, by, rules, reason)
    if number:
        carried_out = Actor(Role.OPERATOR if role is Role.COURT else role, officer.id)
        facts = {"letter": number, "act": event.value}
        change.event("certificates_letter", str(found.id), carried_out, facts)
    return after
