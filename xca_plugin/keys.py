# SPDX-License-Identifier: Apache-2.0
"""A card's key as an RSAPrivateKey of `cryptography`."""

from __future__ import annotations  # the oldest supported cryptography has no utils.NoDigestInfo

from dataclasses import replace
from typing import Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa, utils

from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.model import CERTIFICATE_LABELS, Card, CardSession, Hash, Key, Padding
from xca_plugin.signable import check_input

_HASHES: Final = ", ".join(member.name for member in Hash)

# cryptography keeps the parameters of paddings and Prehashed in private attributes only.


class CardPrivateKey(rsa.RSAPrivateKey):
    """A private key on a card.

    The constructor tries no PIN. With a PIN, every signature and every decryption is one login; the caller
    wipes the PIN. The last try is spent only if `card` says that one try is left, and only once; to spend it
    again, make another key from the card's new state. With a session (Cards.session) there is one login for
    all of them, and the key works for as long as the session does.

    Attributes:
        certificate: the certificate that belongs to the key.

    Raises:
        NoSuchCertificate: the card shows no certificate for the key.
        UnsupportedAlgorithm: the key is not an RSA key, or its certificate cannot be read.
        XcaError: as Cards.certificates.
    """

    def __init__(self, cards: Cards, card: Card, login: Secret | CardSession, key: Key = Key.SIGN) -> None:
        self._cards, self._card, self._login, self._key = cards, card, login, key
        own = [certificate for certificate in cards.certificates(card) if certificate.id == key]
        if not own:
            raise errors.NoSuchCertificate(number=card.number, label=CERTIFICATE_LABELS[key])
        try:
            self.certificate = x509.load_der_x509_certificate(own[0].der)
            public = self.certificate.public_key()
        except ValueError as error:
            raise UnsupportedAlgorithm("The card's certificate cannot be read.") from error
        if not isinstance(public, rsa.RSAPublicKey):
            raise UnsupportedAlgorithm("The card's key is not an RSA key.")
        self._public, self._usage = public, frozenset(own[0].key_usage)

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public key, from the certificate."""
        return self._public

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        padding: rsa_padding.AsymmetricPadding,
        algorithm: utils.Prehashed | hashes.HashAlgorithm | utils.NoDigestInfo,
    ) -> bytes:
        """Sign data, or a digest with Prehashed (RFC 8017, section 8).

        Args:
            data: the data or digest. Data is hashed here; only the digest goes to the card.
            padding: PKCS1v15, or PSS with MGF1 of the same hash and a salt as long as the digest.
            algorithm: SHA1, SHA256, SHA384 or SHA512, or Prehashed with one of them.

        Raises:
            UnsupportedAlgorithm: the card or this key cannot do it; the message says what is possible.
            NotToBeSigned: the data is a statement, or names a web site as only the agent may.
            SecretWiped: the PIN was wiped.
            ValueError: the length of a digest does not fit its hash.
            XcaError: as Cards.sign.
        """
        if isinstance(algorithm, utils.Prehashed):
            used, digest = algorithm._algorithm, bytes(data)
            if len(digest) != used.digest_size:
                raise ValueError("The length of the digest does not fit its hash algorithm.")
        elif isinstance(algorithm, hashes.HashAlgorithm):
            used = algorithm
        else:
            raise UnsupportedAlgorithm(f"The card signs digests, made with one of: {_HASHES}.")
        digest_hash = _hash(used)
        scheme = _signature_padding(padding, used)
        if "digital_signature" not in self._usage:
            raise UnsupportedAlgorithm(f"The card's key {self._key} does not sign; {Key.SIGN} does.")
        if not isinstance(algorithm, utils.Prehashed):
            check_input(bytes(data))
            hashing = hashes.Hash(used)
            hashing.update(data)
            digest = hashing.finalize()
        try:
            if isinstance(self._login, Secret):
                signature = self._cards.sign(
                    self._card, self._login, digest, key=self._key, digest_hash=digest_hash, padding=scheme
                )
            else:
                signature = self._login.sign(digest, key=self._key, digest_hash=digest_hash, padding=scheme)
        except errors.Unsupported as error:
            raise UnsupportedAlgorithm(f"This card does not sign with {digest_hash.name}.") from error
        self._forget_tries()
        return signature

    def decrypt(
        self, ciphertext: bytes | bytearray | memoryview, padding: rsa_padding.AsymmetricPadding
    ) -> bytes:
        """Decrypt a ciphertext (RFC 8017, section 7).

        Args:
            ciphertext: as long as the modulus.
            padding: PKCS1v15, or OAEP with MGF1 of the same hash and no label.

        Raises:
            UnsupportedAlgorithm: the card or this key cannot do it; the message says what is possible.
            SecretWiped: the PIN was wiped.
            NotDecryptable: it was not encrypted to this key with this padding. With PKCS1v15 random bytes may
                be returned instead (implicit rejection, as cryptography's own keys do): check the result.
            XcaError: as Cards.decrypt.
        """
        scheme, digest_hash = _encryption_padding(padding)
        if self._usage.isdisjoint({"key_encipherment", "data_encipherment"}):
            raise UnsupportedAlgorithm(f"The card's key {self._key} does not decrypt; {Key.KEYX} does.")
        try:
            if isinstance(self._login, Secret):
                plaintext = self._cards.decrypt(
                    self._card,
                    self._login,
                    bytes(ciphertext),
                    key=self._key,
                    digest_hash=digest_hash,
                    padding=scheme,
                )
            else:
                plaintext = self._login.decrypt(
                    bytes(ciphertext), key=self._key, digest_hash=digest_hash, padding=scheme
                )
        except errors.Unsupported as error:
            raise UnsupportedAlgorithm(
                f"This card does not decrypt OAEP with {digest_hash.name}; use SHA1 or PKCS1v15."
            ) from error
        self._forget_tries()
        return plaintext

    def _forget_tries(self) -> None:
        """Forget the tries that were left: the right PIN has restored all of them."""
        self._card = replace(self._card, pin_tries=None)

    def private_numbers(self) -> NoReturn:
        """Refuse: private numbers never leave the card.

        Raises:
            KeyStaysOnCard: always.
        """
        raise errors.KeyStaysOnCard(number=self._card.number)

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Refuse, as private_numbers does."""
        self.private_numbers()

    def __copy__(self) -> NoReturn:
        self.private_numbers()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.private_numbers()

    def __reduce__(self) -> NoReturn:
        self.private_numbers()


def _hash(algorithm: hashes.HashAlgorithm) -> Hash:
    try:
        return Hash(algorithm.name)
    except ValueError:
        raise UnsupportedAlgorithm(f"A card has no {algorithm.name}, only: {_HASHES}.") from None


def _signature_padding(padding: rsa_padding.AsymmetricPadding, algorithm: hashes.HashAlgorithm) -> Padding:
    if isinstance(padding, rsa_padding.PKCS1v15):
        return Padding.PKCS1V15
    if isinstance(padding, rsa_padding.PSS):
        salt = padding._salt_length
        fits = salt is rsa_padding.PSS.DIGEST_LENGTH or salt == algorithm.digest_size
        if fits and _mgf1_with(padding.mgf, algorithm):
            return Padding.PSS
    raise UnsupportedAlgorithm(
        "A card signs with PKCS1v15, or with PSS, MGF1 of the same hash and salt_length=PSS.DIGEST_LENGTH."
    )


def _encryption_padding(padding: rsa_padding.AsymmetricPadding) -> tuple[Padding, Hash]:
    if isinstance(padding, rsa_padding.PKCS1v15):
        return Padding.PKCS1V15, Hash.SHA1  # PKCS1v15 ignores the hash
    if (
        isinstance(padding, rsa_padding.OAEP)
        and not padding._label
        and _mgf1_with(padding.mgf, padding.algorithm)
    ):
        return Padding.OAEP, _hash(padding.algorithm)
    raise UnsupportedAlgorithm("A card decrypts PKCS1v15, or OAEP with MGF1 of the same hash and no label.")


def _mgf1_with(mgf: rsa_padding.MGF, algorithm: hashes.HashAlgorithm) -> bool:
    return isinstance(mgf, rsa_padding.MGF1) and mgf._algorithm.name == algorithm.name
