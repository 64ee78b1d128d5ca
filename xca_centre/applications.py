# SPDX-License-Identifier: Apache-2.0
"""Applications (案件): uploaded, paid, reviewed twice, corrected or withdrawn; each act in one change.

What may happen when, and who may bring it about, stands in life.application alone. Here is what follows from
it: the row, the event, the jobs.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Final
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from xca_centre import case_number, certificate_sets, organisations, payments, user_codes
from xca_centre.application_form import ApplicationForm, Contact, Rank
from xca_centre.authority.certificates import requested_key
from xca_centre.certificate_sets import Use
from xca_centre.deadlines import renewal_opens
from xca_centre.errors import (
    AlreadyRenewed,
    ApplicationChanged,
    ApplicationUnknown,
    BadCaseNumber,
    ForeignCounter,
    KeyAskedFor,
    NoFeeDue,
    NoSuchCertificates,
    NotRenewable,
    NotWithoutACard,
    NotYours,
    PrimaryCardTaken,
    ReasonMissing,
    RenewalDiffers,
    RenewedNotValid,
    WrongState,
)
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.application import (
    ApplicationEvent,
    ApplicationFacts,
    ApplicationState,
    Reviewer,
    first_state,
    next_state,
)
from xca_centre.life.certificate import CertificateState
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Actor, Role
from xca_centre.mail import Mail, send
from xca_centre.organisations import Organisation
from xca_centre.payments import Slip
from xca_centre.plain_text import objection
from xca_centre.reissue_blocks import require_unblocked
from xca_centre.store.database import Change
from xca_centre.store.events import Facts
from xca_centre.store.tables import APPLICATIONS, CERTIFICATE_SETS, CERTIFICATES, ORDERS
from xca_centre.user_codes import NewUserCode
from xca_common import taipei
from xca_common.statement import MalformedStatement, Statement, StatementKind
from xca_login.challenges import Challenge
from xca_login.login import Login
from xca_login.token import Token

SUBMITTED: Final = "application_submitted"
CONTACT_CHANGED: Final = "contact_changed"
"""Kinds of events: an application was uploaded, the contact person of a card changed."""
HAPPENED: Final = "application_"
"""How the kinds of the events begin with which an ApplicationEvent happened."""
_RENEWAL_LIFE: Final = timedelta(seconds=300)
_LONGEST_REASON: Final = 500
_DECIDED: Final = frozenset({ApplicationState.APPROVED, ApplicationState.MAKING})
_VOUCHED: Final = _DECIDED | {
    ApplicationState.LETTER_ARRIVED,
    ApplicationState.FIRST_REVIEW,
    ApplicationState.SECOND_REVIEW,
    ApplicationState.RETURNED,
}
"""Where a letter or the old card's signature says that it is the organisation. Anybody uploads."""
_ENDED: Final = frozenset({CertificateState.REVOKED, CertificateState.SUPERSEDED, CertificateState.EXPIRED})


@dataclass(frozen=True)
class Application:
    """An application, as it is now.

    Attributes:
        id: by which the centre knows it.
        case_number: its 25 digits.
        organisation: OID of whom it is for.
        state: where it is.
        form: what was filled in, its latest version.
        revision: which version that is, from 1; it is printed on the form.
        request: a certificate request, for a key that is elsewhere; None: a card is made.
        code: id of its user code.
        fee: in NT$; 0: none.
        submitted: when it was uploaded.
        letter: when the letter with the stamped form arrived; None: it has not.
        renews: the key of the card whose signature stands for the letter; None: it is on paper.
        first_reviewer: who passed the first review; None: nobody yet.
        reason: why it was returned; None: it is not.
        version: rises with each change.
    """

    id: UUID
    case_number: str
    organisation: str
    state: ApplicationState
    form: ApplicationForm
    revision: int
    request: bytes | None
    code: UUID
    fee: int
    submitted: datetime
    letter: datetime | None
    renews: str | None
    first_reviewer: Reviewer | None
    reason: str | None
    version: int


