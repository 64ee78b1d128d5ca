# SPDX-License-Identifier: Apache-2.0
"""Requests for a new user code: who asks, who decides, who gets a ticket, and when there is none any more."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from sqlalchemy import select

from support.centre.authority import issuer
from support.centre.cases import (
    CODE,
    FIRST,
    HASHER,
    NETWORK,
    RULES,
    card_of_an_application,
    codes,
    with_organisations,
)
from support.centre.web import SoftHierarchy
from support.moved_clock import MovedClock
from xca_centre import applications, certificate_sets, tickets
from xca_centre.applications import Officer
from xca_centre.certificate_sets import CertificateSet
from xca_centre.errors import CodeResetOver, CodeResetUnknown, TicketRefused, UserCodeRefused
from xca_centre.life.application import Reviewer
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.mail import JOB as MAIL_JOB
from xca_centre.store.database import Database
from xca_centre.store.events import read_facts
from xca_centre.store.tables import CODE_RESETS, EVENTS, JOBS
from xca_centre.tickets import CodeReset, ResetState
from xca_centre.user_codes import NewUserCode
from xca_common.pki.ticket import Ticket
from xca_common.secret import Secret

SECRET = "Fern-42"
NEW = "new-code"
DAY = timedelta(days=1)
OTHER_COUNTER = Officer(Reviewer("wu", "card of wu"), Role.FIRST_REVIEWER, "文化部")


@pytest.fixture
def register(sqlite_address: str, clock: MovedClock) -> Iterator[Database]:
    made = Database(sqlite_address, clock)
    yield with_organisations(made)
    made.close()


def chosen(code: str) -> NewUserCode:
    return NewUserCode(HASHER.hash(code))


def serial_of(database: Database, certificates: CertificateSet) -> str:
    with database.read() as connection:
        return certificate_sets.certificates_of(connection, certificates.id)[0].serial


def ask(database: Database, certificates: CertificateSet, *, is_activated: bool = False) -> str:
    with database.change() as change:
        return tickets.request(
            change,
            certificates.card or "",
            serial_of(database, certificates),
            chosen(SECRET),
            is_activated=is_activated,
        )


def approve(database: Database, number: str, officer: Officer = FIRST) -> CodeReset:
    with database.change() as change:
        return tickets.approve(change, RULES, number, officer)


def link(database: Database, number: str) -> str:
    """What the mail's link has: made when the mail is sent."""
    with database.change() as change:
        return tickets.new_link(change, number)


def issue(database: Database, secret_of_link: str, secret: str = SECRET, new: str | None = None) -> bytes:
    return tickets.issue(
        database,
        SoftHierarchy(),
        codes(database),
        secret_of_link,
        Secret(secret),
        NETWORK,
        None if new is None else chosen(new),
    )


def happen(
    database: Database,
    certificates: CertificateSet,
    event: CertificateEvent,
    by: Actor,
    reason: Reason | None = None,
) -> None:
    with database.change() as change:
        certificate_sets.change_state(change, certificates.id, event, by, RULES, reason)


def test_requests_at_the_same_moment_leave_one_that_waits(database: Database) -> None:
    certificates = card_of_an_application(with_organisations(database))
    asked = (certificates.card or "", serial_of(database, certificates), chosen(SECRET))
    with ThreadPoolExecutor(1) as pool:
        with database.change() as change:
            tickets.request(change, *asked, is_activated=False)
            other = pool.submit(ask, database, certificates)
            wait([other], timeout=0.3)  # it has to wait, too, until this one is committed
        number = other.result()
    with database.read() as connection:
        waiting = select(CODE_RESETS.c.number).where(CODE_RESETS.c.state == ResetState.REQUESTED.value)
        assert connection.execute(waiting).scalars().all() == [number]


def mails(database: Database) -> list[dict[str, str | int]]:
    with database.read() as connection:
        rows = connection.execute(select(JOBS.c.facts).where(JOBS.c.kind == MAIL_JOB)).scalars().all()
    return [dict(read_facts(each)) for each in rows]


