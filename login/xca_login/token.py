# SPDX-License-Identifier: Apache-2.0
"""Login tokens: CMS SignedData (RFC 5652, section 5) with the challenge inside, read strictly.

Only DER of bounded size is read. What a token must have for a login it must have here already: one signer, a
signed type and a signed digest of the content, each attribute once with one value, and nothing unsigned. A
reader that is content with less can be given the signed attributes of another signature as the content.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Self, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from xca_common.pki.asn1_stream import EXPLICIT, content_at
from xca_common.statement import ORIGIN_ATTRIBUTE
from xca_login.der import Attribute, element
from xca_login.errors import (
    AlgorithmRefused,
    AttributesWrong,
    CertificateMissing,
    KeyRefused,
    SignatureWrong,
    SignerCountWrong,
    TokenMalformed,
    TokenTooLong,
)
from xca_login.i18n import text

_T = TypeVar("_T")

MOST_BYTES: Final = 64 << 10
"""A token has at most so many; one with a chain of three certificates has some 5,000."""
_MOST_CERTIFICATES: Final = 16

_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_DATA: Final = "1.2.840.113549.1.7.1"
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
_CARD_NUMBER: Final = "2.16.886.1.100.2.204"

_DIGESTS: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "1.3.14.3.2.26": "sha1",
    "1.2.840.113549.2.5": "md5",
}
_STRONG: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_PLAIN_RSA: Final = "1.2.840.113549.1.1.1"
_RSA: Final = {
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.113549.1.1.5": "sha1",
    "1.2.840.113549.1.1.4": "md5",
}


@asn1.sequence
class _Algorithm:
    algorithm: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class _SignerInfo:
    version: int
    name: _IssuerAndSerial | Annotated[bytes, asn1.Implicit(0)]
    digest: _Algorithm
    signed: Annotated[asn1.SetOf[Attribute] | None, asn1.Implicit(0)]
    algorithm: _Algorithm
    signature: bytes
    unsigned: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class _Content:
    kind: x509.ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class _SignedData:
    version: int
    digests: asn1.SetOf[asn1.TLV]
    content: _Content
    # Lists: no order is demanded of what is not signed.
    certificates: Annotated[list[x509.Certificate] | None, asn1.Implicit(0)]
    lists: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    signers: asn1.SetOf[_SignerInfo]


@asn1.sequence
class _ContentInfo:
    kind: x509.ObjectIdentifier
    content: Annotated[_SignedData, asn1.Explicit(0)]


@asn1.sequence
class _Message:
    attributes: asn1.SetOf[Attribute]


@dataclass(frozen=True)
class Token:
    """A login token. Nothing of it is verified yet.

    Attributes:
        der: all of it.
        content: what was signed: the challenge, if it is right.
        message: what the signature was made over: the signed attributes in DER.
        message_digest: the signed digest of the content.
        digest: name of the digest algorithm, such as sha256.
        signature: RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2).
        certificate: the signer's.
        origin: of the page that asked, as the holder's program signed it; None: it did not.
        signed_at: when it was signed, by the holder's clock; it is recorded alone.
        card_number: of the card, as the holder's program says; it is recorded alone.
    """

    der: bytes = field(repr=False)
    content: bytes = field(repr=False)
    message: bytes = field(repr=False)
    message_digest: bytes = field(repr=False)
    digest: str
    signature: bytes = field(repr=False)
    certificate: x509.Certificate
    origin: str | None
    signed_at: datetime | None
    card_number: str | None

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read a token.

        Raises:
            TokenTooLong: it has more than MOST_BYTES bytes.
            TokenMalformed: it is no SignedData in DER with its content.
            SignerCountWrong: it has not one signer.
            AttributesWrong: its attributes are not those of a login.
            AlgorithmRefused: its algorithms are unknown, or do not fit each other.
            CertificateMissing: its signer's certificate is not in it.
        """
        if len(data) > MOST_BYTES:
            raise TokenTooLong(most=MOST_BYTES)
        try:
            info = asn1.decode_der(_ContentInfo, data)
        except Exception as error:  # cryptography raises many kinds, for certificates above all
            raise TokenMalformed from error
        signed_data = info.content
        content, signers = signed_data.content, signed_data.signers.as_list()
        if info.kind.dotted_string != _SIGNED_DATA or content.content is None:
            raise TokenMalformed
        if len(signers) != 1:
            raise SignerCountWrong(count=len(signers))
        (signer,) = signers
        if signer.unsigned is not None:
            raise AttributesWrong(detail=text("some of its attributes are not signed"))
        if signer.signed is None:
            raise AttributesWrong(detail=text("nothing is signed beside the text"))
        attributes = _attributes(signer.signed)
        kind = _parsed(attributes[_CONTENT_TYPE], x509.ObjectIdentifier)
        if kind is None or not kind.dotted_string == content.kind.dotted_string == _DATA:
            raise AttributesWrong(detail=text("its content is of another type"))
        message_digest = _parsed(attributes[_MESSAGE_DIGEST], bytes)
        if message_digest is None:
            raise AttributesWrong(detail=text("the digest of its content cannot be read"))
        return cls(
            data,
            content.content,
            _message(signer.signed),
            message_digest,
            _digest(signer),
            signer.signature,
            _certificate(signer, signed_data.certificates or []),
            _origin(attributes.get(ORIGIN_ATTRIBUTE)),
            _time(attributes.get(_SIGNING_TIME)),
            _card_number(attributes.get(_CARD_NUMBER)),
        )

    def check_signature(self, key: RSAPublicKey | None) -> None:
        """Verify the signature, and the digest of the content that was signed.

        Args:
            key: that of the certificate, if it is accepted (keys.accepted_key); None: it is not.

        Raises:
            AlgorithmRefused: the digest algorithm is not secure.
            KeyRefused: the key is not accepted.
            SignatureWrong: one of the two does not fit.
        """
        if self.digest not in _STRONG:
            raise AlgorithmRefused(algorithm=self.digest)
        if hashlib.new(self.digest, self.content).digest() != self.message_digest:
            raise SignatureWrong
        if key is None:
            raise KeyRefused
        try:
            key.verify(self.signature, self.message, PKCS1v15(), _STRONG[self.digest])
        except InvalidSignature:
            raise SignatureWrong from None