@dataclass(frozen=True)
class Officer:
    """A registration officer (註冊窗口審驗人員) who is logged in.

    Attributes:
        reviewer: who, and with which card.
        role: FIRST_REVIEWER or SECOND_REVIEWER.
        counter: the registration counter of the first review; None: that of the second, for all.
    """

    reviewer: Reviewer
    role: Role
    counter: str | None = None

    @property
    def actor(self) -> Actor:
        """The officer, as events name him."""
        return Actor(self.role, self.reviewer.person)


def submit(
    change: Change,
    rules: IssuerRules,
    organisation: str,
    form: ApplicationForm,
    code: NewUserCode,
    *,
    request: bytes | None = None,
    renewal: Login | None = None,
) -> Application:
    """Take an application, and give it a case number.

    Args:
        change: the change.
        rules: the issuer's.
        organisation: the OID of whom it is for.
        form: what was filled in.
        code: the user code that was chosen; without `request`, sealed to the card producer.
        request: a certificate request (PKCS #10), for a key that is elsewhere; None: a card is asked for.
        renewal: a verified signature of the old card over renewal_challenge(); None: it comes on paper.

    Raises:
        OrganisationUnknown, OrganisationDissolved, OrganisationBlocked: the organisation may not apply.
        PrimaryCardTaken: it has, or waits for, as many primary cards as it may have.
        RequestUnreadable, KeyRefused, KeyWeak, KeyTaken, KeyAskedFor, PossessionUnproved: the certificate
            request cannot be used.
        RenewalDiffers, RenewedNotValid, NotRenewable, AlreadyRenewed: the signature renews nothing.
    """
    if request is None and code.sealed is None:
        raise ValueError("code: not sealed to the card producer")
    digest = None
    holder = organisations.lock(change, organisation)
    require_unblocked(change.connection, organisation, change.now)
    if request is not None:
        key = requested_key(request)
        certificate_sets.require_new_keys(change.connection, key)
        digest = certificate_sets.key_digest(key)
        _require_not_asked_for(change, digest)
        if renewal is not None:  # what the card signed names no key
            raise RenewalDiffers
    elif form.rank is Rank.PRIMARY:
        _check_primary(change, rules, holder, _VOUCHED, is_renewal=renewal is not None)
    renews = None if renewal is None else _check_renewal(change, rules, organisation, form, renewal)
    fee = (rules.fees.card if request is None else rules.fees.certificate).ntd
    state = first_state(is_fee_due=fee > 0, is_signed=renewal is not None)
    identity = uuid4()
    row = {
        "id": identity,
        "case_number": case_number.new_case_number(),
        "organisation": organisation,
        "state": state.value,
        "form": _written(form),
        "rank": form.rank.value,
        "request": request,
        "key": digest,
        "code": user_codes.add(change, code),
        "fee": fee,
        "revision": 1,
        "version": 1,
        "submitted": change.now,
        "renews": renews,
        "signature": renewal.evidence.dump() if renewal else None,
    }
    change.connection.execute(insert(APPLICATIONS).values(row))
    made = read(change.connection, identity)
    by = Actor(Role.APPLICANT, made.case_number)
    facts = {"state": state.value, "organisation": organisation, "rank": form.rank.value, "fee": fee}
    change.event(SUBMITTED, str(made.id), by, facts)
    return made


def lock(change: Change, application: UUID, officer: Officer) -> Application:
    """Return an application that an officer may review. It stays as it is until the change ends.

    Raises:
        ApplicationUnknown: there is none of this id.
        ForeignCounter: the organisation belongs to another counter.
    """
    found = _lock(change, application)
    _check_counter(change.connection, found, officer)
    return found


def of_officer(connection: Connection, application: UUID, officer: Officer) -> Application:
    """Return an application that an officer may review.

    Raises:
        ApplicationUnknown: there is none of this id.
        ForeignCounter: the organisation belongs to another counter.
    """
    found = read(connection, application)
    _check_counter(connection, found, officer)
    return found


def require_version(change: Change, application: UUID, version: int) -> None:
    """See that an application is as somebody saw it, until the change ends.

    Raises:
        ApplicationChanged: it has changed since.
    """
    if _lock(change, application).version != version:
        raise ApplicationChanged


