# SPDX-License-Identifier: Apache-2.0
"""What officers do with certificates: for an organisation, for the authority, for a court."""

import json
from uuid import UUID

import pytest
from sqlalchemy import select

from support.centre.cases import FOUNDATION, OPERATOR, RULES, SCHOOL, with_organisations
from support.new_sets import new_set
from xca_centre import certificate_acts, certificate_sets
from xca_centre.certificate_acts import Seen, act, possible
from xca_centre.errors import (
    CertificatesChanged,
    ForeignCounter,
    HeldByOthers,
    LetterNumberMissing,
    NotYours,
    ReasonNotYours,
)
from xca_centre.life.certificate import REISSUED, CertificateEvent, CertificateState, Hold, Reason, Standing
from xca_centre.life.transitions import Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Database
from xca_centre.store.tables import EVENTS

SUSPEND, RESUME, REVOKE = CertificateEvent.SUSPEND, CertificateEvent.RESUME, CertificateEvent.REVOKE
FIRST, SECOND, AUTHORITY, COURT = Role.FIRST_REVIEWER, Role.SECOND_REVIEWER, Role.OPERATOR, Role.COURT


def officer(name: str, role: Role, counter: str | None = None) -> RegisteredOfficer:
    return RegisteredOfficer(name, name, frozenset({role}), counter, "XC00000000000009", "ab" * 32, True)


LIN, HO = officer("lin", FIRST, SCHOOL.counter), officer("ho", FIRST, FOUNDATION.counter)
CHEN, OP = officer("chen", SECOND), officer("op", AUTHORITY)


@pytest.fixture
def certificates(database: Database) -> UUID:
    with with_organisations(database).change() as change:
        sequence = certificate_sets.reserve(change, 2, 2)
        made = new_set(change.now, sequence, organisation=SCHOOL.oid, standing=REISSUED)
        return certificate_sets.add(change, made, OPERATOR)


def do(
    database: Database,
    certificates: UUID,
    event: CertificateEvent,
    by: RegisteredOfficer,
    role: Role,
    *,
    version: int | None = None,
    reason: Reason | None = None,
    letter: str = "",
) -> Standing:
    with database.change() as change:
        seen = version or certificate_sets.find(change.connection, certificates).version
        return act(change, RULES, Seen(certificates, seen), event, by, role, reason=reason, letter=letter)


def events(database: Database, certificates: UUID) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        chosen = select(EVENTS.c.kind, EVENTS.c.role, EVENTS.c.name, EVENTS.c.facts)
        rows = connection.execute(chosen.where(EVENTS.c.subject == str(certificates)))
        return [(row.kind, row.role, row.name) for row in rows if "der 1" not in json.loads(row.facts)]


def test_officer_revokes_for_the_organisation(database: Database, certificates: UUID) -> None:
    after = do(
        database, certificates, REVOKE, LIN, FIRST, reason=Reason.KEY_COMPROMISE, letter="府教字第 1 號"
    )
    assert (after.state, after.reason) == (CertificateState.REVOKED, Reason.KEY_COMPROMISE)
    assert set(events(database, certificates)) == {
        ("certificates.revoke", "first_reviewer", "lin"),
        ("certificates_letter", "first_reviewer", "lin"),
    }


def test_court_order_names_the_letter_and_who_carried_it_out(database: Database, certificates: UUID) -> None:
    after = do(database, certificates, SUSPEND, OP, COURT, letter="北院 115 字第 1 號")
    assert after.holds == {Hold.COURT}
    assert set(events(database, certificates)) == {
        ("certificates.suspend", "court", "北院 115 字第 1 號"),
        ("certificates_letter", "operator", "op"),
    }
    with pytest.raises(HeldByOthers):
        do(database, certificates, RESUME, CHEN, SECOND)


@pytest.mark.parametrize("letter", ["", "  ", "字" * 65, "1\x002"], ids=["none", "blank", "long", "NUL"])
def test_court_order_without_a_letter_is_refused(database: Database, certificates: UUID, letter: str) -> None:
    with pytest.raises(LetterNumberMissing):
        do(database, certificates, REVOKE, OP, COURT, reason=Reason.UNSPECIFIED, letter=letter)


def test_certificates_that_changed_since_they_were_seen_are_told(
    database: Database, certificates: UUID
) -> None:
    do(database, certificates, SUSPEND, CHEN, SECOND, version=1)
    with pytest.raises(CertificatesChanged):
        do(database, certificates, REVOKE, LIN, FIRST, version=1, reason=Reason.UNSPECIFIED)


def test_officer_of_another_counter_is_refused(database: Database, certificates: UUID) -> None:
    with pytest.raises(ForeignCounter):
        do(database, certificates, SUSPEND, HO, FIRST)
    with database.read() as connection, pytest.raises(ForeignCounter):
        certificate_acts.find(connection, certificates, HO)


@pytest.mark.parametrize(("by", "role"), [(LIN, AUTHORITY), (CHEN, COURT), (CHEN, FIRST), (LIN, Role.HOLDER)])
def test_role_that_the_officer_does_not_have_is_refused(
    database: Database, certificates: UUID, by: RegisteredOfficer, role: Role
) -> None:
    with pytest.raises(NotYours):
        do(database, certificates, SUSPEND, by, role, letter="1")


def test_reason_of_the_authority_is_not_an_officers(database: Database, certificates: UUID) -> None:
    with pytest.raises(ReasonNotYours):
        do(database, certificates, REVOKE, CHEN, SECOND, reason=Reason.CA_COMPROMISE)
    assert do(database, certificates, REVOKE, OP, AUTHORITY, reason=Reason.CA_COMPROMISE).is_over


def test_possible_acts_are_those_of_the_state(database: Database, certificates: UUID) -> None:
    def offered(by: RegisteredOfficer) -> list[CertificateEvent]:
        with database.read() as connection:
            return possible(certificate_acts.find(connection, certificates, by), by, RULES)

    assert offered(LIN) == [SUSPEND, REVOKE]
    do(database, certificates, SUSPEND, LIN, FIRST)
    assert offered(LIN) == [SUSPEND, RESUME, REVOKE]
    do(database, certificates, REVOKE, OP, AUTHORITY, reason=Reason.UNSPECIFIED)
    assert offered(OP) == []
