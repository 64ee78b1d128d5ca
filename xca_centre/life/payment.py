# SPDX-License-Identifier: Apache-2.0
"""The life of a payment slip. Each slip has a number of its own to pay to, which dies with it.

An application has a slip at a time: after one has lapsed, the applicant fetches another. No money is lost:
what comes too late, or for what was withdrawn, is to be paid back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from xca_centre.errors import CertificatesIssued, SlipStillOpen, WrongAmount
from xca_centre.i18n import text
from xca_centre.life.transitions import Condition, Role, Row, Table, Word


class PaymentState(Word):
    """Where a slip is."""

    OPEN = "open", text("to be paid")
    PAID = "paid", text("paid")
    LAPSED = "lapsed", text("not paid in time")
    CANCELLED = "cancelled", text("cancelled")
    REFUND_DUE = "refund_due", text("to be paid back")
    REFUNDED = "refunded", text("paid back")


class PaymentEvent(Word):
    """What happens to a slip."""

    CONFIRM = "confirm", text("Confirmation of a payment")
    """The provider says that money came."""
    LAPSE = "lapse", text("End of a payment slip")
    CANCEL = "cancel", text("Cancelling of a payment slip")
    REFUND = "refund", text("Claim for a refund")
    PAY_BACK = "pay_back", text("Refund")
    """The money has gone back."""


@dataclass(frozen=True)
class PaymentFacts:
    """What decides whether something happens to a slip.

    Attributes:
        now: when; with a time zone.
        lapses_at: the first moment at which the slip cannot be paid any more.
        due: the fee in NT$.
        amount: what was paid in NT$, by a confirmation.
        paid_at: when it was paid, by a confirmation: providers tell of it later.
        is_fee_open: the application still waits for this fee.
        is_issued: certificates of the application were issued.
    """

    now: datetime
    lapses_at: datetime
    due: int
    amount: int = 0
    paid_at: datetime | None = None
    is_fee_open: bool = False
    is_issued: bool = False


_Row = Row[PaymentState, PaymentEvent, PaymentFacts]
_Condition = Condition[PaymentFacts]
PaymentTable = Table[PaymentState, PaymentEvent, PaymentFacts]


def _is_welcome(facts: PaymentFacts) -> bool:
    return facts.is_fee_open and facts.paid_at is not None and facts.paid_at < facts.lapses_at


def _wrong_amount(facts: PaymentFacts) -> WrongAmount:
    return WrongAmount(due=facts.due, paid=facts.amount)


RIGHT_AMOUNT: Final = _Condition("right amount", lambda facts: facts.amount == facts.due, _wrong_amount)
# Of these two one holds always: their refusals are never seen.
WELCOME: Final = _Condition("paid in time for an open fee", _is_welcome, _wrong_amount)
UNWELCOME: Final = _Condition("too late or not needed", lambda facts: not _is_welcome(facts), _wrong_amount)
OVERDUE: Final = _Condition("overdue", lambda facts: facts.now >= facts.lapses_at, lambda _: SlipStillOpen())
NOT_ISSUED: Final = _Condition(
    "nothing issued", lambda facts: not facts.is_issued, lambda _: CertificatesIssued()
)


def _rows() -> Iterable[_Row]:
    state, event = PaymentState, PaymentEvent
    provider = frozenset({Role.PAYMENT_PROVIDER})
    claimants = frozenset({Role.APPLICANT, Role.FIRST_REVIEWER, Role.OPERATOR})
    payers = frozenset({Role.PAYMENT_PROVIDER, Role.OPERATOR})

    # A provider may tell of a payment after the slip was closed here.
    for each in (state.OPEN, state.LAPSED, state.CANCELLED):
        yield _Row(each, event.CONFIRM, state.PAID, provider, (RIGHT_AMOUNT, WELCOME))
        yield _Row(each, event.CONFIRM, state.REFUND_DUE, provider, (RIGHT_AMOUNT, UNWELCOME))
    # It may tell of it twice.
    for each in (state.PAID, state.REFUND_DUE, state.REFUNDED):
        yield _Row(each, event.CONFIRM, each, provider, (RIGHT_AMOUNT,))

    yield _Row(state.OPEN, event.LAPSE, state.LAPSED, frozenset({Role.CENTRE}), (OVERDUE,))
    for each in (state.PAID, state.LAPSED, state.CANCELLED, state.REFUND_DUE, state.REFUNDED):
        yield _Row(each, event.LAPSE, each, frozenset({Role.CENTRE}))

    for each in (state.OPEN, state.LAPSED, state.CANCELLED):
        yield _Row(each, event.CANCEL, state.CANCELLED, claimants)
    yield _Row(state.PAID, event.REFUND, state.REFUND_DUE, claimants, (NOT_ISSUED,))
    yield _Row(state.REFUND_DUE, event.REFUND, state.REFUND_DUE, claimants)
    for each in (state.REFUND_DUE, state.REFUNDED):
        yield _Row(each, event.PAY_BACK, state.REFUNDED, payers)


TABLE: Final = PaymentTable(_rows())
"""Every transition of a payment slip."""


def next_state(
    state: PaymentState, event: PaymentEvent, role: Role, facts: PaymentFacts, table: PaymentTable = TABLE
) -> PaymentState:
    """Return the state that an event leads to. The same state: nothing changes.

    Raises:
        Refused: nothing happens, and why.
    """
    return table.row(state, event, role, facts).becomes