def receive(change: Change, rules: IssuerRules, application: UUID, officer: Officer) -> Application:
    """Note that the letter and the stamped form have arrived. A second time changes nothing."""
    before = _lock(change, application)
    _check_counter(change.connection, before, officer)
    letter = before.letter or change.now
    return _happen(
        change,
        rules,
        before,
        ApplicationEvent.RECEIVE,
        officer.actor,
        reviewer=officer.reviewer,
        letter=letter,
        reason=None,
    )


def pass_first(change: Change, rules: IssuerRules, application: UUID, officer: Officer) -> Application:
    """Pass the first review: what is on paper is right.

    Raises:
        ForeignCounter: the organisation belongs to another counter.
        Refused: it cannot be passed now, or not by this officer.
    """
    before = _lock(change, application)
    _check_counter(change.connection, before, officer)
    person, card = officer.reviewer.person, officer.reviewer.card
    return _happen(
        change,
        rules,
        before,
        ApplicationEvent.PASS,
        officer.actor,
        reviewer=officer.reviewer,
        first_person=person,
        first_card=card,
    )


def approve(change: Change, rules: IssuerRules, application: UUID, officer: Officer) -> Application:
    """Pass the second review: the card is made, or the certificate issued.

    Raises:
        OrganisationDissolved: the organisation has ended meanwhile.
        PrimaryCardTaken: another of its applications was faster.
        Refused: it cannot be passed now, or not by this officer; SameReviewer: who did the first review.
    """
    before = _lock(change, application)
    holder = organisations.lock(change, before.organisation)
    is_primary = before.request is None and before.form.rank is Rank.PRIMARY
    if is_primary and before.state is ApplicationState.SECOND_REVIEW:
        _check_primary(change, rules, holder, _DECIDED, is_renewal=before.renews is not None)
    after = _happen(change, rules, before, ApplicationEvent.APPROVE, officer.actor, reviewer=officer.reviewer)
    order(change, after)
    return after


def order(change: Change, application: Application) -> None:
    """Have the card of an approved application made, or its certificate issued."""
    change.enqueue(
        "make_card" if application.request is None else "issue_certificate",
        {"application": str(application.id)},
        key=f"order {application.id}",
    )


def send_back(
    change: Change, rules: IssuerRules, application: UUID, officer: Officer, reason: str
) -> Application:
    """Return an application (退件), and tell the contact person why.

    Raises:
        ReasonMissing: there is none that can be sent.
        ForeignCounter: the organisation belongs to another counter.
        Refused: it cannot be returned now, or not by this officer.
    """
    said = reason.strip()
    if (detail := objection(said, text("the reason"), _LONGEST_REASON)) is not None:
        raise ReasonMissing(detail=detail)
    before = _lock(change, application)
    _check_counter(change.connection, before, officer)
    after = _happen(
        change,
        rules,
        before,
        ApplicationEvent.RETURN,
        officer.actor,
        reviewer=officer.reviewer,
        reason=said,
        letter=None,
        **_UNREVIEWED,
    )
    facts = {"organisation": _holder(change, after).name, "reason": said}
    _mail(change, Mail.RETURNED, after, facts)
    return after


def correct(
    change: Change, rules: IssuerRules, application: UUID, form: ApplicationForm, by: Actor
) -> Application:
    """Put another version of the form in the place of the last one. What was reviewed is reviewed again.

    Raises:
        PrimaryCardTaken: it now asks for a primary card, and the organisation has one under way.
        RenewalDiffers: of a renewal only who is written to may change: the card signed the rest.
        Refused: it cannot be corrected now.
    """
    before = _lock(change, application)
    own = before.form
    signed = replace(form, contact=own.contact, applicant_email=own.applicant_email, terms=own.terms)
    if before.renews is not None and signed != own:
        raise RenewalDiffers
    if before.request is None and form.rank is Rank.PRIMARY and before.form.rank is not Rank.PRIMARY:
        holder = organisations.lock(change, before.organisation)
        _check_primary(change, rules, holder, _VOUCHED, is_renewal=False)
    paper = {} if before.renews else {"letter": None}
    return _happen(
        change,
        rules,
        before,
        ApplicationEvent.CORRECT,
        by,
        form=_written(form),
        rank=form.rank.value,
        revision=before.revision + 1,
        reason=None,
        **paper,
        **_UNREVIEWED,
    )


