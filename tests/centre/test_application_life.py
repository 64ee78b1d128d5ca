# SPDX-License-Identifier: Apache-2.0
"""Applications and payment slips: every state with every event by every role, against tables made by hand."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

import pytest

from xca_centre.errors import Refused, SameReviewer, TooLateToChange, WrongAmount
from xca_centre.life import application, payment
from xca_centre.life.application import ApplicationEvent, ApplicationFacts, ApplicationState, Reviewer
from xca_centre.life.payment import PaymentEvent, PaymentFacts, PaymentState
from xca_centre.life.transitions import Role

# A line for each state, a column for each event; "-": refused; "=": the same state.
ON_PAPER: Final = """
               pay          receive        pass          approve  return   correct   withdraw  mail   close
submitted      paid         letter_arrived -             -        -        =         withdrawn -      -
paid           -            first_review   -             -        -        =         withdrawn -      -
letter_arrived first_review =              -             -        -        submitted withdrawn -      -
first_review   -            =              second_review -        returned paid      withdrawn -      -
second_review  -            -              -             approved returned paid      withdrawn -      -
approved       -            -              -             -        -        paid      withdrawn -      -
making         -            -              -             -        -        -         -         -      -
issued         -            -              -             -        -        -         -         mailed closed
mailed         -            -              -             -        -        -         -         =      closed
closed         -            -              -             -        -        -         -         =      =
returned       -            first_review   -             -        -        paid      withdrawn -      -
withdrawn      -            -              -             -        -        -         =         -      -
"""
MAKING: Final = {
    # state, event: what becomes of it for a card, and of a certificate without one
    ("approved", "make"): ("making", "-"),
    ("making", "make"): ("making", "making"),
    ("approved", "issue"): ("-", "issued"),
    ("making", "issue"): ("issued", "issued"),
    ("issued", "issue"): ("issued", "issued"),
}
SIGNED_CORRECTION: Final = {"letter_arrived": "letter_arrived", "submitted": "submitted", "paid": "paid"}
WHO: Final = {
    "pay": {"payment_provider", "operator"},
    "receive": {"first_reviewer"},
    "pass": {"first_reviewer"},
    "approve": {"second_reviewer"},
    "correct": {"applicant"},
    "withdraw": {"applicant", "first_reviewer", "operator"},
    "make": {"producer"},
    "issue": {"producer", "centre"},
    "mail": {"producer", "operator"},
    "close": {"centre"},
}
ONE, OTHER = Reviewer("a", "1"), Reviewer("b", "2")


def cells(table: str) -> dict[tuple[str, str], str]:
    head, *lines = table.strip().splitlines()
    return {
        (state, event): cell.replace("=", state)
        for state, *found in map(str.split, lines)
        for event, cell in zip(head.split(), found, strict=True)
    }


def expected(state: str, event: str, role: str, facts: ApplicationFacts) -> str:
    if event in ("make", "issue"):
        becomes = MAKING.get((state, event), ("-", "-"))[not facts.is_for_card]
    else:
        becomes = cells(ON_PAPER)[state, event]
    if event == "correct" and facts.is_signed and becomes != "-":
        becomes = SIGNED_CORRECTION.get(state, "first_review")
    if event == "mail" and state in ("issued", "closed") and not facts.is_for_card:
        return "-"
    if event == "return":
        return (
            becomes if role == ("first_reviewer" if state == "first_review" else "second_reviewer") else "-"
        )
    if (state, event) == ("approved", "issue"):
        return becomes if role == "centre" else "-"
    return becomes if role in WHO[event] else "-"


def test_application_in_every_state_with_every_event_by_every_role_does_as_expected() -> None:
    assert set(WHO) | {"return"} == set(ApplicationEvent)
    for state, event, role in product(ApplicationState, ApplicationEvent, Role):
        for is_for_card, is_signed in product((True, False), repeat=2):
            facts = ApplicationFacts(is_for_card, is_signed, OTHER, ONE)
            try:
                found = application.next_state(state, event, role, facts).value
            except Refused:
                found = "-"
            assert found == expected(state, event, role, facts), (state, event, role, facts)


def test_application_without_one_row_does_nothing_that_it_did_not_before() -> None:
    transitions = {f"{row.state} {row.event} {role}" for row in application.TABLE.rows for role in row.who}
    for gone in transitions:
        state, event, role = gone.split(" ")
        lesser = application.TABLE.without([gone])
        for is_for_card, is_signed in product((True, False), repeat=2):
            facts = ApplicationFacts(is_for_card, is_signed, OTHER, ONE)
            with pytest.raises(Refused):
                application.next_state(
                    ApplicationState(state), ApplicationEvent(event), Role(role), facts, lesser
                )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ONE, ONE),
        (ONE, Reviewer("a", "2")),
        (ONE, Reviewer("b", "1")),
        (None, OTHER),
        (ONE, None),
    ],
    ids=["same", "another card", "another person", "first unknown", "second unknown"],
)
def test_second_review_by_who_made_the_first_is_refused(
    first: Reviewer | None, second: Reviewer | None
) -> None:
    facts = ApplicationFacts(True, False, second, first)
    state, event = ApplicationState.SECOND_REVIEW, ApplicationEvent.APPROVE
    with pytest.raises(SameReviewer):
        application.next_state(state, event, Role.SECOND_REVIEWER, facts)


@pytest.mark.parametrize("state", ["making", "issued", "mailed", "closed"])
@pytest.mark.parametrize("event", [ApplicationEvent.CORRECT, ApplicationEvent.WITHDRAW])
def test_application_whose_card_is_being_made_cannot_be_changed(state: str, event: ApplicationEvent) -> None:
    with pytest.raises(TooLateToChange):
        application.next_state(ApplicationState(state), event, Role.APPLICANT, ApplicationFacts(True, False))


@pytest.mark.parametrize(
    ("is_fee_due", "is_signed", "state"),
    [
        (True, False, "submitted"),
        (False, False, "paid"),
        (True, True, "letter_arrived"),
        (False, True, "first_review"),
    ],
)
def test_application_begins_with_what_is_awaited(is_fee_due: bool, is_signed: bool, state: str) -> None:
    assert application.first_state(is_fee_due=is_fee_due, is_signed=is_signed) == state


SLIPS: Final = """
            in_time     late        lapse       cancel     refund      pay_back
