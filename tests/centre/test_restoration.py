# SPDX-License-Identifier: Apache-2.0
"""A database from a backup, with the journal: no decision since is undone, and what is lost is told."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Table, insert, select, update

from support.centre.authority import issuer, key
from support.centre.cases import (
    APPLICANT,
    BANK,
    CODE,
    FIRST,
    FOUNDATION,
    NETWORK,
    NEW_CODE,
    OPERATOR,
    RULES,
    SCHOOL,
    SECOND,
    CardMaker,
    card_of_an_application,
    codes,
    form,
    with_organisations,
)
from support.moved_clock import MovedClock
from xca_centre import (
    applications,
    certificate_sets,
    name_changes,
    officers,
    orders,
    organisations,
    reissue_blocks,
    tickets,
    user_codes,
)
from xca_centre.applications import Application
from xca_centre.case_number import shown
from xca_centre.errors import LinkUnusable, SlipUnknown, UserCodeRefused
from xca_centre.life.application import ApplicationState
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Actor, Role
from xca_centre.payments import Slip, of_application
from xca_centre.restoration import restore
from xca_centre.status.published_lists import number_above
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one
from xca_centre.store.journal import Journal
from xca_centre.store.restored import LOST, Merged
from xca_centre.store.tables import (
    CERTIFICATE_SETS,
    CERTIFICATES,
    CODE_RESETS,
    EVENTS,
    NAME_CHANGES,
    OFFICERS,
    ORDERS,
    ORGANISATIONS,
    PUBLISHED_LISTS,
    REISSUE_BLOCKS,
    SEQUENCES,
    SESSIONS,
    STAFF_CHANGES,
    USER_CODES,
)
from xca_common.secret import Secret

HOLDER = Actor(Role.HOLDER, "XC00000000000001")
WRONG = Secret("wrong-one")


class Centre:
    """A centre with a journal, of which there is a backup; and the database that is restored from that."""

    def __init__(self, address: str, folder: Path, clock: MovedClock, copy: Callable[[], str]) -> None:
        folder.mkdir(0o700)
        Journal.begin(folder)
        self._address, self._folder, self._clock, self._copy = address, folder, clock, copy
        self.database = with_organisations(Database(address, clock, Journal(folder)))

    def back_up(self) -> None:
        self.database.close()
        self._backup = self._copy()
        self._clock.move(timedelta(hours=1))

    def restore(self) -> Merged:
        """Put the backup in the place of the database, and restore it."""
        self.lost = self.database
        self.database = Database(self._backup, self._clock)
        return restore(self.database, Journal(self._folder), RULES, OPERATOR)

    def rows(self, table: Table) -> tuple[list[Any], list[Any]]:
        """What the lost database has in a table, and what the restored one has."""
        found = []
        for database in (self.lost, self.database):
            with database.read() as connection:
                found.append(sorted(map(tuple, connection.execute(select(table)).all()), key=repr))
        return found[0], found[1]

    def read(self, application: UUID) -> Application:
        with self.database.read() as connection:
            return applications.read(connection, application)

    def code(self, code: UUID) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(USER_CODES).where(USER_CODES.c.id == code)).one()


@pytest.fixture
def centre(address: str, tmp_path: Path, clock: MovedClock, backed_up: Callable[[], str]) -> Centre:
    """A centre with two organisations: a test that asks for it is run on SQLite and on PostgreSQL."""
    return Centre(address, tmp_path / "journal", clock, backed_up)


def submit(centre: Centre, **fields: str) -> Application:
    with centre.database.change() as change:
        return applications.submit(change, RULES, SCHOOL.oid, form(**fields), NEW_CODE)


def pay(centre: Centre, case: Application) -> None:
    with centre.database.change() as change:
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)


def review(centre: Centre, case: Application) -> None:
    with centre.database.change() as change:
        applications.receive(change, RULES, case.id, FIRST)
        applications.pass_first(change, RULES, case.id, FIRST)


def make(centre: Centre, case: Application) -> None:
    with centre.database.change() as change:
        applications.approve(change, RULES, case.id, SECOND)
    work(centre)


def work(centre: Centre) -> None:
    while work_on_one(centre.database, {orders.JOB: orders.handler(RULES, {2: issuer(2)}, CardMaker())}):
        pass


def try_code(centre: Centre, case: Application, code: Secret) -> None:
    """Try a code that is refused."""
    with pytest.raises(UserCodeRefused):
        codes(centre.database).prove(lambda _: case.code, code, NETWORK, Role.HOLDER)


def losses(merged: Merged) -> Sequence[str]:
    return [loss.said("en") for loss in merged.losses]


def test_restore_has_every_decision_on_who_is_trusted_again(centre: Centre) -> None:
    certificates = card_of_an_application(centre.database).id
    with centre.database.change() as change:
        for each in ("lin", "chen", "wu"):
            officers.record(change, each, each, [Role.SECOND_REVIEWER], None, OPERATOR)
        officers.give_card(change, "lin", "XC00000000000007", "aa" * 32, OPERATOR)
        proposed = {"act": "dismiss", "officer": "wu", "proposer": "lin", "proposer_key": "aa" * 32}
        until = change.now + timedelta(days=9)
        change.connection.execute(insert(STAFF_CHANGES).values(id=certificates, until=until, **proposed))
    centre.back_up()
    with centre.database.change() as change:
        officers.deactivate(change, "wu", OPERATOR)
        officers.record(change, "lin", "lin", [Role.FIRST_REVIEWER], SCHOOL.counter, OPERATOR)
        officers.record(change, "new", "新人", [Role.OPERATOR], None, OPERATOR)
        officers.give_card(change, "new", "XC00000000000008", "cc" * 32, OPERATOR)
        reissue_blocks.block(change, SCHOOL.oid, change.now, RULES, OPERATOR)
        name_changes.record(change, SCHOOL.oid, date(2026, 10, 1), OPERATOR, RULES, "測試縣立清溪國民小學")
        name_changes.dissolve(change, FOUNDATION.oid, date(2026, 10, 2), OPERATOR, RULES)
        revoke, reason = CertificateEvent.REVOKE, Reason.KEY_COMPROMISE
        certificate_sets.change_state(change, certificates, revoke, HOLDER, RULES, reason)
    assert losses(centre.restore()) == []
    for table in (
        ORGANISATIONS,
        OFFICERS,
        REISSUE_BLOCKS,
        NAME_CHANGES,
        CERTIFICATE_SETS,
        CERTIFICATES,
        SEQUENCES,
    ):
        lost, restored = centre.rows(table)
        assert restored == lost
    assert centre.rows(STAFF_CHANGES)[1] == []


def test_wrong_user_codes_count_after_a_restore(centre: Centre) -> None:
    cases = [submit(centre) for _ in range(3)]
    centre.back_up()
    for number, case in enumerate(cases):
        for _ in range(number + 1):
            try_code(centre, case, WRONG)
    assert losses(centre.restore()) == []
    assert [centre.code(case.code).spent for case in cases] == [1, 2, 3]
    assert centre.code(cases[2].code).is_told
    try_code(centre, cases[2], Secret(CODE))


def test_code_whose_lock_was_lifted_has_its_tries_after_a_restore(centre: Centre) -> None:
    case = submit(centre)
    with centre.database.change() as change:
        change.connection.execute(update(USER_CODES).values(spent=3))
        link = user_codes.new_link(change, case.code)
    centre.back_up()
    with centre.database.change() as change:
        user_codes.lift_by_link(change, link, APPLICANT)
    centre.restore()
    assert centre.code(case.code).spent == 0
    with centre.database.change() as change, pytest.raises(LinkUnusable):
        user_codes.lift_by_link(change, link, APPLICANT)


def test_code_that_was_replaced_opens_nothing_after_a_restore(centre: Centre) -> None:
    case = submit(centre)
    centre.back_up()
    with centre.database.change() as change:
        user_codes.replace(change, case.code, NEW_CODE, HOLDER, "0000000001")
    assert losses(centre.restore()) == [
        f"The user code of the application {shown(case.case_number)} for what is done online was replaced "
        "after the backup: nobody has one now. The holder requests a new one."
    ]
    try_code(centre, case, Secret(CODE))


def test_card_that_was_made_after_the_backup_is_not_made_again(centre: Centre) -> None:
    case = submit(centre)
    pay(centre, case)
    review(centre, case)
    centre.back_up()
    make(centre, case)
    with centre.database.change() as change:
        orders.mail(change, RULES, case.id, OPERATOR)
    assert losses(centre.restore()) == []
    lost, restored = centre.rows(ORDERS)
    assert restored == lost
    assert centre.read(case.id).state is ApplicationState.MAILED
    assert centre.read(case.id).first_reviewer == FIRST.reviewer
    assert centre.code(case.code).sealed is None
    work(centre)
    assert centre.rows(CERTIFICATES)[1] == centre.rows(CERTIFICATES)[0]


def test_application_that_was_approved_after_the_backup_gets_its_card(centre: Centre) -> None:
    case = submit(centre)
    pay(centre, case)
    review(centre, case)
    centre.back_up()
    with centre.database.change() as change:
        applications.approve(change, RULES, case.id, SECOND)
    centre.restore()
    work(centre)
    assert centre.read(case.id).state is ApplicationState.ISSUED


def test_application_that_came_after_the_backup_is_told_by_its_case_number(centre: Centre) -> None:
    centre.back_up()
    waiting, made = submit(centre), submit(centre)
    pay(centre, made)
    review(centre, made)
    make(centre, made)
    done = centre.restore()
    told = "\n".join(losses(done))
    assert f"The application {shown(waiting.case_number)} came after the backup" in told
    assert shown(made.case_number) in told
    assert "The card XC00000000000001 was made for it" in told
    assert {loss.subject for loss in done.losses} == {waiting.case_number, made.case_number}
    with centre.database.read() as connection:
        kept = connection.execute(select(EVENTS.c.subject).where(EVENTS.c.kind == LOST)).scalars().all()
    assert set(kept) == {waiting.case_number, made.case_number}
    assert restore(centre.database, None, RULES, OPERATOR).losses == []


def test_application_whose_form_was_corrected_after_the_backup_is_returned(centre: Centre) -> None:
    case = submit(centre)
    pay(centre, case)
    centre.back_up()
    with centre.database.change() as change:
        applications.correct(change, RULES, case.id, form(contact_name="陳大文"), APPLICANT)
    review(centre, case)
    with centre.database.change() as change:
        applications.approve(change, RULES, case.id, SECOND)
    done = centre.restore()
    assert "the applicant corrects it once more" in losses(done)[0]
    found = centre.read(case.id)
    assert (found.state, found.letter, found.first_reviewer) == (ApplicationState.RETURNED, None, None)
    assert found.reason
    work(centre)
    assert centre.rows(CERTIFICATES)[1] == []
    with centre.database.change() as change:
        again = applications.correct(change, RULES, case.id, form(contact_name="陳大文"), APPLICANT)
    assert (again.state, again.revision) == (ApplicationState.PAID, 3)


def test_unpaid_application_that_was_corrected_after_the_backup_still_waits_for_its_fee(
    centre: Centre,
) -> None:
    case = submit(centre)
    centre.back_up()
    with centre.database.change() as change:
        applications.correct(change, RULES, case.id, form(contact_name="陳大文"), APPLICANT)
        applications.receive(change, RULES, case.id, FIRST)
    centre.restore()
    assert centre.read(case.id).state is ApplicationState.SUBMITTED
    assert centre.read(case.id).letter is None


def test_slip_that_was_issued_after_the_backup_can_be_paid(centre: Centre) -> None:
    case, paid = submit(centre), submit(centre)
    centre.back_up()
    with centre.database.change() as change:
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
    pay(centre, paid)
    with centre.database.read() as connection:
        before: Sequence[Slip] = of_application(connection, paid.id)
    centre.restore()
    with centre.database.read() as connection:
        assert of_application(connection, paid.id) == before
    assert before[0].state is PaymentState.PAID
    with centre.database.change() as change:
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
    assert centre.read(case.id).state is ApplicationState.PAID


def test_slip_of_an_application_that_is_lost_is_unknown(centre: Centre) -> None:
    centre.back_up()
    case = submit(centre)
    with centre.database.change() as change:
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
    centre.restore()
    with centre.database.change() as change, pytest.raises(SlipUnknown):
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)


def test_request_for_a_user_code_that_was_decided_after_the_backup_is_over(centre: Centre) -> None:
    card = card_of_an_application(centre.database)
    assert card.card is not None
    with centre.database.read() as connection:
        serial = certificate_sets.certificates_of(connection, card.id)[0].serial
    secret = codes(centre.database).choose(Secret("Reset-123"), key("producer").public_key())
    with centre.database.change() as change:
        number = tickets.request(change, card.card, serial, secret, is_activated=False)
    centre.back_up()
    with centre.database.change() as change:
        tickets.approve(change, RULES, number, SECOND)
    assert f"The request {number}" in losses(centre.restore())[0]
    with centre.database.read() as connection:
        assert connection.execute(select(CODE_RESETS.c.state)).scalars().all() == ["cancelled"]


def test_import_after_the_backup_is_to_be_done_again(centre: Centre) -> None:
    centre.back_up()
    new = replace(FOUNDATION, oid="2.16.886.111.990055", tax_id=None)
    with centre.database.change() as change:
        organisations.import_organisations(change, [new], OPERATOR)
        name_changes.dissolve(change, new.oid, date(2026, 10, 2), OPERATOR, RULES)
    told = losses(centre.restore())
    assert told[0] == "Organisations were imported after the backup. Import them again."
    assert new.oid in told[1]


def test_sessions_of_a_backup_are_over(centre: Centre, clock: MovedClock) -> None:
    card = card_of_an_application(centre.database)
    row = {"id": "ab", "set": card.id, "key": "cd", "holder_name": "holder"}
    moments: dict[str, datetime] = dict.fromkeys(("at", "seen"), clock.at)
    with centre.database.change() as change:
        change.connection.execute(
            insert(SESSIONS).values(**row, **moments, until=clock.at + timedelta(hours=8))
        )
    centre.back_up()
    centre.restore()
    assert centre.rows(SESSIONS)[1] == []


def test_lists_after_a_restore_have_higher_numbers_than_those_that_were_published(centre: Centre) -> None:
    card_of_an_application(centre.database)
    with centre.database.change() as change:
        row = {"generation": 2, "partition": 0, "taken": 5, "number": 5, "der": b"old"}
        change.connection.execute(insert(PUBLISHED_LISTS).values(**row, at=change.now, until=change.now))
    centre.back_up()
    centre.restore()
    for number in (10**11, 7):
        with centre.database.change() as change:
            number_above(change, number)
    found = centre.rows(PUBLISHED_LISTS)[1]
    assert [row[:4] for row in found] == [(2, -1, 10**11, None), (2, 0, 10**11, None)]


def test_restore_that_is_repeated_changes_nothing(centre: Centre) -> None:
    case = submit(centre)
    centre.back_up()
    pay(centre, case)
    submit(centre)
    centre.restore()
    before = centre.read(case.id)
    try_code(centre, case, WRONG)
    again = restore(centre.database, Journal(centre._folder), RULES, OPERATOR)
    assert (again.count, again.losses) == (0, [])
    assert centre.read(case.id) == before
    assert centre.code(case.code).spent == 1
