# SPDX-License-Identifier: Apache-2.0
"""Orders: one application is one card, whoever is killed where."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from sqlalchemy import func, select

from softhsm import Environment, cards
from softhsm.producer import SoftHSMProducer
from support.centre.authority import issuer, key
from support.centre.cases import (
    APPLICANT,
    CODE,
    FIRST,
    OPERATOR,
    RULES,
    SCHOOL,
    SECOND,
    codes,
    form,
    with_organisations,
)
from support.moved_clock import MovedClock
from support.softhsm.softhsm_card import Issuer as CardIssuer
from xca_centre import applications, certificate_sets, orders, user_codes
from xca_centre.application_form import Rank
from xca_centre.errors import NoSuchOrder
from xca_centre.letters import activation_letter
from xca_centre.life.application import ApplicationState
from xca_centre.life.certificate import ISSUED
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change, Database
from xca_centre.store.job_queue import LEASE, work_on_one
from xca_centre.store.tables import CERTIFICATE_SETS, CERTIFICATES, EVENTS, JOBS, ORDERS, SEQUENCES
from xca_common import taipei
from xca_common.card_making import CardCertificates, CardDates, CardKeys, ProducerUnavailable
from xca_common.secret import Secret

pytestmark = pytest.mark.integration  # each card takes programs of its own

GENERATION = issuer(2)
GENERATIONS = {1: issuer(1), 2: GENERATION}
BANK = Actor(Role.PAYMENT_PROVIDER, "bank")


@dataclass
class Watched:
    """The stand-in's producer, and what is done before and after each of its steps."""

    producer: SoftHSMProducer
    before: Callable[[str], None] = field(default=lambda _: None)
    after: Callable[[str], None] = field(default=lambda _: None)

    def public_key(self) -> RSAPublicKey:
        return self.producer.public_key()

    def _do(self, step: str, *values: Any) -> Any:
        self.before(step)
        result = getattr(self.producer, step)(*values)
        self.after(step)
        return result

    def make_keys(self, order: str) -> CardKeys:
        made: CardKeys = self._do("make_keys", order)
        return made

    def set_user_code(self, order: str, sealed: bytes) -> None:
        self._do("set_user_code", order, sealed)

    def write(self, order: str, certificates: CardCertificates) -> None:
        self._do("write", order, certificates)

    def close(self, order: str, dates: CardDates) -> None:
        self._do("close", order, dates)


@pytest.fixture
def clock() -> MovedClock:
    """A clock of today: the stand-in's cards lapse by the computer's own."""
    clock = MovedClock()
    clock.at = datetime.now(UTC)
    return clock


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment.create(tmp_path_factory.mktemp("orders") / "empty")
    SoftHSMProducer(environment).public_key()
    return environment


@pytest.fixture
def environment(empty: Environment, tmp_path: Path) -> Environment:
    return empty.copy(tmp_path / "environment")


@pytest.fixture
def producer(environment: Environment) -> Watched:
    return Watched(SoftHSMProducer(environment))


@pytest.fixture
def register(database: Database) -> Database:
    return with_organisations(database)


def apply(database: Database, producer: Watched, **fields: str) -> UUID:
    """The id of an application that was approved."""
    code = codes(database).choose(Secret(CODE), producer.public_key())
    with database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(**fields), code).id
        slip = applications.fetch_slip(change, RULES, case, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case, FIRST)
        applications.pass_first(change, RULES, case, FIRST)
    approve(database, case)
    return case


def approve(database: Database, case: UUID) -> None:
    with database.change() as change:
        applications.approve(change, RULES, case, SECOND)


def work(database: Database, producer: Watched) -> bool:
    return work_on_one(database, {orders.JOB: orders.handler(RULES, GENERATIONS, producer)})


def order_of(database: Database, case: UUID) -> orders.Order:
    with database.read() as connection:
        return orders.of_application(connection, case)


def state_of(database: Database, case: UUID) -> ApplicationState:
    with database.read() as connection:
        return applications.read(connection, case).state


def sealed_of(database: Database, case: UUID) -> bytes | None:
    with database.read() as connection:
        return user_codes.sealed(connection, applications.read(connection, case).code)


def count_of(database: Database, query: Any) -> int:
    with database.read() as connection:
        found: int = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    return found


