# SPDX-License-Identifier: Apache-2.0
"""Tickets for cards of the stand-in, and tickets of somebody else."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from support.centre.authority import NAME, issuer, key
from xca_common.pki import profile
from xca_common.pki.authority import SIGNING, Issuer
from xca_common.pki.ticket import Ticket

_PURPOSE = x509.ExtendedKeyUsage([x509.ObjectIdentifier(profile.TICKET_SIGNING)])


def ticket(
    pki: Path, number: str, cert1: bytes, *, counter: int = 1, days: int = 3, activated: bool
) -> bytes:
    """Return a ticket of the CA that issued a card, by its certificate for signatures in DER."""
    own = load_pem_private_key((pki / "ca.key").read_bytes(), None)
    authority = Issuer(x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes()), own)  # type: ignore[arg-type]
    return _signed(authority, number, sha256(cert1).digest(), activated, counter, days)


def somebodys(number: str) -> bytes:
    """Return a ticket of another CA, for a card of this number."""
    return _signed(issuer(), number, bytes(32), False, 1, 3)


def _signed(by: Issuer, number: str, cert1: bytes, activated: bool, counter: int, days: int) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    validity = (now - timedelta(1), now + timedelta(30))
    signer = by.appoint(NAME, key("tickets").public_key(), SIGNING, *validity, [(_PURPOSE, True)])
    return Ticket(number, cert1, activated, counter, now + timedelta(days)).sign(signer, key("tickets"))
