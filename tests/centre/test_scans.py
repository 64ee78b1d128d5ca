# SPDX-License-Identifier: Apache-2.0
"""Scans of the paper that came with applications."""

from uuid import uuid4

import pytest

from support.centre.cases import (
    APPLICANT,
    FIRST,
    FOUNDATION,
    NEW_CODE,
    RULES,
    SCHOOL,
    SECOND,
    form,
    with_organisations,
)
from xca_centre import applications, scans
from xca_centre.applications import Application, Officer
from xca_centre.errors import ForeignCounter, NoScan, ScanUnusable, TooManyScans, WrongState
from xca_centre.life.application import Reviewer
from xca_centre.life.transitions import Role
from xca_centre.scans import MOST, MOST_BYTES
from xca_centre.store.database import Database

PDF = b"%PDF-1.7 letter"
ELSEWHERE = Officer(Reviewer("ho", "card of ho"), Role.FIRST_REVIEWER, FOUNDATION.counter)


@pytest.fixture
def case(database: Database) -> Application:
    with with_organisations(database).change() as change:
        return applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE)


def add(database: Database, case: Application, content: bytes = PDF, officer: Officer = FIRST) -> None:
    with database.change() as change:
        scans.add(change, case.id, content, officer)


def test_scan_is_given_back_as_it_came_to_the_officers_of_its_case(
    database: Database, case: Application
) -> None:
    add(database, case)
    with database.read() as connection:
        (kept,) = scans.of_application(connection, case.id)
        assert (kept.kind, kept.size, kept.person) == ("pdf", len(PDF), "lin")
        assert scans.content(connection, kept.id, SECOND)[1] == PDF
        with pytest.raises(ForeignCounter):
            scans.content(connection, kept.id, ELSEWHERE)
        with pytest.raises(NoScan):
            scans.content(connection, uuid4(), FIRST)


def test_same_scan_again_changes_nothing(database: Database, case: Application) -> None:
    add(database, case)
    add(database, case)
    with database.read() as connection:
        assert len(scans.of_application(connection, case.id)) == 1


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"MZ", PDF + bytes(MOST_BYTES)], ids=["empty", "html", "program", "big"]
)
def test_file_that_is_no_scan_is_refused(database: Database, case: Application, content: bytes) -> None:
    with pytest.raises(ScanUnusable):
        add(database, case, content)


def test_application_has_so_many_scans_at_most(database: Database, case: Application) -> None:
    for number in range(MOST):
        add(database, case, PDF + bytes([number]))
    with pytest.raises(TooManyScans):
        add(database, case, PDF)


def test_officer_of_another_counter_adds_none(database: Database, case: Application) -> None:
    with pytest.raises(ForeignCounter):
        add(database, case, officer=ELSEWHERE)


def test_application_that_has_ended_takes_none(database: Database, case: Application) -> None:
    with database.change() as change:
        applications.withdraw(change, RULES, case.id, APPLICANT)
    with pytest.raises(WrongState):
        add(database, case)
