# SPDX-License-Identifier: Apache-2.0
"""Organisations whose certificates lapsed get no card for three months."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Final

import pytest

from support.centre.cases import OPERATOR
from support.moved_clock import MovedClock
from xca_centre.errors import OrganisationBlocked
from xca_centre.issuer_rules import Issuer, Months, load
from xca_centre.reissue_blocks import block, require_unblocked
from xca_centre.store.database import Database

RULES: Final = load(Issuer.TEST)
OID: Final = "2.16.886.111.100000"


def is_blocked(database: Database, clock: MovedClock, oid: str = OID) -> date | None:
    with database.read() as connection:
        try:
            require_unblocked(connection, oid, clock())
        except OrganisationBlocked as refused:
            return refused.last_day
    return None


def test_organisation_after_a_lapse_is_blocked_for_three_months(
    database: Database, clock: MovedClock
) -> None:
    assert is_blocked(database, clock) is None
    with database.change() as change:
        block(change, OID, change.now, RULES, OPERATOR)
    assert is_blocked(database, clock) == date(2027, 2, 2)
    assert is_blocked(database, clock, "2.16.886.111.100001") is None
    clock.move(timedelta(days=92, hours=14, minutes=59))
    assert is_blocked(database, clock) is not None
    clock.move(timedelta(minutes=1))
    assert is_blocked(database, clock) is None


@pytest.mark.parametrize("first_is_earlier", [True, False])
def test_organisation_after_two_lapses_is_blocked_until_the_later_end(
    database: Database, clock: MovedClock, first_is_earlier: bool
) -> None:
    days = [0, 10] if first_is_earlier else [10, 0]
    with database.change() as change:
        for each in days:
            block(change, OID, change.now - timedelta(days=each), RULES, OPERATOR)
    assert is_blocked(database, clock) == date(2027, 2, 2)


def test_organisation_of_an_issuer_without_blocks_is_not_blocked(
    database: Database, clock: MovedClock
) -> None:
    without = replace(RULES, deadlines=replace(RULES.deadlines, reissue_block=Months(0)))
    with database.change() as change:
        block(change, OID, change.now, without, OPERATOR)
    assert is_blocked(database, clock) is None


def test_block_of_a_change_that_is_undone_does_not_count(database: Database, clock: MovedClock) -> None:
    class Undone(Exception):
        pass

    def undo() -> None:
        with database.change() as change:
            block(change, OID, change.now, RULES, OPERATOR)
            raise Undone

    with pytest.raises(Undone):
        undo()
    assert is_blocked(database, clock) is None
