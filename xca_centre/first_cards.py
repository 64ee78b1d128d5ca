# SPDX-License-Identifier: Apache-2.0
"""The cards of the officers with whom a centre begins: nobody is there yet to review an application for them.

They are made as all cards are. Whoever goes on after a kill begins with the first step: each that was done
is done, and an officer has one card.
"""

from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from cryptography import x509

from xca_centre import certificate_sets, deadlines, officers, user_codes
from xca_centre.authority.certificates import Generation, certify_card, holder
from xca_centre.certificate_sets import NewSet, Use
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.transitions import Actor, Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.organisations import Organisation
from xca_centre.producer import CardProducer
from xca_centre.store.database import Change, Database
from xca_centre.user_codes import NewUserCode
from xca_common import taipei
from xca_common.card_making import CardCertificates, CardDates, CardKeys
from xca_common.pki import profile

_BY: Final = Actor(Role.OPERATOR, "beginning")
_RANK: Final = "secondary"


@dataclass(frozen=True)
class FirstCards:
    """Makes them.

    Attributes:
        database: the centre's.
        rules: the issuer's.
        generation: the CA that issues.
        producer: who makes cards.
        organisation: whose the cards are.
    """

    database: Database
    rules: IssuerRules
    generation: Generation
    producer: CardProducer
    organisation: Organisation

    def record(self, new: RegisteredOfficer, code: NewUserCode) -> None:
        """Record an officer, and the user code of the card that will be his."""
        with self.database.change() as change:
            officers.record(change, new.id, new.name, new.roles, new.counter, _BY)
            user_codes.add(change, code, _code(new.id))

    def make(self, officer: str) -> RegisteredOfficer:
        """Make the card of an officer who is recorded, and return him with it. A second time changes nothing.

        Raises:
            OfficerUnknown: he is not recorded.
            ProducerError: the producer did not do a step.
            KeyTokenError: the token cannot be used.
            StoreProblem: as of Database.
        """
        order = f"officer-{officer}"
        with self.database.read() as connection:
            found = officers.find(connection, officer)
            sealed = user_codes.sealed(connection, _code(officer))
        if found.card is not None:
            return found
        keys = self.producer.make_keys(order)
        if sealed is not None:
            self.producer.set_user_code(order, sealed)
        with self.database.change() as change:
            made, dates = self._certify(change, keys)
        self.producer.write(order, made)
        self.producer.close(order, dates)
        with self.database.change() as change:
            officers.give_card(change, officer, keys.number, officers.key_digest(made.signing), _BY)
            user_codes.forget_sealed(change, _code(officer))
            return officers.find(change.connection, officer)

    def _certify(self, change: Change, keys: CardKeys) -> tuple[CardCertificates, CardDates]:
        if not certificate_sets.of_card(change.connection, keys.number):
            self._issue(change, keys)
        (issued,) = certificate_sets.of_card(change.connection, keys.number)
        signing, encryption = (
            x509.load_der_x509_certificate(each.der)
            for each in certificate_sets.certificates_of(change.connection, issued.id)
        )
        certificates = CardCertificates(
            signing, encryption, self.generation.certificate, self.generation.root
        )
        return certificates, CardDates(taipei.day(issued.issued), deadlines.last_day(issued.lapses_at))

    def _issue(self, change: Change, keys: CardKeys) -> None:
        number = self.generation.number
        sequence = certificate_sets.reserve(change, number, 2)
        subject = holder(
            self.organisation.name,
            [],
            profile.ORGANISATION,
            _RANK,
            organisation_oid=self.organisation.oid,
        )
        made = certify_card(
            self.generation, sequence, keys, subject, change.now, self.rules.profile.validity.years
        )
        new = NewSet(
            card=keys.number,
            organisation=self.organisation.oid,
            rank=_RANK,
            generation=number,
            sequence=sequence,
            certificates=[(Use.SIGNING, made.signing), (Use.ENCRYPTION, made.encryption)],
            lapses_at=deadlines.lapses_at(change.now, self.rules),
            is_published=False,
        )
        certificate_sets.add(change, new, _BY)


def _code(officer: str) -> UUID:
    """Return the id of the user code of an officer's first card: the same each time."""
    return uuid5(NAMESPACE_URL, f"officer:{officer}")
