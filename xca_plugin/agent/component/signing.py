# SPDX-License-Identifier: Apache-2.0
"""MakeSignature: a signature of the types PKCS1, PKCS7 and RAW."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asn1crypto import core  # type: ignore[import-untyped]

from xca_common.pki.attribute_set import is_attribute_set
from xca_common.pki.certificate import Certificate
from xca_common.pki.cms_types import cms
from xca_common.pki.digest_info import digest_info
from xca_common.secret import Secret
from xca_common.statement import MalformedStatement, Statement, begins_as_statement
from xca_plugin import errors
from xca_plugin.agent.component.information import HELPER_VERSION
from xca_plugin.agent.component.operation import (
    ConsentFact,
    Operation,
    choose_card,
    data_fact,
    is_plain_text,
    requested_hash,
    requested_key,
)
from xca_plugin.agent.component.request_body import base64_field, is_true
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.agent.component.statement_text import TITLES, statement_facts
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import Card, Hash, Key, digest_name
from xca_plugin.signed_data import Attribute, origin_attribute, signed_data
from xca_plugin.validity import check_now

_NONCE: Final = "1.2.840.113549.1.9.25.3"  # PKCS #9, section 5.5: randomNonce
_CARD_NUMBER: Final = "2.16.886.1.100.2.204"
# Servers take the first two bytes of these attributes for tag and length: so the length must be one byte.
_ATTRIBUTE_MAX: Final = 127
_PRINTABLE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_TYPES: Final = {
    "PKCS1": text("a bare signature, without what is signed ({name})"),
    "PKCS7": text("a signature that holds what is signed ({name})"),
}
_LABELS: Final = {Key.SIGN: "cert1", Key.KEYX: "cert2"}
_BLINDNESS: Final = text(
    "With the answer, the site can log in at another site in the name of the holder of the card, or have a "
    "contract that you never saw. The agent cannot tell what is signed."
)
_XML_ELEMENT: Final = re.compile(r"<([^\s<>/!?][^\s<>/]*)")
_JWS_HEADER: Final = re.compile(r"([A-Za-z0-9_-]+)\.")
_STATEMENT_REFUSED: Final = "待簽的聲明（xca-statement）格式不符，或不得以此方式簽署，請向該網站反映。"
_STATEMENT_OF_ANOTHER: Final = "待簽的聲明（xca-statement）不是給此網站的，未予簽署。請勿在此網站繼續操作。"
_STATEMENT_OF_ANOTHER_CARD: Final = "待簽的聲明（xca-statement）是給另一張卡片的，未予簽署。請改用該卡片。"
_ATTRIBUTES_REFUSED: Final = "待簽內容可冒充其他檔案的簽章，未予簽署。請勿在此網站繼續操作。"


class SignOperation(Operation):
    """A signature with a key of the card.

    PKCS1 is RSASSA-PKCS1-v1_5 (RFC 8017) of data. RAW is the same of a hash from the site, which comes
    alone or in a DigestInfo. PKCS7 is a CMS SignedData (RFC 5652) with the data inside. RAW, and PKCS1 of
    what is not plain text or signs a token or an XML document, are blind requests.

    A statement is signed only as PKCS7 for the site that it names; the signature then names the site that
    asked. The signed attributes of another CMS signature are never signed.
    """

    title = text("Sign with the card")

    def __init__(self, fields: Mapping[str, str], site: str) -> None:
        self._fields, self._site = fields, site
        self._statement: Statement | None = None
        self._type = fields.get("signatureType", "PKCS1").upper()
        if "tbs" not in fields:
            raise Refusal(Code.NO_DATA)
        self._key = requested_key(fields, "keyidb64")
        if self._type == "RAW":
            self._hash, self._digest = _read_digest(base64_field(fields, "tbs"))
            self.blindness = _BLINDNESS
        elif self._type in ("PKCS1", "PKCS7"):
            self._content = self._data()
            self._hash = requested_hash(fields)
            self._digest = hashlib.new(self._hash, self._content).digest()
            if is_attribute_set(self._content):
                raise Refusal(Code.BAD_PARAMETER, _ATTRIBUTES_REFUSED)
            if begins_as_statement(self._content):
                self._statement = self._read_statement()
                self.title = TITLES[self._statement.kind]
            if self._type == "PKCS1" and not _is_shown(self._content):
                self.blindness = _BLINDNESS
        else:
            raise Refusal(Code.WRONG_TYPE)
        self.allowance_covers = self.blindness is None
        pkcs7 = self._type == "PKCS7"
        self._nonce = _string_attribute(fields["nonce"]) if pkcs7 and "nonce" in fields else None

    def find_card(self, cards: Cards) -> Card:
        """Return the card; unless the page allows otherwise, its certificate must be valid today.

        A statement that names a card is for no other.
        """
        card = choose_card(cards, self._fields)
        if self._statement is not None and dict(self._statement.fields).get("card") not in (
            None,
            card.number,
        ):
            raise Refusal(Code.BAD_PARAMETER, _STATEMENT_OF_ANOTHER_CARD)
        certificate = self._certificate(cards, card)
        if self._fields.get("checkValidity", "").lower() != "false":
            check_now(certificate, card.number)
        return card

    def consent_facts(self) -> Sequence[ConsentFact]:
        """Return what is to be signed: the data, or only its hash; and the nonce, which is signed too."""
        if self._type == "RAW":
            label = text("A {name} hash; the agent cannot know what was hashed").format(
                name=digest_name(self._hash)
            )
            return [ConsentFact(label, self._digest.hex())]
        if self._statement is not None:
            return statement_facts(self._statement)
        kind = _TYPES[self._type].format(name=digest_name(self._hash))
        facts = [
            ConsentFact(text("Type of signature"), kind()),
            data_fact(text("What is to be signed"), self._content),
        ]
        if self._nonce is not None:
            facts.append(ConsentFact(text("Also signed: the nonce of the site"), self._nonce.native))
        return facts

    def perform(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Return the signature, the certificate and the card number."""
        certificate = self._certificate(cards, card)
        if self._type == "PKCS7":
            signature = self._signed_data(cards, card, pin, certificate)
        else:
            signature = self._sign_digest(cards, card, pin, self._digest)
        members = {
            "cardSN": card.number,
            "certb64": base64.b64encode(certificate.der).decode(),
            "signature": base64.b64encode(signature).decode(),
            "version": HELPER_VERSION,
        }
        # Pages want a text as the authorisation of a secondary card (附卡授權證). The agent has none.
        return members | ({"SCAP": ""} if is_true(self._fields, "withSCAP") else {})

    def _data(self) -> bytes:
        # Exactly base64: the vendor's component takes all else for text.
        if self._fields.get("tbsEncoding") == "base64":
            return base64_field(self._fields, "tbs")
        return self._fields["tbs"].encode()

    def _read_statement(self) -> Statement:
        """Read the content as a statement of the site.

        Raises:
            Refusal: it is none, it is for another site, or it would not be signed as statements are.
        """
        try:
            statement = Statement.parse(self._content)
        except MalformedStatement:
            raise Refusal(Code.BAD_PARAMETER, _STATEMENT_REFUSED) from None
        is_signed_so = self._type == "PKCS7" and self._key is Key.SIGN and self._hash is not Hash.SHA1
        if not (statement.kind.is_signed and is_signed_so and "nonce" not in self._fields):
            raise Refusal(Code.BAD_PARAMETER, _STATEMENT_REFUSED)
        if statement.origin != self._site:
            raise Refusal(Code.BAD_PARAMETER, _STATEMENT_OF_ANOTHER)
        return statement

    def _certificate(self, cards: Cards, card: Card) -> Certificate:
        for certificate in cards.certificates(card):
            if certificate.id == self._key:
                return certificate
        raise errors.NoSuchCertificate(number=card.number, label=_LABELS[self._key])

    def _sign_digest(self, cards: Cards, card: Card, pin: Secret, digest: bytes) -> bytes:
        return cards.sign(card, pin, digest, key=self._key, digest_hash=self._hash)

    def _signed_data(self, cards: Cards, card: Card, pin: Secret, certificate: Certificate) -> bytes:
        """Return SignedData with the content, the certificate and the attributes that servers read."""
        attributes: list[Attribute] = []
        if self._fields.get("withSigningTime", "").lower() != "false":
            now = core.UTCTime(datetime.now(UTC).replace(microsecond=0))
            attributes.append({"type": "signing_time", "values": [cms.Time("utc_time", now)]})
        if self._nonce is not None:
            attributes.append({"type": _NONCE, "values": [self._nonce]})
        if is_true(self._fields, "withCardSN"):
            attributes.append({"type": _CARD_NUMBER, "values": [_string_attribute(card.number)]})
        if self._statement is not None:
            attributes.append(origin_attribute(self._site))
        return signed_data(
            self._content,
            certificate,
            lambda digest: self._sign_digest(cards, card, pin, digest),
            digest_hash=self._hash,
            attributes=attributes,
        )