open        paid        refund_due  lapsed      cancelled  -           -
paid        =           =           =           -          refund_due  -
lapsed      paid        refund_due  =           cancelled  -           -
cancelled   paid        refund_due  =           =          -           -
refund_due  =           =           =           -          =           refunded
refunded    =           =           =           -          -           =
"""
PAYERS: Final = {
    "in_time": {"payment_provider"},
    "late": {"payment_provider"},
    "lapse": {"centre"},
    "cancel": {"applicant", "first_reviewer", "operator"},
    "refund": {"applicant", "first_reviewer", "operator"},
    "pay_back": {"payment_provider", "operator"},
}
LAST: Final = datetime(2026, 3, 8, 16, tzinfo=UTC)


def slip(state: PaymentState, event: PaymentEvent, role: Role, facts: PaymentFacts) -> str:
    try:
        return payment.next_state(state, event, role, facts).value
    except Refused:
        return "-"


def test_payment_slip_in_every_state_with_every_event_by_every_role_does_as_expected() -> None:
    late = PaymentFacts(now=LAST, lapses_at=LAST, due=420, amount=420, paid_at=LAST, is_fee_open=True)
    in_time = PaymentFacts(LAST, LAST, 420, 420, LAST - timedelta(seconds=1), is_fee_open=True)
    table = cells(SLIPS)
    for state, role, column in product(PaymentState, Role, PAYERS):
        event = PaymentEvent.CONFIRM if column in ("in_time", "late") else PaymentEvent(column)
        found = slip(state, event, role, in_time if column == "in_time" else late)
        assert found == (table[state, column] if role in PAYERS[column] else "-"), (state, role, column)


@pytest.mark.parametrize("state", [PaymentState.OPEN, PaymentState.LAPSED, PaymentState.CANCELLED])
def test_payment_for_what_awaits_none_is_to_be_paid_back(state: PaymentState) -> None:
    facts = PaymentFacts(LAST, LAST, 420, 420, LAST - timedelta(days=1), is_fee_open=False)
    assert slip(state, PaymentEvent.CONFIRM, Role.PAYMENT_PROVIDER, facts) == "refund_due"


def test_payment_of_another_amount_is_refused_and_names_both() -> None:
    facts = PaymentFacts(LAST, LAST, 420, 320, LAST - timedelta(days=1), is_fee_open=True)
    with pytest.raises(WrongAmount) as refused:
        payment.next_state(PaymentState.OPEN, PaymentEvent.CONFIRM, Role.PAYMENT_PROVIDER, facts)
    assert refused.value.message("zh_TW") == "應繳新臺幣 420 元，實繳新臺幣 320 元。"


def test_payment_slip_before_its_end_does_not_lapse() -> None:
    facts = PaymentFacts(LAST - timedelta(microseconds=1), LAST, 420)
    assert slip(PaymentState.OPEN, PaymentEvent.LAPSE, Role.CENTRE, facts) == "-"


def test_payment_for_issued_certificates_is_not_paid_back() -> None:
    facts = PaymentFacts(LAST, LAST, 420, is_issued=True)
    assert slip(PaymentState.PAID, PaymentEvent.REFUND, Role.APPLICANT, facts) == "-"
