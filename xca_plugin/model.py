# SPDX-License-Identifier: Apache-2.0
"""What there is to know of a card: small frozen values, no behaviour of their own."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final, Self

from asn1crypto import x509  # type: ignore[import-untyped]

from pkcs11_shim import rules


class CardState(StrEnum):
    """Where a card is in its life; locks are told apart by the tries left."""

    NOT_ACTIVATED = "not-activated"
    """未開卡: has no PIN yet."""
    LAPSED = "lapsed"
    """Never activated, and the last day to do so has passed."""
    ACTIVE = "active"
    """已開卡."""


class Key(StrEnum):
    """A card's private keys, by CKA_ID."""

    SIGN = "SIGN"
    """Signs (certificate cert1)."""
    KEYX = "KEYX"
    """Decrypts (certificate cert2)."""


class Hash(StrEnum):
    """Digest algorithms, as hashlib names them."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class Padding(StrEnum):
    """What RSA wraps around the data (RFC 8017)."""

    PKCS1V15 = "pkcs1v15"
    """Sections 8.2 (signature) and 7.2 (decryption)."""
    PSS = "pss"
    """Section 8.1; MGF1 with the same hash, salt as long as the digest. Signatures only."""
    OAEP = "oaep"
    """Section 7.1; MGF1 with the same hash, empty label. Decryption only."""


# Short names of RFC 4519 for the attributes that such certificates use.
_SHORT_NAMES: Final = {
    "country_name": "C",
    "state_or_province_name": "ST",
    "locality_name": "L",
    "organization_name": "O",
    "organizational_unit_name": "OU",
    "common_name": "CN",
    "serial_number": "serialNumber",
}

# subjectDirectoryAttributes of the government's PKI (GPKI certificate profile).
_CARD_RANK: Final = "2.16.886.1.100.2.2"
_CITIZEN_ID: Final = "2.16.886.1.100.2.51"
_TAX_ID: Final = "2.16.886.1.100.2.101"
_ORGANISATION_OID: Final = "2.16.886.1.100.2.102"


@dataclass(frozen=True)
class Certificate:
    """A certificate on a card.

    Attributes:
        label: CKA_LABEL, such as cert1.
        id: CKA_ID as text: the key that belongs to it (see Key), or CACert, ROOTCACert.
        der: the certificate itself.
        holder: subject DN in the order of the certificate (卡片持有者資訊), C=TW,L=臺北市,O=國立臺灣大學.
        issuer: issuer DN, in the same form.
        serial: serial number, hexadecimal.
        not_before: start of validity (卡片效期).
        not_after: end of validity.
        key_usage: names of RFC 5280 section 4.2.1.3, such as digital_signature.
        organisation_oid: OID of the organisation, if the certificate tells.
        tax_id: 統一編號 of a company, if the certificate tells.
        rank: primary (正卡) or secondary (附卡), if the certificate tells.
        citizen_id: last four characters of a person's national id, if the certificate tells.
        common_name: the subject's commonName, several with blanks between; empty if there is none.
        email: address in the subjectAltName, empty if there is none.
        signature_algorithm: OID of what the issuer signed it with.
    """

    label: str
    id: str
    der: bytes = field(repr=False)
    holder: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    key_usage: tuple[str, ...]
    organisation_oid: str | None
    tax_id: str | None
    rank: str | None
    citizen_id: str | None = None
    common_name: str = ""
    email: str = ""
    signature_algorithm: str = ""

    @classmethod
    def parse(cls, label: str, identifier: str, der: bytes) -> Self:
        """Read an X.509 certificate (RFC 5280).

        Raises:
            ValueError: it is not one, or a part that is of use here cannot be read.
        """
        try:
            return cls._parse(label, identifier, der)
        except Exception as error:  # asn1crypto's are of many kinds, and come with the bytes
            raise ValueError(f"a certificate that cannot be read ({type(error).__name__})") from error

    @classmethod
    def _parse(cls, label: str, identifier: str, der: bytes) -> Self:
        certificate = x509.Certificate.load(der, strict=True)
        start, end = certificate.not_valid_before, certificate.not_valid_after
        if not (isinstance(start, datetime) and isinstance(end, datetime)):
            raise TypeError("asn1crypto has a kind of its own for the year 0")
        if None in (start.tzinfo, end.tzinfo):
            raise ValueError("a validity without a time zone")
        usage = certificate.key_usage_value
        attributes = _directory_attributes(certificate)
        certificate.public_key.dump()
        return cls(
            label=label,
            id=identifier,
            der=der,
            holder=_name(certificate.subject),
            issuer=_name(certificate.issuer),
            serial=f"{certificate.serial_number:x}",
            not_before=start.astimezone(UTC),
            not_after=end.astimezone(UTC),
            key_usage=tuple(sorted(usage.native)) if usage else (),
            organisation_oid=attributes.get(_ORGANISATION_OID),
            tax_id=attributes.get(_TAX_ID),
            rank=attributes.get(_CARD_RANK),
            citizen_id=attributes.get(_CITIZEN_ID),
            common_name=_common_name(certificate),
            email=_email(certificate),
            signature_algorithm=certificate["signature_algorithm"]["algorithm"].dotted,
        )

    @property
    def pem(self) -> str:
        """The certificate in PEM (RFC 7468)."""
        body = base64.b64encode(self.der).decode("ascii")
        lines = [body[start : start + 64] for start in range(0, len(body), 64)]
        return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])

    @property
    def public_key(self) -> bytes:
        """The key that is certified: SubjectPublicKeyInfo (RFC 5280, section 4.1), in DER."""
        return bytes(x509.Certificate.load(self.der).public_key.dump())

    @property
    def sha256(self) -> str:
        """SHA-256 fingerprint, hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()


