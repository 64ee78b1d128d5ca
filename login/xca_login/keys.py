# SPDX-License-Identifier: Apache-2.0
"""The keys that a login may stand on."""

from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from xca_common.pki.strict_certificate import UNUSABLE_KEY

_BITS: Final = range(2048, 4096 + 1)
_EXPONENT: Final = 65537


def accepted_key(certificate: x509.Certificate) -> RSAPublicKey | None:
    """Return a certificate's key if it is RSA, of 2048 to 4096 bits, with the exponent 65537; None: else."""
    try:
        key = certificate.public_key()
    except UNUSABLE_KEY:
        return None
    if isinstance(key, RSAPublicKey) and key.key_size in _BITS and key.public_numbers().e == _EXPONENT:
        return key
    return None


@lru_cache(1024)
def key_of(certificate: x509.Certificate) -> bytes:
    """Return the certified key: SubjectPublicKeyInfo (RFC 5280, section 4.1), in DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
