# SPDX-License-Identifier: Apache-2.0
"""Whoever is to know what happened to a card's certificates is told once, and the application is closed."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from support.centre.cases import (
    APPLICANT,
    FIRST,
    FOUNDATION,
    NEW_CODE,
    OPERATOR,
    RULES,
    SCHOOL,
    SECOND,
    form,
    with_organisations,
)
from support.moved_clock import MovedClock
from support.new_sets import new_set
from xca_centre import applications, name_changes, notices, orders, sweeps
from xca_centre.certificate_sets import add, certificates_of, change_state, find, reserve
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.application import ApplicationEvent, ApplicationState
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.mail import JOB, Mail
from xca_centre.store.database import Database
from xca_centre.store.events import read_facts
from xca_centre.store.job_queue import work_on_one
from xca_centre.store.tables import JOBS, ORDERS

BANK: Final = Actor(Role.PAYMENT_PROVIDER, "bank")
PRODUCER: Final = Actor(Role.PRODUCER, "producer")
HOLDER: Final = Actor(Role.HOLDER, "XC00000000000001")
COURT: Final = Actor(Role.COURT, "letter 1")
CONTACT: Final = "purchase@school.example.tw"


@pytest.fixture
def certificates(database: Database) -> UUID:
    """The set of a card that is in the mail."""
    with_organisations(database)
    return issue(database)


def issue(database: Database, card: str | None = "XC00000000000001") -> UUID:
    with database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE).id
        slip = applications.fetch_slip(change, RULES, case, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case, FIRST)
        applications.pass_first(change, RULES, case, FIRST)
    with database.change() as change:
        applications.approve(change, RULES, case, SECOND)
        applications.advance(change, RULES, case, ApplicationEvent.MAKE, PRODUCER)
        new = new_set(change.now, reserve(change, 2, 2), card=card, organisation=SCHOOL.oid)
        made = add(change, new, PRODUCER)
        row = {"application": case, "card": card, "certificates": made, "closed": change.now}
        change.connection.execute(insert(ORDERS).values(row))
        applications.advance(change, RULES, case, ApplicationEvent.ISSUE, PRODUCER)
        applications.advance(change, RULES, case, ApplicationEvent.MAIL, OPERATOR)
    work(database)
    return made


def work(database: Database, rules: IssuerRules = RULES) -> None:
    """Do all jobs of sweeps and notices that are due."""
    while work_on_one(database, sweeps.handlers(rules) | notices.handlers(rules)):
        pass


def happen(
    database: Database, certificates: UUID, what: CertificateEvent, by: Actor, reason: Reason | None = None
) -> None:
    with database.change() as change:
        change_state(change, certificates, what, by, RULES, reason)


def mails(database: Database) -> Sequence[Mapping[str, str | int]]:
    """The mails that are queued, the oldest first."""
    with database.read() as connection:
        found = connection.execute(select(JOBS.c.facts).where(JOBS.c.kind == JOB).order_by(JOBS.c.created))
        facts = [read_facts(each) for each in found.scalars()]
    return [each for each in facts if each["mail"] not in (Mail.RETURNED, Mail.CARD_MAILED)]


def state(database: Database, card: str = "XC00000000000001") -> ApplicationState:
    with database.read() as connection:
        return applications.read(connection, orders.of_card(connection, card).application).state


def test_acceptance_is_told_once_and_closes_the_application(database: Database, certificates: UUID) -> None:
    assert state(database) is ApplicationState.MAILED
    happen(database, certificates, CertificateEvent.ACCEPT, HOLDER)
    work(database)
    work(database)
    (mail,) = mails(database)
    assert (mail["mail"], mail["to"]) == (Mail.ACCEPTED, CONTACT)
    assert mail["fact_organisation"] == SCHOOL.name
    assert state(database) is ApplicationState.CLOSED


def test_lapse_is_told_with_the_day_from_which_a_card_is_issued_again(
    database: Database, clock: MovedClock, certificates: UUID
) -> None:
    with database.change() as change:
        sweeps.begin(change)
    clock.move(timedelta(days=91))
    work(database)
    lapsed = [mail for mail in mails(database) if mail["mail"] == Mail.LAPSED]
    assert [(mail["fact_last_day"], mail["fact_free_day"]) for mail in lapsed] == [
        ("2027-01-31", "2027-05-01")
    ]
    assert state(database) is ApplicationState.CLOSED


def test_reminder_of_a_card_that_was_accepted_meanwhile_is_not_sent(
    database: Database, clock: MovedClock, certificates: UUID
) -> None:
    with database.change() as change:
        sweeps.begin(change)
    clock.move(timedelta(days=31))
    work(database)
    assert [mail["mail"] for mail in mails(database)] == [Mail.ACTIVATION_REMINDER]
    clock.move(timedelta(days=30))
    while work_on_one(database, sweeps.handlers(RULES)):
        pass
    happen(database, certificates, CertificateEvent.ACCEPT, HOLDER)
    work(database)
    assert [mail["mail"] for mail in mails(database)] == [Mail.ACTIVATION_REMINDER, Mail.ACCEPTED]


def test_reminder_of_a_day_that_is_over_is_not_sent(
    database: Database, clock: MovedClock, certificates: UUID
) -> None:
    with database.change() as change:
        sweeps.begin(change)
    clock.move(timedelta(days=92))
    work(database)
    assert [mail["mail"] for mail in mails(database)] == [Mail.LAPSED]


def test_resumption_that_leaves_another_suspension_is_not_told_as_one(
    database: Database, certificates: UUID
) -> None:
    happen(database, certificates, CertificateEvent.ACCEPT, HOLDER)
    for by in (HOLDER, COURT):
        happen(database, certificates, CertificateEvent.SUSPEND, by)
    happen(database, certificates, CertificateEvent.RESUME, HOLDER)
    work(database)
    told = [mail["mail"] for mail in mails(database)]
    assert (told.count(Mail.SUSPENDED), told.count(Mail.RESUMED)) == (2, 0)
    happen(database, certificates, CertificateEvent.RESUME, COURT)
    work(database)
    assert [mail["mail"] for mail in mails(database)].count(Mail.RESUMED) == 1


def test_revocation_is_told_to_the_contact(database: Database, certificates: UUID) -> None:
    happen(database, certificates, CertificateEvent.REVOKE, OPERATOR, Reason.KEY_COMPROMISE)
    work(database)
    assert [mail["mail"] for mail in mails(database)] == [Mail.REVOKED]
    assert state(database) is ApplicationState.CLOSED


def test_name_change_is_told_to_the_contact_of_each_card_that_lives(
    database: Database, certificates: UUID
) -> None:
    issue(database, "XC00000000000002")
    happen(database, certificates, CertificateEvent.REVOKE, OPERATOR, Reason.UNSPECIFIED)
    officer = Actor(Role.FIRST_REVIEWER, "lin")
    with database.change() as change:
        name_changes.record(change, SCHOOL.oid, date(2026, 11, 1), officer, RULES)
        name_changes.record(change, FOUNDATION.oid, date(2026, 11, 1), officer, RULES)
    work(database)
    told = [mail for mail in mails(database) if mail["mail"] == Mail.NAME_CHANGED]
    assert [(mail["fact_number"], mail["fact_last_day"]) for mail in told] == [
        ("XC00000000000002", "2026-11-15")
    ]


def test_certificates_without_a_card_are_named_by_their_serial_number(database: Database) -> None:
    with_organisations(database)
    elsewhere = issue(database, None)
    happen(database, elsewhere, CertificateEvent.SUSPEND, OPERATOR)
    work(database)
    with database.read() as connection:
        serial = certificates_of(connection, elsewhere)[0].serial
    assert [mail["fact_number"] for mail in mails(database)] == [serial]


def test_certificates_on_no_card_of_this_centre_stop_no_worker(database: Database) -> None:
    with_organisations(database)
    with database.change() as change:
        elsewhere = add(change, new_set(change.now, reserve(change, 2, 1), card=None), OPERATOR)
    happen(database, elsewhere, CertificateEvent.SUSPEND, OPERATOR)
    work(database)
    assert mails(database) == []
    with database.read() as connection:
        assert find(connection, elsewhere).version == 2