def withdraw(change: Change, rules: IssuerRules, application: UUID, by: Actor) -> Application:
    """End an application before anything is made. A second time changes nothing.

    Raises:
        Refused: it cannot be withdrawn any more.
    """
    before = _lock(change, application)
    after = _happen(change, rules, before, ApplicationEvent.WITHDRAW, by)
    user_codes.forget_sealed(change, after.code)
    payments.give_up(change, rules, after.id, by)
    return after


def fetch_slip(change: Change, rules: IssuerRules, application: UUID, by: Actor) -> Slip:
    """Return the payment slip of an application that waits for its fee: the open one, or a new one.

    Raises:
        NoFeeDue: it waits for none.
    """
    waiting = _lock(change, application)
    if waiting.state not in FEE_OPEN:
        raise NoFeeDue
    return payments.issue(change, rules, application, waiting.fee, by)


def pay(
    change: Change, rules: IssuerRules, number: str, amount: int, paid_at: datetime, by: Actor
) -> Application:
    """Note that a slip was paid. In time, its application goes on; else the money is to be paid back.

    The same payment may be told twice.

    Args:
        change: the change.
        rules: the issuer's.
        number: of the slip.
        amount: what was paid, in NT$.
        paid_at: when, by the provider's clock.
        by: the provider.

    Raises:
        SlipUnknown: there is no such slip.
        WrongAmount: it is another amount than is due.
    """
    waiting = _lock(change, payments.read(change.connection, number).application)
    is_fee_open = waiting.state in FEE_OPEN
    before, after = payments.confirm(change, rules, number, amount, paid_at, by, is_fee_open=is_fee_open)
    if before.state is not after.state and after.state is PaymentState.PAID:
        return _happen(change, rules, waiting, ApplicationEvent.PAY, by)
    return waiting


def advance(
    change: Change, rules: IssuerRules, application: UUID, event: ApplicationEvent, by: Actor
) -> Application:
    """Bring about what happens after the reviews: MAKE, ISSUE, MAIL, CLOSE.

    With ISSUE the card is made: what was sealed of the user code for its producer is deleted.

    Raises:
        Refused: it cannot happen now.
    """
    if event not in _ADVANCES:
        raise ValueError(event)
    after = _happen(change, rules, _lock(change, application), event, by)
    if event is ApplicationEvent.ISSUE:
        user_codes.forget_sealed(change, after.code)
    return after


_ADVANCES: Final = frozenset(
    {ApplicationEvent.MAKE, ApplicationEvent.ISSUE, ApplicationEvent.MAIL, ApplicationEvent.CLOSE}
)
_CARD_MADE: Final = frozenset({ApplicationState.ISSUED, ApplicationState.MAILED, ApplicationState.CLOSED})
_CONTACT_CHANGERS: Final = frozenset({Role.HOLDER, Role.FIRST_REVIEWER, Role.OPERATOR})
_CONTACT_CHANGE: Final = text("Change of the contact person")
_CARD: Final = re.compile("[A-Z0-9]{16}")
_SERIAL: Final = re.compile("[0-9A-F]{1,40}")
FEE_OPEN: Final = frozenset({ApplicationState.SUBMITTED, ApplicationState.LETTER_ARRIVED})
"""The states in which an application waits for its fee."""
_UNREVIEWED: Final = {"first_person": None, "first_card": None}


def read(connection: Connection, application: UUID) -> Application:
    """Return an application.

    Raises:
        ApplicationUnknown: there is none of this id.
    """
    row = connection.execute(select(APPLICATIONS).where(APPLICATIONS.c.id == application)).one_or_none()
    if row is None:
        raise ApplicationUnknown
    return _application(row)


def of_code(connection: Connection, code: UUID) -> Application:
    """Return the application of a user code that was proved (UserCodes.prove with find_code)."""
    row = connection.execute(select(APPLICATIONS).where(APPLICATIONS.c.code == code)).one_or_none()
    if row is None:
        raise ApplicationUnknown
    return _application(row)


