# SPDX-License-Identifier: Apache-2.0
"""Renewals: a new card is applied for with the signature of the old one, and no paper."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from support.centre.authority import key
from support.centre.cases import APPLICANT, FIRST, NEW_CODE, OPERATOR, RULES, SCHOOL, form, with_organisations
from support.login_site import SITE, Desk
from support.moved_clock import MovedClock
from xca_centre import applications, certificate_sets, organisations
from xca_centre.application_form import ApplicationForm
from xca_centre.applications import Application
from xca_centre.certificate_sets import NewSet, Use
from xca_centre.errors import AlreadyRenewed, NotRenewable, PrimaryCardTaken, RenewalDiffers, RenewedNotValid
from xca_centre.life.application import ApplicationState
from xca_centre.life.certificate import ISSUED, REISSUED, CertificateState, Hold, Reason, Standing
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_common.pki.authority import directory_attributes
from xca_common.pki.profile import SCHOOL as SCHOOL_TYPE
from xca_login.errors import LoginRefused
from xca_login.login import Login
from xca_login.testing.parties import NOW, Party, holder
from xca_login.testing.tokens import sign

UNIVERSITY = replace(SCHOOL, oid="2.16.886.111.100000", name="國立測試大學", tax_id=None)
PROVIDER = Actor(Role.PAYMENT_PROVIDER, "bank")


@pytest.fixture
def register(database: Database, clock: MovedClock) -> Database:
    clock.at = NOW
    with with_organisations(database).change() as change:
        organisations.import_organisations(change, [UNIVERSITY], OPERATOR)
    return database


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


def old_card(desk: Desk, *, days: int = 30, rank: str = "secondary", oid: str = UNIVERSITY.oid) -> Party:
    """A card that expires in some days."""
    attributes = directory_attributes(SCHOOL_TYPE, rank, organisation_oid=oid)
    return holder(desk.ca, attributes_=attributes, end=NOW + timedelta(days=days))


def signed(desk: Desk, card: Party, filled: ApplicationForm, organisation: str = UNIVERSITY.oid) -> Login:
    """What a card signed, verified at the centre."""
    asked = applications.renewal_challenge(SITE.origin, organisation, filled, NOW)
    return desk.verifier().verify(sign(card, asked.text), asked)


def known(
    database: Database,
    card: Party,
    standing: Standing = REISSUED,
    number: str | None = "XC00000000000001",
) -> Party:
    """The card, of which the centre knows that it issued it."""
    with database.change() as change:
        sequence = certificate_sets.reserve(change, 2, 1)
        use = Use.SIGNING if number else Use.BOTH
        certificate = x509.load_der_x509_certificate(card.der)
        new = NewSet(
            number, UNIVERSITY.oid, "secondary", 2, sequence, [(use, certificate)], NOW, True, standing
        )
        certificate_sets.add(change, new, OPERATOR)
    return card


def submit(database: Database, login: Login, filled: ApplicationForm | None = None) -> Application:
    with database.change() as change:
        return applications.submit(change, RULES, UNIVERSITY.oid, filled or form(), NEW_CODE, renewal=login)


def withdraw(database: Database, case: UUID) -> None:
    with database.change() as change:
        applications.withdraw(change, RULES, case, APPLICANT)


def test_renewal_goes_to_review_without_a_letter(register: Database, desk: Desk) -> None:
    case = submit(register, signed(desk, known(register, old_card(desk)), form()))
    assert case.state is ApplicationState.LETTER_ARRIVED
    with register.change() as change:
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
        paid = applications.pay(change, RULES, slip.number, slip.due, NOW, PROVIDER)
    assert paid.state is ApplicationState.FIRST_REVIEW
    other = form(contact_name="林美麗")
    with register.change() as change:
        corrected = applications.correct(change, RULES, case.id, other, APPLICANT)
    assert (corrected.state, corrected.form) == (ApplicationState.FIRST_REVIEW, other)
    for changed in (form(rank="primary"), form(secure_email="x@school.example.tw"), form(published="no")):
        with pytest.raises(RenewalDiffers), register.change() as change:
            applications.correct(change, RULES, case.id, changed, APPLICANT)


def test_renewal_beside_another_primary_card_under_way_is_taken_once(register: Database, desk: Desk) -> None:
    primary = form(rank="primary")
    with register.change() as change:
        first = applications.submit(change, RULES, UNIVERSITY.oid, primary, NEW_CODE)
        applications.receive(change, RULES, first.id, FIRST)
    card = known(register, old_card(desk, rank="primary"))
    assert submit(register, signed(desk, card, primary), primary).renews is not None
    with pytest.raises(PrimaryCardTaken), register.change() as change:
        applications.submit(change, RULES, UNIVERSITY.oid, primary, NEW_CODE)


@pytest.mark.parametrize(
    "standing",
    [
        ISSUED,
        Standing(CertificateState.HELD, Reason.CERTIFICATE_HOLD, frozenset({Hold.HOLDER})),
        Standing(CertificateState.REVOKED, Reason.KEY_COMPROMISE),
        Standing(CertificateState.SUPERSEDED, Reason.SUPERSEDED),
        Standing(CertificateState.EXPIRED),
    ],
)
def test_card_that_is_not_valid_at_the_centre_renews_nothing_whatever_was_verified(
    register: Database, desk: Desk, standing: Standing
) -> None:
    card = known(register, old_card(desk), standing)
    with pytest.raises(RenewedNotValid):
        submit(register, signed(desk, card, form()))


def test_certificate_of_another_centre_or_without_a_card_renews_nothing(
    register: Database, desk: Desk
) -> None:
    for card in (old_card(desk), known(register, old_card(desk), number=None)):
        with pytest.raises(RenewedNotValid):
            submit(register, signed(desk, card, form()))


def test_card_renews_no_certificate_of_a_key_that_it_did_not_sign(register: Database, desk: Desk) -> None:
    login = signed(desk, known(register, old_card(desk)), form())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key("elsewhere"), hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(RenewalDiffers), register.change() as change:
        applications.submit(change, RULES, UNIVERSITY.oid, form(), NEW_CODE, request=request, renewal=login)


@pytest.mark.parametrize("days", [1, 30, 59])
def test_renewal_in_the_last_60_days_is_taken(register: Database, desk: Desk, days: int) -> None:
    submit(register, signed(desk, known(register, old_card(desk, days=days)), form()))


def test_renewal_before_the_last_60_days_is_refused(register: Database, desk: Desk) -> None:
    with pytest.raises(NotRenewable):
        submit(register, signed(desk, old_card(desk, days=62), form()))


def test_renewal_that_comes_after_the_card_has_expired_is_refused(
    register: Database, desk: Desk, clock: MovedClock
) -> None:
    login = signed(desk, old_card(desk, days=1), form())
    clock.move(timedelta(days=2))
    with pytest.raises(NotRenewable):
        submit(register, login)


def test_card_is_renewed_once_unless_that_was_withdrawn(register: Database, desk: Desk) -> None:
    card = known(register, old_card(desk))
    case = submit(register, signed(desk, card, form()))
    with pytest.raises(AlreadyRenewed):
        submit(register, signed(desk, card, form()))
    withdraw(register, case.id)
    submit(register, signed(desk, card, form()))


def test_signature_over_another_form_or_organisation_renews_nothing(register: Database, desk: Desk) -> None:
    card = old_card(desk)
    other = form(contact_address="別處 1 號")
    for login in (
        signed(desk, card, other),
        signed(desk, card, form(), SCHOOL.oid),
        signed(desk, old_card(desk, oid=SCHOOL.oid), form()),
        signed(desk, old_card(desk, rank="primary"), form()),
        desk.log_in(card),
    ):
        with pytest.raises(RenewalDiffers):
            submit(register, login)


def test_signature_over_a_renewal_is_no_login_and_the_other_way_round(desk: Desk) -> None:
    asked = applications.renewal_challenge(SITE.origin, UNIVERSITY.oid, form(), NOW)
    login = desk.challenge()
    for text, challenge in ((asked.text, login), (login.text, asked)):
        with pytest.raises(LoginRefused):
            desk.verifier().verify(sign(desk.school, text), challenge)
