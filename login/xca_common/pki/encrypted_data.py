# SPDX-License-Identifier: Apache-2.0
"""Files encrypted to certificates, built and opened without a card.

They are CMS AuthEnvelopedData (RFC 5083) with AES-GCM (RFC 5084), or EnvelopedData (RFC 5652, section 6). The
content passes by in chunks (asn1_stream), so that files may be bigger than memory.
"""

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO, Final, Protocol

from asn1crypto import algos, core  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, GCM
from cryptography.hazmat.primitives.serialization import load_der_public_key

from xca_common.errors import FileProblem
from xca_common.i18n import Text, text
from xca_common.pki import asn1_stream, distinguished_name, text_forms
from xca_common.pki.algorithms import LEAST_RSA_BITS, is_long_enough
from xca_common.pki.certificate import Certificate, serial_text
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.cms_identifier import is_named
from xca_common.pki.cms_types import cms
from xca_common.pki.malformed import Malformed, TooMuchError, reading
from xca_common.taipei import day

_DATA: Final = cms.ContentType("data").dump()
_ENVELOPED_DATA: Final = cms.ContentType("enveloped_data").dump()
AUTH_ENVELOPED_DATA: Final = cms.ContentType("authenticated_enveloped_data").dump()
"""The content type of AuthEnvelopedData, as it is encoded."""
_CIPHERS: Final[dict[str, type[AES] | type[TripleDES]]] = {"aes": AES, "tripledes": TripleDES}
_SOMETHING_ELSE: Final = text("it is no CMS encrypted data, in DER, PEM, base64 or S/MIME")
_ALGORITHM: Final = text("the algorithm of its content")
_CONTENT: Final = text("its content")
_BEHIND: Final = text("what stands behind its content")
_OTHER_CIPHER: Final = text(
    "its content is encrypted with {name}, and only AES and 3DES in CBC mode and AES in GCM mode are opened"
)
_AES_KEY_BYTES: Final = 32
_GCM_MODES: Final = {"aes128_gcm": 16, "aes192_gcm": 24, "aes256_gcm": 32}  # bytes of their keys
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_LEAST_TAG_BYTES: Final = 12  # RFC 5084, section 3.2
_MOST_GCM_BYTES: Final = (1 << 36) - 32  # NIST SP 800-38D, section 5.2.1.1
MOST_RECIPIENTS: Final = 1000
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
        reason: which one, and everything that is against it, as a clause with its full stop.
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
        algorithm: the name of that way, or its OID.
    """

    encrypted_key: bytes
    transport: KeyTransport | None
    algorithm: str


class _GcmParameters(core.Sequence):  # type: ignore[misc]  # untyped
    """GCMParameters (RFC 5084, section 3.2)."""

    _fields = [  # noqa: RUF012  # asn1crypto's own way
        ("nonce", core.OctetString),
        ("tag_bytes", core.Integer, {"default": _LEAST_TAG_BYTES}),
    ]


class _CbcDecryption:
    """Decrypts a content in CBC mode and takes its padding away (RFC 5652, section 6.3)."""

    def __init__(self, cipher: type[AES] | type[TripleDES], key: bytes, iv: bytes) -> None:
        self._decryptor = Cipher(cipher(key), CBC(iv)).decryptor()
        self._unpadder = block_padding.PKCS7(8 * len(iv)).unpadder()

    def update(self, chunk: bytes) -> bytes:
        return self._unpadder.update(self._decryptor.update(chunk))

    def finish(self, _tag: bytes) -> bytes:
        """Return the last bytes; raises ValueError for another padding."""
        return self._unpadder.update(self._decryptor.finalize()) + self._unpadder.finalize()


class _GcmDecryption:
    """Decrypts a content in GCM mode; it is worth nothing before its tag was checked."""

    def __init__(self, key: bytes, nonce: bytes, attributes: bytes) -> None:
        mode = GCM(nonce, None, min_tag_length=_LEAST_TAG_BYTES)
        self._decryptor = Cipher(AES(key), mode).decryptor()
        if attributes:
            self._decryptor.authenticate_additional_data(attributes)

    def update(self, chunk: bytes) -> bytes:
        return self._decryptor.update(chunk)

    def finish(self, tag: bytes) -> bytes:
        """Return the last bytes; raises ValueError for another tag."""
        try:
            return self._decryptor.finalize_with_tag(tag)
        except InvalidTag as error:
            raise ValueError from error


@dataclass(frozen=True)
class _ContentCipher:
    """How a content is encrypted.

    Attributes:
        key_bytes: length of the content key.
        tag_bytes: length of the tag that authenticates the content; 0: it has none.
        start: begins the decryption with a key, and the authenticated attributes as they count for the tag.
    """

    key_bytes: int
    tag_bytes: int
    start: Callable[[bytes, bytes], _CbcDecryption | _GcmDecryption]

    @classmethod
    def of(cls, algorithm: cms.EncryptionAlgorithm, *, is_authenticated: bool) -> "_ContentCipher":
        """Read a contentEncryptionAlgorithm.

        Raises:
            Malformed: it cannot be read, or is of a kind that is not opened.
        """
        name = str(algorithm["algorithm"].native)
        if is_authenticated:
            if name not in _GCM_MODES:
                raise Malformed(_OTHER_CIPHER.format(name=name))
            parameters = algorithm["parameters"].parse(spec=_GcmParameters)
            nonce, tag_bytes = parameters["nonce"].native, parameters["tag_bytes"].native
            if not _LEAST_TAG_BYTES <= tag_bytes <= _TAG_BYTES:
                raise ValueError
            GCM(nonce, None)  # its length
            return cls(
                _GCM_MODES[name], tag_bytes, lambda key, attributes: _GcmDecryption(key, nonce, attributes)
            )
        try:
            cipher = _CIPHERS.get(algorithm.encryption_cipher)
            is_cbc = algorithm.encryption_mode == "cbc"
        except ValueError:  # asn1crypto does not know it
            cipher, is_cbc = None, False
        if cipher is None or not is_cbc:
            raise Malformed(_OTHER_CIPHER.format(name=name))
        key_bytes, iv = algorithm.key_length, algorithm.encryption_iv
        if 8 * len(iv) != cipher.block_size:
            raise ValueError
        return cls(key_bytes, 0, lambda key, _attributes: _CbcDecryption(cipher, key, iv))


class EncryptedData:
    """An AuthEnvelopedData or EnvelopedData, read as far as its content."""

    def __init__(self, file: BinaryIO) -> None:
        """Read who can open it, and how.

        Args:
            file: an open file, in any form of text_forms; the content is read later.

        Raises:
            Malformed: it holds something else, or a part cannot be read, or is of a kind that is not opened.
            TooMuchError: it has more recipients than are read.
            EOFError: it ends too early.
        """
        self._file, self._start = file, file.tell() if file.seekable() else 0
        with reading(text("its structure")):
            reader, kind = _enter(file)
            self._reader = reader
            if reader.next() == asn1_stream.EXPLICIT:
                reader.element(asn1_stream.EXPLICIT)  # originatorInfo
        with reading(text("its recipients")):
            infos = cms.RecipientInfos.load(reader.element(asn1_stream.SET), strict=True)
            self._recipients = [info.chosen for info in infos if info.name == "ktri"]
            _ = [recipient.native for recipient in self._recipients]  # it reads lazily
        with reading(_ALGORITHM):
            reader.enter(asn1_stream.SEQUENCE)
            reader.element(asn1_stream.OID)
            algorithm = cms.EncryptionAlgorithm.load(reader.element(asn1_stream.SEQUENCE), strict=True)
            self._cipher = _ContentCipher.of(algorithm, is_authenticated=kind == AUTH_ENVELOPED_DATA)
        with reading(_CONTENT):
            if reader.next() is None:
                raise Malformed(text("it does not hold its content"))

    def recipient(self, certificate: bytes) -> Recipient | None:
        """Return the recipient that a certificate is of; None: it is not encrypted to it.

        Args:
            certificate: as it is encoded.
        """
        for found in self._recipients:
            if is_named(certificate, found["rid"]):
                return _recipient(found)
        return None

    def only_recipient(self) -> Recipient | None:
        """Return the recipient, whatever certificate it names; None: there are several.

        For who has one key, and had other certificates of it before.
        """
        return _recipient(self._recipients[0]) if len(self._recipients) == 1 else None

    def recipients(self, besides: bytes | None = None) -> list[Text]:
        """Return who can open it, as the file names their certificates; it names no holder.

        Args:
            besides: a certificate, as it is encoded, that is not returned.

        Raises:
            Malformed: a name cannot be read.
        """
        with reading(text("its recipients")):
            names = [one["rid"] for one in self._recipients]
            return [_named(name) for name in names if besides is None or not is_named(besides, name)]

    def open(self, recipient: Recipient, key: RSAPrivateKey, output: BinaryIO) -> None:
        """Write the content, opened with an RSA key. It is worth nothing when this fails.

        Args:
            recipient: the one that the key is of, with a transport that is known.
            key: the private key.
            output: takes the content; as write.

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
            output: takes the content where it stands. Nobody else may read it before this returns: the tag
                that authenticates the content stands behind it. It can be rewound and cut off.

        Raises:
            NotDecryptable: the key or the content does not decrypt.
            Malformed: what stands behind the content cannot be read.
            TooMuchError: the content is in more pieces than are read.
            EOFError: the file ends too early.
        """
        at = output.tell()
        attributes = self._write(content_key, output, b"")
        if not attributes:
            return
        # The tag covers them as well, and before the content (RFC 5083, section 2.2): it is read once more.
        if not self._file.seekable():
            raise Malformed(text("its attributes stand behind its content, and a pipe is read only once"))
        self._file.seek(self._start)
        output.seek(at)
        output.truncate()
        again = EncryptedData(self._file)
        if again._write(content_key, output, attributes) != attributes:
            raise NotDecryptable

    def write_at_once(self, content_key: bytes, output: "Output") -> None:
        """Write the content as write() does, to what cannot be rewound.

        Raises:
            NotDecryptable, Malformed, TooMuchError, EOFError: as write; Malformed also for authenticated
                attributes.
        """
        if self._write(content_key, output, b""):
            raise Malformed(text("its attributes stand behind its content, and it is read only once"))

    def _write(self, content_key: bytes, output: "Output", attributes: bytes) -> bytes:
        """Write the content; return the authenticated attributes that were found, as a SET.

        The tag was not checked if other attributes were given.

        Raises:
            NotDecryptable, Malformed, TooMuchError, EOFError: as write.
        """
        # A key that fails is replaced, so that the content is read all the same: neither another answer nor
        # less work tells whether it was the key or the content (RFC 3218, section 2.3.2).
        size = self._cipher.key_bytes
        sound, other = len(content_key) == size, secrets.token_bytes(size)
        decryption = self._cipher.start(content_key if sound else other, attributes)
        octets = self._reader.octets(asn1_stream.IMPLICIT)
        while True:
            with reading(_CONTENT):
                chunk = next(octets, None)
            if chunk is None:
                break
            try:
                output.write(decryption.update(chunk))
            except ValueError:  # GCM: the content is longer than its counter reaches
                raise NotDecryptable from None
        tag, found = self._read_end()
        if found != attributes:
            return found
        try:
            output.write(decryption.finish(tag))
        except ValueError:
            sound = False
        if not sound:
            raise NotDecryptable
        return found

    def _read_end(self) -> tuple[bytes, bytes]:
        """Read what stands behind the content: the tag, and the authenticated attributes as a SET."""
        reader, tag, attributes = self._reader, b"", b""
        with reading(_BEHIND):
            reader.leave()
            if self._cipher.tag_bytes:
                if reader.next() == asn1_stream.EXPLICIT_1:
                    found = reader.element(asn1_stream.EXPLICIT_1)
                    attributes = bytes((asn1_stream.SET,)) + found[1:]
                tag = core.OctetString.load(reader.element(asn1_stream.OCTETS), strict=True).native
                if len(tag) != self._cipher.tag_bytes:
                    raise ValueError
            reader.rest()  # unprotectedAttrs, unauthAttrs
            for _level in range(3):
                reader.leave()
        reader.finish()
        return tag, attributes


_ALONE: Final = text("the certificate of {holder} {reasons}.")
_ONE_OF_SEVERAL: Final = text("certificate {number} of {count} in it, that of {holder}, {reasons}.")


def _reasons_against(certificate: Certificate) -> Iterator[Text]:
    """Yield why nothing is encrypted to a certificate, its key aside."""
    if not may_encrypt(certificate):
        if "key_cert_sign" in certificate.key_usage:
            yield text("is a CA's, not for encryption")
        elif "digital_signature" in certificate.key_usage:
            yield text("is for signatures, not for encryption")
        else:
            yield text("is not meant for encryption")
    now = datetime.now(UTC)
    if now > certificate.not_after:
        yield text("expired on {day}").format(day=day(certificate.not_after))
    if now < certificate.not_before:
        yield text("is not valid before {day}").format(day=day(certificate.not_before))


def _reasons_against_key(key: object) -> Iterator[Text]:
    """Yield why nothing is encrypted to a key; None: it is of a kind that is not known."""
    if not isinstance(key, RSAPublicKey):
        yield text("has a key that is no RSA key")
    elif not is_long_enough(key):
        yield text("has an RSA key of fewer than {bits} bits").format(bits=LEAST_RSA_BITS)


def may_encrypt(certificate: Certificate) -> bool:
    """Say whether a certificate's keyUsage lets a content key be encrypted to it; without one, it does."""
    return not certificate.key_usage or "key_encipherment" in certificate.key_usage


