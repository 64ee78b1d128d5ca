# SPDX-License-Identifier: Apache-2.0
"""A certificate of a key that is on no card is accepted or refused with case number and user code."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from support.centre.authority import issuer, key
from support.centre.cases import (
    APPLICANT,
    CODE,
    FIRST,
    NETWORK,
    RULES,
    SCHOOL,
    SECOND,
    CardMaker,
    codes,
    form,
    with_organisations,
)
from support.moved_clock import MovedClock
from xca_centre import applications, certificate_sets, orders
from xca_centre.acceptance import answer_by_code
from xca_centre.certificate_sets import CertificateSet
from xca_centre.errors import CertificateRevoked, NoSuchOrder, NotACard, UserCodeRefused
from xca_centre.life.certificate import CertificateState, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one
from xca_centre.user_codes import NewUserCode
from xca_common.secret import Secret

BANK = Actor(Role.PAYMENT_PROVIDER, "bank")


@pytest.fixture
def register(sqlite_address: str, clock: MovedClock) -> Iterator[Database]:
    made = Database(sqlite_address, clock)
    yield with_organisations(made)
    made.close()


def apply(database: Database, elsewhere: str = "elsewhere") -> str:
    """The case number of an application for a certificate, which was approved."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key(elsewhere), hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    code = codes(database).choose(Secret(CODE))
    with database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), code, request=request)
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case.id, FIRST)
        applications.pass_first(change, RULES, case.id, FIRST)
        applications.approve(change, RULES, case.id, SECOND)
    return case.case_number


def issue(database: Database) -> None:
    assert work_on_one(
        database, {orders.ISSUE_CERTIFICATE: orders.certificate_handler(RULES, {2: issuer(2)})}
    )


def answer(
    database: Database,
    case: str,
    *,
    is_accepted: bool,
    code: str = CODE,
    arrived: datetime | None = None,
) -> CertificateSet:
    return answer_by_code(
        database,
        RULES,
        codes(database),
        case,
        Secret(code),
        NETWORK,
        is_accepted=is_accepted,
        arrived=arrived or database.clock(),
    )


def test_certificate_without_a_card_is_accepted_with_its_code_once(register: Database) -> None:
    case = apply(register)
    with pytest.raises(NoSuchOrder):
        answer(register, case, is_accepted=True)
    issue(register)
    accepted = answer(register, case, is_accepted=True)
    assert (accepted.standing.state, accepted.version) == (CertificateState.VALID, 2)
    assert answer(register, case, is_accepted=True) == accepted


def test_answer_that_was_here_in_time_counts_although_its_change_begins_after_the_last_day(
    register: Database, clock: MovedClock
) -> None:
    cases = apply(register), apply(register, "elsewhere 2")
    issue(register)
    issue(register)
    arrived = clock.at + timedelta(days=89)
    clock.move(timedelta(days=92))
    accepted, refused = (
        answer(register, case, is_accepted=is_accepted, arrived=arrived)
        for case, is_accepted in zip(cases, (True, False), strict=True)
    )
    assert (accepted.standing.state, accepted.accepted) == (CertificateState.VALID, arrived)
    assert refused.standing.state is CertificateState.REVOKED


def test_case_number_of_a_card_accepts_nothing(register: Database) -> None:
    code = codes(register).choose(Secret(CODE))
    code = NewUserCode(code.hash, b"sealed to the producer")
    with register.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), code)
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case.id, FIRST)
        applications.pass_first(change, RULES, case.id, FIRST)
        applications.approve(change, RULES, case.id, SECOND)
    producer = CardMaker()
    assert work_on_one(register, {orders.JOB: orders.handler(RULES, {2: issuer(2)}, producer)})
    with pytest.raises(NotACard) as refusal:
        answer(register, case.case_number, is_accepted=True)
    assert "Activate the card" in refusal.value.next_step("en")
    with register.read() as connection:
        certificates = orders.of_application(connection, case.id).certificates
        assert certificate_sets.find(connection, certificates).version == 1


def test_certificate_without_a_card_that_is_refused_is_revoked_for_good(register: Database) -> None:
    case = apply(register)
    issue(register)
    refused = answer(register, case, is_accepted=False)
    assert refused.standing.state is CertificateState.REVOKED
    assert refused.standing.reason is Reason.CESSATION_OF_OPERATION
    with pytest.raises(CertificateRevoked):
        answer(register, case, is_accepted=True)


def test_wrong_code_and_unknown_case_are_refused_alike(register: Database) -> None:
    case = apply(register)
    issue(register)
    for number, code in ((case, "wrong-1234"), ("1" * 25, CODE)):
        with pytest.raises(UserCodeRefused):
            answer(register, number, is_accepted=True, code=code)
    assert answer(register, case, is_accepted=True).version == 2
