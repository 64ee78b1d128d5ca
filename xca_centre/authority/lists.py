# SPDX-License-Identifier: Apache-2.0
"""Revocation lists (RFC 5280, section 5), of a partition or complete, from entries in DER.

Entries are joined, not built into a list one by one: that takes the square of their number.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from asn1crypto import algos, core, crl  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from xca_common.pki.asn1_stream import EXPLICIT, SEQUENCE, header
from xca_common.pki.authority import Issuer
from xca_common.pki.strict_certificate import subject_of

SIGNED_WITH: Final[bytes] = algos.SignedDigestAlgorithm(
    {"algorithm": "sha256_rsa", "parameters": core.Null()}
).dump()
"""sha256WithRSAEncryption, as AlgorithmIdentifier."""
_VERSION: Final[bytes] = core.Integer(1).dump()  # v2
_FIRST_GENERALIZED: Final = 2050  # the year from which on times are GeneralizedTime
_NOT_LISTED: Final = frozenset({x509.ReasonFlags.remove_from_crl})  # only a delta CRL says so


class Revocation(NamedTuple):
    """That a certificate is revoked, suspended, or not accepted yet.

    Attributes:
        serial: its serial number.
        since: since when, with a time zone.
        reason: why; certificate_hold: it is suspended or not accepted yet.
        compromised_since: since when its key may be known to others, if that is the reason and known.
    """

    serial: int
    since: datetime
    reason: x509.ReasonFlags
    compromised_since: datetime | None = None


def entry(revocation: Revocation) -> bytes:
    """Return an entry of a list, in DER.

    It has a reasonCode unless the reason is unspecified, and an invalidityDate only if the key is compromised
    (RFC 5280, sections 5.3.1 and 5.3.2).

    Raises:
        ValueError: the reason is none of a list that is no delta.
    """
    if revocation.reason in _NOT_LISTED:
        raise ValueError(f"no reason to be on a list: {revocation.reason.value}")
    extensions = _REASONS[revocation.reason]
    is_compromise = revocation.reason is x509.ReasonFlags.key_compromise
    if is_compromise and revocation.compromised_since is not None:
        since = revocation.compromised_since.astimezone(UTC).replace(tzinfo=None, microsecond=0)
        extensions += _extension(x509.InvalidityDate(since))
    return sequence(
        core.Integer(revocation.serial).dump(),
        _time(revocation.since),
        sequence(extensions) if extensions else b"",
    )


def revocation_list(
    issuer: Issuer, entries: Iterable[bytes], number: int, at: datetime, until: datetime, address: str | None
) -> bytes:
    """Return a list, in DER: of a partition, or of all that a CA issued.

    That of a generation says of itself that it is for the certificates that name its address
    (issuingDistributionPoint): else the complete list of one generation would be taken for that of another,
    whose name is the same. OpenSSL does so.

    Args:
        issuer: the generation.
        entries: of what is revoked or suspended, in DER; several may be joined in one item.
        number: cRLNumber, higher than that of the list before.
        at: thisUpdate, with a time zone; fractions of a second are dropped.
        until: nextUpdate, likewise.
        address: one of cRLDistributionPoints of the certificates. None: of the root, which has one name.
    """
    listed = b"".join(entries)
    extensions = sequence(
        _extension(issuer.key_identifier),
        _extension(x509.CRLNumber(number)),
        _extension(_scope(address), critical=True) if address else b"",
    )
    signed = sequence(
        _VERSION,
        SIGNED_WITH,
        subject_of(issuer.certificate),
        _time(at),
        _time(until),
        sequence(listed) if listed else b"",  # RFC 5280, section 5.1.2.6
        header(EXPLICIT, len(extensions)),
        extensions,
    )
    signature = issuer.key.sign(signed, PKCS1v15(), hashes.SHA256())
    return sequence(signed, SIGNED_WITH, core.OctetBitString(signature).dump())


def _scope(address: str) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(address)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of elements in DER."""
    content = b"".join(parts)
    return header(SEQUENCE, len(content)) + content


def _time(moment: datetime) -> bytes:
    moment = moment.astimezone(UTC).replace(microsecond=0)
    kind = core.UTCTime if moment.year < _FIRST_GENERALIZED else core.GeneralizedTime
    encoded: bytes = kind(moment).dump()
    return encoded


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> bytes:
    encoded: bytes = crl.TBSCertListExtension(
        {
            "extn_id": value.oid.dotted_string,
            "critical": critical,
            "extn_value": core.ParsableOctetString(value.public_bytes()),
        }
    ).dump()
    return encoded


_REASONS: Final = {
    reason: b"" if reason is x509.ReasonFlags.unspecified else _extension(x509.CRLReason(reason))
    for reason in x509.ReasonFlags
}