def test_ticket_is_for_the_card_with_link_and_secret_after_an_approval(
    register: Database, clock: MovedClock
) -> None:
    card = card_of_an_application(register)
    number = ask(register, card)
    approved = approve(register, number)
    (mail,) = (each for each in mails(register) if each["mail"] == "user_code_reset")
    assert (mail["to"], mail["fact_card"]) == ("purchase@school.example.tw", card.card)
    ticket = Ticket.verify(issue(register, link(register, number)), [issuer(2).certificate], clock())
    with register.read() as connection:
        own, _ = certificate_sets.certificates_of(connection, card.id)
    ticket.check(card.card or "", own.der, is_activated=False)
    assert ticket.until == approved.until
    assert ticket.counter == int(clock().timestamp())


def test_ticket_that_is_fetched_again_is_the_same(register: Database, clock: MovedClock) -> None:
    number = ask(register, card_of_an_application(register))
    approve(register, number)
    first = issue(register, link(register, number))
    clock.move(DAY)
    assert issue(register, link(register, number)) == first


def test_counter_of_a_later_ticket_is_higher_also_at_the_same_moment(
    register: Database, clock: MovedClock
) -> None:
    card, counters = card_of_an_application(register), []
    for _ in range(3):
        number = ask(register, card)
        approve(register, number)
        ticket = issue(register, link(register, number))
        counters.append(Ticket.verify(ticket, [issuer(2).certificate], clock()).counter)
    assert counters == sorted(set(counters))


def test_request_for_no_card_writes_to_the_disk_as_one_for_a_card_does(register: Database) -> None:
    certificates = card_of_an_application(register)
    serial = serial_of(register, certificates)
    card, written = certificates.card or "", []
    for number in (card, "XC99999999999999"):
        with register.change() as change:
            tickets.request(change, number, serial, chosen(SECRET), is_activated=False)
            written.append(len(change.events))
    assert written == [1, 1]


def test_request_for_no_card_has_a_number_and_leads_nowhere(register: Database) -> None:
    card = card_of_an_application(register)
    serial = serial_of(register, card)
    for number, cert1 in (("XC99999999999999", serial), (card.card or "", "AB12"), ("", "")):
        with register.change() as change:
            asked = tickets.request(change, number, cert1, chosen(SECRET), is_activated=False)
        assert (len(asked), asked.isdecimal()) == (10, True)
        with pytest.raises(CodeResetUnknown):
            approve(register, asked)
    with register.read() as connection:
        assert tickets.waiting(connection, FIRST, card.issued) == []


def test_officer_of_another_counter_sees_and_decides_nothing(register: Database, clock: MovedClock) -> None:
    number = ask(register, card_of_an_application(register))
    with pytest.raises(CodeResetUnknown):
        approve(register, number, OTHER_COUNTER)
    with register.read() as connection:
        assert tickets.waiting(connection, OTHER_COUNTER, clock()) == []
        (seen,) = tickets.waiting(connection, FIRST, clock())
        assert seen.number == number


def test_request_that_is_not_approved_or_was_refused_gives_no_ticket(register: Database) -> None:
    number = ask(register, card_of_an_application(register))
    with pytest.raises(TicketRefused):
        issue(register, link(register, number))
    with register.change() as change:
        assert tickets.refuse(change, number, FIRST).state is ResetState.REFUSED
        tickets.refuse(change, number, FIRST)
    with pytest.raises(CodeResetOver):
        approve(register, number)
    with pytest.raises(TicketRefused):
        issue(register, link(register, number))


def test_request_that_was_approved_is_not_refused_afterwards(register: Database) -> None:
    number = ask(register, card_of_an_application(register))
    assert approve(register, number) == approve(register, number)
    assert len([each for each in mails(register) if each["mail"] == "user_code_reset"]) == 1
    with pytest.raises(CodeResetOver), register.change() as change:
        tickets.refuse(change, number, FIRST)


def test_link_or_secret_alone_gives_no_ticket_and_three_wrong_secrets_end_it(register: Database) -> None:
    number = ask(register, card_of_an_application(register))
    approve(register, number)
    right = link(register, number)
    with pytest.raises(TicketRefused):
        issue(register, "another link")
    for _ in range(3):
        with pytest.raises(TicketRefused):
            issue(register, right, "wrong-1")
    with pytest.raises(TicketRefused):
        issue(register, right)


