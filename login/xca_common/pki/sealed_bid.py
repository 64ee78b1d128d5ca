# SPDX-License-Identifier: Apache-2.0
"""Sealed bids: what a bidder submits is opened by two groups of cards together, and by nobody before.

A bid is a ZIP that compresses nothing: the statement that the bidder signed, then the files that it lists. It
is encrypted to the cards of an inner group, and that to those of an outer group: CMS AuthEnvelopedData
(RFC 5083) with AES-256-GCM in another one, both in DER.

GCM does not commit to its key: one ciphertext can be made that two keys open to two contents. So a line
stands before the envelopes, with a digest of the key of each, and who opens one takes no other key:

    xca-sealed-bid/1 (64 hexadecimal digits: outer key) (64 hexadecimal digits: inner key)

Behind that line any CMS program opens the envelopes, one after the other. When the outer one is open, the
line before the inner one says of which sealed bid it was:

    xca-inner-bid/1 (64 hexadecimal digits: SHA-256 of the sealed bid) (64 hexadecimal digits: inner key)
"""

import hashlib
import hmac
import io
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, BinaryIO, Final, Self, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from xca_common.bid import Bid, BidFile, check_files
from xca_common.i18n import text
from xca_common.pki import asn1_stream, strict_certificate
from xca_common.pki.cms_identifier import is_named
from xca_common.pki.cms_types import cms
from xca_common.pki.encrypted_data import (
    AUTH_ENVELOPED_DATA,
    EncryptedData,
    EncryptedWriter,
    Output,
    Recipient,
    RecipientCertificate,
    around_content,
    gcm_algorithm,
)
from xca_common.pki.malformed import Malformed, TooMuchError, reading

MANIFEST: Final = "manifest.p7m"
"""The file of the ZIP with the statement, as the bidder signed it (SignedData)."""
LEAST_RECIPIENTS: Final = 2
"""Cards of a group: so that one lost card loses no bid."""

_CHUNK: Final = 1 << 20
_KEY: Final = b"xca-bid-key/1"
_KEY_BYTES: Final = 32
_TAG: Final = asn1_stream.header(asn1_stream.OCTETS, 16)
_HEADER: Final = re.compile(rb"xca-sealed-bid/1 ([0-9a-f]{64}) ([0-9a-f]{64})\n")
_HEADER_BYTES: Final = len("xca-sealed-bid/1") + 2 * (1 + 64) + 1
_INNER: Final = re.compile(rb"xca-inner-bid/1 ([0-9a-f]{64}) ([0-9a-f]{64})\n")
_INNER_BYTES: Final = len("xca-inner-bid/1") + 2 * (1 + 64) + 1
_MOST_MANIFEST_BYTES: Final = 1 << 20
_MOST_READ: Final = 4 << 20  # of the archive at once: its list of files, above all
_SOMETHING_ELSE: Final = text("it is no sealed bid")
_OTHER_FORM: Final = text("it is not in the form that bids are sealed in")
_ARCHIVE: Final = text("its archive of files")


class OtherRecipients(ValueError):  # a situation
    """An envelope is encrypted to other certificates than those of the group."""


class NotARecipient(ValueError):  # a situation
    """An envelope is not encrypted to a certificate, or in a way that is not known here."""


class OtherKey(ValueError):  # a situation
    """An envelope opens with another key than the one that it was submitted with."""


class OtherFiles(ValueError):  # a situation
    """A bid holds other files than its statement lists.

    Attributes:
        name: of one of them.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


DecryptKey = Callable[[Recipient], bytes]
"""Decrypts a content key with the recipient's card or private key; it returns b"" when that fails."""


@dataclass(frozen=True)
class SealedBid:
    """What a sealed bid shows before it is opened.

    Attributes:
        size: bytes of the file.
        sha256: the digest of all of it.
        outer_key: the digest of the outer envelope's key, as the bidder told it.
        inner_key: that of the inner one's.
    """

    size: int
    sha256: bytes
    outer_key: bytes
    inner_key: bytes

    @classmethod
    def read(cls, file: BinaryIO, group: Sequence[bytes] | None = None) -> Self:
        """Read a sealed bid from the file's beginning to its end; nothing of it is opened.

        Args:
            file: open for reading, with a beginning to go back to.
            group: certificates in DER, to all of which it must be encrypted; None: that is not looked at.

        Raises:
            Malformed: it is none, or not exactly in the form that seal() writes.
            OtherRecipients: it is encrypted to others.
            TooMuchError: it has more parts than are read.
            EOFError: it ends too early.
        """
        file.seek(0)
        header = _HEADER.fullmatch(file.read(_HEADER_BYTES))
        if header is None:
            raise Malformed(_SOMETHING_ELSE)
        infos = _check_envelope(file, _HEADER_BYTES)
        if group is not None:
            _check_group(infos, group)
        file.seek(0)
        digest, size = hashlib.sha256(), 0
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
        return cls(size, digest.digest(), *(bytes.fromhex(found.decode()) for found in header.groups()))