def check_one_card(database: Database, environment: Environment, case: UUID) -> None:
    """See that the application has one card, with one pair of certificates, and that nothing is left over."""
    order = order_of(database, case)
    (card,) = cards(environment)
    assert (card.number, card.state) == (order.card, "issued")
    assert state_of(database, case) is ApplicationState.ISSUED
    assert sealed_of(database, case) is None
    assert count_of(database, select(ORDERS)) == 1
    assert count_of(database, select(CERTIFICATE_SETS)) == 1
    assert count_of(database, select(CERTIFICATES)) == 2
    assert count_of(database, select(JOBS).where(JOBS.c.kind == orders.JOB)) == 0
    for kind in ("order_certified", "order_closed", "application_make", "application_issue"):
        assert count_of(database, select(EVENTS.c.id).where(EVENTS.c.kind == kind)) == 1, kind
    with database.read() as connection:
        assert connection.execute(select(SEQUENCES.c.next)).scalar_one() == 2
        assert [found.application for found in orders.for_the_post(connection)] == [case]
    assert list(environment.staging.iterdir()) == []
    assert not [
        path for path in environment.path.rglob("*") if path.is_file() and CODE.encode() in path.read_bytes()
    ]


def test_approved_application_becomes_a_card_with_its_certificates(
    register: Database, producer: Watched, environment: Environment, tmp_path: Path
) -> None:
    case = apply(register, producer, secure_email="office@school.example.tw")
    assert sealed_of(register, case) is not None
    assert work(register, producer)
    check_one_card(register, environment, case)
    order = order_of(register, case)
    with register.read() as connection:
        made = certificate_sets.find(connection, order.certificates)
        issued = certificate_sets.certificates_of(connection, order.certificates)
    assert (made.card, made.organisation, made.rank) == (order.card, SCHOOL.oid, "secondary")
    assert made.standing == ISSUED
    assert {each.partition for each in issued} == {0}
    holder = CardIssuer(environment.path)
    assert order.card is not None
    for label, kept in zip(("cert1", "cert2"), issued, strict=True):
        on_the_card = holder.read_certificate(order.card, label, tmp_path / label).read_bytes()
        assert on_the_card == kept.der
        certificate = x509.load_der_x509_certificate(on_the_card)
        certificate.verify_directly_issued_by(GENERATION.certificate)
        assert certificate.subject.rfc4514_string() == f"O={SCHOOL.name},C=TW"
        assert b"office@school.example.tw" in on_the_card
        assert b"CRL_0000.crl" in on_the_card
    assert holder.activate(order.card, CODE).returncode == 0


def test_card_counts_its_days_from_the_issue_of_its_certificates(
    register: Database, producer: Watched, environment: Environment, clock: MovedClock
) -> None:
    case = apply(register, producer)
    assert work(register, producer)
    (card,) = cards(environment)
    assert card.row.issued_on == taipei.day(clock.at)
    assert (card.row.activate_by - card.row.issued_on).days == RULES.deadlines.acceptance.days
    with register.read() as connection:
        facts = orders.letter_facts(connection, orders.of_application(connection, case))
    assert (facts.issued_on, facts.activate_by) == (card.row.issued_on, card.row.activate_by)
    assert (facts.number, facts.organisation, facts.rank) == (card.number, SCHOOL.name, Rank.SECONDARY)
    assert activation_letter(facts, RULES, clock.at, "zh_TW").startswith(b"%PDF")


def test_application_that_was_corrected_after_its_approval_has_no_card_made(
    register: Database, producer: Watched, environment: Environment
) -> None:
    case = apply(register, producer)
    with register.change() as change:
        applications.correct(change, RULES, case, form(contact_title="校長"), Actor(Role.APPLICANT, "case"))
    assert work(register, producer)
    assert not work(register, producer)
    assert (cards(environment), state_of(register, case)) == ([], ApplicationState.PAID)

    with register.change() as change:
        applications.receive(change, RULES, case, FIRST)
        applications.pass_first(change, RULES, case, FIRST)
    approve(register, case)
    assert work(register, producer)
    check_one_card(register, environment, case)


def test_producer_that_fails_is_asked_again(
    register: Database, producer: Watched, environment: Environment, clock: MovedClock
) -> None:
    case = apply(register, producer)

    def fails(step: str) -> None:
        if step == "close":
            raise ProducerUnavailable(reason="no power")

    producer.before = fails
    assert work(register, producer)
    assert state_of(register, case) is ApplicationState.MAKING
    assert cards(environment) == []
    producer.before = lambda _: None
    clock.move(LEASE)
    assert work(register, producer)
    check_one_card(register, environment, case)