def _is_shown(content: bytes) -> bool:
    """Tell whether a window shows what a PKCS1 signature of content signs.

    A signature of XML is made over its SignedInfo (XML Signature, section 3.2), which holds only hashes.
    A JSON Web Signature is made over its header and payload in base64url (RFC 7515, section 5.1).
    """
    if not is_plain_text(content):
        return False
    shown = content.decode()
    element = _XML_ELEMENT.search(shown)
    if element and element[1].rpartition(":")[2] == "SignedInfo":
        return False
    header = _JWS_HEADER.match(shown)
    return header is None or not _names_algorithm(header[1])


def _names_algorithm(encoded: str) -> bool:
    """Tell whether text in base64url is the header of a JSON Web Signature."""
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except RecursionError:
        return True
    except ValueError:
        return False
    return isinstance(header, dict) and "alg" in header


def _read_digest(data: bytes) -> tuple[Hash, bytes]:
    """Return the hash that a RAW request holds, and its algorithm.

    Raises:
        Refusal: the data are neither a hash nor its DigestInfo (RFC 8017, section 9.2).
    """
    for algorithm in Hash:
        size = hashlib.new(algorithm).digest_size
        digest = data[-size:]
        if len(digest) == size and data in (digest, digest_info(algorithm.value, digest)):
            return algorithm, digest
    raise Refusal(Code.BAD_PARAMETER)


def _string_attribute(value: str) -> core.Asn1Value:
    kind = core.PrintableString if _PRINTABLE.issuperset(value) else core.UTF8String
    string = kind(value)
    if len(string.contents) > _ATTRIBUTE_MAX:
        raise Refusal(Code.BAD_PARAMETER)
    return string
