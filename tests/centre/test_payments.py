# SPDX-License-Identifier: Apache-2.0
"""Fees of applications: slips, what a provider tells of them, and money that goes back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from support.centre.cases import APPLICANT, FIRST, NEW_CODE, OPERATOR, RULES, SCHOOL, form, with_organisations
from support.moved_clock import MovedClock
from xca_centre import applications, paid_slips, payments
from xca_centre.errors import (
    CentreError,
    NoFeeDue,
    PaymentDoubtful,
    PaymentProviderUnavailable,
    Refused,
    SlipUnknown,
    WrongAmount,
)
from xca_centre.life.application import ApplicationState
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Actor, Role
from xca_centre.payment_provider import Payment, SlipToPay
from xca_centre.payments import Slip
from xca_centre.store.database import Database
from xca_centre.store.job_queue import MOST_ATTEMPTS, parked_jobs, work_on_one
from xca_centre.store.tables import EVENTS, JOBS

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


@dataclass
class Bank:
    """A provider: it notes what it is told, and answers what a test has put in.

    Attributes:
        announced: the slips that it was told of, by number.
        answers: what was paid, by the number of the slip; an exception is raised.
        asked: how often it was asked.
    """

    announced: dict[str, SlipToPay] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: int = 0

    def announce(self, slip: SlipToPay) -> None:
        self.announced[slip.number] = slip

    def payment(self, slip: SlipToPay) -> Any:
        self.asked += 1
        answer = self.answers.get(slip.number)
        if isinstance(answer, Exception):
            raise answer
        return answer


def work(database: Database, provider: Bank) -> None:
    handlers = {
        payments.ANNOUNCE: payments.announcer(provider),
        payments.ASK: paid_slips.asker(RULES, provider),
        payments.LAPSE: payments.lapser(RULES),
    }
    while work_on_one(database, handlers):
        pass


def test_slip_is_announced_and_its_payment_lets_the_application_go_on(register: Database, case: UUID) -> None:
    provider = Bank()
    fetched = slip(register, case)
    work(register, provider)
    assert provider.announced == {fetched.number: SlipToPay(fetched.number, FEE, fetched.lapses_at)}
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
    work(register, Bank())
    assert state(register, fetched.number) is PaymentState.OPEN
    clock.move(timedelta(days=RULES.deadlines.payment_slip.days + 2))
    work(register, Bank())
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


def jobs(database: Database, kind: str) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).where(JOBS.c.kind == kind)).scalar_one()


def confirmations(database: Database) -> int:
    with database.read() as connection:
        count = select(func.count()).where(EVENTS.c.kind == "payment_confirm")
        return connection.execute(count).scalar_one()


def test_slip_that_the_provider_calls_paid_lets_the_application_go_on(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    provider, fetched = Bank(), slip(register, case)
    work(register, provider)
    assert state(register, fetched.number) is PaymentState.OPEN
    provider.answers[fetched.number] = Payment(FEE, clock.at)
    work(register, provider)  # it was asked a moment ago
    assert (state(register, fetched.number), provider.asked) == (PaymentState.OPEN, 1)
    clock.move(paid_slips.EVERY)
    work(register, provider)
    with register.read() as connection:
        found = payments.read(connection, fetched.number)
        assert applications.read(connection, case).state is ApplicationState.PAID
    assert (found.state, found.paid_at) == (PaymentState.PAID, provider.answers[fetched.number].paid_at)
    clock.move(paid_slips.EVERY)
    work(register, provider)
    assert (provider.asked, jobs(register, payments.ASK)) == (2, 0)


def test_slip_is_asked_about_once_more_after_it_lapsed_and_counts_if_it_was_paid_in_time(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    provider, fetched = Bank(), slip(register, case)
    work(register, provider)
    clock.move(timedelta(days=RULES.deadlines.payment_slip.days + 2))
    provider.answers[fetched.number] = Payment(FEE, fetched.lapses_at - timedelta(seconds=1))
    work(register, provider)
    assert state(register, fetched.number) is PaymentState.PAID


def test_slip_that_lapsed_unpaid_is_not_asked_about_for_ever(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    provider, fetched = Bank(), slip(register, case)
    clock.move(timedelta(days=RULES.deadlines.payment_slip.days + 2))
    work(register, provider)
    assert (state(register, fetched.number), provider.asked) == (PaymentState.LAPSED, 1)
    assert jobs(register, payments.ASK) == 0


def test_payment_that_came_before_the_withdrawal_is_found_and_to_be_paid_back(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    provider, fetched = Bank(), slip(register, case)
    work(register, provider)
    provider.answers[fetched.number] = Payment(FEE, clock.at)
    with register.change() as change:
        applications.withdraw(change, RULES, case, APPLICANT)
    clock.move(paid_slips.EVERY)
    work(register, provider)
    assert state(register, fetched.number) is PaymentState.REFUND_DUE


@dataclass
class SlowBank(Bank):
    """A provider whose answer is overtaken: another worker asks meanwhile, and is answered at once."""

    register: Database | None = None

    def payment(self, slip: SlipToPay) -> Any:
        if self.register is not None:
            paid_slips.ask(self.register, RULES, Bank(answers=self.answers), slip.number)
        return super().payment(slip)


def test_payment_that_two_workers_hear_of_counts_once(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    fetched = slip(register, case)
    work(register, SlowBank(answers={fetched.number: Payment(FEE, clock.at)}, register=register))
    assert state(register, fetched.number) is PaymentState.PAID
    assert confirmations(register) == 1


DOUBTS: dict[str, tuple[Callable[[datetime], Any], type[CentreError]]] = {
    "it fails": (lambda now: RuntimeError("secret"), PaymentProviderUnavailable),
    "it is away": (lambda now: PaymentProviderUnavailable(reason="closed"), PaymentProviderUnavailable),
    "truth": (lambda now: True, PaymentDoubtful),
    "a sum alone": (lambda now: FEE, PaymentDoubtful),
    "a text as the sum": (lambda now: Payment(str(FEE), now), PaymentDoubtful),  # type: ignore[arg-type]
    "a fraction": (lambda now: Payment(float(FEE), now), PaymentDoubtful),  # type: ignore[arg-type]
    "no moment": (lambda now: Payment(FEE, None), PaymentDoubtful),  # type: ignore[arg-type]
    "a moment of no zone": (lambda now: Payment(FEE, now.replace(tzinfo=None)), PaymentDoubtful),
    "a moment to come": (lambda now: Payment(FEE, now + timedelta(seconds=1)), PaymentDoubtful),
    "less": (lambda now: Payment(FEE - 1, now), WrongAmount),
    "more": (lambda now: Payment(FEE + 1, now), WrongAmount),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_answer_in_doubt_leaves_the_slip_unpaid_and_is_told(
    register: Database, case: UUID, clock: MovedClock, doubt: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer, error = DOUBTS[doubt]
    fetched = slip(register, case)
    provider = Bank(answers={fetched.number: answer(clock.at)})
    work(register, provider)
    assert state(register, fetched.number) is PaymentState.OPEN
    with register.read() as connection:
        told = connection.execute(select(JOBS.c.problem).where(JOBS.c.kind == payments.ASK)).scalar_one()
        assert applications.read(connection, case).state is ApplicationState.SUBMITTED
    assert told.startswith(error.__name__)
    assert fetched.number in caplog.text
    assert "secret" not in told + caplog.text
    provider.answers = {fetched.number: Payment(FEE, clock.at)}  # the provider was mended
    clock.move(paid_slips.EVERY)
    work(register, provider)
    assert state(register, fetched.number) is PaymentState.PAID


def test_slip_of_a_provider_that_is_away_for_long_waits_for_the_operator(
    register: Database, case: UUID, clock: MovedClock
) -> None:
    fetched = slip(register, case)
    provider = Bank(answers={fetched.number: PaymentProviderUnavailable(reason="closed")})
    with register.change() as change:
        change.connection.execute(
            update(JOBS).where(JOBS.c.kind == payments.ASK).values(attempts=MOST_ATTEMPTS - 1)
        )
    work(register, provider)
    with register.read() as connection:
        (parked,) = parked_jobs(connection)
    assert (parked.kind, state(register, fetched.number)) == (payments.ASK, PaymentState.OPEN)
