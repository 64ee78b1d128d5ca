# SPDX-License-Identifier: Apache-2.0
"""Keys for encryption that holders registered. A site encrypts to them later, without the card.

In the session of a login the local component hands over both certificates of the card (register). That the
card opens what is encrypted to it is proved by opening an envelope: a whole AuthEnvelopedData, whose content
is a statement for this site alone. Only its nonce comes back. A bare block is never decrypted for a proof:
whoever may ask for that can open everything that was encrypted to the card.

Each card has one key here, under the account that it logs in to. A renewed certificate takes the place of
the one before; further cards of an organisation stand beside each other.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from threading import Lock
from typing import BinaryIO, Final, Protocol

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from xca_common.pki import encrypted_data
from xca_common.pki.encrypted_data import RecipientCertificate
from xca_common.pki.malformed import Malformed
from xca_common.pki.strict_certificate import issuer_of, subject_of
from xca_common.statement import Statement, StatementKind
from xca_login.challenges import LIFETIME, Challenge, ChallengeStore, MemoryStore, now
from xca_login.errors import (
    CardDifferent,
    CertificateExpired,
    CertificateRevoked,
    CertificateSuspended,
    EncryptionRefused,
    KeyOlder,
    KeyUnregistered,
    LoginRefused,
    NotForEncryption,
    OrganisationUnregistered,
    PairWrong,
    PossessionExpired,
    PossessionUnknown,
    RecipientExpired,
    RecipientNotAccepted,
    RecipientRevoked,
    RecipientSuspended,
    RecipientUnknown,
    RevocationUnknown,
    StoreUnavailable,
    TooManyChallenges,
)
from xca_login.i18n import text
from xca_login.keys import key_of
from xca_login.login import Account
from xca_login.site import Site
from xca_login.verifier import Checked, Verifier

_NONCE: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class RegisteredKey:
    """A key for encryption that a holder registered.

    Attributes:
        account: the account that the card logs in to.
        holder_name: the holder as people say it.
        rank: primary (正卡) or secondary (附卡).
        certificate: the card's certificate for encryption (cert2), in DER.
        key: SHA-256 of the certified key (SubjectPublicKeyInfo), hexadecimal.
        valid_from: when the certificate begins.
        valid_until: when it ends.
        registered: when it was registered.
        proved: when the card was first seen to open what is encrypted to the key; None: never so far.
    """

    account: Account
    holder_name: str
    rank: str
    certificate: bytes = field(repr=False)
    key: str
    valid_from: datetime
    valid_until: datetime
    registered: datetime
    proved: datetime | None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return hashlib.sha256(self.certificate).hexdigest()


@dataclass(frozen=True)
class Envelope:
    """What a card opens to prove that it can.

    Attributes:
        content: AuthEnvelopedData, in DER.
        until: when it ends.
    """

    content: bytes = field(repr=False)
    until: datetime


class KeyStore(Protocol):
    """Keeps registered keys, one for each account. Many threads and processes may use it at once."""

    def put(self, key: RegisteredKey) -> RegisteredKey | None:
        """Keep a key in the place of the account's, and return what is kept; None: that one began later.

        The same certificate keeps the time when it was registered. A certificate of the same key keeps the
        time when that was proved.

        Args:
            key: the key, not proved.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing was kept.
        """

    def get(self, account: Account) -> RegisteredKey | None:
        """Return the key of an account; None: it has none.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """

    def of_organisation(self, domain: str, organisation: str) -> Sequence[RegisteredKey]:
        """Return the keys of an organisation's cards, in the order of their accounts' keys.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """

    def prove(self, key: RegisteredKey, at: datetime) -> RegisteredKey | None:
        """Note that a key is proved, and return what is kept; None: another certificate took its place.

        A key that was proved before keeps that time.

        Raises:
            StoreUnavailable: the store cannot be reached; nothing was noted.
        """


class MemoryKeys:
    """Keeps registered keys in this process, one of each account: for tests."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[Account, RegisteredKey] = {}

    def put(self, key: RegisteredKey) -> RegisteredKey | None:
        """Keep a key (KeyStore.put)."""
        with self._lock:
            before = self._kept.get(key.account)
            if before is not None:
                if before.valid_from > key.valid_from:
                    return None
                if before.certificate == key.certificate:
                    key = replace(key, registered=before.registered)
                if before.key == key.key:
                    key = replace(key, proved=before.proved)
            self._kept[key.account] = key
            return key

    def get(self, account: Account) -> RegisteredKey | None:
        """Return the key of an account (KeyStore.get)."""
        with self._lock:
            return self._kept.get(account)

    def of_organisation(self, domain: str, organisation: str) -> Sequence[RegisteredKey]:
        """Return the keys of an organisation's cards (KeyStore.of_organisation)."""
        with self._lock:
            found = [one for account, one in self._kept.items() if account[:2] == (domain, organisation)]
        return sorted(found, key=lambda one: one.account)

    def prove(self, key: RegisteredKey, at: datetime) -> RegisteredKey | None:
        """Note that a key is proved (KeyStore.prove)."""
        with self._lock:
            kept = self._kept.get(key.account)
            if kept is None or kept.certificate != key.certificate:
                return None
            self._kept[key.account] = replace(kept, proved=kept.proved or at)
            return self._kept[key.account]