def find_code(change: Change, typed: str) -> UUID | None:
    """Return the id of the user code of a case number that somebody typed; None: there is no such case."""
    try:
        number = case_number.read(typed)
    except BadCaseNumber:
        return None
    found: UUID | None = change.connection.execute(
        select(APPLICATIONS.c.code).where(APPLICATIONS.c.case_number == number)
    ).scalar()
    return found


def find_code_of_card(change: Change, card: str, serial: str) -> UUID | None:
    """Return the id of the user code of a card; None: there is no such card.

    Args:
        change: the change that spends the try.
        card: the card number that somebody typed.
        serial: the serial number of cert1 (signatures), likewise, in hexadecimal. Both are needed.
    """
    number, digits = "".join(card.split()).upper(), certificate_sets.canonical(serial)
    if not _CARD.fullmatch(number) or not _SERIAL.fullmatch(digits):
        return None
    orders, sets, certificates = ORDERS.c, CERTIFICATE_SETS.c, CERTIFICATES.c
    chosen = (
        select(APPLICATIONS.c.code)
        .join(ORDERS, orders.application == APPLICATIONS.c.id)
        .join(CERTIFICATE_SETS, sets.card == orders.card)
        .join(CERTIFICATES, certificates.set == sets.id)
        .where(
            orders.card == number,
            certificates.use == Use.SIGNING.value,
            certificates.serial == digits,
        )
    )
    found: UUID | None = change.connection.execute(chosen).scalar()
    return found


def change_contact(
    change: Change, rules: IssuerRules, application: UUID, contact: Contact, by: Actor
) -> Application:
    """Put another contact person in the place of the last one (憑證IC卡聯絡人修改), and tell both.

    Args:
        change: the change.
        rules: the issuer's.
        application: whose card has been made. Before that, the application is corrected.
        contact: the new one.
        by: the holder, or an officer.

    Raises:
        NotWithoutACard: it is for a certificate without a card.
        WrongState: no card was made yet.
        NotYours: others may not.
    """
    before = _lock(change, application)
    if before.request is not None:
        raise NotWithoutACard
    if before.state not in _CARD_MADE:
        raise WrongState(state=before.state.said, event=_CONTACT_CHANGE)
    if by.role not in _CONTACT_CHANGERS:
        raise NotYours(event=_CONTACT_CHANGE, role=by.role.said)
    if contact == before.form.contact:
        return before
    form = replace(before.form, contact=contact)
    own = update(APPLICATIONS).where(APPLICATIONS.c.id == application)
    values = {"form": _written(form), "revision": before.revision + 1, "version": before.version + 1}
    change.connection.execute(own.values(values))
    change.event(CONTACT_CHANGED, str(application), by, {"form": form_digest(form)})
    card = change.connection.execute(
        select(ORDERS.c.card).where(ORDERS.c.application == application)
    ).scalar_one()
    facts: Facts = {"card": card, "organisation": _holder(change, before).name}
    for email in sorted({before.form.contact.email, contact.email}):
        send(change, Mail.CONTACT_CHANGED, email, before.case_number, facts)
    return read(change.connection, application)


def tell_locked(change: Change, code: UUID) -> None:
    """Tell the contact person that a user code is locked (UserCodes)."""
    row = change.connection.execute(select(APPLICATIONS).where(APPLICATIONS.c.code == code)).one_or_none()
    if row is not None:  # else it is that of a saved file
        about = _application(row)
        number = case_number.shown(about.case_number)
        facts: Facts = {"number": number, "days": user_codes.LINK_LIFE.days, "user_code": str(code)}
        _mail(change, Mail.USER_CODE_LOCKED, about, facts)


def in_state(
    connection: Connection, state: ApplicationState, officer: Officer, most: int | None = None
) -> Sequence[Application]:
    """Return the applications in a state that an officer may review, the oldest first.

    Args:
        connection: for reading.
        state: in which they are.
        officer: who reviews.
        most: how many at most; None: all.
    """
    chosen = select(APPLICATIONS).where(APPLICATIONS.c.state == state.value, *_of_counter(officer))
    rows = connection.execute(chosen.order_by(APPLICATIONS.c.submitted, APPLICATIONS.c.id).limit(most))
    return [_application(row) for row in rows]