@dataclass(frozen=True)
class RecipientCertificate:
    """A certificate that a content is encrypted to: an RSA key for encryption, valid today.

    Attributes:
        told: the certificate.
        issuer_and_serial: how the encrypted file names it.
        key: its public key.
    """

    told: Certificate
    issuer_and_serial: cms.IssuerAndSerialNumber
    key: RSAPublicKey

    @classmethod
    def read(cls, data: bytes) -> "RecipientCertificate":
        """Read a certificate in DER.

        Raises:
            Malformed: it is none, or a part of it cannot be read.
            NotForEncryption: it is not meant for encryption, or not valid today.
        """
        return cls._read(data, _ALONE)

    @classmethod
    def _read(cls, data: bytes, which: Text) -> "RecipientCertificate":
        """Read a certificate in DER; NotForEncryption names it as `which` says."""
        told = Certificate.parse("", "", data)
        certificate = asn1_x509.Certificate.load(data)
        with reading(text("its public key")):
            try:
                key = load_der_public_key(certificate.public_key.dump())
            except UnsupportedAlgorithm:
                key = None
        against = [*_reasons_against(told), *_reasons_against_key(key)]
        if against or not isinstance(key, RSAPublicKey):
            raise NotForEncryption(which.format(holder=told.holder_name or told.holder, reasons=against))
        name = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        return cls(told, cms.IssuerAndSerialNumber(name), key)

    @classmethod
    def read_all(cls, data: bytes) -> list["RecipientCertificate"]:
        """Read the certificates of a file that are to be encrypted to, in any form of certificate_file.

        Passed over are, beside others: those of CAs, and those for signing of a holder who has one for
        encryption in the same file.

        Raises:
            Malformed: there is none, or one that cannot be read.
            NotForEncryption: one that is not passed over is not meant for encryption, or not valid today.
            TooMuchError: there are more than are read.
        """
        told = [Certificate.parse("", "", der) for der in certificates_in(data)]
        numbers = {one.der: number for number, one in enumerate(told, 1)}
        served = {one.holder for one in told if may_encrypt(one)}
        issuers = {one.issuer for one in told if one.issuer != one.holder}
        people = [one for one in told if one.holder not in issuers and "key_cert_sign" not in one.key_usage]
        wanted = [one for one in people if may_encrypt(one) or one.holder not in served]
        which = _ONE_OF_SEVERAL.format(count=len(told)) if len(told) > 1 else _ALONE
        return [cls._read(one.der, which.format(number=numbers[one.der])) for one in wanted or told]

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


