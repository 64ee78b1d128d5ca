# SPDX-License-Identifier: Apache-2.0
"""CMS SignedData (RFC 5652, section 5), read strictly; DER, BER or PEM.

The content passes by in chunks. The signature is computed, and the signer's certificate judged, elsewhere.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final

from asn1crypto import core  # type: ignore[import-untyped]

from xca_common.i18n import text
from xca_common.pki import asn1_stream, text_forms
from xca_common.pki.cms_identifier import is_named
from xca_common.pki.cms_types import cms
from xca_common.pki.malformed import Malformed, TooMuchError, reading

_MOST_CERTIFICATES: Final = 32
_MOST_SIGNERS: Final = 16
_START: Final = 32  # bytes of a content that are looked at
_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_CONTENT_TYPE: Final = "content_type"
_MESSAGE_DIGEST: Final = "message_digest"
_SIGNING_TIME: Final = "signing_time"
_SOMETHING_ELSE: Final = text("it is no CMS signed data, in DER, PEM, base64 or S/MIME")
_STRUCTURE: Final = text("its structure")


@dataclass(frozen=True)
class SignedAttributes:
    """The attributes that were signed beside the content and that count (RFC 5652, section 11).

    Attributes:
        content_type: dotted; None: not there once, with one value.
        message_digest: likewise.
        signed_at: None: it is not said.
        is_odd: a time is said that is none.
    """

    content_type: str | None
    message_digest: bytes | None
    signed_at: datetime | None
    is_odd: bool

    @classmethod
    def of(cls, signer: cms.SignerInfo) -> "SignedAttributes | None":
        """Read them; None: nothing is signed beside the content.

        Raises:
            Malformed: one of them cannot be read.
        """
        with reading(text("what was signed beside the content")):
            attributes = signer["signed_attrs"]
            if isinstance(attributes, core.Void):
                return None
            values: dict[str, list[core.Asn1Value]] = {
                _CONTENT_TYPE: [],
                _MESSAGE_DIGEST: [],
                _SIGNING_TIME: [],
            }
            times = dict.fromkeys(values, 0)
            for attribute in attributes:
                if (kind := attribute["type"].native) in values:
                    values[kind] += list(attribute["values"])
                    times[kind] += 1
            once = {kind: found[0] for kind, found in values.items() if len(found) == times[kind] == 1}
            message_digest = once[_MESSAGE_DIGEST].native if _MESSAGE_DIGEST in once else None
            content_type = once[_CONTENT_TYPE].dotted if _CONTENT_TYPE in once else None
        with reading(text("the time that it says it was signed at")):
            signed_at = once[_SIGNING_TIME].native if _SIGNING_TIME in once else None
            is_time = isinstance(signed_at, datetime) and signed_at.tzinfo is not None
        return cls(
            content_type,
            message_digest,
            signed_at if is_time else None,
            is_odd=times[_SIGNING_TIME] > 0 and not is_time,
        )


@dataclass(frozen=True)
class Signer:
    """One signer of a SignedData.

    Attributes:
        info: the SignerInfo; all of it but the attributes was read.
        attributes: the signed attributes; None: it has none.
    """

    info: cms.SignerInfo
    attributes: SignedAttributes | None

    @property
    def digest(self) -> str:
        """Name of the digest algorithm, such as sha256."""
        return str(self.info["digest_algorithm"]["algorithm"].native)


@dataclass(frozen=True)
class SignedData:
    """A SignedData without its content.

    Attributes:
        content_type: eContentType.
        is_attached: it holds its content.
        certificates: the X.509 certificates in it, as they are encoded; any of them may be malformed.
        signers: at least one; Malformed stands for a signer of several that cannot be read.
    """

    content_type: cms.ContentType
    is_attached: bool
    certificates: tuple[bytes, ...]
    signers: "tuple[Signer | Malformed, ...]"

    @classmethod
    def read(cls, file: BinaryIO) -> "SignedData":
        """Read a file from where it is to its end.

        Raises:
            Malformed: it holds something else, a part cannot be read, or nobody signed it.
            TooMuchError: it has more than is read.
            EOFError: it ends too early.
        """
        with reading(_STRUCTURE):
            reader, head, inner = _start(file)
            attached = reader.next() is not None
        if attached:
            with reading(text("its content")):
                reader.enter(asn1_stream.EXPLICIT)
                for _chunk in reader.octets():
                    pass
                reader.leave()
        with reading(text("what stands behind its content")):
            reader.leave()
            is_next = reader.next() == asn1_stream.EXPLICIT
            certificates = reader.element(asn1_stream.EXPLICIT) if is_next else b""
            if reader.next() == asn1_stream.EXPLICIT_1:
                reader.skip(asn1_stream.EXPLICIT_1)  # what the signature's maker says of revocation
            infos = reader.element(asn1_stream.SET)
            for _level in range(3):
                reader.leave()
        reader.finish()
        with reading(_STRUCTURE):
            content_info, _ = asn1_stream.around(0, (asn1_stream.SEQUENCE, inner, b""))
            parts = head + content_info + certificates + infos
            der, _ = asn1_stream.around(0, (asn1_stream.SEQUENCE, parts, b""))
            signed_data = cms.SignedData.load(der, strict=True)
            content_type = signed_data["encap_content_info"]["content_type"]
            _ = content_type.native
        return cls(content_type, attached, _certificates(signed_data), _signers(signed_data))

    def signer_certificate(self, signer: Signer, more: Iterable[bytes] = ()) -> tuple[bytes, list[bytes]]:
        """Return a signer's certificate and the others, as they are encoded.

        Args:
            signer: one of the signers.
            more: certificates that were given beside those in the SignedData.

        Raises:
            Malformed: the signer's is not there.
        """
        named = {der: is_named(der, signer.info["sid"]) for der in (*more, *self.certificates)}
        own = [der for der, is_own in named.items() if is_own]
        if not own and None in named.values():
            raise Malformed(text("none of its certificates that can be read is its signer's"))
        if not own:
            raise Malformed(text("it does not hold its signer's certificate"))
        return own[-1], [der for der in named if der != own[-1]]


@dataclass(frozen=True)
class Content:
    """What passed by of a content.

    Attributes:
        digests: of all of it, by the name of the algorithm.
        size: in bytes.
        start: its first bytes.
    """

    digests: Mapping[str, bytes]
    size: int
    start: bytes

    @classmethod
    def of(cls, content: BinaryIO, algorithms: Iterable[str]) -> "Content":
        """Read a content to its end.

        Args:
            content: where it begins.
            algorithms: of the digests, as hashlib names them; those that it does not know are left out.
        """
        known = {name: digest for name in algorithms if (digest := _digest(name)) is not None}
        size, start = 0, b""
        while chunk := content.read(text_forms.CHUNK):
            for digest in known.values():
                digest.update(chunk)
            size += len(chunk)
            start = (start + chunk)[:_START] if len(start) < _START else start
        return cls({name: digest.digest() for name, digest in known.items()}, size, start)

    def digest(self, algorithm: str) -> bytes:
        """Return the digest by an algorithm.

        Raises:
            Malformed: there is no such algorithm here.
        """
        if algorithm not in self.digests:
            raise Malformed(text("its digest algorithm is not known here: {name}").format(name=algorithm))
        return self.digests[algorithm]

    @property
    def may_be_attributes(self) -> bool:
        """Whether this is a SET that begins as signed attributes do: with a SEQUENCE, this with an OID."""
        try:
            length, at = asn1_stream.read_length(self.start, 1)
            _, inner = asn1_stream.read_length(self.start, at + 1)
        except ValueError:
            return False
        whole = length is None or at + length == self.size
        tags = self.start[:1] + self.start[at : at + 1] + self.start[inner : inner + 1]
        return whole and tags == bytes((asn1_stream.SET, asn1_stream.SEQUENCE, asn1_stream.OID))


def content_of(file: BinaryIO, output: BinaryIO | None = None) -> BinaryIO:
    """Return the content of an attached SignedData as a file to read from.

    Args:
        file: where the SignedData begins.
        output: takes what is read, as it is read.

    Raises:
        ValueError, EOFError: where it is read, as SignedData.read.
    """
    return text_forms.Chunks(_chunks(file, output))  # type: ignore[return-value]  # all of it that is used


def _chunks(file: BinaryIO, output: BinaryIO | None) -> Iterator[bytes]:
    with reading(text("its content")):
        reader, _, _ = _start(file)
        reader.enter(asn1_stream.EXPLICIT)
    octets = reader.octets()
    while True:
        with reading(text("its content")):
            chunk = next(octets, None)
        if chunk is None:
            return
        if output is not None:
            output.write(chunk)
        yield chunk


def _start(file: BinaryIO) -> tuple[asn1_stream.ElementReader, bytes, bytes]:
    """Read as far as the content: what comes before it, and its type."""
    reader, _ = asn1_stream.enter_content_info(file, {_SIGNED_DATA}, _SOMETHING_ELSE)
    reader.enter(asn1_stream.SEQUENCE)
    head = reader.element(asn1_stream.INTEGER) + reader.element(asn1_stream.SET)
    reader.enter(asn1_stream.SEQUENCE)
    return reader, head, reader.element(asn1_stream.OID)


def _digest(algorithm: str) -> "hashlib._Hash | None":
    try:
        digest = hashlib.new(algorithm, usedforsecurity=False)
    except (ValueError, TypeError):
        return None
    return digest if digest.digest_size else None


def _signers(signed_data: cms.SignedData) -> tuple[Signer | Malformed, ...]:
    with reading(text("its signer")):
        infos = list(signed_data["signer_infos"])
    if not infos:
        raise Malformed(text("nobody signed it: it has no signer"))
    if len(infos) > _MOST_SIGNERS:
        raise TooMuchError(text("it has more than {count} signers").format(count=_MOST_SIGNERS))
    if len(infos) == 1:
        return (_signer(infos[0]),)
    signers: list[Signer | Malformed] = []
    for info in infos:
        try:
            signers.append(_signer(info))
        except Malformed as error:
            signers.append(error)
    return tuple(signers)


def _signer(signer: cms.SignerInfo) -> Signer:
    with reading(text("the name of its signer")):
        _ = signer["sid"].chosen.native
    with reading(text("its digest algorithm")):
        _ = signer["digest_algorithm"].native
    with reading(text("its signature algorithm")):
        _ = signer["signature_algorithm"].native
    with reading(text("its signature")):
        _ = signer["signature"].native
    return Signer(signer, SignedAttributes.of(signer))


def _certificates(signed_data: cms.SignedData) -> tuple[bytes, ...]:
    with reading(text("its certificates")):
        choices = list(signed_data["certificates"])
        if len(choices) > _MOST_CERTIFICATES:
            raise TooMuchError(text("it has more than {count} certificates").format(count=_MOST_CERTIFICATES))
        return tuple(bytes(one.chosen.untag().dump()) for one in choices if one.name == "certificate")