@pytest.mark.parametrize("step", ["make_keys", "set_user_code", "write", "close"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_order_that_another_worker_takes_up_is_made_once(
    register: Database, producer: Watched, environment: Environment, clock: MovedClock, step: str, when: str
) -> None:
    case = apply(register, producer)
    other = Watched(producer.producer)

    def overtaken(reached: str) -> None:
        if reached == step:
            clock.move(LEASE)
            assert work(register, other)

    setattr(producer, when, overtaken)
    assert work(register, producer)
    check_one_card(register, environment, case)


def test_card_is_mailed_once_and_its_contact_is_told(
    register: Database, producer: Watched, clock: MovedClock
) -> None:
    case = apply(register, producer)
    assert work(register, producer)
    before = count_of(register, select(JOBS.c.id).where(JOBS.c.kind == "send_mail"))
    for _ in range(2):
        with register.change() as change:
            orders.mail(change, RULES, case, OPERATOR)
    assert state_of(register, case) is ApplicationState.MAILED
    order = order_of(register, case)
    assert order.card is not None
    assert order.mailed == clock.at
    assert count_of(register, select(JOBS.c.id).where(JOBS.c.kind == "send_mail")) == before + 1
    with register.read() as connection:
        assert orders.for_the_post(connection) == []
        assert orders.of_card(connection, order.card) == order


def csr() -> tuple[bytes, RSAPublicKey]:
    """A certificate request, and the key that it is for."""
    own = key("elsewhere")
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(own, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER), own.public_key()


def test_key_that_is_elsewhere_is_certified_and_its_contact_told(
    register: Database, clock: MovedClock
) -> None:
    request, public = csr()
    code = codes(register).choose(Secret(CODE))
    with register.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), code, request=request).id
        slip = applications.fetch_slip(change, RULES, case, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case, FIRST)
        applications.pass_first(change, RULES, case, FIRST)
    approve(register, case)
    handlers = {orders.ISSUE_CERTIFICATE: orders.certificate_handler(RULES, GENERATIONS)}
    assert work_on_one(register, handlers)
    assert not work_on_one(register, handlers)
    assert state_of(register, case) is ApplicationState.ISSUED
    order = order_of(register, case)
    assert (order.card, order.closed, order.mailed) == (None, clock.at, None)
    with register.read() as connection:
        assert orders.of_certificates(connection, order.certificates) == order
        assert orders.for_the_post(connection) == []
        (issued,) = certificate_sets.certificates_of(connection, order.certificates)
        mails = connection.execute(select(JOBS.c.facts).where(JOBS.c.kind == "send_mail")).scalars().all()
    assert x509.load_der_x509_certificate(issued.der).public_key() == public
    assert [issued.serial in facts for facts in mails if "certificate_issued" in facts] == [True]


def test_application_without_a_card_has_no_order(register: Database, producer: Watched) -> None:
    case = apply(register, producer)
    with register.read() as connection, pytest.raises(NoSuchOrder):
        orders.of_application(connection, case)
    with register.read() as connection, pytest.raises(NoSuchOrder):
        orders.of_card(connection, "XC00000000000000")


class KillingDatabase(Database):
    """A database whose process may be killed before and after each commit."""

    point: Callable[[], None]

    @contextmanager
    def change(self) -> Iterator[Change]:
        with super().change() as change:
            yield change
            self.point()
        self.point()


def _killed_at(address: str, clock: MovedClock, environment: Environment, nth: int) -> bool:
    """Work on one job in a child process that is killed at its nth point; say whether it was."""
    child = os.fork()
    if child == 0:
        try:
            left = nth

            def point(_: str = "") -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            database = KillingDatabase(address, clock)
            database.point = point
            producer = Watched(SoftHSMProducer(environment), point, point)
            work(database, producer)  # after the last kill, there is nothing to do
            os._exit(0)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status != 0


def test_order_that_is_killed_before_and_after_every_step_has_one_card(
    address: str, register: Database, producer: Watched, environment: Environment, clock: MovedClock
) -> None:
    case = apply(register, producer)
    register.close()
    kills = 0
    for nth in count(1):
        killed = _killed_at(address, clock, environment, nth)
        clock.move(LEASE)
        if not killed:
            break
        kills += 1
    assert kills == 16  # four steps and four changes, before and after
    check_one_card(register, environment, case)