class EncryptedWriter:
    """Writes a file that is encrypted to certificates, around a content that comes in pieces.

    Content keys are of AES-256, in RSAES-PKCS1-v1_5, which every card has.

    Attributes:
        length: bytes of the whole file, in DER; None: it is not known.
        written: bytes of the content so far.
    """

    def __init__(
        self,
        recipients: Sequence[RecipientCertificate],
        size: int | None,
        *,
        cbc: bool = False,
        key: bytes | None = None,
    ) -> None:
        """Encrypt the content key.

        Args:
            recipients: who can open the file.
            size: how many bytes the content has; None: that is not known, and lengths are indefinite (BER).
            cbc: make EnvelopedData in CBC mode, not AuthEnvelopedData in GCM mode.
            key: the content key, 32 random bytes for this content alone; None: it is made here.

        Raises:
            TooMuchError: there are more recipients than would be read.
            ValueError: there are none: nobody could open it.
        """
        if not recipients:
            raise ValueError("no recipients")
        if len(recipients) > MOST_RECIPIENTS:
            raise TooMuchError(text("it has more than {count} recipients").format(count=MOST_RECIPIENTS))
        key = key or secrets.token_bytes(_AES_KEY_BYTES)
        self._size = size
        self._encryption = _CbcEncryption(key) if cbc else _GcmEncryption(key)
        encrypted = None if size is None else self._encryption.length(size)
        self._before, self._after = around_content(
            encrypted,
            self._encryption.content_type,
            cms.RecipientInfos([recipient.info(key) for recipient in recipients]).dump(),
            self._encryption.algorithm.dump(),
            self._encryption.tag_place,
        )
        self.length = None if encrypted is None else len(self._before) + encrypted + len(self._after)
        self.written = 0

    def begin(self, output: "Output") -> None:
        """Write what stands before the content.

        Args:
            output: takes the file.
        """
        self._output = output
        output.write(self._before)

    def write(self, piece: bytes, /) -> None:
        """Encrypt the next piece of the content."""
        self.written += len(piece)
        self._put(self._encryption.update(piece))

    def finish(self) -> None:
        """Write what stands after the content, all of which was written.

        Raises:
            ValueError: it has more or fewer bytes than were announced.
        """
        if self._size not in (None, self.written):
            raise ValueError("more or fewer bytes than were announced")
        self._put(self._encryption.finish())
        place = self._encryption.tag_place
        self._output.write(self._after.replace(place, self._encryption.tag) if place else self._after)

    def _put(self, data: bytes) -> None:
        if data:
            header = b"" if self._size is not None else asn1_stream.header(asn1_stream.OCTETS, len(data))
            self._output.write(header + data if header else data)