def _attributes(signed: asn1.SetOf[Attribute]) -> dict[str, asn1.TLV]:
    attributes: dict[str, asn1.TLV] = {}
    for attribute in signed.as_list():
        kind, values = attribute.kind.dotted_string, attribute.values.as_list()
        if kind in attributes or len(values) != 1:
            raise AttributesWrong(
                detail=text("an attribute is there twice, or does not have exactly one value")
            )
        attributes[kind] = values[0]
    if not {_CONTENT_TYPE, _MESSAGE_DIGEST} <= attributes.keys():
        raise AttributesWrong(detail=text("type and digest of the text are not signed"))
    return attributes


def _message(signed: asn1.SetOf[Attribute]) -> bytes:
    """Return the signed attributes as they were signed: as a SET OF (RFC 5652, section 5.4)."""
    encoded = asn1.encode_der(_Message(attributes=signed))
    return encoded[2 if encoded[1] < 0x80 else 2 + (encoded[1] & 0x7F) :]


def _digest(signer: _SignerInfo) -> str:
    """Return the name of the digest algorithm, if the signature algorithm is RSA with the same one."""
    digest, algorithm = (one.algorithm.dotted_string for one in (signer.digest, signer.algorithm))
    name = _DIGESTS.get(digest)
    if name is None:
        raise AlgorithmRefused(algorithm=digest)
    if algorithm != _PLAIN_RSA and _RSA.get(algorithm) != name:
        raise AlgorithmRefused(algorithm=algorithm)
    return name


def _certificate(signer: _SignerInfo, certificates: list[x509.Certificate]) -> x509.Certificate:
    if len(certificates) > _MOST_CERTIFICATES:
        raise TokenMalformed
    for one in certificates:
        if _is_named(one, signer.name):
            return one
    raise CertificateMissing


def _is_named(certificate: x509.Certificate, name: _IssuerAndSerial | bytes) -> bool:
    try:
        if isinstance(name, bytes):
            identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            return identifier.value.digest == name
        return certificate.serial_number == name.serial and _issuer(certificate) == element(
            name.issuer.tag_bytes, bytes(name.issuer.data)
        )
    except Exception:  # cryptography raises many kinds for malformed names and extensions
        return False


def _issuer(certificate: x509.Certificate) -> bytes:
    """Return the issuer's name as it is encoded: to decode it takes four times as long."""
    tbs = certificate.tbs_certificate_bytes
    _, at = content_at(tbs, 0)
    for _ in range(3 if tbs[at] == EXPLICIT else 2):  # version, serial number, signature algorithm
        length, start = content_at(tbs, at)
        at = start + length
    length, start = content_at(tbs, at)
    return tbs[at : start + length]


def _parsed(value: asn1.TLV, kind: type[_T]) -> _T | None:
    try:
        found: _T = value.parse(kind)
    except ValueError:
        return None
    return found


def _origin(value: asn1.TLV | None) -> str | None:
    if value is None:
        return None
    origin = _parsed(value, str)
    if origin is None or not origin.isascii():
        raise AttributesWrong(detail=text("the origin of the page that asked cannot be read"))
    return origin


def _time(value: asn1.TLV | None) -> datetime | None:
    if value is None:
        return None
    found = _parsed(value, asn1.UTCTime) or _parsed(value, asn1.GeneralizedTime)
    return found.as_datetime() if found else None


def _card_number(value: asn1.TLV | None) -> str | None:
    if value is None:
        return None
    if (printable := _parsed(value, asn1.PrintableString)) is not None:
        return printable.as_str()
    octets = _parsed(value, bytes)
    return _parsed(value, str) or (octets.decode("ascii", "replace") if octets else None)
