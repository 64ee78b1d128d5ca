# SPDX-License-Identifier: Apache-2.0
"""Applications from their upload to the order, in the database."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from sqlalchemy import insert, select

from support.centre.cases import (
    APPLICANT,
    CODE,
    FIRST,
    FOUNDATION,
    NETWORK,
    NEW_CODE,
    OPERATOR,
    RULES,
    SCHOOL,
    SECOND,
    codes,
    form,
    with_organisations,
)
from support.moved_clock import MovedClock
from xca_centre import applications, case_number, user_codes
from xca_centre.applications import Application, Officer
from xca_centre.errors import (
    ApplicationUnknown,
    ForeignCounter,
    KeyAskedFor,
    OrganisationBlocked,
    OrganisationUnknown,
    PossessionUnproved,
    PrimaryCardTaken,
    ReasonMissing,
    Refused,
    RequestUnreadable,
    SameReviewer,
    TooLateToChange,
    UserCodeRefused,
    WrongState,
)
from xca_centre.life.application import ApplicationEvent, ApplicationState, Reviewer
from xca_centre.life.transitions import Actor, Role
from xca_centre.reissue_blocks import block
from xca_centre.store.database import Change, Database
from xca_centre.store.tables import APPLICATIONS, CERTIFICATE_SETS, EVENTS, JOBS
from xca_centre.user_codes import NewUserCode
from xca_common.secret import Secret
from xca_login.testing.parties import key

PROVIDER = Actor(Role.PAYMENT_PROVIDER, "bank")
PRODUCER = Actor(Role.PRODUCER, "producer")
CENTRE = Actor(Role.CENTRE, "centre")
ORIGIN = "https://centre.example.gov.tw"


@pytest.fixture
def register(database: Database) -> Database:
    return with_organisations(database)


def do(database: Database, act: Callable[[Change], Application]) -> Application:
    with database.change() as change:
        return act(change)


def submitted(database: Database, **options: Any) -> Application:
    filled = options.pop("form", form())
    organisation = options.pop("organisation", SCHOOL.oid)
    code = options.pop("code", NEW_CODE)
    return do(
        database, lambda change: applications.submit(change, RULES, organisation, filled, code, **options)
    )


def advance(database: Database, case: UUID, event: ApplicationEvent, by: Actor) -> Application:
    return do(database, lambda change: applications.advance(change, RULES, case, event, by))


def paid(database: Database, case: UUID) -> Application:
    with database.change() as change:
        slip = applications.fetch_slip(change, RULES, case, APPLICANT)
        return applications.pay(change, RULES, slip.number, slip.due, change.now, PROVIDER)


def reviewed(database: Database, case: UUID) -> Application:
    do(database, lambda change: applications.receive(change, RULES, case, FIRST))
    return do(database, lambda change: applications.pass_first(change, RULES, case, FIRST))


def approved(database: Database, case: UUID) -> Application:
    paid(database, case)
    reviewed(database, case)
    return do(database, lambda change: applications.approve(change, RULES, case, SECOND))


def jobs(database: Database) -> list[dict[str, str]]:
    with database.read() as connection:
        rows = connection.execute(select(JOBS.c.kind, JOBS.c.facts).order_by(JOBS.c.created)).all()
    return [{"job": row.kind, **json.loads(row.facts)} for row in rows]


def events(database: Database, case: UUID) -> list[str]:
    with database.read() as connection:
        found = select(EVENTS.c.kind).where(EVENTS.c.subject == str(case)).order_by(EVENTS.c.at)
        return [*connection.execute(found).scalars()]


def test_application_goes_from_upload_to_order(register: Database, clock: MovedClock) -> None:
    case = submitted(register)
    assert case_number.read(case.case_number) == case.case_number
    assert (case.state, case.fee, case.revision) == (ApplicationState.SUBMITTED, 420, 1)
    clock.move(timedelta(days=1))
    assert paid(register, case.id).state is ApplicationState.PAID
    clock.move(timedelta(days=1))
    assert reviewed(register, case.id).first_reviewer == FIRST.reviewer
    clock.move(timedelta(days=1))
    do(register, lambda change: applications.approve(change, RULES, case.id, SECOND))
    assert jobs(register)[-1] == {"job": "make_card", "application": str(case.id)}
    happened = {f"application_{event}" for event in ("submitted", "pay", "receive", "pass", "approve")}
    assert {*events(register, case.id)} == happened | {"payment_issued", "payment_confirm"}
    for event, state, by in (
        (ApplicationEvent.MAKE, ApplicationState.MAKING, PRODUCER),
        (ApplicationEvent.ISSUE, ApplicationState.ISSUED, PRODUCER),
        (ApplicationEvent.MAIL, ApplicationState.MAILED, PRODUCER),
        (ApplicationEvent.CLOSE, ApplicationState.CLOSED, CENTRE),
    ):
        assert advance(register, case.id, event, by).state is state


def test_code_lies_sealed_until_the_certificates_are_issued(register: Database) -> None:
    case = submitted(register)
    approved(register, case.id)

    def sealed() -> bytes | None:
        with register.read() as connection:
            return user_codes.sealed(connection, case.code)

    advance(register, case.id, ApplicationEvent.MAKE, PRODUCER)
    assert sealed() == NEW_CODE.sealed
    do(
        register,
        lambda change: applications.advance(change, RULES, case.id, ApplicationEvent.ISSUE, PRODUCER),
    )
    assert sealed() is None


def test_progress_is_told_to_who_has_case_number_and_user_code(register: Database) -> None:
    case = submitted(register)

    def progress(typed: str, code: str) -> Application:
        found = codes(register).prove(
            lambda change: applications.find_code(change, typed), Secret(code), NETWORK, Role.APPLICANT
        )
        with register.read() as connection:
            return applications.of_code(connection, found)

    assert progress(case_number.shown(case.case_number), CODE) == case
    said = set()
    for typed, code in (
        (case.case_number, "wrong-code"),
        (case_number.new_case_number(), CODE),
        ("no number", CODE),
        ("\0\ud800", CODE),
    ):
        with pytest.raises(UserCodeRefused) as refusal:
            progress(typed, code)
        said.add(str(refusal.value))
    assert len(said) == 1


def test_contact_is_told_that_the_code_is_locked(register: Database) -> None:
    case = submitted(register)
    for _ in range(3):
        with pytest.raises(UserCodeRefused):
            codes(register).prove(lambda _: case.code, Secret("wrong-code"), NETWORK, Role.APPLICANT)
    (mail,) = (job for job in jobs(register) if job["job"] == "send_mail")
    assert (mail["mail"], mail["to"]) == ("user_code_locked", case.form.contact.email)
    assert mail["fact_number"] == case_number.shown(case.case_number)


def test_correction_is_reviewed_again(register: Database) -> None:
    case = submitted(register)
    approved(register, case.id)
    other = form(contact_name="林美麗")
    after = do(register, lambda change: applications.correct(change, RULES, case.id, other, APPLICANT))
    assert (after.state, after.revision, after.form) == (ApplicationState.PAID, 2, other)
    assert (after.first_reviewer, after.letter) == (None, None)


def test_application_in_the_making_is_changed_no_more(register: Database) -> None:
    case = submitted(register)
    approved(register, case.id)
    advance(register, case.id, ApplicationEvent.MAKE, PRODUCER)
    with pytest.raises(TooLateToChange):
        do(register, lambda change: applications.correct(change, RULES, case.id, form(), APPLICANT))
    with pytest.raises(TooLateToChange):
        do(register, lambda change: applications.withdraw(change, RULES, case.id, APPLICANT))


def test_withdrawal_ends_it_and_deletes_the_code_for_the_card(register: Database) -> None:
    case = submitted(register)
    for _ in range(2):
        after = do(register, lambda change: applications.withdraw(change, RULES, case.id, APPLICANT))
    assert after.state is ApplicationState.WITHDRAWN
    with register.read() as connection:
        assert user_codes.sealed(connection, case.code) is None
    assert events(register, case.id).count("application_withdraw") == 1


def test_returned_application_tells_why_and_comes_again(register: Database) -> None:
    case = submitted(register)
    paid(register, case.id)
    do(register, lambda change: applications.receive(change, RULES, case.id, FIRST))
    after = do(register, lambda change: applications.send_back(change, RULES, case.id, FIRST, "印信不清楚"))
    assert (after.state, after.reason, after.letter) == (ApplicationState.RETURNED, "印信不清楚", None)
    mail = jobs(register)[-1]
    assert (mail["mail"], mail["to"]) == ("returned", case.form.contact.email)
    assert (mail["fact_case"], mail["fact_reason"]) == (case_number.shown(case.case_number), "印信不清楚")
    again = reviewed(register, case.id)
    assert (again.state, again.reason) == (ApplicationState.SECOND_REVIEW, None)


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "\0", "x" * 501, "=1+1", "\u202e"])
def test_return_without_a_reason_that_can_be_sent_is_refused(register: Database, reason: str) -> None:
    case = submitted(register)
    with pytest.raises(ReasonMissing):
        do(register, lambda change: applications.send_back(change, RULES, case.id, FIRST, reason))


@pytest.mark.parametrize(
    "second",
    [
        Reviewer(FIRST.reviewer.person, SECOND.reviewer.card),
        Reviewer(SECOND.reviewer.person, FIRST.reviewer.card),
        FIRST.reviewer,
    ],
    ids=["same person", "same card", "both"],
)
def test_second_review_takes_another_person_with_another_card(register: Database, second: Reviewer) -> None:
    case = submitted(register)
    paid(register, case.id)
    reviewed(register, case.id)
    with pytest.raises(SameReviewer):
        do(
            register,
            lambda change: applications.approve(change, RULES, case.id, replace(SECOND, reviewer=second)),
        )


def test_officer_of_another_counter_reviews_nothing(register: Database) -> None:
    case = submitted(register)
    paid(register, case.id)
    other = Officer(Reviewer("wu", "card of wu"), Role.FIRST_REVIEWER, FOUNDATION.counter)
    for act in (applications.receive, applications.pass_first):
        with pytest.raises(ForeignCounter):
            do(register, lambda change, act=act: act(change, RULES, case.id, other))  # type: ignore[misc]
    with register.read() as connection:
        assert applications.in_state(connection, ApplicationState.PAID, other) == []
        assert [one.id for one in applications.in_state(connection, ApplicationState.PAID, FIRST)] == [
            case.id
        ]


def test_organisation_in_its_block_applies_for_nothing(register: Database, clock: MovedClock) -> None:
    with register.change() as change:
        block(change, SCHOOL.oid, clock.at, RULES, OPERATOR)
    with pytest.raises(OrganisationBlocked):
        submitted(register)
    assert submitted(register, organisation=FOUNDATION.oid).organisation == FOUNDATION.oid
    clock.move(timedelta(days=95))
    assert submitted(register).organisation == SCHOOL.oid


def test_unknown_organisation_and_application_are_told(register: Database) -> None:
    with pytest.raises(OrganisationUnknown):
        submitted(register, organisation="2.16.886.111.1")
    with pytest.raises(ApplicationUnknown):
        paid(register, uuid4())


def test_organisation_has_one_primary_card_under_way_and_many_secondary_ones(register: Database) -> None:
    first = submitted(register, form=form(rank="primary"))
    secondary = submitted(register)
    submitted(register)
    do(register, lambda change: applications.receive(change, RULES, first.id, FIRST))
    with pytest.raises(PrimaryCardTaken):
        submitted(register, form=form(rank="primary"))
    with pytest.raises(PrimaryCardTaken):
        do(
            register,
            lambda change: applications.correct(change, RULES, secondary.id, form(rank="primary"), APPLICANT),
        )
    do(register, lambda change: applications.withdraw(change, RULES, first.id, APPLICANT))
    submitted(register, form=form(rank="primary"))


def test_stranger_who_uploads_keeps_no_organisation_from_its_primary_card(register: Database) -> None:
    cases = [submitted(register, form=form(rank="primary")).id for _ in range(3)]
    approved(register, cases[2])
    with pytest.raises(PrimaryCardTaken):
        approved(register, cases[1])
    with pytest.raises(WrongState):
        do(register, lambda change: applications.approve(change, RULES, cases[2], SECOND))


def test_organisation_with_a_valid_primary_card_gets_no_other(register: Database, clock: MovedClock) -> None:
    row = {
        "id": uuid4(),
        "card": "TTXC000000000001",
        "organisation": SCHOOL.oid,
        "rank": "primary",
        "state": "valid",
        "holds": "",
        "since": clock.at,
        "version": 1,
        "issued": clock.at,
        "lapses_at": clock.at,
        "not_after": clock.at + timedelta(days=9),
        "is_published": True,
    }
    with register.change() as change:
        change.connection.execute(insert(CERTIFICATE_SETS).values(row))
        change.connection.execute(
            insert(CERTIFICATE_SETS).values({**row, "id": uuid4(), "state": "superseded"})
        )
    with pytest.raises(PrimaryCardTaken):
        submitted(register, form=form(rank="primary"))
    clock.move(timedelta(days=10))
    submitted(register, form=form(rank="primary"))


def test_code_for_a_card_is_sealed_to_its_producer(register: Database) -> None:
    with pytest.raises(ValueError, match="sealed"):
        submitted(register, code=NewUserCode(NEW_CODE.hash))


def request(bits: str = "elsewhere") -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key(bits), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_request_for_a_key_elsewhere_becomes_a_certificate_without_a_card(register: Database) -> None:
    case = submitted(register, request=request(), code=NewUserCode(NEW_CODE.hash))
    assert case.fee == 320
    approved(register, case.id)
    assert jobs(register)[-1] == {"job": "issue_certificate", "application": str(case.id)}
    with pytest.raises(Refused):
        advance(register, case.id, ApplicationEvent.MAKE, PRODUCER)


def test_request_for_a_key_that_another_application_asks_for_is_refused_until_that_is_withdrawn(
    register: Database,
) -> None:
    code = NewUserCode(NEW_CODE.hash)
    first = submitted(register, request=request(), code=code)
    with pytest.raises(KeyAskedFor):
        submitted(register, request=request(), code=code)
    submitted(register, request=request("another key"), code=code)
    with register.change() as change:
        applications.withdraw(change, RULES, first.id, APPLICANT)
    submitted(register, request=request(), code=code)


def test_request_that_is_none_is_refused(register: Database) -> None:
    for wrong in (b"", b"x", request()[:-1] + bytes([request()[-1] ^ 1])):
        with pytest.raises((RequestUnreadable, PossessionUnproved)):
            submitted(register, request=wrong)


def test_events_name_no_person_and_no_code(register: Database) -> None:
    case = submitted(register)
    approved(register, case.id)
    with register.read() as connection:
        kept = str(connection.execute(select(EVENTS)).all()) + str(connection.execute(select(JOBS)).all())
        row = str(connection.execute(select(APPLICATIONS)).all())
    assert not any(personal in kept for personal in ("王小明", "example.tw", "7111#12", CODE))
    assert "王小明" in row
    assert CODE not in row
    assert OPERATOR.name in kept
