# SPDX-License-Identifier: Apache-2.0
"""Fees of applications: slips, what a provider tells of them, and money that goes back."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from support.centre.cases import APPLICANT, FIRST, NEW_CODE, OPERATOR, RULES, SCHOOL, form, with_organisations
from support.moved_clock import MovedClock
from xca_centre import applications, payments
from xca_centre.errors import NoFeeDue, Refused, SlipUnknown, WrongAmount
from xca_centre.life.application import ApplicationState
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Actor, Role
from xca_centre.payments import Slip, TestProvider
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one

PROVIDER = Actor(Role.PAYMENT_PROVIDER, "bank")
FEE = RULES.fees.card.ntd


@pytest.fixture
def register(database: Database) -> Database:
    return with_organisations(database)


@pytest.fixture
def case(register: Database) -> UUID:
    with register.change() as change:
        return applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE).id


def slip(database: Database, case: UUID) -> Slip:
    with database.change() as change:
        return applications.fetch_slip(change, RULES, case, APPLICANT)


def pay(database: Database, number: str, amount: int = FEE) -> ApplicationState:
    with database.change() as change:
        return applications.pay(change, RULES, number, amount, change.now, PROVIDER).state


def state(database: Database, number: str) -> PaymentState:
    with database.read() as connection:
        return payments.read(connection, number).state


def work(database: Database, provider: TestProvider) -> None:
    handlers = {payments.ANNOUNCE: payments.announcer(provider), payments.LAPSE: payments.lapser(RULES)}
    while work_on_one(database, handlers):
        pass


def test_slip_is_announced_and_its_payment_lets_the_application_go_on(register: Database, case: UUID) -> None:
    provider = TestProvider()
    fetched = slip(register, case)
    work(register, provider)
    assert provider.slips == {fetched.number: fetched}
    assert fetched.due == FEE
    assert pay(register, fetched.number) is ApplicationState.PAID
    assert pay(register, fetched.number) is ApplicationState.PAID
    assert state(register, fetched.number) is PaymentState.PAID
    with pytest.raises(NoFeeDue):
        slip(register, case)


def test_slip_is_fetched_again_as_it_is_and_anew_when_it_lapsed(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    first = slip(register, case)
    assert slip(register, case) == first
    clock.move(timedelta(days=RULES.deadlines.payment_slip.days + 2))
    second = slip(register, case)
    assert second.number != first.number
    assert [state(register, one.number) for one in (first, second)] == [
        PaymentState.LAPSED,
        PaymentState.OPEN,
    ]


def test_slip_that_nobody_pays_ends_by_its_job(register: Database, case: UUID, clock: MovedClock) -> None:
    fetched = slip(register, case)
    work(register, TestProvider())
    assert state(register, fetched.number) is PaymentState.OPEN
    clock.move(timedelta(days=RULES.deadlines.payment_slip.days + 2))
    work(register, TestProvider())
    assert state(register, fetched.number) is PaymentState.LAPSED


def test_money_that_comes_too_late_is_to_be_paid_back(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    fetched = slip(register, case)
    clock.move(timedelta(days=RULES.deadlines.payment_slip.days + 2))
    assert pay(register, fetched.number) is ApplicationState.SUBMITTED
    assert state(register, fetched.number) is PaymentState.REFUND_DUE
    for _ in range(2):
        with register.change() as change:
            assert payments.pay_back(change, RULES, fetched.number, OPERATOR).state is PaymentState.REFUNDED


def test_money_paid_twice_for_one_application_goes_back_once(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    first = slip(register, case)
    paid_in_time = clock.at
    clock.move(timedelta(days=RULES.deadlines.payment_slip.days + 2))
    second = slip(register, case)
    assert pay(register, second.number) is ApplicationState.PAID
    with register.change() as change:
        applications.pay(change, RULES, first.number, FEE, paid_in_time, PROVIDER)
    assert state(register, first.number) is PaymentState.REFUND_DUE
    assert state(register, second.number) is PaymentState.PAID


def test_withdrawal_ends_the_slip_and_gives_the_money_back(register: Database, case: UUID) -> None:
    fetched = slip(register, case)
    pay(register, fetched.number)
    for _ in range(2):
        with register.change() as change:
            applications.withdraw(change, RULES, case, APPLICANT)
        assert state(register, fetched.number) is PaymentState.REFUND_DUE


def test_payment_after_the_withdrawal_is_to_be_paid_back(register: Database, case: UUID) -> None:
    fetched = slip(register, case)
    with register.change() as change:
        applications.withdraw(change, RULES, case, APPLICANT)
    assert state(register, fetched.number) is PaymentState.CANCELLED
    assert pay(register, fetched.number) is ApplicationState.WITHDRAWN
    assert state(register, fetched.number) is PaymentState.REFUND_DUE


def test_payment_after_the_letter_begins_the_review(register: Database, case: UUID) -> None:
    with register.change() as change:
        applications.receive(change, RULES, case, FIRST)
    assert pay(register, slip(register, case).number) is ApplicationState.FIRST_REVIEW


def test_payment_of_another_amount_or_by_another_is_refused(register: Database, case: UUID) -> None:
    fetched = slip(register, case)
    with pytest.raises(WrongAmount):
        pay(register, fetched.number, FEE - 1)
    with pytest.raises(Refused), register.change() as change:
        applications.pay(change, RULES, fetched.number, FEE, change.now, APPLICANT)
    with pytest.raises(Refused), register.change() as change:
        payments.pay_back(change, RULES, fetched.number, OPERATOR)
    assert state(register, fetched.number) is PaymentState.OPEN


@pytest.mark.parametrize("number", ["", "0" * 16, "x", "\0", "\ud800", "１" * 16])
def test_payment_of_an_unknown_slip_is_refused(register: Database, number: str) -> None:
    with pytest.raises(SlipUnknown):
        pay(register, number)
    with register.read() as connection:
        assert payments.of_application(connection, uuid4()) == []