def counts(connection: Connection, officer: Officer) -> Mapping[ApplicationState, int]:
    """Return how many applications that an officer may review are in each state; 0 is left out."""
    state = APPLICATIONS.c.state
    chosen = select(state, func.count()).where(*_of_counter(officer)).group_by(state)
    return {ApplicationState(name): number for name, number in connection.execute(chosen)}


def of_organisation(connection: Connection, organisation: str) -> Sequence[Application]:
    """Return the applications of an organisation, the newest first."""
    own = select(APPLICATIONS).where(APPLICATIONS.c.organisation == organisation)
    newest_first = own.order_by(APPLICATIONS.c.submitted.desc(), APPLICATIONS.c.id)
    return [_application(row) for row in connection.execute(newest_first)]


def of_case_number(connection: Connection, typed: str) -> Application:
    """Return the application of a case number that an officer typed.

    Raises:
        BadCaseNumber: it is none.
        ApplicationUnknown: there is none of this number.
    """
    number = case_number.read(typed)
    row = connection.execute(select(APPLICATIONS).where(APPLICATIONS.c.case_number == number)).one_or_none()
    if row is None:
        raise ApplicationUnknown
    return _application(row)


def renewal_challenge(origin: str, organisation: str, form: ApplicationForm, now: datetime) -> Challenge:
    """Return what the old card signs to renew itself: a statement that names the form by its hash."""
    nonce = token_hex(32)
    fields = (("organisation", organisation), ("form", form_digest(form)))
    statement = Statement(StatementKind.RENEWAL, origin, now, nonce, fields)
    return Challenge(statement.encode(), nonce, now + _RENEWAL_LIFE)


def _require_not_asked_for(change: Change, key: str) -> None:
    """See that no other application asks for a key's certificate: at the issue one of them would fail."""
    asked = select(APPLICATIONS.c.id).where(
        APPLICATIONS.c.key == key, APPLICATIONS.c.state != ApplicationState.WITHDRAWN.value
    )
    if change.connection.execute(asked.limit(1)).first() is not None:
        raise KeyAskedFor


def _check_renewal(
    change: Change, rules: IssuerRules, organisation: str, form: ApplicationForm, renewal: Login
) -> str:
    """Return the key of the card that is renewed."""
    try:
        statement = Statement.parse(renewal.evidence.challenge)
    except MalformedStatement:
        raise RenewalDiffers from None
    signed = statement.kind is StatementKind.RENEWAL and dict(statement.fields)
    if signed != {"organisation": organisation, "form": form_digest(form)}:
        raise RenewalDiffers
    if renewal.organisation_oid != organisation or renewal.rank != form.rank:
        raise RenewalDiffers
    certificate = Token.read(renewal.evidence.token).certificate
    not_after = certificate.not_valid_after_utc
    opens = renewal_opens(not_after, rules)
    if not opens <= change.now <= not_after:
        raise NotRenewable(first_day=taipei.day(opens))
    _check_renewed(change, certificate)
    key: str = renewal.account.key
    others = select(APPLICATIONS.c.id).where(
        APPLICATIONS.c.renews == key, APPLICATIONS.c.state != ApplicationState.WITHDRAWN.value
    )
    if change.connection.execute(others).first() is not None:
        raise AlreadyRenewed
    return key


def _check_renewed(change: Change, certificate: x509.Certificate) -> None:
    """See that a certificate is one of a valid card, by what the centre itself knows of it now."""
    try:
        own = certificate_sets.certificate(change.connection, certificate_sets.serial_of(certificate))
        issued = certificate_sets.of_serial(change.connection, own.serial)
    except NoSuchCertificates:
        raise RenewedNotValid from None
    is_it = own.der == certificate.public_bytes(Encoding.DER) and issued.card is not None
    if not is_it or issued.standing.state is not CertificateState.VALID:
        raise RenewedNotValid


