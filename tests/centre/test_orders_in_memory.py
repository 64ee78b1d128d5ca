# SPDX-License-Identifier: Apache-2.0
"""Orders whose cards are in memory: which keys are certified, and which cards go to the post."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from support.centre.authority import issuer, key
from support.centre.cases import (
    APPLICANT,
    FIRST,
    NEW_CODE,
    OPERATOR,
    RULES,
    SCHOOL,
    SECOND,
    CardMaker,
    form,
    with_organisations,
)
from support.moved_clock import MovedClock
from xca_centre import applications, certificate_sets, notices, orders
from xca_centre.errors import KeyTaken
from xca_centre.life.application import ApplicationState
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one
from xca_common.card_making import CardKeys

BANK = Actor(Role.PAYMENT_PROVIDER, "bank")
HOLDER = Actor(Role.HOLDER, "holder")


@pytest.fixture
def register(sqlite_address: str, clock: MovedClock) -> Iterator[Database]:
    made = Database(sqlite_address, clock)
    yield with_organisations(made)
    made.close()


def approved(database: Database, request: bytes | None = None) -> UUID:
    """An application for a card or a certificate, which was approved."""
    with database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE, request=request).id
        slip = applications.fetch_slip(change, RULES, case, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case, FIRST)
        applications.pass_first(change, RULES, case, FIRST)
        applications.approve(change, RULES, case, SECOND)
    return case


def work(database: Database, producer: CardMaker) -> None:
    generations = {2: issuer(2)}
    handlers = {
        orders.JOB: orders.handler(RULES, generations, producer),
        orders.ISSUE_CERTIFICATE: orders.certificate_handler(RULES, generations),
        **notices.handlers(RULES),
    }
    while work_on_one(database, handlers):
        pass


def state_of(database: Database, case: UUID) -> ApplicationState:
    with database.read() as connection:
        return applications.read(connection, case).state


def happen(
    database: Database, case: UUID, event: CertificateEvent, by: Actor, reason: Reason | None = None
) -> None:
    with database.change() as change:
        certificates = orders.of_application(change.connection, case).certificates
        certificate_sets.change_state(change, certificates, event, by, RULES, reason)


def for_the_post(database: Database) -> list[UUID]:
    with database.read() as connection:
        return [order.application for order in orders.for_the_post(connection)]


def requested(name: str) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key(name), hashes.SHA256()).public_bytes(Encoding.DER)


def test_key_that_was_certified_is_not_certified_again_whatever_became_of_it(register: Database) -> None:
    first = approved(register, requested("one"))
    work(register, CardMaker())
    happen(register, first, CertificateEvent.REVOKE, OPERATOR, Reason.KEY_COMPROMISE)
    with pytest.raises(KeyTaken):
        approved(register, requested("one"))


def test_key_of_a_card_is_certified_for_no_other_card_and_for_nobody_elsewhere(register: Database) -> None:
    class Repeating(CardMaker):
        def make_keys(self, order: str) -> CardKeys:
            made = super().make_keys(order)
            own = key("SIGN of 1").public_key()
            return CardKeys(made.number, own, made.encryption)

    producer = Repeating()
    cases = approved(register), approved(register)
    work(register, producer)
    assert sorted(state_of(register, case).value for case in cases) == ["issued", "making"]
    with pytest.raises(KeyTaken):
        approved(register, requested("SIGN of 1"))


def test_card_that_was_accepted_before_it_was_noted_as_mailed_is_noted(
    register: Database, clock: MovedClock
) -> None:
    case = approved(register)
    work(register, CardMaker())
    happen(register, case, CertificateEvent.ACCEPT, HOLDER)
    work(register, CardMaker())
    assert (state_of(register, case), for_the_post(register)) == (ApplicationState.CLOSED, [case])
    clock.move(timedelta(days=1))
    for _ in range(2):
        with register.change() as change:
            orders.mail(change, RULES, case, OPERATOR)
    assert (state_of(register, case), for_the_post(register)) == (ApplicationState.CLOSED, [])


def test_card_whose_certificates_are_over_does_not_go_to_the_post(register: Database) -> None:
    case, other = approved(register), approved(register)
    work(register, CardMaker())
    happen(register, case, CertificateEvent.REVOKE, OPERATOR, Reason.KEY_COMPROMISE)
    assert for_the_post(register) == [other]
