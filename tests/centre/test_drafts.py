# SPDX-License-Identifier: Apache-2.0
"""Drafts of applications, and the browsers that look at what became of them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from support.centre.cases import CODE, FIELDS, FIRST, NEW_CODE, RULES, SCHOOL, form, with_organisations
from support.moved_clock import MovedClock
from xca_centre import applications, case_access, drafts
from xca_centre.drafts import Draft, Wanted
from xca_centre.errors import CaseClosedToBrowser, DraftGone, FormIncomplete, PrimaryCardTaken
from xca_centre.life.application import ApplicationState
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one
from xca_centre.store.tables import APPLICATIONS, CASE_ACCESSES, DRAFTS

BROWSER, OTHER = "what one browser knows", "what another knows"


@pytest.fixture
def register(database: Database) -> Database:
    return with_organisations(database)


def begun(database: Database, wanted: Wanted = Wanted.CARD, **fields: str) -> Draft:
    with database.change() as change:
        return drafts.begin(change, BROWSER, SCHOOL.oid, wanted, {**FIELDS, **fields})


def filled(database: Database, **fields: str) -> Draft:
    draft = begun(database, Wanted.CARD, **fields)
    with database.change() as change:
        return drafts.keep(change, draft.id, BROWSER, code=NEW_CODE)


def read(database: Database, draft: UUID, clock: MovedClock, browser: str = BROWSER) -> Draft:
    with database.read() as connection:
        return drafts.read(connection, draft, browser, clock)


def upload(database: Database, draft: UUID) -> applications.Application:
    with database.change() as change:
        return drafts.upload(change, RULES, draft, BROWSER)


def rows(database: Database) -> tuple[int, int, int]:
    with database.read() as connection:
        return tuple(  # type: ignore[return-value]
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (APPLICATIONS, DRAFTS, CASE_ACCESSES)
        )


def test_draft_becomes_an_application_once(register: Database, clock: MovedClock) -> None:
    draft = filled(register)
    case = upload(register, draft.id)
    assert (case.state, case.form, case.organisation) == (ApplicationState.SUBMITTED, form(), SCHOOL.oid)
    assert upload(register, draft.id) == case
    left = read(register, draft.id, clock)
    assert (left.application, left.fields, left.code, left.request) == (case.id, {}, None, None)
    with pytest.raises(DraftGone), register.change() as change:
        drafts.keep(change, draft.id, BROWSER, fields=FIELDS)


def test_draft_uploaded_twice_at_once_is_one_application(register: Database) -> None:
    draft = filled(register)
    with ThreadPoolExecutor(4) as pool:
        cases = {*pool.map(lambda _: upload(register, draft.id).case_number, range(4))}
    assert (len(cases), rows(register)[0]) == (1, 1)


def test_draft_of_another_browser_is_not_there(register: Database, clock: MovedClock) -> None:
    draft = filled(register)
    with pytest.raises(DraftGone):
        read(register, draft.id, clock, OTHER)
    with pytest.raises(DraftGone), register.change() as change:
        drafts.keep(change, draft.id, OTHER, fields={})
    with pytest.raises(DraftGone), register.change() as change:
        drafts.upload(change, RULES, draft.id, OTHER)
    with pytest.raises(DraftGone):
        read(register, uuid4(), clock)


def test_draft_is_deleted_two_hours_later(register: Database, clock: MovedClock) -> None:
    draft = filled(register)
    clock.move(timedelta(hours=2))
    with pytest.raises(DraftGone):
        read(register, draft.id, clock)
    assert work_on_one(register, {drafts.FORGET: drafts.forgetter()})
    assert rows(register)[1] == 0


def test_draft_keeps_nothing_but_fields_of_the_form(register: Database, clock: MovedClock) -> None:
    draft = begun(register, user_code=CODE, other="x")
    assert read(register, draft.id, clock).fields == FIELDS


def test_draft_keeps_of_a_far_too_long_field_what_tells_that_it_is(
    register: Database, clock: MovedClock
) -> None:
    draft = filled(register)
    with register.change() as change:
        kept = drafts.keep(change, draft.id, BROWSER, fields={**FIELDS, "contact_name": "王" * 1_000_000})
    assert 50 < len(kept.fields["contact_name"]) < 1000
    with pytest.raises(FormIncomplete) as told:
        upload(register, draft.id)
    assert [*told.value.problems] == ["contact_name"]


def test_what_is_missing_is_told_before_the_upload(register: Database) -> None:
    draft = begun(register, Wanted.CERTIFICATE, contact_name="")
    with pytest.raises(FormIncomplete) as told, register.change() as change:
        drafts.upload(change, RULES, draft.id, BROWSER)
    assert set(told.value.problems) == {"contact_name", "request", "user_code"}
    assert rows(register)[0] == 0


def test_agreement_to_other_terms_of_use_does_not_count(register: Database) -> None:
    draft = filled(register)
    rules = replace(RULES, terms=replace(RULES.terms, version="2099-01"))
    with pytest.raises(FormIncomplete) as told, register.change() as change:
        drafts.upload(change, rules, draft.id, BROWSER)
    assert set(told.value.problems) == {"consent"}


def test_upload_that_is_refused_leaves_the_draft(register: Database) -> None:
    first = upload(register, filled(register, rank="primary").id)
    with register.change() as change:
        applications.receive(change, RULES, first.id, FIRST)
    second = filled(register, rank="primary")
    with pytest.raises(PrimaryCardTaken):
        upload(register, second.id)
    with register.change() as change:
        drafts.keep(change, second.id, BROWSER, fields=FIELDS)
    assert upload(register, second.id).form == form()


def test_application_is_shown_to_the_browser_that_gave_its_code_for_half_an_hour(
    register: Database, clock: MovedClock
) -> None:
    case = upload(register, filled(register).id)
    with register.change() as change:
        access = case_access.grant(change, case.id, BROWSER)

    def shown(browser: str, which: UUID = access) -> applications.Application:
        with register.read() as connection:
            return case_access.application(connection, which, browser, clock)

    assert shown(BROWSER) == case
    for browser, which in ((OTHER, access), (BROWSER, uuid4()), (BROWSER, case.id)):
        with pytest.raises(CaseClosedToBrowser):
            shown(browser, which)
    clock.move(timedelta(minutes=30))
    with pytest.raises(CaseClosedToBrowser):
        shown(BROWSER)


def test_access_that_was_ended_shows_nothing_and_neither_do_others_of_its_browser(
    register: Database, clock: MovedClock
) -> None:
    case = upload(register, filled(register).id)
    with register.change() as change:
        first, second = (case_access.grant(change, case.id, BROWSER) for _ in range(2))
        theirs = case_access.grant(change, case.id, OTHER)
        case_access.end(change, theirs, BROWSER)
        case_access.end(change, second, BROWSER)
    with register.read() as connection:
        assert case_access.application(connection, theirs, OTHER, clock) == case
        for ended in (first, second):
            with pytest.raises(CaseClosedToBrowser):
                case_access.application(connection, ended, BROWSER, clock)
