# SPDX-License-Identifier: Apache-2.0
"""An e-mail address in the certificates: new ones for the same keys, and the old ones are superseded."""

from uuid import UUID

import pytest
from cryptography import x509

from support.centre.authority import issuer, key, school
from support.moved_clock import MovedClock
from xca_centre import certificate_sets, deadlines
from xca_centre.authority.certificates import certify_card
from xca_centre.certificate_sets import CertificateSet, NewSet, Use
from xca_centre.errors import BadHolder, CertificateSuperseded, NotAccepted, NotYours, Refused
from xca_centre.issuer_rules import Issuer, load
from xca_centre.life.certificate import CertificateEvent, CertificateState, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.reissues import reissue
from xca_centre.store.database import Database
from xca_common.card_making import CardKeys

RULES = load(Issuer.TEST)
CARD = "XC00000000000001"
HOLDER = Actor(Role.HOLDER, CARD)
EMAIL = "office@school.example.tw"
GENERATIONS = {1: issuer(1), 2: issuer(2)}


@pytest.fixture
def issued(database: Database) -> UUID:
    """The certificates of a card, issued by the former generation and not accepted yet."""
    keys = CardKeys(CARD, key("card signing").public_key(), key("card encryption").public_key())
    with database.change() as change:
        sequence = certificate_sets.reserve(change, 1, 2)
        made = certify_card(GENERATIONS[1], sequence, keys, school(), change.now, 6)
        new = NewSet(
            card=CARD,
            organisation="2.16.886.111.100000",
            rank="secondary",
            generation=1,
            sequence=sequence,
            certificates=((Use.SIGNING, made.signing), (Use.ENCRYPTION, made.encryption)),
            lapses_at=deadlines.lapses_at(change.now, RULES),
            is_published=False,
        )
        return certificate_sets.add(change, new, Actor(Role.PRODUCER, "producer"))


@pytest.fixture
def valid(database: Database, issued: UUID) -> UUID:
    """The same, accepted."""
    with database.change() as change:
        certificate_sets.change_state(change, issued, CertificateEvent.ACCEPT, HOLDER, RULES)
    return issued


def ask(database: Database, certificates: UUID, email: str = EMAIL, by: Actor = HOLDER) -> UUID:
    with database.change() as change:
        return reissue(change, RULES, GENERATIONS, certificates, email, by)


def sets(database: Database) -> list[CertificateSet]:
    with database.read() as connection:
        return [*certificate_sets.of_card(connection, CARD)]


def read(database: Database, certificates: UUID) -> list[x509.Certificate]:
    with database.read() as connection:
        return [
            x509.load_der_x509_certificate(each.der)
            for each in certificate_sets.certificates_of(connection, certificates)
        ]


def test_new_certificates_have_the_keys_and_the_end_of_the_old_ones_and_the_address(
    database: Database, clock: MovedClock, valid: UUID
) -> None:
    new = ask(database, valid)
    old = read(database, valid)
    for before, after in zip(old, read(database, new), strict=True):
        assert after.public_key() == before.public_key()
        assert after.not_valid_after_utc == before.not_valid_after_utc
        assert after.subject == before.subject
        assert after.serial_number != before.serial_number
        after.verify_directly_issued_by(GENERATIONS[2].certificate)
        names = after.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.RFC822Name) == [EMAIL]


def test_old_certificates_are_superseded_and_new_ones_valid_at_once(
    database: Database, clock: MovedClock, valid: UUID
) -> None:
    new = ask(database, valid)
    found = {each.id: each for each in sets(database)}
    assert found.keys() == {valid, new}
    assert found[valid].standing.state is CertificateState.SUPERSEDED
    assert found[valid].standing.listed_reason is Reason.SUPERSEDED
    assert found[new].standing.state is CertificateState.VALID
    assert found[new].standing.listed_reason is None
    assert (found[new].accepted, found[new].is_published) == (clock.at, False)
    with pytest.raises(CertificateSuperseded):
        ask(database, valid)
    assert len(sets(database)) == 2


def test_address_may_change_again(database: Database, valid: UUID) -> None:
    newest = ask(database, ask(database, valid), "new@school.example.tw")
    states = sorted(each.standing.state for each in sets(database))
    assert states == ["superseded", "superseded", "valid"]
    names = read(database, newest)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["new@school.example.tw"]


@pytest.mark.parametrize("email", ["", "no address", "a@b@c"])
def test_address_that_is_none_changes_nothing(database: Database, valid: UUID, email: str) -> None:
    with pytest.raises(BadHolder):
        ask(database, valid, email)
    (left,) = sets(database)
    assert left.standing.state is CertificateState.VALID


def test_certificates_that_are_not_valid_or_somebody_elses_get_no_others(
    database: Database, issued: UUID
) -> None:
    with pytest.raises(NotAccepted):
        ask(database, issued)
    with database.change() as change:
        certificate_sets.change_state(change, issued, CertificateEvent.ACCEPT, HOLDER, RULES)
    with pytest.raises(NotYours):
        ask(database, issued, by=Actor(Role.OPERATOR, "1"))
    with database.change() as change:
        certificate_sets.change_state(change, issued, CertificateEvent.SUSPEND, HOLDER, RULES)
    with pytest.raises(Refused):
        ask(database, issued)
    assert len(sets(database)) == 1
