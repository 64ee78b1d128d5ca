# SPDX-License-Identifier: Apache-2.0
"""Whether a certificate is within its validity."""

from datetime import UTC, datetime
from typing import Final

from xca_common.pki.certificate import Certificate
from xca_common.taipei import day
from xca_plugin import errors

NO_END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""notAfter of a certificate without a well-defined end (RFC 5280, section 4.1.2.5)."""


def expired(certificate: Certificate, now: datetime | None = None) -> bool:
    """Tell whether a certificate has expired (notAfter), now or at a given time."""
    return (now or datetime.now(UTC)) > certificate.not_after


def early(certificate: Certificate, now: datetime | None = None) -> bool:
    """Tell whether a certificate is not valid yet (notBefore), now or at a given time."""
    return (now or datetime.now(UTC)) < certificate.not_before


def check_now(certificate: Certificate, number: str) -> None:
    """Refuse to sign with a certificate that is not valid now: its signatures would be refused.

    Args:
        certificate: the certificate of the signing key.
        number: number of its card.

    Raises:
        CertificateExpired: its notAfter has passed.
        CertificateNotYetValid: its notBefore has not come.
    """
    if expired(certificate):
        raise errors.CertificateExpired(number=number, day=day(certificate.not_after))
    if early(certificate):
        raise errors.CertificateNotYetValid(number=number, day=day(certificate.not_before))
