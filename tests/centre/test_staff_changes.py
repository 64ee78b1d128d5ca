# SPDX-License-Identifier: Apache-2.0
"""Officers are appointed and dismissed by two others, or by an operator."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from support.centre.cases import FOUNDATION, OPERATOR, SCHOOL
from support.moved_clock import MovedClock
from support.new_sets import new_set
from xca_centre import certificate_sets, officers, staff_changes
from xca_centre.errors import (
    AboutYourself,
    BadOfficer,
    OfficerCardTaken,
    OfficerCardUnusable,
    OfficerError,
    SameProposer,
    StaffChangeGone,
    StaffChangeNotYours,
    StaffChangeOpen,
)
from xca_centre.life.certificate import ISSUED, REISSUED, Standing
from xca_centre.life.transitions import Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.staff_changes import LIFE, Appointment, StaffChange
from xca_centre.store.database import Change, Database
from xca_centre.store.tables import EVENTS

FIRST, SECOND = frozenset({Role.FIRST_REVIEWER}), frozenset({Role.SECOND_REVIEWER})
Staff: TypeAlias = dict[str, RegisteredOfficer]


def card(change: Change, number: str, standing: Standing = REISSUED) -> None:
    made = new_set(
        change.now,
        certificate_sets.reserve(change, 2, 2),
        card=number,
        standing=standing,
        key=ec.generate_private_key(ec.SECP256R1()),
    )
    certificate_sets.add(change, made, OPERATOR)


@pytest.fixture
def staff(database: Database) -> Staff:
    """Officers of two counters, of the second review, an operator; each has a card."""
    made = {
        "lin": (FIRST, SCHOOL.counter),
        "wu": (FIRST, SCHOOL.counter),
        "ho": (FIRST, FOUNDATION.counter),
        "chen": (SECOND, None),
        "kao": (SECOND, None),
        "op": (frozenset({Role.OPERATOR}), None),
    }
    with database.change() as change:
        for number, (name, (roles, counter)) in enumerate(made.items(), 1):
            card(change, f"XC{number:014}")
            officers.record(change, name, name, roles, counter, OPERATOR)
            key = staff_changes.key_of_card(change, f"XC{number:014}")
            officers.give_card(change, name, f"XC{number:014}", key, OPERATOR)
        card(change, "XC00000000000099")
        return {name: officers.find(change.connection, name) for name in made}


NEW = Appointment("new", "新人員", FIRST, SCHOOL.counter, "XC00000000000099")


def appoint(database: Database, by: RegisteredOfficer, wanted: Appointment = NEW) -> StaffChange | None:
    with database.change() as change:
        return staff_changes.appoint(change, wanted, by)


def dismiss(database: Database, officer: str, by: RegisteredOfficer) -> StaffChange | None:
    with database.change() as change:
        return staff_changes.dismiss(change, officer, by)


def support(database: Database, proposal: StaffChange | None, by: RegisteredOfficer) -> None:
    assert proposal is not None
    with database.change() as change:
        staff_changes.support(change, proposal.id, by)


def is_active(database: Database, officer: str) -> bool:
    with database.read() as connection:
        return any(each.id == officer and each.is_active for each in officers.everybody(connection))


def test_two_others_appoint_an_officer_with_his_card(database: Database, staff: Staff) -> None:
    proposal = appoint(database, staff["lin"])
    assert not is_active(database, "new")
    support(database, proposal, staff["wu"])
    with database.read() as connection:
        made = officers.find(connection, "new")
        kinds = connection.execute(
            select(EVENTS.c.kind, EVENTS.c.name).where(EVENTS.c.subject == "new").order_by(EVENTS.c.at)
        )
        assert [tuple(row) for row in kinds] == [
            ("staff_change_proposed", "lin"),
            ("officer_recorded", "wu"),
            ("officer_card_given", "wu"),
        ]
        assert made.key is not None
        assert officers.of_key(connection, made.key) == made
    assert (made.roles, made.counter, made.card) == (FIRST, SCHOOL.counter, NEW.card)


def test_two_others_dismiss_an_officer(database: Database, staff: Staff) -> None:
    support(database, dismiss(database, "lin", staff["chen"]), staff["wu"])
    assert not is_active(database, "lin")


def test_operator_appoints_and_dismisses_alone(database: Database, staff: Staff) -> None:
    assert appoint(database, staff["op"]) is None
    assert is_active(database, "new")
    assert dismiss(database, "new", staff["op"]) is None
    assert not is_active(database, "new")


def test_proposer_does_not_support_his_own_proposal(database: Database, staff: Staff) -> None:
    proposal = appoint(database, staff["lin"])
    with pytest.raises(SameProposer):
        support(database, proposal, staff["lin"])
    support(database, proposal, staff["wu"])


def test_card_that_changed_hands_does_not_support_what_it_proposed(database: Database, staff: Staff) -> None:
    proposal = dismiss(database, "ho", staff["kao"])
    with database.change() as change:
        card(change, "XC00000000000098")
        key = staff_changes.key_of_card(change, "XC00000000000098")
        officers.give_card(change, "kao", "XC00000000000098", key, OPERATOR)
        officers.give_card(change, "chen", str(staff["kao"].card), str(staff["kao"].key), OPERATOR)
        chen = officers.find(change.connection, "chen")
    with pytest.raises(SameProposer):
        support(database, proposal, chen)


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda database, staff: dismiss(database, "lin", staff["lin"]), AboutYourself),
        (lambda database, staff: dismiss(database, "ho", staff["lin"]), StaffChangeNotYours),
        (lambda database, staff: dismiss(database, "chen", staff["lin"]), StaffChangeNotYours),
        (lambda database, staff: dismiss(database, "op", staff["chen"]), StaffChangeNotYours),
        (
            lambda database, staff: appoint(
                database, staff["chen"], Appointment("new", "新", frozenset({Role.OPERATOR}), None, NEW.card)
            ),
            StaffChangeNotYours,
        ),
        (
            lambda database, staff: appoint(
                database, staff["lin"], Appointment("ho", "何", FIRST, SCHOOL.counter, NEW.card)
            ),
            StaffChangeNotYours,
        ),
        (
            lambda database, staff: appoint(
                database, staff["chen"], Appointment("new", "新", SECOND, None, "XC00000000000001")
            ),
            OfficerCardTaken,
        ),
        (
            lambda database, staff: appoint(
                database, staff["chen"], Appointment("new", "新", SECOND, None, "XC00000000000050")
            ),
            OfficerCardUnusable,
        ),
        (
            lambda database, staff: appoint(
                database, staff["chen"], Appointment("NEW", "新", SECOND, None, NEW.card)
            ),
            BadOfficer,
        ),
    ],
    ids=["himself", "other counter", "second", "operator", "new operator", "moves", "taken", "no card", "id"],
)
def test_proposal_that_may_not_be_made_is_refused(
    database: Database,
    staff: Staff,
    act: Callable[[Database, Staff], object],
    expected: type[OfficerError],
) -> None:
    with pytest.raises(expected):
        act(database, staff)
    with database.read() as connection:
        assert not staff_changes.waiting(connection, now_of(database))


def now_of(database: Database) -> datetime:
    with database.change() as change:
        return change.now


def test_card_that_is_not_accepted_is_no_officers(database: Database, staff: Staff) -> None:
    with database.change() as change:
        card(change, "XC00000000000097", ISSUED)
    with pytest.raises(OfficerCardUnusable):
        appoint(database, staff["lin"], Appointment("new", "新", FIRST, SCHOOL.counter, "XC00000000000097"))


def test_proposal_of_who_was_dismissed_meanwhile_is_not_supported(database: Database, staff: Staff) -> None:
    proposal = appoint(database, staff["lin"])
    dismiss(database, "lin", staff["op"])
    with pytest.raises(StaffChangeNotYours):
        support(database, proposal, staff["wu"])
    assert not is_active(database, "new")


def test_officer_who_was_dismissed_proposes_nothing(database: Database, staff: Staff) -> None:
    dismiss(database, "lin", staff["op"])
    with pytest.raises(StaffChangeNotYours):
        appoint(database, staff["lin"])


def test_proposal_takes_effect_once(database: Database, staff: Staff) -> None:
    proposal = dismiss(database, "ho", staff["chen"])
    support(database, proposal, staff["kao"])
    with pytest.raises(StaffChangeGone):
        support(database, proposal, staff["kao"])


def test_second_proposal_about_an_officer_waits_for_the_first(database: Database, staff: Staff) -> None:
    proposal = dismiss(database, "ho", staff["chen"])
    with pytest.raises(StaffChangeOpen):
        dismiss(database, "ho", staff["kao"])
    assert proposal is not None
    with database.change() as change:
        staff_changes.drop(change, proposal.id, staff["kao"])
    assert dismiss(database, "ho", staff["kao"]) is not None


def test_proposal_ends_after_its_days(database: Database, staff: Staff, clock: MovedClock) -> None:
    proposal = dismiss(database, "ho", staff["chen"])
    clock.move(LIFE)
    with pytest.raises(StaffChangeGone):
        support(database, proposal, staff["kao"])
    assert dismiss(database, "ho", staff["kao"]) is not None