class Output(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes, all of them."""


def around_content(
    size: int | None, content_type: bytes, recipients: bytes, algorithm: bytes, behind: bytes
) -> tuple[bytes, bytes]:
    """Return what stands before and after an encrypted content.

    Args:
        size: its length; None: it is not known.
        content_type: of the whole, an OID as it is encoded.
        recipients: RecipientInfos, encoded.
        algorithm: contentEncryptionAlgorithm, encoded.
        behind: what stands behind the content, encoded.
    """
    return asn1_stream.around(
        size,
        (asn1_stream.IMPLICIT, b"", b""),
        (asn1_stream.SEQUENCE, _DATA + algorithm, b""),
        (asn1_stream.SEQUENCE, cms.CMSVersion("v0").dump() + recipients, behind),
        (asn1_stream.EXPLICIT, b"", b""),
        (asn1_stream.SEQUENCE, content_type, b""),
    )


def encrypt(
    content: BinaryIO,
    output: BinaryIO,
    recipients: Sequence[RecipientCertificate],
    *,
    armored: bool = False,
    cbc: bool = False,
) -> None:
    """Encrypt a file to certificates (EncryptedWriter).

    Args:
        content: the file, open, or a BytesIO; read once. Of a pipe the length is not known: lengths are then
            indefinite.
        output: takes the encrypted file.
        recipients: who can open it.
        armored: write PEM (RFC 7468), not DER.
        cbc: write EnvelopedData in CBC mode, not AuthEnvelopedData in GCM mode: alterations go unnoticed.

    Raises:
        FileProblem: the file changed while it was read, or is too big for GCM.
        TooMuchError: there are more recipients than would be read.
        ValueError: there are none: nobody could open it.
    """
    size = _size(content)
    writer = EncryptedWriter(recipients, size, cbc=cbc)
    with asn1_stream.Armor(output, "CMS") if armored else nullcontext(output) as target:
        writer.begin(target)
        while chunk := content.read(text_forms.CHUNK):
            if not cbc and writer.written + len(chunk) > _MOST_GCM_BYTES:
                problem = FileProblem(
                    path=content.name,
                    detail=text("it has more than 64 GiB, the most that AES-GCM encrypts"),
                )
                raise problem.with_step(text("Divide it into smaller files."))
            writer.write(chunk)
        if size not in (None, writer.written):
            problem = FileProblem(path=content.name, detail=text("it changed while it was read"))
            raise problem.with_step(text("Wait until no program writes to it. Then do it again."))
        writer.finish()


def _size(content: BinaryIO) -> int | None:
    """Return how many bytes a file has; None: it is a pipe."""
    if isinstance(content, BytesIO):
        return len(content.getbuffer())
    found = os.fstat(content.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def gcm_algorithm(nonce: bytes) -> cms.EncryptionAlgorithm:
    """Return the algorithm that files are encrypted with: AES-256-GCM with a tag of 16 bytes (RFC 5084)."""
    parameters = _GcmParameters({"nonce": nonce, "tag_bytes": _TAG_BYTES})
    return cms.EncryptionAlgorithm({"algorithm": "aes256_gcm", "parameters": parameters})


class _CbcEncryption:
    """Encrypts a content in CBC mode."""

    content_type = _ENVELOPED_DATA
    tag = tag_place = b""

    def __init__(self, key: bytes) -> None:
        iv = secrets.token_bytes(AES.block_size // 8)
        self.algorithm = cms.EncryptionAlgorithm({"algorithm": "aes256_cbc", "parameters": iv})
        self._encryptor = Cipher(AES(key), CBC(iv)).encryptor()
        self._padder = block_padding.PKCS7(AES.block_size).padder()

    @staticmethod
    def length(size: int) -> int:
        """Return the length of so many bytes when they are encrypted."""
        block = AES.block_size // 8
        return size - size % block + block

    def update(self, chunk: bytes) -> bytes:
        return self._encryptor.update(self._padder.update(chunk))

    def finish(self) -> bytes:
        return self._encryptor.update(self._padder.finalize()) + self._encryptor.finalize()


class _GcmEncryption:
    """Encrypts a content in GCM mode.

    Attributes:
        tag_place: what stands for the tag, which is known last.
    """

    content_type = AUTH_ENVELOPED_DATA
    tag_place = asn1_stream.header(asn1_stream.OCTETS, _TAG_BYTES) + bytes(range(_TAG_BYTES))

    def __init__(self, key: bytes) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        self.algorithm = gcm_algorithm(nonce)
        self._encryptor = Cipher(AES(key), GCM(nonce)).encryptor()

    @staticmethod
    def length(size: int) -> int:
        """Return the length of so many bytes when they are encrypted."""
        return size

    def update(self, chunk: bytes) -> bytes:
        return self._encryptor.update(chunk)

    def finish(self) -> bytes:
        return self._encryptor.finalize()

    @property
    def tag(self) -> bytes:
        """The tag, encoded; finish() was called before."""
        return asn1_stream.header(asn1_stream.OCTETS, _TAG_BYTES) + self._encryptor.tag


def _recipient(found: cms.KeyTransRecipientInfo) -> Recipient:
    algorithm = found["key_encryption_algorithm"]
    name = str(algorithm["algorithm"].native)
    return Recipient(found["encrypted_key"].native, KeyTransport.of(algorithm), name)


def _named(name: cms.RecipientIdentifier) -> Text:
    """Return a certificate as an encrypted file names it."""
    if name.name == "subject_key_identifier":
        return text("the certificate with the key identifier {identifier}").format(
            identifier=name.chosen.native.hex()
        )
    serial = serial_text(name.chosen["serial_number"].native)
    issuer = distinguished_name.as_text(name.chosen["issuer"])
    return text("the certificate {serial} of the issuer {issuer}").format(serial=serial, issuer=issuer)


def _enter(file: BinaryIO) -> tuple[asn1_stream.ElementReader, bytes]:
    """Read as far as the recipients or the originator; return the content type too."""
    kinds = {_ENVELOPED_DATA, AUTH_ENVELOPED_DATA}
    reader, kind = asn1_stream.enter_content_info(file, kinds, _SOMETHING_ELSE)
    reader.enter(asn1_stream.SEQUENCE)
    reader.element(asn1_stream.INTEGER)
    return reader, kind
