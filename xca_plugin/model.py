# SPDX-License-Identifier: Apache-2.0
"""The data of a card, as small frozen values."""

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Protocol

from pkcs11_shim import rules
from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate


class CardState(StrEnum):
    """Whether a card is activated. Card.pin_tries and Card.user_code_tries tell whether it is locked."""

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


CERTIFICATE_LABELS: Final = {Key.SIGN: "cert1", Key.KEYX: "cert2"}
"""CKA_LABEL of each key's certificate."""


class Hash(StrEnum):
    """Digest algorithms, as hashlib names them."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


_DIGEST_NAMES: Final = {
    "md2": "MD2",
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha224": "SHA-224",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
    "sha512_224": "SHA-512/224",
    "sha512_256": "SHA-512/256",
    "sha3_224": "SHA3-224",
    "sha3_256": "SHA3-256",
    "sha3_384": "SHA3-384",
    "sha3_512": "SHA3-512",
    "shake128": "SHAKE128",
    "shake256": "SHAKE256",
}
"""Names of digest algorithms as FIPS 180-4 and FIPS 202 write them, by those of hashlib and asn1crypto."""


def digest_name(algorithm: str) -> str:
    """Return the name of a digest algorithm as people read it; an unknown one as it is."""
    return _DIGEST_NAMES.get(algorithm, algorithm)


class Padding(StrEnum):
    """Padding schemes of RSA (RFC 8017)."""

    PKCS1V15 = "pkcs1v15"
    """Sections 8.2 (signature) and 7.2 (decryption)."""
    PSS = "pss"
    """Section 8.1; MGF1 with the same hash, salt as long as the digest. Signatures only."""
    OAEP = "oaep"
    """Section 7.1; MGF1 with the same hash, empty label. Decryption only."""


@dataclass(frozen=True)
class OddCertificate:
    """A certificate object on a card that cannot be read as a certificate. It is listed; nothing uses it.

    Attributes:
        label: CKA_LABEL.
        id: CKA_ID as text.
        der: its value (CKA_VALUE).
    """

    label: str
    id: str
    der: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 fingerprint, hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()


class CardSession(Protocol):
    """A login with the PIN. It signs and decrypts until its context ends."""

    def sign(
        self,
        digest: bytes,
        *,
        key: Key = Key.SIGN,
        digest_hash: Hash = Hash.SHA256,
        padding: Padding = Padding.PKCS1V15,
    ) -> bytes:
        """Sign a digest, as the hook xca_sign does.

        Raises:
            SessionEnded: the login has ended; no later call signs.
            CardRemoved: the card was pulled out; no later call signs, also after it was inserted again.
            NoSuchKey, Unsupported: as xca_sign; the login goes on.
        """
        ...

    def decrypt(
        self,
        ciphertext: bytes,
        *,
        key: Key = Key.KEYX,
        digest_hash: Hash = Hash.SHA1,
        padding: Padding = Padding.OAEP,
    ) -> bytes:
        """Decrypt what was encrypted to a key, as the hook xca_decrypt does.

        Raises:
            SessionEnded, CardRemoved: as sign.
            NoSuchKey, NotDecryptable, Unsupported: as xca_decrypt; the login goes on.
        """
        ...


@dataclass(frozen=True)
class IssuerContact:
    """How a holder reaches the card's issuer.

    Attributes:
        name: of the certification authority.
        website: its address.
        telephone: of its customer service.
    """

    name: Text | str
    website: str
    telephone: str


@dataclass(frozen=True)
class Card:
    """A card as it was when it was read.

    Attributes:
        number: card number (卡號), 16 characters.
        reader: the reader that it is in.
        model: CK_TOKEN_INFO.model.
        family: the name of the plugin that found it and does the operations on it.
        state: whether it is activated.
        pin_tries: wrong PINs left before it locks; 0 is locked, None is unknown.
        user_code_tries: wrong user codes left before it locks; 0 is locked, None is unknown.
        certificate: the signing certificate, None when the card shows none that can be read.
        activate_by: last day on which it can be activated, None when the card has no such day.
        days_left: days from today to activate_by, negative after it; None like activate_by.
        pin_to_be_changed: the PIN is one that somebody else set (CKF_USER_PIN_TO_BE_CHANGED).
        real: a card with a chip, whose lock is final; False for a card of the stand-in.
        pin_min: fewest characters of a PIN, as the card reports (CK_TOKEN_INFO.ulMinPinLen).
        pin_max: most characters of a PIN (CK_TOKEN_INFO.ulMaxPinLen).
        certificate_odd: the card has a signing certificate that cannot be read.
        issuer: how to reach its issuer, None when no plugin knows (hook xca_issuer_contact).
        pin_count_low: a wrong PIN was given since the last right one (CKF_USER_PIN_COUNT_LOW).
        user_code_count_low: a wrong user code likewise (CKF_SO_PIN_COUNT_LOW).
        has_keypad: PIN and user code can be typed at the reader (CKF_PROTECTED_AUTHENTICATION_PATH); its
            operations take TypedAtReader for them.
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
    issuer: IssuerContact | None = None
    pin_count_low: bool = False
    user_code_count_low: bool = False
    has_keypad: bool = False


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


class AcceptanceOutcome(StrEnum):
    """What became of an acceptance."""

    KEPT = "kept"
    """Signed, and kept here until the centre answers."""
    ACCEPTED = "accepted"
    """The centre took it."""
    REFUSED = "refused"
    """The centre refused it for good."""


@dataclass(frozen=True)
class Acceptance:
    """The acceptance of a card's certificates (憑證接受).

    Attributes:
        number: card number.
        outcome: what became of it.
        signed_at: when the card signed it, by this computer's clock. Of one that was signed elsewhere: when
            the certificates were first seen to be valid.
        detail: why the centre did not take it yet, or refuses it; None: nothing was said.
        statement: what the card signed (CMS SignedData); empty: the centre has answered, or it was signed
            elsewhere.
    """

    number: str
    outcome: AcceptanceOutcome
    signed_at: datetime
    detail: Text | str | None = None
    statement: bytes = field(default=b"", repr=False)


class CertificateState(StrEnum):
    """What the issuer says of a card's certificates (憑證狀態)."""

    NOT_ACCEPTED = "not-accepted"
    """Their acceptance is kept here, and the issuer does not have it yet."""
    VALID = "valid"
    """有效."""
    SUSPENDED = "suspended"
    """停用."""
    ON_HOLD = "on-hold"
    """Not accepted yet, or suspended; from outside these look alike."""
    REVOKED = "revoked"
    """廢止."""
    EXPIRED = "expired"
    """過期."""
    UNKNOWN = "unknown"
    """The issuer was not asked, or does not say."""


@dataclass(frozen=True)
class CertificateStatus:
    """How a card's certificates stand with the centre that issued them.

    Attributes:
        state: what the centre says.
        centre: its address.
        since: since when they are on hold or revoked.
        detail: why their state is unknown.
        acceptance: the acceptance that is known on this computer, if one is.
    """

    state: CertificateState
    centre: str
    since: datetime | None = None
    detail: Text | str | None = None
    acceptance: Acceptance | None = None
