# SPDX-License-Identifier: Apache-2.0
"""Officers: recorded, with cards, and what they may be."""

import pytest

from support.centre.cases import OPERATOR, SCHOOL
from xca_centre import officers
from xca_centre.errors import BadOfficer, OfficerCardTaken, OfficerUnknown
from xca_centre.life.application import Reviewer
from xca_centre.life.transitions import Role
from xca_centre.store.database import Database

KEY = "ab" * 32


@pytest.fixture
def lin(database: Database) -> Database:
    with database.change() as change:
        officers.record(change, "lin", "林審驗", [Role.FIRST_REVIEWER], SCHOOL.counter, OPERATOR)
    return database


def test_officer_with_a_card_is_found_by_its_key_and_reviews_for_his_counter(lin: Database) -> None:
    with lin.change() as change:
        officers.give_card(change, "lin", "XC00000000000001", KEY, OPERATOR)
    with lin.read() as connection:
        found = officers.of_key(connection, KEY)
    assert found is not None
    first = found.acting(Role.FIRST_REVIEWER)
    assert first is not None
    assert (first.reviewer, first.counter) == (Reviewer("lin", KEY), SCHOOL.counter)
    assert found.acting(Role.SECOND_REVIEWER) is None


def test_officer_without_a_card_does_not_review(lin: Database) -> None:
    with lin.read() as connection:
        assert officers.find(connection, "lin").acting(Role.FIRST_REVIEWER) is None


def test_officer_who_is_inactive_is_not_found_by_his_card(lin: Database) -> None:
    with lin.change() as change:
        officers.give_card(change, "lin", "XC00000000000001", KEY, OPERATOR)
        officers.deactivate(change, "lin", OPERATOR)
    with lin.read() as connection:
        assert officers.of_key(connection, KEY) is None
        assert not officers.find(connection, "lin").is_active


def test_card_of_one_officer_is_refused_to_another(lin: Database) -> None:
    with lin.change() as change:
        officers.give_card(change, "lin", "XC00000000000001", KEY, OPERATOR)
        officers.record(change, "chen", "陳複審", [Role.SECOND_REVIEWER], None, OPERATOR)
        with pytest.raises(OfficerCardTaken) as refused:
            officers.give_card(change, "chen", "XC00000000000002", KEY, OPERATOR)
    assert refused.value.officer == "lin"


def test_new_card_takes_the_place_of_the_old_one(lin: Database) -> None:
    with lin.change() as change:
        officers.give_card(change, "lin", "XC00000000000001", KEY, OPERATOR)
        officers.give_card(change, "lin", "XC00000000000002", "cd" * 32, OPERATOR)
    with lin.read() as connection:
        assert officers.of_key(connection, KEY) is None
        assert [each.card for each in officers.everybody(connection)] == ["XC00000000000002"]


@pytest.mark.parametrize(
    ("officer", "name", "roles"),
    [
        ("Lin", "林", [Role.OPERATOR]),
        ("", "林", [Role.OPERATOR]),
        ("lin", "", [Role.OPERATOR]),
        ("lin", "林", []),
        ("lin", "林", [Role.HOLDER]),
    ],
)
def test_officer_who_cannot_be_one_is_refused(
    database: Database, officer: str, name: str, roles: list[Role]
) -> None:
    with database.change() as change, pytest.raises(BadOfficer):
        officers.record(change, officer, name, roles, None, OPERATOR)


def test_unknown_officer_is_told(database: Database) -> None:
    with database.read() as connection, pytest.raises(OfficerUnknown):
        officers.find(connection, "nobody")
