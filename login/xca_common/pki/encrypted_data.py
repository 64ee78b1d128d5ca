# SPDX-License-Identifier: Apache-2.0
"""Files encrypted to certificates: CMS EnvelopedData (RFC 5652, section 6), built and opened without a card.

The content passes by in chunks (asn1_stream), so that files may be bigger than memory.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final

from asn1crypto import algos, cms, pem  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import load_der_public_key

from xca_common.errors import FileProblem
from xca_common.i18n import Text, text
from xca_common.pki import asn1_stream
from xca_common.pki.certificate import Certificate
from xca_common.pki.cms_identifier import is_named
from xca_common.pki.malformed import Malformed, reading

_DATA: Final = cms.ContentType("data").dump()
_ENVELOPED_DATA: Final = cms.ContentType("enveloped_data").dump()
_CIPHERS: Final[dict[str, type[AES] | type[TripleDES]]] = {"aes": AES, "tripledes": TripleDES}
_SOMETHING_ELSE: Final = text("it is no CMS encrypted data, in DER or PEM")
_AES_KEY_BYTES: Final = 32
_OAEP_HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class NotDecryptable(ValueError):  # a situation
    """The key or the content does not decrypt; which of them is not told."""


class NotForEncryption(ValueError):  # a situation
    """Nothing is encrypted to a certificate.

    Attributes:
        reason: why, as a clause with its full stop.
    """

    def __init__(self, reason: Text) -> None:
        super().__init__(reason("en"))
        self.reason = reason


@dataclass(frozen=True)
class KeyTransport:
    """How a content key is encrypted with an RSA key (RFC 8017, section 7).

    Attributes:
        oaep_hash: the hash of RSAES-OAEP and of its MGF1, as hashlib names it; None: RSAES-PKCS1-v1_5.
    """

    oaep_hash: str | None = None

    @classmethod
    def of(cls, algorithm: cms.KeyEncryptionAlgorithm) -> "KeyTransport | None":
        """Read an algorithm; None: it is another one, or OAEP with a label or two different hashes."""
        name = algorithm["algorithm"].native
        if name in ("rsaes_pkcs1v15", "rsa"):
            return cls()
        if name != "rsaes_oaep":
            return None
        try:
            parameters: algos.RSAESOAEPParams = algorithm["parameters"]
            digest = parameters["hash_algorithm"]["algorithm"].native
            mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
            label = parameters["p_source_algorithm"]["parameters"].native
        except Exception:  # they must be there (RFC 4055, section 4.1), and may be of any kind
            return None
        return cls(digest) if digest == mask and digest in _OAEP_HASHES and not label else None

    @property
    def padding(self) -> AsymmetricPadding:
        """The same as cryptography has it."""
        if self.oaep_hash is None:
            return PKCS1v15()
        digest = _OAEP_HASHES[self.oaep_hash]()
        return OAEP(MGF1(digest), digest, None)


@dataclass(frozen=True)
class Recipient:
    """One of those who can open an EnvelopedData.

    Attributes:
        encrypted_key: the content key, encrypted.
        transport: how; None: in a way that is not known here.
    """

    encrypted_key: bytes
    transport: KeyTransport | None


class EncryptedData:
    """An EnvelopedData, read as far as its content."""

    def __init__(self, file: BinaryIO) -> None:
        """Read who can open it, and how.

        Args:
            file: an open file, DER (also BER) or PEM; the content is read later.

        Raises:
            Malformed: it holds something else, or a part cannot be read, or is of a kind that is not opened.
            TooMuchError: it has more recipients than are read.
            EOFError: it ends too early.
        """
        with reading(text("its structure")):
            self._reader = reader = _start(file)
            if reader.next() == asn1_stream.EXPLICIT:
                reader.element(asn1_stream.EXPLICIT)  # originatorInfo
        with reading(text("its recipients")):
            infos = cms.RecipientInfos.load(reader.element(asn1_stream.SET), strict=True)
            self._recipients = [info.chosen for info in infos if info.name == "ktri"]
            _ = [recipient.native for recipient in self._recipients]  # it reads lazily
        with reading(text("the algorithm of its content")):
            reader.enter(asn1_stream.SEQUENCE)
            reader.element(asn1_stream.OID)
            algorithm = cms.EncryptionAlgorithm.load(reader.element(asn1_stream.SEQUENCE), strict=True)
            name = str(algorithm["algorithm"].native)
        try:
            cipher = _CIPHERS.get(algorithm.encryption_cipher)
            is_cbc = algorithm.encryption_mode == "cbc"
        except ValueError:  # asn1crypto does not know it
            cipher, is_cbc = None, False
        if cipher is None or not is_cbc:
            other = text("its content is encrypted with {name}, and only AES and 3DES in CBC mode are opened")
            raise Malformed(other.format(name=name))
        self._cipher = cipher
        with reading(text("the algorithm of its content")):
            self._key_bytes, self._iv = algorithm.key_length, algorithm.encryption_iv
            if 8 * len(self._iv) != cipher.block_size:
                raise ValueError
        with reading(text("its content")):
            if reader.next() is None:
                raise Malformed(text("it does not hold its content"))

    def recipient(self, certificate: bytes) -> Recipient | None:
        """Return the recipient that a certificate is of; None: it is not encrypted to it.

        Args:
            certificate: as it is encoded.
        """
        for found in self._recipients:
            if is_named(certificate, found["rid"]):
                transport = KeyTransport.of(found["key_encryption_algorithm"])
                return Recipient(found["encrypted_key"].native, transport)
        return None

    def open(self, recipient: Recipient, key: RSAPrivateKey, output: BinaryIO) -> None:
        """Write the content, opened with an RSA key. It is worth nothing when this fails.

        Args:
            recipient: the one that the key is of, with a transport that is known.
            key: the private key.
            output: takes the content.

        Raises:
            ValueError: the transport is not known here.
            NotDecryptable, Malformed, TooMuchError, EOFError: as write.
        """
        if recipient.transport is None:
            raise ValueError("no transport that is known")
        try:
            content_key = key.decrypt(recipient.encrypted_key, recipient.transport.padding)
        except ValueError:
            content_key = b""
        self.write(content_key, output)

    def write(self, content_key: bytes, output: BinaryIO) -> None:
        """Write the content. It is worth nothing when this fails, even if something was written.

        Args:
            content_key: the key that decrypting a recipient's gave; any other bytes: that failed.
            output: takes the content.

        Raises:
            NotDecryptable: the key or the content does not decrypt.
            Malformed: what stands behind the content cannot be read.
            TooMuchError: the content is in more pieces than are read.
            EOFError: the file ends too early.
        """
        # A key that fails is replaced, so that the content is read all the same: neither another answer nor
        # less work tells whether it was the key or the content (RFC 3218, section 2.3.2).
        sound, other = len(content_key) == self._key_bytes, secrets.token_bytes(self._key_bytes)
        cipher = Cipher(self._cipher(content_key if sound else other), CBC(self._iv))
        decryptor, unpadder = cipher.decryptor(), block_padding.PKCS7(8 * len(self._iv)).unpadder()
        for chunk in self._chunks():
            output.write(unpadder.update(decryptor.update(chunk)))
        try:
            output.write(unpadder.update(decryptor.finalize()) + unpadder.finalize())
        except ValueError:
            sound = False
        if not sound:
            raise NotDecryptable

    def _chunks(self) -> Iterator[bytes]:
        octets = self._reader.octets(asn1_stream.IMPLICIT)
        while True:
            with reading(text("its content")):
                chunk = next(octets, None)
            if chunk is None:
                break
            yield chunk
        with reading(text("what stands behind its content")):
            self._reader.leave()
            self._reader.rest()  # unprotectedAttrs
            for _level in range(3):
                self._reader.leave()
        self._reader.finish()


@dataclass(frozen=True)
class RecipientCertificate:
    """A certificate that a content is encrypted to: an RSA key for encryption, valid today.

    Attributes:
        issuer_and_serial: how the EnvelopedData names it.
        key: its public key.
    """

    issuer_and_serial: cms.IssuerAndSerialNumber
    key: RSAPublicKey

    @classmethod
    def read(cls, data: bytes) -> "RecipientCertificate":
        """Read a certificate, PEM or DER.

        Raises:
            Malformed: it is none, or a part of it cannot be read.
            NotForEncryption: it is not meant for encryption, or not valid today.
        """
        if pem.detect(data):
            with reading(text("its PEM armour")):
                _, _, data = pem.unarmor(data)
        told = Certificate.parse("", "", data)
        certificate = asn1_x509.Certificate.load(data)
        with reading(text("its public key")):
            try:
                key = load_der_public_key(certificate.public_key.dump())
            except UnsupportedAlgorithm:
                key = None
        may_encrypt = not told.key_usage or "key_encipherment" in told.key_usage
        if not isinstance(key, RSAPublicKey) or not may_encrypt:
            raise NotForEncryption(text("it is not meant for encryption."))
        if not told.not_before <= datetime.now(UTC) <= told.not_after:
            raise NotForEncryption(text("it is not within its validity today."))
        name = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        return cls(cms.IssuerAndSerialNumber(name), key)

    def info(self, content_key: bytes) -> cms.RecipientInfo:
        """Return the RecipientInfo (RFC 5652, section 6.2.1): the content key, encrypted."""
        return cms.RecipientInfo(
            "ktri",
            cms.KeyTransRecipientInfo(
                {
                    "version": "v0",
                    "rid": cms.RecipientIdentifier("issuer_and_serial_number", self.issuer_and_serial),
                    "key_encryption_algorithm": {"algorithm": "rsaes_pkcs1v15"},
                    "encrypted_key": self.key.encrypt(content_key, PKCS1v15()),
                }
            ),
        )


def encrypt(
    content: BinaryIO,
    output: BinaryIO,
    recipients: Sequence[RecipientCertificate],
    *,
    armored: bool = False,
) -> None:
    """Encrypt a file to certificates: AES-256 in CBC mode, the key in RSAES-PKCS1-v1_5, which every card has.

    Args:
        content: the file, open; read once.
        output: takes the EnvelopedData.
        recipients: who can open it.
        armored: write PEM (RFC 7468), not DER.

    Raises:
        FileProblem: the file changed while it was read.
    """
    key, iv = secrets.token_bytes(_AES_KEY_BYTES), secrets.token_bytes(AES.block_size // 8)
    infos = cms.RecipientInfos([recipient.info(key) for recipient in recipients])
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


def _start(file: BinaryIO) -> asn1_stream.Reader:
    """Read as far as the recipients or the originator."""
    reader = asn1_stream.enter_content_info(file, _ENVELOPED_DATA, _SOMETHING_ELSE)
    reader.enter(asn1_stream.SEQUENCE)
    reader.element(asn1_stream.INTEGER)
    return reader
