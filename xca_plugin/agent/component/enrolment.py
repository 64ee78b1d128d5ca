# SPDX-License-Identifier: Apache-2.0
"""makeCsr and writecert: a new certificate for a key of the card."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import AttributeOID

from xca_common.pki.certificate import Certificate
from xca_common.pki.certificate_file import certificates_in
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.agent.component.information import distinguished_name
from xca_plugin.agent.component.operation import (
    ConsentFact,
    Operation,
    choose_card,
    requested_hash,
    requested_key,
)
from xca_plugin.agent.component.request_body import is_true
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.keys import CardPrivateKey
from xca_plugin.model import Card, Hash, Key, digest_name

_HASHES: Final[Mapping[Hash, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
}
_KEY_NAMES: Final = {
    Key.SIGN: text("for signatures (cert1)"),
    Key.KEYX: text("for encryption (cert2)"),
}
_CHALLENGE_MAX: Final = 255  # characters (PKCS #9, section 5.4.1)


class CertificateRequestOperation(Operation):
    """A certification request (PKCS #10, RFC 2986) with the name in the key's present certificate."""

    title = text("Sign a request for a new certificate with the card")

    def __init__(self, fields: Mapping[str, str], site: str) -> None:
        self._fields = fields
        self._key = (
            Key(fields["keyid"]) if fields.get("keyid") in list(Key) else requested_key(fields, "keyid")
        )
        self._hash = requested_hash(fields)
        if self._hash not in _HASHES:
            raise Refusal(Code.BAD_PARAMETER)
        self._challenge = fields.get("challenge", "")
        if len(self._challenge) > _CHALLENGE_MAX:
            raise Refusal(Code.BAD_PARAMETER)

    def find_card(self, cards: Cards) -> Card:
        """Return the card; any card can sign a request."""
        return choose_card(cards, self._fields)

    def consent_facts(self) -> Sequence[ConsentFact]:
        """Return the key, and the site's challenge, which is signed too."""
        facts = [ConsentFact(text("Key"), f"{_KEY_NAMES[self._key]()}, {digest_name(self._hash)}")]
        if self._challenge:
            facts.append(ConsentFact(text("Also signed: the challenge of the site"), self._challenge))
        return facts

    def perform(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Return the request in base64 of its DER form."""
        key = CardPrivateKey(cards, card, pin, self._key)
        request = x509.CertificateSigningRequestBuilder().subject_name(key.certificate.subject)
        if self._challenge:
            request = request.add_attribute(AttributeOID.CHALLENGE_PASSWORD, self._challenge.encode())
        try:
            made = request.sign(key, _HASHES[self._hash])
        except UnsupportedAlgorithm:
            raise Refusal(Code.UNSUPPORTED) from None
        return {"csr": base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()}


class WriteCertificateOperation(Operation):
    """Writes a certificate for one of the card's keys to the card."""

    title = text("Write a certificate to the card")

    def __init__(self, fields: Mapping[str, str], site: str) -> None:
        self._fields = fields
        if is_true(fields, "useChallenge"):
            raise Refusal(Code.UNSUPPORTED)
        if "value" not in fields:
            raise Refusal(Code.NO_CERTIFICATE)
        self._certificates = _certificates(fields["value"])

    def find_card(self, cards: Cards) -> Card:
        """Return the card; one of the certificates that the site sent must fit one of its keys."""
        card = choose_card(cards, self._fields)
        self._certificate = cards.certificate_for(card, self._certificates)
        return card

    def consent_facts(self) -> Sequence[ConsentFact]:
        """Return the certificate's holder and issuer."""
        return [
            ConsentFact(text("Holder in the certificate"), distinguished_name(self._certificate.holder)),
            ConsentFact(text("Issuer of the certificate"), distinguished_name(self._certificate.issuer)),
        ]

    def perform(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Write the certificate; the answer has no members of its own."""
        try:
            cards.write_certificate(card, pin, self._certificate)
        except errors.CardFault:
            raise Refusal(Code.NOT_WRITTEN) from None
        return {}


def _certificates(value: str) -> list[Certificate]:
    """Return the certificates in PEM, base64 or PKCS #7."""
    try:
        # Some pages send the + of base64 as it is, which a form reads as a blank.
        data = value if "-----" in value else value.replace(" ", "+")
        return [Certificate.parse("", "", der) for der in certificates_in(data.encode())]
    except ValueError:
        raise Refusal(Code.NO_CERTIFICATE) from None