@dataclass(frozen=True)
class OddCertificate:
    """What a card holds as a certificate, and cannot be read as one: shown, and of no use.

    Attributes:
        label: CKA_LABEL.
        id: CKA_ID as text.
        der: what stands there.
    """

    label: str
    id: str
    der: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 fingerprint, hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()


@dataclass(frozen=True)
class Card:
    """A card as it was when it was read.

    Attributes:
        number: card number (卡號), 16 characters.
        reader: the reader that it is in.
        model: CK_TOKEN_INFO.model.
        family: the plugin that found it; operations on the card are that plugin's.
        state: where it is in its life.
        pin_tries: wrong PINs left before it locks; 0 is locked, None is unknown.
        user_code_tries: wrong user codes left before it locks; 0 is locked, None is unknown.
        certificate: the signing certificate, None when the card shows none that can be read.
        activate_by: last day on which it can be activated, None when the card has no such day.
        days_left: days from today to activate_by, negative after it; None like activate_by.
        pin_to_be_changed: the PIN is one that somebody else set (CKF_USER_PIN_TO_BE_CHANGED).
        real: it counts its own tries, and what it answers cannot be undone; False for the stand-in.
        pin_min: fewest characters of a PIN, as the card reports (CK_TOKEN_INFO.ulMinPinLen).
        pin_max: most characters of a PIN (CK_TOKEN_INFO.ulMaxPinLen).
        certificate_odd: the card shows a signing certificate, and it cannot be read.
    """

    number: str
    reader: str
    model: str
    family: str
    state: CardState
    pin_tries: int | None
    user_code_tries: int | None
    certificate: Certificate | None = None
    activate_by: date | None = None
    days_left: int | None = None
    pin_to_be_changed: bool = False
    real: bool = True
    pin_min: int = rules.PIN_MIN
    pin_max: int = rules.PIN_MAX
    certificate_odd: bool = False


@dataclass(frozen=True)
class Event:
    """One entry of a card's history.

    Attributes:
        at: when.
        card: card number.
        event: what was asked of the card, such as activate or verify-pin.
        result: the PKCS#11 return value (CK_RV) that it answered.
        program: name of the program that asked.
    """

    at: datetime
    card: str
    event: str
    result: int
    program: str


def _name(name: x509.Name) -> str:
    parts = []
    for relative in name.chosen:
        for pair in relative:
            kind = pair["type"]
            short = _SHORT_NAMES.get(kind.native, kind.dotted)
            parts.append(f"{short}={_escaped(str(pair['value'].native))}")
    return ",".join(parts)


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.native.get("common_name", "")
    return names if isinstance(names, str) else " ".join(str(name) for name in names)


def _email(certificate: x509.Certificate) -> str:
    names = certificate.subject_alt_name_value or ()
    return next((str(name.native) for name in names if name.name == "rfc822_name"), "")


def _escaped(value: str) -> str:
    # RFC 4514 section 2.4, so that a comma in a name cannot pass for another attribute
    return "".join(f"\\{character}" if character in ',+"\\<>;=' else character for character in value)


def _directory_attributes(certificate: x509.Certificate) -> dict[str, str]:
    for extension in certificate["tbs_certificate"]["extensions"]:
        if extension["extn_id"].native == "subject_directory_attributes":
            return {
                attribute["type"].dotted: str(attribute["values"][0].native)
                for attribute in extension["extn_value"].parsed
            }
    return {}