@dataclass(frozen=True)
class InnerBid:
    """What a bid shows whose outer envelope is open. Who opened that one vouches for it.

    Attributes:
        sealed: SHA-256 of the sealed bid.
        key: the digest of the inner envelope's key.
    """

    sealed: bytes
    key: bytes

    @property
    def line(self) -> bytes:
        """What stands before the envelope that open_outer() writes."""
        return f"xca-inner-bid/1 {self.sealed.hex()} {self.key.hex()}\n".encode("ascii")

    @classmethod
    def read(cls, file: BinaryIO, group: Sequence[bytes] | None = None) -> Self:
        """Read it; nothing is opened.

        Args:
            file: open for reading, with a beginning to go back to.
            group: as SealedBid.read.

        Raises:
            Malformed, OtherRecipients, TooMuchError, EOFError: as SealedBid.read.
        """
        file.seek(0)
        line = _INNER.fullmatch(file.read(_INNER_BYTES))
        if line is None:
            raise Malformed(_SOMETHING_ELSE)
        infos = _check_envelope(file, _INNER_BYTES)
        if group is not None:
            _check_group(infos, group)
        return cls(*(bytes.fromhex(found.decode()) for found in line.groups()))


def seal(
    manifest: bytes,
    files: Sequence[tuple[BidFile, BinaryIO]],
    outer: Sequence[RecipientCertificate],
    inner: Sequence[RecipientCertificate],
    output: Output,
) -> SealedBid:
    """Seal a bid.

    Args:
        manifest: the statement that lists the files, signed (SignedData).
        files: the files, open at their beginnings, as the statement lists them.
        outer: the group of cards that opens first, two at least.
        inner: the other group, two at least; no card is in both.
        output: takes the envelope.

    Raises:
        OtherFiles: a file is not what the statement says, or changed while it was read.
        ValueError: the groups are too small, or have a card in common.
        TooMuchError: there are more recipients than would be read.
    """
    keys = {recipient.key.public_numbers() for recipient in (*outer, *inner)}
    if min(len(outer), len(inner)) < LEAST_RECIPIENTS or len(keys) != len(outer) + len(inner):
        raise ValueError("groups that are too small, or not apart")
    check_files([told for told, _ in files])
    contents = [
        iter((manifest,)),
        *(_listed_content(told, partial(file.read, _CHUNK)) for told, file in files),
    ]
    names = [MANIFEST, *(told.name for told, _ in files)]
    sizes = [len(manifest), *(told.size for told, _ in files)]
    # An archive of as many zeros is as long, and soon made.
    empty = _Sink(_Nowhere())
    _write_archive(names, sizes, map(_zeros, sizes), empty)
    inner_key, outer_key = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_KEY_BYTES)
    within = EncryptedWriter(inner, empty.size, key=inner_key)
    around = EncryptedWriter(outer, within.length, key=outer_key)
    hashes = _key_hash(outer_key), _key_hash(inner_key)
    written = _Digesting(output)
    written.write(f"xca-sealed-bid/1 {hashes[0].hex()} {hashes[1].hex()}\n".encode("ascii"))
    around.begin(written)
    within.begin(around)
    _write_archive(names, sizes, contents, _Sink(within))
    within.finish()
    around.finish()
    return SealedBid(written.size, written.digest.digest(), *hashes)


def open_outer(
    file: BinaryIO, key_hash: bytes, certificate: bytes, decrypt_key: DecryptKey, output: Output
) -> None:
    """Open the outer envelope of a sealed bid. Nothing is written before its tag was checked.

    Args:
        file: the sealed bid, open for reading, with a beginning to go back to.
        key_hash: SealedBid.outer_key when the bid was submitted.
        certificate: of a card of the outer group, as it is encoded.
        decrypt_key: decrypts the content key.
        output: takes the inner envelope. It is worth nothing when this fails: the file may change meanwhile.

    Raises:
        NotARecipient: it is not encrypted to this certificate.
        NotDecryptable: the key or the content does not decrypt.
        OtherKey: it opens with another key.
        Malformed, TooMuchError, EOFError: as SealedBid.read.
    """
    _open(file, _HEADER_BYTES, key_hash, certificate, decrypt_key, output)


