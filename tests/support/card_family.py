# SPDX-License-Identifier: Apache-2.0
"""The key, in memory, and the certificate of a card family that another package adds."""

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa, utils
from cryptography.x509.oid import NameOID

from xca_common.pki.certificate import Certificate
from xca_plugin import Hash


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate() -> Certificate:
    """Return the certificate cert1 of the key."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "holder")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, _key().public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=3))
        .sign(_key(), hashes.SHA256())
    )
    return Certificate.parse("cert1", "SIGN", made.public_bytes(serialization.Encoding.DER))


def sign(digest: bytes, digest_hash: Hash) -> bytes:
    """Return a signature of a digest: RSASSA-PKCS1-v1_5."""
    algorithm: hashes.HashAlgorithm = getattr(hashes, digest_hash.name)()
    return _key().sign(digest, rsa_padding.PKCS1v15(), utils.Prehashed(algorithm))
