# SPDX-License-Identifier: Apache-2.0
"""Certificates that are read to the last part before anything is decided with them.

Both libraries read lazily and differ in what they accept: here a certificate is one if both can read all of
it. Names are compared as they are encoded: no text has to be decoded or prepared for that (RFC 5280, section
7.1, would also let names match that differ in case or in their string types).
"""

import hashlib
from typing import TypeVar

from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding

from xca_common.i18n import text
from xca_common.pki.certificate import Certificate
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.malformed import reading

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

UNUSABLE_KEY = (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError)
"""What cryptography raises for keys and signatures of a kind that it does not know, or that do not fit."""


def load(der: bytes) -> x509.Certificate:
    """Read a certificate.

    Raises:
        Malformed: it is not one, or a part of it cannot be read.
    """
    Certificate.parse("", "", der)
    return load_outline(der)


def load_outline(der: bytes) -> x509.Certificate:
    """Read a certificate as far as it takes to know who issued it; load() then reads the rest.

    That is fast for whatever stands there. load() takes the square of the length of some parts.

    Raises:
        Malformed: it is not one, or an extension cannot be read.
    """
    with reading(text("its version or its structure")):
        certificate = x509.load_der_x509_certificate(der)
    with reading(text("its extensions")):
        _ = certificate.extensions
    return certificate


def load_all(data: bytes) -> list[x509.Certificate]:
    """Read the certificates of a file, in any form of certificate_file.

    Raises:
        Malformed: there is none, or one that cannot be read.
        TooMuchError: it has more certificates, or one of them more parts, than are read.
    """
    return [load(der) for der in certificates_in(data)]


def subject_of(certificate: x509.Certificate) -> bytes:
    """Return the subject as it is encoded."""
    return bytes(as_asn1(certificate).subject.dump())


def issuer_of(certificate: x509.Certificate) -> bytes:
    """Return the issuer as it is encoded."""
    return bytes(as_asn1(certificate).issuer.dump())


def as_asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """Return the same certificate as asn1crypto reads it."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return an extension of a certificate that was read with load; None: it has none of this kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def has_signed(
    certificate: x509.Certificate,
    signature: bytes,
    data: bytes | memoryview,
    digest: hashes.HashAlgorithm | None,
    pss: PSS | None = None,
) -> bool:
    """Say whether a certificate's key made a signature: RSASSA-PKCS1-v1_5 or -PSS, ECDSA or Ed25519.

    Other threads go on while much data is hashed.

    Args:
        certificate: whose key.
        signature: the signature.
        data: what was signed.
        digest: the digest algorithm, however weak; None for Ed25519.
        pss: the parameters of RSASSA-PSS; None: it is no such signature.
    """
    try:
        key = certificate.public_key()
        if digest and isinstance(key, (RSAPublicKey, EllipticCurvePublicKey)):
            # cryptography itself would hash while no other thread runs.
            hashed = hashlib.new(digest.name.replace("-", "_"), data, usedforsecurity=False).digest()
            prehashed = Prehashed(digest)
            if isinstance(key, RSAPublicKey):
                key.verify(signature, hashed, pss or PKCS1v15(), prehashed)
            else:
                key.verify(signature, hashed, ECDSA(prehashed))
        elif isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            return False
    except UNUSABLE_KEY:
        return False
    return True
