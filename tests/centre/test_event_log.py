# SPDX-License-Identifier: Apache-2.0
"""The log that officers read."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from support.centre.cases import FIRST, NEW_CODE, OPERATOR, RULES, SCHOOL, form, with_organisations
from support.moved_clock import MovedClock
from support.new_sets import new_set
from xca_centre import applications, certificate_sets, event_log
from xca_centre.applications import Application
from xca_centre.case_number import shown
from xca_centre.event_log import LogFilter, Position, shown_facts
from xca_centre.store.database import Database
from xca_centre.store.events import Event
from xca_common import taipei


@pytest.fixture
def case(database: Database, clock: MovedClock) -> Application:
    with with_organisations(database).change() as change:
        made = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE)
    clock.move(timedelta(days=2))
    with database.change() as change:
        applications.receive(change, RULES, made.id, FIRST)
        new = new_set(change.now, certificate_sets.reserve(change, 2, 2), organisation=SCHOOL.oid)
        certificate_sets.add(change, new, OPERATOR)
    return made


def read(database: Database, wanted: LogFilter) -> Sequence[Event]:
    with database.read() as connection:
        return event_log.read(connection, wanted)


def kinds(database: Database, wanted: LogFilter) -> list[str]:
    return [event.kind for event in read(database, wanted)]


def test_log_has_all_events_the_newest_first(database: Database, case: Application) -> None:
    found = kinds(database, LogFilter())
    assert sorted(found[:2]) == ["application_receive", "certificates.issue"]
    assert sorted(found[2:]) == ["application_submitted", "organisations_imported"]


def test_log_is_filtered_by_who_what_and_when(
    database: Database, case: Application, clock: MovedClock
) -> None:
    assert kinds(database, LogFilter(person="lin")) == ["application_receive"]
    about = ["application_receive", "application_submitted"]
    for number in (case.case_number, shown(case.case_number), str(case.id)):
        assert kinds(database, LogFilter(about=number)) == about
    assert kinds(database, LogFilter(about="xc00000000000001")) == ["certificates.issue"]
    assert kinds(database, LogFilter(about=SCHOOL.oid, kind="application")) == about
    today = taipei.day(clock())
    assert "application_submitted" not in kinds(database, LogFilter(first_day=today))
    assert "application_receive" not in kinds(database, LogFilter(last_day=today - timedelta(days=1)))


@pytest.mark.parametrize("typed", ["\x00", "%", "_", "'; --", "字" * 500])
def test_log_finds_nothing_for_what_no_event_has(database: Database, case: Application, typed: str) -> None:
    for wanted in (
        LogFilter(person=typed),
        LogFilter(about=typed),
        LogFilter(kind=typed.strip("\x00") or "%"),
    ):
        assert kinds(database, wanted) == []


def test_log_goes_on_where_the_page_before_ended(database: Database, case: Application) -> None:
    with database.read() as connection:
        whole = list(event_log.read(connection, LogFilter()))
        read_so_far: list[Event] = []
        while page := event_log.read(
            connection,
            LogFilter(),
            Position(read_so_far[-1].at, read_so_far[-1].id) if read_so_far else None,
            most=1,
        ):
            read_so_far += page
    assert read_so_far == whole


def test_log_shows_no_certificates(database: Database, case: Application) -> None:
    (issued,) = read(database, LogFilter(kind="certificates.issue"))
    facts = dict(shown_facts(issued))
    assert facts["card"] == "XC00000000000001"
    assert not [name for name in facts if name.startswith("der")]