class RegisteredKeys:
    """Registers keys for encryption at a site, and encrypts to them.

    Args:
        site: the site.
        verifier: verifies certificates, by the same rules as at a login.
        store: keeps the keys, such as sql_store.SqlKeys.
        envelopes: keeps what open envelopes hold; None: in this process alone.
        clock: tells the time, with a time zone.
    """

    def __init__(
        self,
        site: Site,
        verifier: Verifier,
        store: KeyStore,
        envelopes: ChallengeStore | None = None,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._site = site
        self._verifier = verifier
        self._store = store
        self._envelopes: ChallengeStore = envelopes or MemoryStore()
        self._clock = clock

    def register(self, account: Account, signing: bytes, encryption: bytes) -> RegisteredKey:
        """Register the key for encryption of the card that logged in, or the renewed certificate of it.

        Args:
            account: the account of the login.
            signing: the card's certificate for signatures (cert1), in DER.
            encryption: its certificate for encryption (cert2), in DER.

        Raises:
            CardDifferent: cert1 is not that of the login's card.
            PairWrong: the certificates differ in their issuer, subject or directory attributes.
            KeyOlder: a newer certificate of the card is registered.
            LoginRefused: one of the certificates is refused (Verifier.check), or the store.
        """
        first = self._verifier.check(signing)
        if first.account != account:
            raise CardDifferent
        second = self._verifier.check(encryption, encrypts=True)
        _check_pair(first, second)
        certificate = second.certificate
        kept = self._store.put(
            RegisteredKey(
                account,
                second.holder_name,
                second.holder.rank,
                encryption,
                second.account.key,
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
                self._clock(),
                None,
            )
        )
        if kept is None:
            raise KeyOlder
        return kept

    def of(self, account: Account) -> RegisteredKey | None:
        """Return the key of an account; None: none is registered.

        Raises:
            StoreUnavailable: it cannot be told.
        """
        return self._store.get(account)

    def of_organisation(self, organisation: str, domain: str = "gpki") -> Sequence[RegisteredKey]:
        """Return the keys of all cards of an organisation, whether they stand or not.

        Args:
            organisation: its OID, or 統一編號 (Account.organisation).
            domain: who vouches for that (Account.domain).

        Raises:
            StoreUnavailable: it cannot be told.
        """
        return self._store.of_organisation(domain, organisation)

    def begin_proof(self, account: Account) -> Envelope:
        """Return an envelope that only the account's card opens. Its statement is used once.

        Raises:
            KeyUnregistered: the account has no key.
            LoginRefused: the certificate does not stand, or a store refuses.
        """
        key = self._key_of(account)
        self._verifier.check(key.certificate, encrypts=True)
        at = self._clock()
        nonce = secrets.token_hex(32)
        statement = Statement(StatementKind.POSSESSION, self._site.origin, at, nonce, ()).encode()
        content = BytesIO()
        recipient = _recipient(key)
        if recipient is None:
            raise NotForEncryption
        encrypted_data.encrypt(BytesIO(statement), content, [recipient])
        self._envelopes.add(_name(key), Challenge(statement, nonce, at + LIFETIME), at)
        return Envelope(content.getvalue(), at + LIFETIME)

    def finish_proof(self, account: Account, nonce: str) -> RegisteredKey:
        """Note that the card opened the envelope; of several calls with one nonce, one counts.

        Args:
            account: the account that the envelope was made for.
            nonce: of the statement that was in it.

        Raises:
            KeyUnregistered: the account has no key any more, or another certificate took its place.
            PossessionUnknown: no open envelope for this key holds the nonce.
            PossessionExpired: it was opened too late.
            StoreUnavailable: the store cannot be reached.
        """
        key = self._key_of(account)
        found = self._envelopes.take(_name(key), nonce) if _NONCE.fullmatch(nonce) else None
        if found is None:
            raise PossessionUnknown
        if not self._clock() <= found.until:
            raise PossessionExpired
        try:
            return self._proved(key)
        except StoreUnavailable:
            with suppress(StoreUnavailable, TooManyChallenges):  # then the card opens another envelope
                self._envelopes.add(_name(key), found, self._clock())
            raise

    def note_opening(self, key: RegisteredKey) -> RegisteredKey:
        """Note that the card opened something that the site had encrypted to the key.

        A local component that opens no whole envelope proves nothing earlier.

        Raises:
            KeyUnregistered: another certificate took the place of this one.
            StoreUnavailable: the store cannot be reached.
        """
        return self._proved(key)

    def standing_of(self, organisation: str, domain: str = "gpki") -> Sequence[RegisteredKey]:
        """Return those keys of an organisation that something may be encrypted to now.

        Raises:
            OrganisationUnregistered: none is registered.
            EncryptionRefused: none of them stands; why the first one does not.
            StoreUnavailable: it cannot be told.
        """
        standing, refusals = [], []
        for key in self.of_organisation(organisation, domain):
            try:
                self.recipient(key)
            except EncryptionRefused as error:
                refusals.append(error)
            else:
                standing.append(key)
        if not standing:
            raise refusals[0] if refusals else OrganisationUnregistered(organisation=organisation)
        return standing

    def encrypt(self, content: BinaryIO, output: BinaryIO, keys: Iterable[RegisteredKey]) -> None:
        """Encrypt to registered keys, each of which opens the whole: AuthEnvelopedData, AES-256-GCM.

        Every key is judged before anything is written. One that is registered twice is a recipient once.

        Args:
            content: an open file, or a BytesIO.
            output: takes the encrypted content.
            keys: at least one.

        Raises:
            EncryptionRefused: one of the certificates is expired, suspended, revoked or unknown, or is not
                accepted any more. Nothing was written.
            FileProblem, TooMuchError: as encrypted_data.encrypt.
        """
        recipients = {key.fingerprint: self.recipient(key) for key in keys}
        if not recipients:
            raise ValueError("no key to encrypt to")
        encrypted_data.encrypt(content, output, [*recipients.values()])

    def recipient(self, key: RegisteredKey) -> RecipientCertificate:
        """Return what encrypts to a key, if its certificate stands at this moment.

        Raises:
            EncryptionRefused: it does not: one class for each reason.
        """
        holder = key.holder_name
        try:
            self._verifier.check(key.certificate, encrypts=True)
        except CertificateExpired as error:
            raise RecipientExpired(holder=holder, day=error.day) from error
        except CertificateSuspended as error:
            raise RecipientSuspended(holder=holder) from error
        except CertificateRevoked as error:
            raise RecipientRevoked(holder=holder, day=error.day) from error
        except RevocationUnknown as error:
            raise RecipientUnknown(holder=holder, detail=error.detail) from error
        except LoginRefused as error:
            raise RecipientNotAccepted(holder=holder, reason=error.code) from error
        found = _recipient(key)
        if found is None:
            raise RecipientNotAccepted(holder=holder, reason=NotForEncryption.code)
        return found

    def _key_of(self, account: Account) -> RegisteredKey:
        key = self._store.get(account)
        if key is None:
            raise KeyUnregistered
        return key

    def _proved(self, key: RegisteredKey) -> RegisteredKey:
        proved = self._store.prove(key, self._clock())
        if proved is None:
            raise KeyUnregistered
        return proved


def _check_pair(first: Checked, second: Checked) -> None:
    """See that two certificates are those of one card."""
    one, other = first.certificate, second.certificate
    if issuer_of(one) != issuer_of(other) or key_of(first.issuer) != key_of(second.issuer):
        raise PairWrong(detail=text("their issuers differ"))
    if subject_of(one) != subject_of(other):
        raise PairWrong(detail=text("their holders differ"))
    if _directory_attributes(one) != _directory_attributes(other):
        raise PairWrong(detail=text("their directory attributes differ"))
    if key_of(one) == key_of(other):
        raise PairWrong(detail=text("both are for the same key"))


def _directory_attributes(certificate: x509.Certificate) -> object:
    return certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES).value


def _recipient(key: RegisteredKey) -> RecipientCertificate | None:
    """Return what encrypts to a key; None: this machine's clock, or what encrypts, does not accept it."""
    try:
        return RecipientCertificate.read(key.certificate)
    except (Malformed, encrypted_data.NotForEncryption):
        return None


def _name(key: RegisteredKey) -> str:
    """Return what the envelopes of a key are kept under: beside challenges of logins, and never one's."""
    return hashlib.sha256("\n".join(("possession", *key.account, key.fingerprint)).encode()).hexdigest()
