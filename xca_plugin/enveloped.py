# SPDX-License-Identifier: Apache-2.0
"""Files encrypted to certificates: CMS EnvelopedData (RFC 5652, section 6), opened with a card's key KEYX.

The content passes by in chunks (xca_common.pki.asn1_stream), so that files may be bigger than memory.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from asn1crypto import algos, cms, pem, x509  # type: ignore[import-untyped]
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import load_der_public_key

from xca_common.errors import FileProblem, os_reason
from xca_common.pki import asn1_stream
from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import Card, Hash, Key, Padding

_DATA: Final = cms.ContentType("data").dump()
_ENVELOPED_DATA: Final = cms.ContentType("enveloped_data").dump()
_CIPHERS: Final[dict[str, type[AES] | type[TripleDES]]] = {"aes": AES, "tripledes": TripleDES}
_AES_KEY_BYTES: Final = 32
_MOST_BYTES: Final = 1 << 20  # of a certificate's file
# What asn1crypto raises for structures that no program writes.
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Enveloped:
    """An EnvelopedData, read as far as its content.

    Attributes:
        path: the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read who can open it, and how.

        Args:
            file: an open file, DER (also BER) or PEM; the content is read later.

        Raises:
            NotEncrypted: it is no EnvelopedData, or not in AES or triple DES in CBC mode.
            TooMuch: it has more recipients than are read.
            CutOff: it ends too early.
        """
        self.path = Path(file.name)
        try:
            self._reader = reader = asn1_stream.Reader(file)
            reader.enter(asn1_stream.SEQUENCE)
            if reader.element(asn1_stream.OID) != _ENVELOPED_DATA:
                raise ValueError
            reader.enter(asn1_stream.EXPLICIT)
            reader.enter(asn1_stream.SEQUENCE)
            reader.element(asn1_stream.INTEGER)
            if reader.next() == asn1_stream.EXPLICIT:
                reader.element(asn1_stream.EXPLICIT)  # originatorInfo
            infos = cms.RecipientInfos.load(reader.element(asn1_stream.SET), strict=True)
            self._recipients = [info.chosen for info in infos if info.name == "ktri"]
            _ = [recipient.native for recipient in self._recipients]  # it reads lazily
            reader.enter(asn1_stream.SEQUENCE)
            reader.element(asn1_stream.OID)
            algorithm = cms.EncryptionAlgorithm.load(reader.element(asn1_stream.SEQUENCE), strict=True)
            self._cipher = _CIPHERS[algorithm.encryption_cipher]
            self._key_bytes = algorithm.key_length
            self._iv = algorithm.encryption_iv
            fits = algorithm.encryption_mode == "cbc" and 8 * len(self._iv) == self._cipher.block_size
            if not fits or reader.next() is None:
                raise ValueError
        except EOFError as error:
            raise errors.CutOff(path=self.path) from error
        except asn1_stream.TooMuchError as error:
            raise errors.TooMuch(path=self.path, detail=error.detail) from error
        except _MALFORMED as error:
            raise errors.NotEncrypted(path=self.path) from error

    def check_card(self, cards: Cards, card: Card) -> None:
        """Make sure that the card is one of the recipients; costs no try.

        Raises:
            NoSuchCertificate: the card has no certificate for encryption.
            NotForThisCard: it is not.
            Unsupported: the key was encrypted in a way that the card has not.
        """
        _key_padding(self._recipient(cards, card)["key_encryption_algorithm"], card)

    def decrypt(self, output: BinaryIO, cards: Cards, card: Card, pin: Secret) -> None:
        """Write the content. It is worth nothing when this fails, even if something was written.

        Raises:
            NotDecryptable: the key or the content does not decrypt; which of them is not told.
            CutOff: the file ends too early.
            TooMuch: its content is in more pieces than are read.
            XcaError: as check_card and Cards.decrypt.
        """
        recipient = self._recipient(cards, card)
        encrypted = recipient["encrypted_key"].native
        digest_hash, padding = _key_padding(recipient["key_encryption_algorithm"], card)
        try:
            key = cards.decrypt(card, pin, encrypted, digest_hash=digest_hash, padding=padding)
        except errors.NotDecryptable:
            key = b""
        # A key that fails is replaced, so that the content is read all the same: neither another answer nor
        # less work tells whether it was the key or the content (RFC 3218, section 2.3.2).
        sound, other = len(key) == self._key_bytes, secrets.token_bytes(self._key_bytes)
        cipher = Cipher(self._cipher(key if sound else other), CBC(self._iv))
        decryptor, unpadder = cipher.decryptor(), block_padding.PKCS7(8 * len(self._iv)).unpadder()
        for chunk in self._chunks():
            output.write(unpadder.update(decryptor.update(chunk)))
        try:
            output.write(unpadder.update(decryptor.finalize()) + unpadder.finalize())
        except ValueError:
            sound = False
        if not sound:
            raise errors.NotDecryptable(number=card.number)

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self._reader.octets(asn1_stream.IMPLICIT)
            self._reader.leave()
            self._reader.rest()  # unprotectedAttrs
            for _level in range(3):
                self._reader.leave()
            self._reader.finish()
        except EOFError as error:
            raise errors.CutOff(path=self.path) from error
        except asn1_stream.TooMuchError as error:
            raise errors.TooMuch(path=self.path, detail=error.detail) from error
        except ValueError as error:
            raise errors.NotEncrypted(path=self.path) from error

    def _recipient(self, cards: Cards, card: Card) -> cms.KeyTransRecipientInfo:
        for certificate in cards.certificates(card):
            if certificate.id == Key.KEYX:
                own = x509.Certificate.load(certificate.der)
                break
        else:
            raise errors.NoSuchCertificate(number=card.number, label="cert2")
        for recipient in self._recipients:
            name = recipient["rid"].chosen
            if recipient["rid"].name == "subject_key_identifier":
                found = name.native == own.key_identifier
            else:
                found = name["serial_number"].native == own.serial_number and name["issuer"] == own.issuer
            if found:
                return recipient
        raise errors.NotForThisCard(number=card.number, path=self.path)


def encrypt(
    content: BinaryIO, output: BinaryIO, recipients: Sequence[Path], *, armored: bool = False
) -> None:
    """Encrypt a file to certificates: AES-256 in CBC mode, the key in RSAES-PKCS1-v1_5, which every card has.

    Args:
        content: the file, open; read once.
        output: takes the EnvelopedData.
        recipients: files with a certificate each, PEM or DER.
        armored: write PEM (RFC 7468), not DER.

    Raises:
        NotACertificate: a file holds something else.
        NotForEncryption: a certificate is not valid today, or not meant for encryption.
        FileProblem: a file cannot be read, or changed while it was read.
    """
    key, iv = secrets.token_bytes(_AES_KEY_BYTES), secrets.token_bytes(AES.block_size // 8)
    infos = cms.RecipientInfos([_recipient_info(path, key) for path in recipients])
    algorithm = cms.EncryptionAlgorithm({"algorithm": "aes256_cbc", "parameters": iv})
    size = os.fstat(content.fileno()).st_size
    before, after = asn1_stream.around(
        size - size % len(iv) + len(iv),
        (asn1_stream.IMPLICIT, b"", b""),
        (asn1_stream.SEQUENCE, _DATA + algorithm.dump(), b""),
        (asn1_stream.SEQUENCE, cms.CMSVersion("v0").dump() + infos.dump(), b""),
        (asn1_stream.EXPLICIT, b"", b""),
        (asn1_stream.SEQUENCE, _ENVELOPED_DATA, b""),
    )
    encryptor, padder = Cipher(AES(key), CBC(iv)).encryptor(), block_padding.PKCS7(AES.block_size).padder()
    with asn1_stream.Armor(output, "CMS") if armored else nullcontext(output) as target:
        target.write(before)
        while chunk := content.read(asn1_stream.CHUNK):
            size -= len(chunk)
            target.write(encryptor.update(padder.update(chunk)))
        target.write(encryptor.update(padder.finalize()) + encryptor.finalize() + after)
    if size:
        raise FileProblem(path=content.name, detail=text("it changed while it was read"))


def _recipient_info(path: Path, key: bytes) -> cms.RecipientInfo:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    try:
        if pem.detect(data):
            _, _, data = pem.unarmor(data)
        told = Certificate.parse("", "", data)
        certificate = x509.Certificate.load(data)
        public_key = load_der_public_key(certificate.public_key.dump())
    except UnsupportedAlgorithm:
        public_key = None
    except _MALFORMED as error:
        raise errors.NotACertificate(path=path) from error
    if not isinstance(public_key, RSAPublicKey) or (
        told.key_usage and "key_encipherment" not in told.key_usage
    ):
        raise errors.NotForEncryption(path=path, reason=text("it is not meant for encryption."))
    if not told.not_before <= datetime.now(UTC) <= told.not_after:
        raise errors.NotForEncryption(path=path, reason=text("it is not within its validity today."))
    identifier = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
    return cms.RecipientInfo(
        "ktri",
        cms.KeyTransRecipientInfo(
            {
                "version": "v0",
                "rid": cms.RecipientIdentifier(
                    "issuer_and_serial_number", cms.IssuerAndSerialNumber(identifier)
                ),
                "key_encryption_algorithm": {"algorithm": "rsaes_pkcs1v15"},
                "encrypted_key": public_key.encrypt(key, PKCS1v15()),
            }
        ),
    )


def _key_padding(algorithm: cms.KeyEncryptionAlgorithm, card: Card) -> tuple[Hash, Padding]:
    name = algorithm["algorithm"].native
    if name in ("rsaes_pkcs1v15", "rsa"):
        return Hash.SHA1, Padding.PKCS1V15
    if name == "rsaes_oaep":
        parameters: algos.RSAESOAEPParams = algorithm["parameters"]
        with suppress(*_MALFORMED):  # they must be there (RFC 4055, section 4.1), and may be of any kind
            digest = parameters["hash_algorithm"]["algorithm"].native
            mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
            label = parameters["p_source_algorithm"]["parameters"].native
            if digest == mask and digest in list(Hash) and not label:
                return Hash(digest), Padding.OAEP
    raise errors.Unsupported(number=card.number)