def open_inner(
    file: BinaryIO, key_hash: bytes, certificate: bytes, decrypt_key: DecryptKey, output: Output
) -> None:
    """Open the inner envelope likewise.

    Args:
        file: what open_outer() wrote, with or without InnerBid.line before it, open for reading, with a
            beginning to go back to.
        key_hash: SealedBid.inner_key when the bid was submitted.
        certificate: of a card of the inner group, as it is encoded.
        decrypt_key: decrypts the content key.
        output: takes the bid (OpenedBid).

    Raises:
        NotARecipient, NotDecryptable, OtherKey, Malformed, TooMuchError, EOFError: as open_outer.
    """
    file.seek(0)
    at = _INNER_BYTES if _INNER.fullmatch(file.read(_INNER_BYTES)) else 0
    _open(file, at, key_hash, certificate, decrypt_key, output)


def _open(
    file: BinaryIO, at: int, key_hash: bytes, certificate: bytes, decrypt_key: DecryptKey, output: Output
) -> None:
    _check_envelope(file, at)
    data = _data(file, at)
    recipient = data.recipient(certificate)
    if recipient is None or recipient.transport is None:
        raise NotARecipient
    key = decrypt_key(recipient)
    data.write_at_once(key, _Nowhere())
    # Only now: what a wrong key would be told before must not depend on how it is wrong.
    if not hmac.compare_digest(_key_hash(key), key_hash):
        raise OtherKey
    _data(file, at).write_at_once(key, output)


def with_key(key: RSAPrivateKey) -> DecryptKey:
    """Return what decrypts content keys with a private key."""

    def decrypt(recipient: Recipient) -> bytes:
        assert recipient.transport is not None  # noqa: S101  # _open() looks first
        try:
            return key.decrypt(recipient.encrypted_key, recipient.transport.padding)
        except ValueError:
            return b""

    return decrypt


class OpenedBid:
    """A bid that is in no envelope any more.

    Attributes:
        manifest: the statement as its bidder signed it. Nothing of it is verified yet.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read what is in it.

        Args:
            file: what was in the inner envelope, open for reading.

        Raises:
            Malformed: it is no bid.
        """
        with reading(_ARCHIVE):
            self._archive = ZipFile(_Bounded(file))
            names = self._archive.namelist()
            if names[:1] != [MANIFEST]:
                raise Malformed(text("it does not begin with what its bidder signed"))
            self.manifest = self._read(MANIFEST, _MOST_MANIFEST_BYTES)

    def write(self, bid: Bid, output: Output) -> None:
        """Write the archive anew: the statement, then the files that it lists, and nothing else.

        It is not handed on as it came: an archive can be made in which two programs find different files.

        Args:
            bid: what the signed statement says; its signature was verified.
            output: takes the archive. It is worth nothing when this fails.

        Raises:
            OtherFiles: the bid holds others than it lists.
            Malformed: one cannot be read.
        """
        with reading(_ARCHIVE):
            held = self._archive.namelist()[1:]
        listed = [file.name for file in bid.files]
        if held != listed:
            raise OtherFiles(next(iter({*held} ^ {*listed}), listed[0]))
        contents = [iter((self.manifest,)), *map(self._content, bid.files)]
        sizes = [len(self.manifest), *(file.size for file in bid.files)]
        _write_archive([MANIFEST, *listed], sizes, contents, _Sink(output))

    def _content(self, told: BidFile) -> Iterator[bytes]:
        with reading(_ARCHIVE):
            info = self._archive.getinfo(told.name)
            file = self._archive.open(info)
        with file:
            if info.compress_type != ZIP_STORED or info.file_size != told.size:
                raise OtherFiles(told.name)
            yield from _listed_content(told, partial(self._chunk, file))

    @staticmethod
    def _chunk(file: IO[bytes]) -> bytes:
        with reading(_ARCHIVE):
            return file.read(_CHUNK)

    def _read(self, name: str, most: int) -> bytes:
        info = self._archive.getinfo(name)
        if info.compress_type != ZIP_STORED or info.file_size > most:
            raise Malformed(_OTHER_FORM)
        return self._archive.read(info)


