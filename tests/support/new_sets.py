# SPDX-License-Identifier: Apache-2.0
"""Certificates for the store of the centre: quick to make, nothing in them but serial number and dates."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from xca_centre.certificate_sets import NewSet, Use
from xca_centre.life.certificate import ISSUED, Standing

_KEY = ec.generate_private_key(ec.SECP256R1())
_NAME = x509.Name([])


def new_set(
    now: datetime,
    sequence: int = 0,
    *,
    card: str | None = "XC00000000000001",
    organisation: str = "2.16.886.111.100000",
    standing: Standing = ISSUED,
    key: ec.EllipticCurvePrivateKey = _KEY,
) -> NewSet:
    """Return certificates of a card that are issued now, for six years, and lapse in 90 days."""
    certificates = [
        (use, _certificate(now, now + timedelta(days=6 * 365), key))
        for use in ((Use.SIGNING, Use.ENCRYPTION) if card else (Use.BOTH,))
    ]
    lapses_at = now + timedelta(days=90)
    return NewSet(
        card, organisation, "secondary", 2, sequence, certificates, lapses_at, True, standing=standing
    )


def _certificate(start: datetime, end: datetime, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .sign(_KEY, hashes.SHA256())
    )
