# SPDX-License-Identifier: Apache-2.0
"""Which algorithms and keys are secure enough: the one policy for signatures, certificates and revocation.

| what | of a file's own signature | of certificates, time-stamps, CRLs, OCSP responses |
|---|---|---|
| SHA-2 | accepted | accepted |
| SHA-1 | accepted, and told as weak | refused |
| MD5 and anything else | refused | refused |
| RSA of fewer than 2048 bits, curves of fewer than 224, DSA | refused | refused |

SHA-1 is accepted for files because old signatures use it. Sources: NIST SP 800-131A, RFC 8301.
"""

from typing import Final

from asn1crypto import algos  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

STRONG: Final = frozenset({"sha224", "sha256", "sha384", "sha512"})
"""Digest algorithms that are still secure."""
ACCEPTED_FOR_FILES: Final = STRONG | {"sha1"}
"""Digest algorithms that the signature of a file may use; those that are not strong are told."""
LEAST_RSA_BITS: Final = 2048
_LEAST_CURVE_BITS: Final = 224
# rsassa_pkcs1v15: the plain key algorithm, as CMS has it; the digest is named beside it.
_WITHOUT_DIGEST: Final = frozenset({"ed25519", "ed448", "rsassa_pkcs1v15"})


def digests(algorithm: algos.SignedDigestAlgorithm) -> set[str]:
    """Return the names of all digest algorithms that a signature algorithm stands on, those of its mask too.

    Raises:
        ValueError, TypeError, KeyError: it is not one that is known.
    """
    name = algorithm["algorithm"].native
    if name in _WITHOUT_DIGEST:
        return set()
    if name != "rsassa_pss":
        return {algorithm.hash_algo}
    mask = algorithm["parameters"]["mask_gen_algorithm"]
    if mask["algorithm"].native != "mgf1":
        raise ValueError("not MGF1")
    return {
        algorithm["parameters"]["hash_algorithm"]["algorithm"].native,
        mask["parameters"]["algorithm"].native,
    }


def is_strong(algorithm: algos.SignedDigestAlgorithm) -> bool:
    """Say whether what is signed with this algorithm may be believed; the signature of a file aside."""
    try:
        return digests(algorithm) <= STRONG
    except (ValueError, TypeError, KeyError):
        return False


def is_long_enough(key: object) -> bool:
    """Say whether a public key of cryptography is long enough, and of a kind that is still secure."""
    if isinstance(key, RSAPublicKey):
        return key.key_size >= LEAST_RSA_BITS
    if isinstance(key, EllipticCurvePublicKey):
        return key.key_size >= _LEAST_CURVE_BITS
    return isinstance(key, (Ed25519PublicKey, Ed448PublicKey))