def _listed_content(told: BidFile, read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield what a file holds, as far as it can be what the statement lists; at its end it is that."""
    digest, size = hashlib.sha256(), 0
    while chunk := read():
        digest.update(chunk)
        size += len(chunk)
        if size > told.size:
            break
        yield chunk
    if (size, digest.hexdigest()) != (told.size, told.sha256):
        raise OtherFiles(told.name)


def _zeros(size: int) -> Iterator[bytes]:
    chunk = bytes(min(size, _CHUNK))
    for at in range(0, size, _CHUNK):
        yield chunk[: size - at]


def _write_archive(
    names: Sequence[str], sizes: Sequence[int], contents: Iterable[Iterable[bytes]], output: "_Sink"
) -> None:
    with ZipFile(cast("IO[bytes]", output), "w", ZIP_STORED) as archive:
        for name, size, content in zip(names, sizes, contents, strict=True):
            info = ZipInfo(name)
            info.file_size = size  # it decides whether its length takes eight bytes
            with archive.open(info, "w") as file:
                for chunk in content:
                    file.write(chunk)


def _key_hash(key: bytes) -> bytes:
    return hashlib.sha256(_KEY + key).digest()


def _check_envelope(file: BinaryIO, at: int) -> "list[cms.KeyTransRecipientInfo]":
    """Read an envelope, and return to whom it is encrypted; any form but that of seal() is refused."""
    end = file.seek(0, io.SEEK_END)
    file.seek(at)
    reader, _ = asn1_stream.enter_content_info(file, {AUTH_ENVELOPED_DATA}, _SOMETHING_ELSE)
    with reading(text("its structure")):
        reader.enter(asn1_stream.SEQUENCE)
        reader.element(asn1_stream.INTEGER)
        recipients = reader.element(asn1_stream.SET)
        reader.enter(asn1_stream.SEQUENCE)
        reader.element(asn1_stream.OID)
        algorithm = reader.element(asn1_stream.SEQUENCE)
        size = sum(map(len, reader.octets(asn1_stream.IMPLICIT)))
        reader.leave()
        tag = reader.rest()
    if not tag.startswith(_TAG):
        raise Malformed(_OTHER_FORM)
    # Written anew as seal() writes it: any other form is refused, whatever readers make of it.
    before, after = around_content(size, AUTH_ENVELOPED_DATA, recipients, algorithm, tag)
    is_whole = len(before) + size + len(after) == end - at and len(tag) == len(_TAG) + _TAG[1]
    if not is_whole or _part(file, at, len(before)) != before or _part(file, end - len(after)) != after:
        raise Malformed(_OTHER_FORM)
    return _infos(recipients, algorithm)


def _infos(recipients: bytes, algorithm: bytes) -> "list[cms.KeyTransRecipientInfo]":
    with reading(text("its recipients")):
        infos = cms.RecipientInfos.load(recipients, strict=True)
        found = [info.chosen for info in infos if info.name == "ktri"]
        transports = {one["key_encryption_algorithm"]["algorithm"].native for one in found}
        if len(found) != len(infos) or transports != {"rsaes_pkcs1v15"}:
            raise Malformed(_OTHER_FORM)
        if cms.RecipientInfos([info.copy() for info in infos]).dump(force=True) != recipients:
            raise Malformed(_OTHER_FORM)
    with reading(text("the algorithm of its content")):
        parameters: bytes = cms.EncryptionAlgorithm.load(algorithm, strict=True)["parameters"].contents
        nonce_bytes, at = asn1_stream.read_length(parameters, 1)
        nonce = parameters[at : at + (nonce_bytes or 0)]
        if nonce_bytes != 12 or gcm_algorithm(nonce).dump() != algorithm:
            raise Malformed(_OTHER_FORM)
    return found


def _check_group(infos: Sequence[cms.KeyTransRecipientInfo], group: Sequence[bytes]) -> None:
    if len(infos) != len(group):
        raise OtherRecipients
    for member in group:
        key = strict_certificate.load(member).public_key()
        own = [info for info in infos if is_named(member, info["rid"])]
        if (
            len(own) != 1
            or not isinstance(key, RSAPublicKey)
            or len(own[0]["encrypted_key"].native) != key.key_size // 8
        ):
            raise OtherRecipients


def _part(file: BinaryIO, at: int, size: int = -1) -> bytes:
    file.seek(at)
    part: bytes = file.read(size)
    return part


def _data(file: BinaryIO, at: int) -> EncryptedData:
    file.seek(at)
    return EncryptedData(file)


class _Digesting:
    """Hands bytes on, and takes their digest."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, data: bytes, /) -> None:
        self.digest.update(data)
        self.size += len(data)
        self._output.write(data)


class _Sink:
    """What ZipFile writes to: it cannot be rewound."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self._output.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""


class _Nowhere:
    """Takes bytes and keeps none."""

    def write(self, data: bytes, /) -> None:
        """Take bytes."""


class _Bounded(io.RawIOBase):
    """A file of which little is read at once, however much is asked for by lengths that it tells itself."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, at: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(at, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(_MOST_READ + 1 if size < 0 else min(size, _MOST_READ + 1))
        if len(data) > _MOST_READ:
            raise TooMuchError(text("its list of files is longer than is read"))
        return data
