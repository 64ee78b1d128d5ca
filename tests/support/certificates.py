# SPDX-License-Identifier: Apache-2.0
"""Certificates that openssl(1) does not make in every version."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

_FOR = dict.fromkeys(
    (
        "content_commitment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
) | {"digital_signature": True, "key_encipherment": True}


def certify_in_the_past(request: Path, out: Path, *, key: Path, issuer: Path | None = None) -> None:
    """Write a certificate that ended yesterday. Without an issuer it is self-signed."""
    csr = x509.load_pem_x509_csr(request.read_bytes())
    signer = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(signer, RSAPrivateKey)
    name = x509.load_pem_x509_certificate(issuer.read_bytes()).subject if issuer else csr.subject
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, csr.subject, csr.public_key(), x509.random_serial_number())
        .not_valid_before(yesterday - timedelta(days=9))
        .not_valid_after(yesterday)
        .add_extension(x509.KeyUsage(**_FOR), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    out.write_bytes(certificate.public_bytes(Encoding.PEM))
