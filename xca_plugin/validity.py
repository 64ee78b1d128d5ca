# SPDX-License-Identifier: Apache-2.0
"""When certificates are valid."""

from datetime import UTC, datetime
from typing import Final

from xca_common.pki.certificate import Certificate
from xca_common.taipei import day
from xca_plugin import errors

NO_END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The end of what is valid without one (RFC 5280, section 4.1.2.5)."""


def local(when: datetime) -> datetime:
    """Return a time in the computer's zone; as it is where the calendar ends before that."""
    try:
        return when.astimezone()
    except (OverflowError, ValueError):
        return when


def expired(certificate: Certificate, now: datetime | None = None) -> bool:
    """Tell whether a certificate is no longer valid."""
    return (now or datetime.now(UTC)) > certificate.not_after


def early(certificate: Certificate, now: datetime | None = None) -> bool:
    """Tell whether a certificate is not valid yet."""
    return (now or datetime.now(UTC)) < certificate.not_before


def check_now(certificate: Certificate, number: str) -> None:
    """Refuse a certificate that is not valid now: who verifies refuses what is signed with it.

    Args:
        certificate: of the key that is to sign.
        number: of its card.

    Raises:
        CertificateExpired, CertificateNotYetValid.
    """
    if expired(certificate):
        raise errors.CertificateExpired(number=number, day=day(certificate.not_after))
    if early(certificate):
        raise errors.CertificateNotYetValid(number=number, day=day(certificate.not_before))
