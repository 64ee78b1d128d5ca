# SPDX-License-Identifier: Apache-2.0
"""Orders: each has one card made for an application (製卡單), or a certificate for a key that is elsewhere.

The producer makes the keys and sets the user code, the centre certifies, the producer writes, the order
closes. An order has the id of its application. It is a job with a lease and a fence, and may be killed
anywhere: whoever takes it up begins with the first step, and each step that was done is done. What counts is
what two changes write: the one that certifies, and the one that closes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from cryptography import x509
from sqlalchemy import Connection, Row, Select, Update, insert, select, update

from xca_centre import applications, certificate_sets, deadlines, organisations, user_codes
from xca_centre.application_form import Rank
from xca_centre.applications import Application
from xca_centre.authority.certificates import Generation, certify_card, certify_other, holder, requested_key
from xca_centre.case_number import shown
from xca_centre.certificate_sets import NewSet, Use
from xca_centre.errors import NoSuchOrder, Refused
from xca_centre.issuer_rules import IssuerRules
from xca_centre.letters import MailedCard
from xca_centre.life.application import ApplicationEvent
from xca_centre.life.transitions import Actor, Role
from xca_centre.mail import Mail, send
from xca_centre.organisations import OrganisationKind
from xca_centre.producer import CardProducer
from xca_centre.store.database import Change, Database
from xca_centre.store.job_queue import Handler, Job, finish, require_held
from xca_centre.store.tables import CERTIFICATE_SETS, ORDERS
from xca_common import taipei
from xca_common.card_making import CardCertificates, CardDates, CardKeys
from xca_common.pki import profile
from xca_common.pki.authority import Subject

JOB: Final = "make_card"
"""The job that makes the card of an approved application: fact `application`."""
ISSUE_CERTIFICATE: Final = "issue_certificate"
"""The job that certifies a key that is on no card: fact `application`."""
CERTIFIED: Final = "order_certified"
CLOSED: Final = "order_closed"
"""Kinds of events: the certificates were issued, the card was handed out. Fact `set`."""
_BY: Final = Actor(Role.PRODUCER, JOB)
_SUBJECT_TYPES: Final = {OrganisationKind.SCHOOL: profile.SCHOOL}
"""The types that are known. Of the others certificates say that it is an organisation."""


@dataclass(frozen=True)
class Order:
    """An order, as it is. There is none before its certificates are issued.

    Attributes:
        application: the id of the application, and of the order.
        card: card number; None: the key is on no card.
        certificates: the id of the set that was issued.
        closed: when the producer handed the card out, or the certificate was issued; None: not yet.
        mailed: when the card was given to the post; None: not yet.
    """

    application: UUID
    card: str | None
    certificates: UUID
    closed: datetime | None
    mailed: datetime | None


def handler(rules: IssuerRules, generations: Mapping[int, Generation], producer: CardProducer) -> Handler:
    """Return what makes the cards.

    Args:
        rules: of the issuer.
        generations: the issuing CA, by number; the highest issues.
        producer: who makes the cards.
    """

    def work(database: Database, job: Job) -> None:
        application = UUID(str(job.facts["application"]))
        name = str(application)
        with database.change() as change:
            require_held(change, job)
            try:
                case = applications.advance(change, rules, application, ApplicationEvent.MAKE, _BY)
            except Refused:  # corrected or withdrawn meanwhile: the next approval has a job of its own
                finish(change, job)
                return
            sealed = user_codes.sealed(change.connection, case.code)
        keys = producer.make_keys(name)
        if sealed is not None:
            producer.set_user_code(name, sealed)
        with database.change() as change:
            require_held(change, job)
            order = _find(change.connection, application)
            if order is None:
                order = _certify(change, rules, generations[max(generations)], case, keys)
            certificates = _on_the_card(change.connection, order, generations)
            dates = _dates(change.connection, order)
        producer.write(name, certificates)
        producer.close(name, dates)
        with database.change() as change:
            finish(change, job)
            if order.closed is None:
                _close(change, rules, order)

    return work


def certificate_handler(rules: IssuerRules, generations: Mapping[int, Generation]) -> Handler:
    """Return what certifies keys that are on no card (非IC卡類憑證), in one change.

    Args:
        rules: of the issuer.
        generations: the issuing CA, by number; the highest issues.
    """
    by = Actor(Role.CENTRE, ISSUE_CERTIFICATE)

    def work(database: Database, job: Job) -> None:
        with database.change() as change:
            finish(change, job)
            application = UUID(str(job.facts["application"]))
            try:
                case = applications.advance(change, rules, application, ApplicationEvent.ISSUE, by)
            except Refused:  # corrected or withdrawn meanwhile: the next approval has a job of its own
                return
            assert case.request is not None  # noqa: S101  # the table has ISSUE from APPROVED for these alone
            generation = generations[max(generations)]
            sequence = certificate_sets.reserve(change, generation.number, 1)
            key, subject = requested_key(case.request), _subject(change, case)
            certificate_sets.require_new_keys(change.connection, key)
            years = rules.profile.validity.years
            made = certify_other(generation, sequence, key, subject, change.now, years)
            order = _add(change, rules, generation, case, None, sequence, [(Use.BOTH, made)], by)
            change.connection.execute(_own(order).values(closed=change.now))
            facts = {
                "case": shown(case.case_number),
                "organisation": organisations.organisation(change.connection, case.organisation).name,
                "number": certificate_sets.serial_of(made),
                "last_day": _dates(change.connection, order).activate_by.isoformat(),
            }
            send(change, Mail.CERTIFICATE_ISSUED, case.form.contact.email, case.case_number, facts)

    return work


def of_certificates(connection: Connection, certificates: UUID) -> Order:
    """Return the order of a set: also of one that was written to a card later.

    Raises:
        NoSuchOrder: it was not issued for an application.
    """
    card = certificate_sets.find(connection, certificates).card
    is_it = ORDERS.c.certificates == certificates if card is None else ORDERS.c.card == card
    row = connection.execute(_orders().where(is_it)).one_or_none()
    if row is None:
        raise NoSuchOrder
    return _order(row)


def of_application(connection: Connection, application: UUID) -> Order:
    """Return the order of an application.

    Raises:
        NoSuchOrder: no card was made for it.
    """
    found = _find(connection, application)
    if found is None:
        raise NoSuchOrder
    return found


def of_card(connection: Connection, card: str) -> Order:
    """Return the order of a card.

    Raises:
        NoSuchOrder: no card of this number was made here.
    """
    row = connection.execute(_orders().where(ORDERS.c.card == card)).one_or_none()
    if row is None:
        raise NoSuchOrder
    return _order(row)


def for_the_post(connection: Connection) -> Sequence[Order]:
    """Return the orders whose cards are made and not mailed, the oldest first.

    A card whose certificates are over stays here: nobody can do anything with it.
    """
    is_made = ORDERS.c.card.is_not(None) & ORDERS.c.closed.is_not(None)
    issued = _orders().join(CERTIFICATE_SETS, CERTIFICATE_SETS.c.id == ORDERS.c.certificates)
    wanted = issued.where(is_made, ORDERS.c.mailed.is_(None), ~certificate_sets.is_over())
    return [_order(row) for row in connection.execute(wanted.order_by(ORDERS.c.closed, ORDERS.c.application))]


def letter_facts(connection: Connection, order: Order) -> MailedCard:
    """Return what the letter with a card says, and the list, and the label.

    Raises:
        NoSuchOrder: it is for no card.
    """
    if order.card is None:
        raise NoSuchOrder
    case = applications.read(connection, order.application)
    issued = certificate_sets.find(connection, order.certificates)
    dates = _dates(connection, order)
    signing, encryption = certificate_sets.certificates_of(connection, order.certificates)
    return MailedCard(
        number=order.card,
        serials=(signing.serial, encryption.serial),
        organisation=organisations.organisation(connection, case.organisation).name,
        organisation_oid=case.organisation,
        rank=Rank(issued.rank),
        case_number=shown(case.case_number),
        contact=case.form.contact,
        issued_on=dates.issued_on,
        activate_by=dates.activate_by,
        valid_until=taipei.day(issued.not_after),
    )


def mail(change: Change, rules: IssuerRules, application: UUID, by: Actor) -> None:
    """Note that a card was given to the post, and tell the contact person. A second time changes nothing.

    Raises:
        NoSuchOrder: no card was made for the application.
        Refused: it cannot be mailed now, or not by this person.
    """
    order = of_application(change.connection, application)
    case = applications.advance(change, rules, application, ApplicationEvent.MAIL, by)
    noted = _own(order).where(ORDERS.c.mailed.is_(None)).values(mailed=change.now)
    if change.connection.execute(noted).rowcount == 1:
        card = letter_facts(change.connection, order)
        facts = {
            "card": card.number,
            "organisation": card.organisation,
            "case": card.case_number,
            "day": taipei.day(change.now).isoformat(),
            "last_day": card.activate_by.isoformat(),
        }
        send(change, Mail.CARD_MAILED, case.form.contact.email, case.case_number, facts)


def _certify(
    change: Change, rules: IssuerRules, generation: Generation, case: Application, keys: CardKeys
) -> Order:
    """Issue the certificates of a card, and write the order: both or neither."""
    # Nobody else issues before this change ends: what is seen now stays so.
    sequence = certificate_sets.reserve(change, generation.number, 2)
    certificate_sets.require_new_keys(change.connection, keys.signing, keys.encryption)
    subject, years = _subject(change, case), rules.profile.validity.years
    made = certify_card(generation, sequence, keys, subject, change.now, years)
    certificates = [(Use.SIGNING, made.signing), (Use.ENCRYPTION, made.encryption)]
    return _add(change, rules, generation, case, keys.number, sequence, certificates, _BY)


def _subject(change: Change, case: Application) -> Subject:
    organisation = organisations.organisation(change.connection, case.organisation)
    return holder(
        organisation.name,
        [],
        _SUBJECT_TYPES.get(organisation.kind, profile.ORGANISATION),
        case.form.rank,
        organisation_oid=organisation.oid,
        email=case.form.secure_email or None,
    )


def _add(
    change: Change,
    rules: IssuerRules,
    generation: Generation,
    case: Application,
    card: str | None,
    sequence: int,
    certificates: Sequence[tuple[Use, x509.Certificate]],
    by: Actor,
) -> Order:
    new = NewSet(
        card=card,
        organisation=case.organisation,
        rank=case.form.rank,
        generation=generation.number,
        sequence=sequence,
        certificates=certificates,
        lapses_at=deadlines.lapses_at(change.now, rules),
        is_published=case.form.is_published,
    )
    order = Order(case.id, card, certificate_sets.add(change, new, by), None, None)
    row = {"application": case.id, "card": card, "certificates": order.certificates}
    change.connection.execute(insert(ORDERS).values(row))
    change.event(CERTIFIED, str(case.id), by, {"set": str(order.certificates)})
    return order


def _close(change: Change, rules: IssuerRules, order: Order) -> None:
    change.connection.execute(_own(order).values(closed=change.now))
    applications.advance(change, rules, order.application, ApplicationEvent.ISSUE, _BY)
    change.event(CLOSED, str(order.application), _BY, {"set": str(order.certificates)})


def _own(order: Order) -> Update:
    return update(ORDERS).where(ORDERS.c.application == order.application)


def _on_the_card(
    connection: Connection, order: Order, generations: Mapping[int, Generation]
) -> CardCertificates:
    issued = certificate_sets.certificates_of(connection, order.certificates)
    signing, encryption = (x509.load_der_x509_certificate(each.der) for each in issued)
    generation = generations[issued[0].generation]
    return CardCertificates(signing, encryption, generation.certificate, generation.root)


def _dates(connection: Connection, order: Order) -> CardDates:
    issued = certificate_sets.find(connection, order.certificates)
    return CardDates(taipei.day(issued.issued), deadlines.last_day(issued.lapses_at))


def _orders() -> Select[Any]:
    return select(ORDERS)


def _find(connection: Connection, application: UUID) -> Order | None:
    row = connection.execute(_orders().where(ORDERS.c.application == application)).one_or_none()
    return None if row is None else _order(row)


def _order(row: Row[Any]) -> Order:
    return Order(row.application, row.card, row.certificates, row.closed, row.mailed)