def _check_primary(
    change: Change,
    rules: IssuerRules,
    holder: Organisation,
    states: frozenset[ApplicationState],
    *,
    is_renewal: bool,
) -> None:
    """See that an organisation may have one more primary card, beside its applications in some states."""
    practice = rules.practice
    most = practice.primary_cards_while_renewing if is_renewal else practice.primary_cards
    under_way = (
        select(func.count())
        .select_from(APPLICATIONS)
        .where(
            APPLICATIONS.c.organisation == holder.oid,
            APPLICATIONS.c.rank == Rank.PRIMARY.value,
            APPLICATIONS.c.request.is_(None),
            APPLICATIONS.c.state.in_([state.value for state in states]),
        )
    )
    # A card has several sets of certificates after an e-mail address was written into them.
    sets = CERTIFICATE_SETS.c
    made = select(func.count(sets.card.distinct())).where(
        sets.organisation == holder.oid,
        sets.rank == Rank.PRIMARY.value,
        sets.state.not_in([state.value for state in _ENDED]),
        sets.not_after >= change.now,
    )
    if sum(change.connection.execute(count).scalar_one() for count in (under_way, made)) >= most:
        raise PrimaryCardTaken(name=holder.name)


def _of_counter(officer: Officer) -> list[ColumnElement[bool]]:
    if officer.counter is None:
        return []
    return [APPLICATIONS.c.organisation.in_(organisations.oids_of_counter(officer.counter))]


def _check_counter(connection: Connection, application: Application, officer: Officer) -> None:
    counter = organisations.organisation(connection, application.organisation).counter
    if officer.counter is not None and officer.counter != counter:
        raise ForeignCounter(counter=counter)


def _lock(change: Change, application: UUID) -> Application:
    chosen = select(APPLICATIONS).where(APPLICATIONS.c.id == application).with_for_update()
    row = change.connection.execute(chosen).one_or_none()
    if row is None:
        raise ApplicationUnknown
    return _application(row)


def _happen(
    change: Change,
    rules: IssuerRules,
    before: Application,
    event: ApplicationEvent,
    by: Actor,
    *,
    reviewer: Reviewer | None = None,
    **values: object,
) -> Application:
    """Bring an event about, as the table says; it is the only place where a state is written."""
    facts = ApplicationFacts(
        before.request is None, before.renews is not None, reviewer, before.first_reviewer
    )
    state = next_state(before.state, event, by.role, facts, rules.applications)
    if state is before.state and event is not ApplicationEvent.CORRECT:
        return before
    values |= {"state": state.value, "version": before.version + 1}
    change.connection.execute(update(APPLICATIONS).where(APPLICATIONS.c.id == before.id).values(values))
    after = read(change.connection, before.id)
    told: dict[str, str | int] = {
        "from": before.state.value,
        "to": state.value,
        "revision": after.revision,
        "form": form_digest(after.form),
    }
    if reviewer is not None:
        told["card"] = reviewer.card
    change.event(f"{HAPPENED}{event.value}", str(before.id), by, told)
    return after


def _mail(change: Change, mail: Mail, about: Application, facts: Facts) -> None:
    case = case_number.shown(about.case_number)
    send(change, mail, about.form.contact.email, about.case_number, {"case": case, **facts})


def _holder(change: Change, application: Application) -> Organisation:
    return organisations.organisation(change.connection, application.organisation)


def _written(form: ApplicationForm) -> str:
    return json.dumps(form.fields(), sort_keys=True, ensure_ascii=False)


def form_digest(form: ApplicationForm) -> str:
    """Return SHA-256 of a form, as events and renewals name it."""
    return hashlib.sha256(_written(form).encode()).hexdigest()


def _application(row: Row[Any]) -> Application:
    fields = json.loads(row.form)
    first = Reviewer(row.first_person, row.first_card) if row.first_person is not None else None
    return Application(
        id=row.id,
        case_number=row.case_number,
        organisation=row.organisation,
        state=ApplicationState(row.state),
        form=ApplicationForm.read(fields, fields["consent"]),
        revision=row.revision,
        request=row.request,
        code=row.code,
        fee=row.fee,
        submitted=row.submitted,
        letter=row.letter,
        renews=row.renews,
        first_reviewer=first,
        reason=row.reason,
        version=row.version,
    )
