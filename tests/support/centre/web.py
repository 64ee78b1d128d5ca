# SPDX-License-Identifier: Apache-2.0
"""The centre's pages for tests: over a database, CAs whose keys are in software, and cards that log in."""

import base64
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.testclient import TestClient

from support.centre.authority import NAME, NOW, REPOSITORY, issuer, key, root
from support.centre.cases import HASHER
from xca_centre.authority.certificates import certify_card, holder
from xca_centre.authority.hierarchy import Hierarchy, Office
from xca_centre.certificate_sets import NewSet, Use, add, change_state, reserve
from xca_centre.issuer_rules import Issuer, load
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Clock, Database
from xca_centre.web.app import application
from xca_centre.web.frame import Frame
from xca_common.card_making import CardKeys
from xca_common.pki import profile
from xca_common.pki.authority import ENCRYPTION, SIGNING, years_later
from xca_login.testing.parties import Party
from xca_login.testing.tokens import origin, sign

ORIGIN = "https://centre.test"
PERSON = {"Accept": "text/html", "Accept-Language": "zh-TW"}
"""Headers of a person's browser that prefers Chinese."""
ENGLISH = {"Accept": "text/html", "Accept-Language": "en"}
OPERATOR = Actor(Role.OPERATOR, "operator")


class SoftHierarchy(Hierarchy):
    """CAs whose keys are in software (support.centre.authority), without folder or token."""

    def __init__(self) -> None:
        self.repository, self.root = REPOSITORY, root().certificate  # type: ignore[misc]  # not begun in a folder
        self.generations = {2: issuer(2)}  # type: ignore[misc]  # likewise

    def ticket_signer(self, moment: datetime) -> Office:
        return _ticket_signer()

    def sealing(self, moment: datetime) -> Office:
        return _sealing()


@cache
def _ticket_signer() -> Office:
    purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier(profile.TICKET_SIGNING)])
    own, end = key("tickets"), years_later(NOW, 5)
    certificate = issuer(2).appoint(NAME, own.public_key(), SIGNING, NOW, end, [(purpose, True)])
    return Office(certificate, own)  # type: ignore[arg-type]  # its key is in software


@cache
def _sealing() -> Office:
    own, end = key("sealing"), years_later(NOW, 5)
    certificate = issuer(2).appoint(NAME, own.public_key(), ENCRYPTION, NOW, end)
    return Office(certificate, own)  # type: ignore[arg-type]  # its key is in software


class KeyOfCards:
    """A producer that makes no card: user codes are sealed to its key."""

    def public_key(self) -> RSAPublicKey:
        return key("producer").public_key()


def frame_of(database: Database, clock: Clock) -> Frame:
    """Return the frame of a centre over a database."""
    producer: Any = KeyOfCards()
    rules = load(Issuer.TEST)
    return Frame(database, rules, SoftHierarchy(), ORIGIN, clock, producer=producer, hasher=HASHER)


def browser(frame: Frame) -> TestClient:
    """Return a browser of a person at the centre; its posts come from the centre's own pages."""
    headers = {**PERSON, "Origin": frame.origin}
    return TestClient(application(frame), base_url=frame.origin, headers=headers, follow_redirects=False)


class Card:
    """A card whose certificates a centre has issued; they are not accepted yet.

    Attributes:
        number: card number.
        certificates: the id of its certificates.
        signing: its certificate for signatures, and the key.
        encryption: the other one.
    """

    def __init__(
        self, frame: Frame, number: str, organisation: str, name: str, rank: str = "secondary"
    ) -> None:
        self._frame, self.number = frame, number
        keys = [key(f"{use} of {number}") for use in ("SIGN", "KEYX")]
        subject = holder(name, ["測試縣"], profile.SCHOOL, rank, organisation_oid=organisation)
        with frame.database.change() as change:
            sequence = reserve(change, 2, 2)
            public = CardKeys(number, *(each.public_key() for each in keys))
            made = certify_card(issuer(2), sequence, public, subject, change.now, 6)
            both = [(Use.SIGNING, made.signing), (Use.ENCRYPTION, made.encryption)]
            lapses = change.now + timedelta(days=90)
            new = NewSet(number, organisation, rank, 2, sequence, both, lapses, True)
            self.certificates: UUID = add(change, new, OPERATOR)
        self.signing, self.encryption = Party(made.signing, keys[0]), Party(made.encryption, keys[1])

    def happen(self, event: CertificateEvent, reason: Reason | None = None) -> None:
        """Let something happen to the certificates: the holder does it, but for a revocation."""
        by = OPERATOR if event is CertificateEvent.REVOKE else Actor(Role.HOLDER, self.number)
        with self._frame.database.change() as change:
            change_state(change, self.certificates, event, by, self._frame.rules, reason)

    def log_in(self, client: TestClient, page: str | None = ORIGIN) -> int:
        """Log a browser in, and return the status of the answer.

        Args:
            client: the browser.
            page: the origin that the local component has seen; None: it has not looked.
        """
        asked = client.post("/login/begin", json=None, headers={"Content-Type": "application/json"})
        assert asked.status_code == 200, asked.text
        more = [origin(page)] if page else []
        token = sign(self.signing, asked.json()["statement"].encode(), more=more)
        answer = client.post("/login/finish", json={"token": base64.b64encode(token).decode()})
        return answer.status_code
