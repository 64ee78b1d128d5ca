# SPDX-License-Identifier: Apache-2.0
"""The life of an application (案件): from its upload over two reviews to the card at the holder's.

What an applicant saves on a disk of his own is no application yet. The fee and the letter with the stamped
form may come in either order; the review begins when both are there. For a renewal the old card's
signature stands in for the letter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from xca_centre.errors import NotACard, NotWithoutACard, SameReviewer, TooLateToChange
from xca_centre.i18n import text
from xca_centre.life.transitions import Condition, Role, Row, Table, Word


class ApplicationState(Word):
    """Where an application is."""

    SUBMITTED = "submitted", text("uploaded; fee and letter are awaited")
    PAID = "paid", text("paid; the letter is awaited")
    """Also where no fee is due."""
    LETTER_ARRIVED = "letter_arrived", text("the letter has arrived; the fee is awaited")
    FIRST_REVIEW = "first_review", text("in the first review")
    SECOND_REVIEW = "second_review", text("in the second review")
    APPROVED = "approved", text("approved")
    MAKING = "making", text("the card is being made")
    ISSUED = "issued", text("the certificates are issued")
    MAILED = "mailed", text("the card is in the mail")
    CLOSED = "closed", text("closed")
    RETURNED = "returned", text("returned")
    WITHDRAWN = "withdrawn", text("withdrawn")


class ApplicationEvent(Word):
    """What happens to an application."""

    PAY = "pay", text("Payment of the fee")
    RECEIVE = "receive", text("Arrival of the letter and the form")
    PASS = "pass", text("First review")
    APPROVE = "approve", text("Second review")
    RETURN = "return", text("Return to the applicant")
    CORRECT = "correct", text("Correction")
    WITHDRAW = "withdraw", text("Withdrawal")
    MAKE = "make", text("Making of the card")
    ISSUE = "issue", text("Issue of the certificates")
    MAIL = "mail", text("Mailing of the card")
    CLOSE = "close", text("Closing")


@dataclass(frozen=True)
class Reviewer:
    """Who reviews.

    Attributes:
        person: id of the officer.
        card: the officer's card, by what stays the same while its key does.
    """

    person: str
    card: str


@dataclass(frozen=True)
class ApplicationFacts:
    """What decides whether something happens to an application.

    Attributes:
        is_for_card: a card is asked for, not a certificate for a key that is elsewhere.
        is_signed: a renewal, signed with the old card.
        reviewer: who wants it, if that is an officer.
        first_reviewer: who passed the first review; None: nobody yet.
    """

    is_for_card: bool
    is_signed: bool
    reviewer: Reviewer | None = None
    first_reviewer: Reviewer | None = None


_Row = Row[ApplicationState, ApplicationEvent, ApplicationFacts]
_Condition = Condition[ApplicationFacts]
ApplicationTable = Table[ApplicationState, ApplicationEvent, ApplicationFacts]


def _is_another(facts: ApplicationFacts) -> bool:
    first, second = facts.first_reviewer, facts.reviewer
    return (
        first is not None
        and second is not None
        and first.person != second.person
        and first.card != second.card
    )


FOR_CARD: Final = _Condition("for a card", lambda facts: facts.is_for_card, lambda _: NotWithoutACard())
WITHOUT_CARD: Final = _Condition("without a card", lambda facts: not facts.is_for_card, lambda _: NotACard())
# Only one of these two is refused at a time, and then the other's row counts: their refusals are never seen.
SIGNED: Final = _Condition("signed", lambda facts: facts.is_signed, lambda _: TooLateToChange())
ON_PAPER: Final = _Condition("on paper", lambda facts: not facts.is_signed, lambda _: TooLateToChange())
ANOTHER_REVIEWER: Final = _Condition("another reviewer", _is_another, lambda _: SameReviewer())


def first_state(*, is_fee_due: bool, is_signed: bool) -> ApplicationState:
    """Return the state in which an application begins."""
    if is_signed:
        return ApplicationState.LETTER_ARRIVED if is_fee_due else ApplicationState.FIRST_REVIEW
    return ApplicationState.SUBMITTED if is_fee_due else ApplicationState.PAID


def _rows() -> Iterable[_Row]:
    state, event = ApplicationState, ApplicationEvent
    applicant, centre = frozenset({Role.APPLICANT}), frozenset({Role.CENTRE})
    first, second = frozenset({Role.FIRST_REVIEWER}), frozenset({Role.SECOND_REVIEWER})
    payees = frozenset({Role.PAYMENT_PROVIDER, Role.OPERATOR})
    producer = frozenset({Role.PRODUCER})
    makers = frozenset({Role.PRODUCER, Role.CENTRE})
    mailers = frozenset({Role.PRODUCER, Role.OPERATOR})
    withdrawers = frozenset({Role.APPLICANT, Role.FIRST_REVIEWER, Role.OPERATOR})

    yield _Row(state.SUBMITTED, event.PAY, state.PAID, payees)
    yield _Row(state.LETTER_ARRIVED, event.PAY, state.FIRST_REVIEW, payees)

    yield _Row(state.SUBMITTED, event.RECEIVE, state.LETTER_ARRIVED, first)
    yield _Row(state.PAID, event.RECEIVE, state.FIRST_REVIEW, first)
    # The data were right, and what came with them was not: a seal was missing, say.
    yield _Row(state.RETURNED, event.RECEIVE, state.FIRST_REVIEW, first)
    for each in (state.LETTER_ARRIVED, state.FIRST_REVIEW):
        yield _Row(each, event.RECEIVE, each, first)

    yield _Row(state.FIRST_REVIEW, event.PASS, state.SECOND_REVIEW, first)
    yield _Row(state.FIRST_REVIEW, event.RETURN, state.RETURNED, first)
    yield _Row(state.SECOND_REVIEW, event.APPROVE, state.APPROVED, second, (ANOTHER_REVIEWER,))
    yield _Row(state.SECOND_REVIEW, event.RETURN, state.RETURNED, second)

    # Another form is printed, stamped and sent. What was reviewed is reviewed again.
    yield _Row(state.SUBMITTED, event.CORRECT, state.SUBMITTED, applicant)
    yield _Row(state.PAID, event.CORRECT, state.PAID, applicant)
    yield _Row(state.LETTER_ARRIVED, event.CORRECT, state.SUBMITTED, applicant, (ON_PAPER,))
    yield _Row(state.LETTER_ARRIVED, event.CORRECT, state.LETTER_ARRIVED, applicant, (SIGNED,))
    for each in (state.FIRST_REVIEW, state.SECOND_REVIEW, state.APPROVED, state.RETURNED):
        yield _Row(each, event.CORRECT, state.PAID, applicant, (ON_PAPER,))
        yield _Row(each, event.CORRECT, state.FIRST_REVIEW, applicant, (SIGNED,))

    for each in _BEFORE_MAKING:
        yield _Row(each, event.WITHDRAW, state.WITHDRAWN, withdrawers)
    yield _Row(state.WITHDRAWN, event.WITHDRAW, state.WITHDRAWN, withdrawers)

    yield _Row(state.APPROVED, event.MAKE, state.MAKING, producer, (FOR_CARD,))
    yield _Row(state.MAKING, event.MAKE, state.MAKING, producer)
    yield _Row(state.APPROVED, event.ISSUE, state.ISSUED, centre, (WITHOUT_CARD,))
    yield _Row(state.MAKING, event.ISSUE, state.ISSUED, makers)
    yield _Row(state.ISSUED, event.ISSUE, state.ISSUED, makers)
    yield _Row(state.ISSUED, event.MAIL, state.MAILED, mailers, (FOR_CARD,))
    yield _Row(state.MAILED, event.MAIL, state.MAILED, mailers)
    # A card may be accepted before anybody notes that it went out.
    yield _Row(state.CLOSED, event.MAIL, state.CLOSED, mailers, (FOR_CARD,))
    # The certificates were accepted, or are over without it.
    for each in (state.ISSUED, state.MAILED, state.CLOSED):
        yield _Row(each, event.CLOSE, state.CLOSED, centre)


_BEFORE_MAKING: Final = (
    ApplicationState.SUBMITTED,
    ApplicationState.PAID,
    ApplicationState.LETTER_ARRIVED,
    ApplicationState.FIRST_REVIEW,
    ApplicationState.SECOND_REVIEW,
    ApplicationState.APPROVED,
    ApplicationState.RETURNED,
)
_TOO_LATE: Final = (
    ApplicationState.MAKING,
    ApplicationState.ISSUED,
    ApplicationState.MAILED,
    ApplicationState.CLOSED,
)

TABLE: Final = ApplicationTable(
    _rows(),
    {
        (state, event): TooLateToChange
        for state in _TOO_LATE
        for event in (ApplicationEvent.CORRECT, ApplicationEvent.WITHDRAW)
    },
)
"""Every transition of an application."""


def next_state(
    state: ApplicationState,
    event: ApplicationEvent,
    role: Role,
    facts: ApplicationFacts,
    table: ApplicationTable = TABLE,
) -> ApplicationState:
    """Return the state that an event leads to. The same state: nothing changes but the data of a correction.

    Raises:
        Refused: nothing happens, and why.
    """
    return table.row(state, event, role, facts).becomes
