# SPDX-License-Identifier: Apache-2.0
"""DecryptData: decrypts one RSA block (PKCS1) or CMS AuthEnvelopedData and EnvelopedData (PKCS7)."""

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from xca_common.secret import Secret
from xca_common.statement import MalformedStatement, Statement, begins_as_statement
from xca_plugin.agent.component.operation import ConsentFact, Operation, choose_card
from xca_plugin.agent.component.request_body import base64_field
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.cards import Cards
from xca_plugin.enveloped import Enveloped, RecipientCard
from xca_plugin.errors import NoSuchCertificate, NotDecryptable, Unsupported
from xca_plugin.i18n import text
from xca_plugin.model import CERTIFICATE_LABELS, Card, Key, Padding

_BLINDNESS = text(
    "With the answer, the site can open a whole file that was encrypted to your card, also one that somebody "
    "else sent you. The agent cannot tell which file it is."
)


class DecryptOperation(Operation):
    """Decrypts what was encrypted to the card's certificate cert2, and gives the content to the site."""

    title = text("Decrypt with the card and give the content to the site")

    def __init__(self, fields: Mapping[str, str], site: str) -> None:
        self._fields, self._site = fields, site
        if "cipher" not in fields:
            raise Refusal(Code.NO_CIPHER)
        self._cipher = base64_field(fields, "cipher")
        self._type = fields.get("cipherType", "PKCS1").upper()
        self._encoding = fields.get("plainEncoding", "NONE").upper()
        if self._type not in ("PKCS1", "PKCS7"):
            raise Refusal(Code.BAD_CIPHER_TYPE)
        if self._encoding not in ("NONE", "BASE64"):
            raise Refusal(Code.BAD_PARAMETER)
        if self._type == "PKCS1":
            self.blindness = _BLINDNESS
        self.allowance_covers = self.blindness is None

    def find_card(self, cards: Cards) -> Card:
        """Return the card. What a site sends is not parsed before the person has agreed."""
        return choose_card(cards, self._fields)

    def consent_facts(self) -> Sequence[ConsentFact]:
        """Return the size: the content cannot be shown before it is decrypted."""
        return [ConsentFact(text("Encrypted data, in bytes"), str(len(self._cipher)))]

    def perform(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Return the content, as text or in base64 as the site asks; of a statement its nonce alone.

        What fails after the card was asked has one answer: a site learns no more.
        """
        try:
            if self._type == "PKCS7":
                plain = BytesIO()
                by = RecipientCard(cards, card)
                self._enveloped().decrypt(plain, by, partial(cards.decrypt, card, pin))
                content = _for_site(plain.getvalue(), self._site)
            else:
                content = self._block(cards, card, pin)
            if self._encoding == "BASE64":
                return {"plain": base64.b64encode(content).decode()}
            return {"plain": content.decode("utf-8")}
        except (UnicodeDecodeError, MalformedStatement):
            raise NotDecryptable(number=card.number) from None

    def _block(self, cards: Cards, card: Card, pin: Secret) -> bytes:
        """Decrypt the bare block. Whatever is wrong with it, the card does the same work.

        Raises:
            MalformedStatement: a statement is in it, which is opened only in an envelope.
            NotDecryptable: it is no block for the key, or its padding is wrong.
        """
        modulus = _modulus(cards, card)
        size = (modulus.bit_length() + 7) // 8
        fits = len(self._cipher) == size and int.from_bytes(self._cipher, "big") < modulus
        block = self._cipher if fits else (modulus // 3).to_bytes(size, "big")
        content = cards.decrypt(card, pin, block, padding=Padding.PKCS1V15)
        if not fits:
            raise NotDecryptable(number=card.number)
        if begins_as_statement(content):
            raise MalformedStatement
        return content

    def _enveloped(self) -> Enveloped:
        file = BytesIO(self._cipher)
        file.name = "cipher"
        return Enveloped(file)


def _for_site(content: bytes, site: str) -> bytes:
    """Return what a site gets of a content: of a statement for this site its nonce alone.

    Raises:
        MalformedStatement: the statement is for another site, or is none that is opened.
    """
    if not begins_as_statement(content):
        return content
    statement = Statement.parse(content)
    if statement.kind.is_signed or statement.origin != site:
        raise MalformedStatement
    return statement.nonce.encode()


def _modulus(cards: Cards, card: Card) -> int:
    """Return the modulus of the card's key for decryption.

    Raises:
        NoSuchCertificate: the card shows no certificate for it.
        Unsupported: it is no RSA key.
    """
    own = next((each for each in cards.certificates(card) if each.id == Key.KEYX), None)
    if own is None:
        raise NoSuchCertificate(number=card.number, label=CERTIFICATE_LABELS[Key.KEYX])
    try:
        public = x509.load_der_x509_certificate(own.der).public_key()
    except ValueError:
        public = None
    if not isinstance(public, rsa.RSAPublicKey):
        raise Unsupported(number=card.number)
    return public.public_numbers().n