def test_newer_request_ends_the_one_that_waits_and_its_approval_the_approved_one(register: Database) -> None:
    card = card_of_an_application(register)
    waiting, old = ask(register, card), ask(register, card)
    with pytest.raises(CodeResetOver):
        approve(register, waiting)
    approve(register, old)
    first = link(register, old)
    newer = ask(register, card)
    assert issue(register, first)  # anybody can ask who knows the card's numbers
    approve(register, newer)
    with pytest.raises(TicketRefused):
        issue(register, first)
    assert issue(register, link(register, newer))


@pytest.mark.parametrize("is_fetched", [False, True])
def test_ticket_of_a_card_whose_certificates_are_accepted_then_is_over(
    register: Database, *, is_fetched: bool
) -> None:
    card = card_of_an_application(register)
    number = ask(register, card)
    approve(register, number)
    its = link(register, number)
    if is_fetched:
        issue(register, its)
    happen(register, card, CertificateEvent.ACCEPT, Actor(Role.HOLDER, card.card or ""))
    with pytest.raises(TicketRefused):
        issue(register, its)


def test_ticket_of_a_card_that_is_revoked_is_over(register: Database) -> None:
    card = card_of_an_application(register)
    asked, approved = ask(register, card), ""
    happen(register, card, CertificateEvent.REVOKE, FIRST.actor, Reason.KEY_COMPROMISE)
    with pytest.raises(CodeResetOver):
        approve(register, asked)
    with register.change() as change:  # another one is not taken
        approved = tickets.request(
            change, card.card or "", serial_of(register, card), chosen(SECRET), is_activated=False
        )
    with pytest.raises(CodeResetUnknown):
        approve(register, approved)


def test_ticket_is_too_old_after_its_days(register: Database, clock: MovedClock) -> None:
    card = card_of_an_application(register)
    happen(register, card, CertificateEvent.ACCEPT, Actor(Role.HOLDER, card.card or ""))
    number = ask(register, card)
    until = approve(register, number).until
    assert until is not None
    its = link(register, number)
    clock.move(until - clock() - timedelta(seconds=1))
    ticket = Ticket.verify(issue(register, its), [issuer(2).certificate], clock())
    assert ticket.is_activated  # the centre knows it, whatever the requester said
    clock.move(timedelta(seconds=1))
    with pytest.raises(TicketRefused):
        issue(register, its)


def test_request_without_a_letter_is_not_approved_after_three_months(
    register: Database, clock: MovedClock
) -> None:
    card = card_of_an_application(register)
    happen(register, card, CertificateEvent.ACCEPT, Actor(Role.HOLDER, card.card or ""))
    number = ask(register, card)
    clock.move(90 * DAY)
    with pytest.raises(CodeResetOver):
        approve(register, number)


def test_suspended_card_gets_a_new_user_code(register: Database) -> None:
    card = card_of_an_application(register)
    happen(register, card, CertificateEvent.SUSPEND, FIRST.actor)
    number = ask(register, card)
    approve(register, number)
    assert issue(register, link(register, number))


def test_code_for_online_acts_is_replaced_with_the_ticket_and_lifts_its_lock(register: Database) -> None:
    card = card_of_an_application(register)
    serial = serial_of(register, card)

    def prove(code: str) -> None:
        codes(register).prove(
            lambda change: applications.find_code_of_card(change, card.card or "", serial),
            Secret(code),
            NETWORK,
            Role.HOLDER,
        )

    for _ in range(3):
        with pytest.raises(UserCodeRefused):
            prove("wrong-1")
    number = ask(register, card)
    approve(register, number)
    issue(register, link(register, number), new=NEW)
    prove(NEW)
    with pytest.raises(UserCodeRefused):
        prove(CODE)


def test_secret_and_link_of_a_request_stand_in_no_event_and_no_job(register: Database) -> None:
    number = ask(register, card_of_an_application(register))
    approve(register, number)
    its = link(register, number)
    issue(register, its, new=NEW)
    with register.read() as connection:
        written = [
            str(row)
            for table in (EVENTS, JOBS)
            for row in connection.execute(select(table.c.facts)).scalars().all()
        ]
    assert written
    for secret in (its, SECRET, NEW):
        assert not [each for each in written if secret in each]
