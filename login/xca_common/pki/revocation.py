# SPDX-License-Identifier: Apache-2.0
"""What a certificate's issuer says of it: by which rules CRLs (RFC 5280) and OCSP responses (RFC 6960) count.

Nothing here asks a network or a person. Each list or response is first a statement, if its signature is the
issuer's, or of whom the issuer let answer; then all statements are weighed together:

- A revocation for good decides, whoever says it and however long ago: it never ends.
- A suspension (停用, certificateHold) may end: the newest statement decides; of two of one time, it does.
- That a certificate is good must be said by a statement that is still current.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]
from asn1crypto import keys as asn1_keys
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from xca_common.i18n import Text, text
from xca_common.pki.chain import UNREADABLE, is_strong

_SKEW: Final = timedelta(minutes=5)  # between the issuer's clock and this one
_NEWS: Final = timedelta(hours=1)  # how long a response counts that does not say until when it does
_MOST_RESPONDERS: Final = 4  # certificates in a response
_NOT_SIGNED: Final = text("the issuer did not sign it")
_SOMETHING_ELSE: Final = text("it answers with something else")
_DOES_NOT_KNOW: Final = text("it does not know the certificate")
# What a list may say of itself for its entries to be understood (RFC 5280, section 5.2).
_UNDERSTOOD: Final = (
    x509.AuthorityKeyIdentifier,
    x509.CRLNumber,
    x509.DeltaCRLIndicator,
    x509.IssuingDistributionPoint,
    x509.FreshestCRL,
    x509.IssuerAlternativeName,
    x509.AuthorityInformationAccess,
)


class Standing(IntEnum):
    """How a certificate stands."""

    UNKNOWN = 0
    GOOD = 1
    SUSPENDED = 2
    """停用: certificateHold (RFC 5280, section 5.3.1)."""
    REVOKED = 3
    """廢止: for good."""


class Unusable(Exception):  # a situation
    """A list or response says nothing of a certificate that could be believed.

    Attributes:
        detail: why.
    """

    def __init__(self, detail: Text) -> None:
        super().__init__()
        self.detail = detail


@dataclass(frozen=True)
class Statement:
    """What one list or response, signed by whom the issuer lets say so, says of a certificate.

    Attributes:
        standing: GOOD, SUSPENDED or REVOKED.
        at: as of when (thisUpdate).
        current: it is neither out of date nor of the future.
        since: when it was suspended or revoked.
    """

    standing: Standing
    at: datetime
    current: bool
    since: datetime | None = None


@dataclass(frozen=True)
class Judgement:
    """How a certificate stands by all that is known.

    Attributes:
        standing: how.
        since: when it was suspended or revoked.
        detail: why it is not known, as far as something was said.
    """

    standing: Standing
    since: datetime | None = None
    detail: Text | None = None


def judge(statements: Iterable[Statement]) -> Judgement:
    """Weigh statements about one certificate; without any, nothing is known."""
    known = list(statements)
    if revoked := [one for one in known if one.standing is Standing.REVOKED]:
        return Judgement(Standing.REVOKED, min(one.since or one.at for one in revoked))
    newest = max(known, key=lambda one: (one.at, one.standing), default=None)
    if newest is None:
        return Judgement(Standing.UNKNOWN)
    if newest.standing is Standing.SUSPENDED:
        return Judgement(Standing.SUSPENDED, newest.since)
    held_at = max((one.at for one in known if one.standing is Standing.SUSPENDED), default=None)
    good = any(
        one.standing is Standing.GOOD and one.current and (held_at is None or one.at > held_at)
        for one in known
    )
    return Judgement(Standing.GOOD) if good else Judgement(Standing.UNKNOWN, detail=text("it is out of date"))


def statement_of_list(
    found: x509.CertificateRevocationList,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    moment: datetime,
) -> Statement:
    """Return what a list says of a certificate.

    Args:
        found: the list.
        certificate: the certificate.
        issuer: the certificate of its issuer, whose key must have signed the list.
        moment: when the statement should be current.

    Raises:
        Unusable: it says nothing.
    """
    try:
        if not _is_list_of(found, issuer):
            raise Unusable(_NOT_SIGNED)
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        at, until = found.last_update_utc, found.next_update_utc
        current = until is not None and at - _SKEW <= moment <= until
        if entry is not None and (standing := _standing(entry)) is not Standing.GOOD:
            return Statement(standing, at, current, entry.revocation_date_utc)
        if not _covers(found, certificate):
            raise Unusable(text("it is not the list for this certificate"))
    except UNREADABLE as error:
        raise Unusable(_SOMETHING_ELSE) from error
    return Statement(Standing.GOOD, at, current)


def statement_of_response(
    found: ocsp.OCSPResponse,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    moment: datetime,
    *,
    is_revoked: Callable[[x509.Certificate], bool] = lambda responder: False,
) -> Statement:
    """Return what an OCSP response says of a certificate.

    Args:
        found: the response.
        certificate: the certificate.
        issuer: the certificate of its issuer, whose key must have signed the response or the certificate of
            the responder.
        moment: when the statement should be current.
        is_revoked: whether the responder's certificate is known to be revoked.

    Raises:
        Unusable: it says nothing.
    """
    try:
        if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unusable(text("it answers: {status}").format(status=found.response_status.name))
        responder = _responder(found, issuer)
        if responder is None or is_revoked(responder):
            raise Unusable(text("neither the issuer nor anybody whom it lets answer signed it"))
        single = max(
            (one for one in found.responses if _is_about(one, certificate, issuer)),
            key=lambda one: one.certificate_status is ocsp.OCSPCertStatus.REVOKED,
            default=None,
        )
        if single is None or single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise Unusable(_DOES_NOT_KNOW)
        at, until = single.this_update_utc, single.next_update_utc or single.this_update_utc + _NEWS
        if responder != issuer:
            if not responder.not_valid_before_utc - _SKEW <= at <= responder.not_valid_after_utc:
                raise Unusable(text("who signed it was not allowed to at that time"))
            until = min(until, responder.not_valid_after_utc)
        current = at - _SKEW <= moment <= until
        if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
            return Statement(Standing.GOOD, at, current)
        return Statement(_standing_by_response(single), at, current, single.revocation_time_utc)
    except UNREADABLE as error:
        raise Unusable(_SOMETHING_ELSE) from error


def standing(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList],
    responses: Sequence[ocsp.OCSPResponse],
    moment: datetime,
) -> Judgement:
    """Return how a certificate stands by lists and responses; those that say nothing of it are left out."""
    said, silent = _of_lists(certificate, issuer, lists, moment)

    def is_revoked(responder: x509.Certificate) -> bool:
        about = judge(_of_lists(responder, issuer, lists, moment)[0])
        return about.standing in (Standing.SUSPENDED, Standing.REVOKED)

    for response in responses:
        try:
            said.append(statement_of_response(response, certificate, issuer, moment, is_revoked=is_revoked))
        except Unusable as error:
            silent.append(error)
    if silent and not said:
        return Judgement(Standing.UNKNOWN, detail=silent[-1].detail)
    return judge(said)


def list_addresses(certificate: x509.Certificate) -> list[str]:
    """Return the addresses of cRLDistributionPoints (RFC 5280, section 4.2.1.13)."""
    return [
        name.value
        for extension in certificate.extensions
        if isinstance(extension.value, x509.CRLDistributionPoints)
        for point in extension.value
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]


def responder_addresses(certificate: x509.Certificate) -> list[str]:
    """Return the addresses of authorityInfoAccess (RFC 5280, section 4.2.2.1) that are responders'."""
    return [
        description.access_location.value
        for extension in certificate.extensions
        if isinstance(extension.value, x509.AuthorityInformationAccess)
        for description in extension.value
        if description.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    ]


def question(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Return the OCSP request about a certificate, in DER."""
    name = hashes.SHA1()  # noqa: S303  # a name for the issuer (RFC 5019, section 2.1.1)
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, name).build()
    return request.public_bytes(Encoding.DER)


# --- lists


def _of_lists(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList],
    moment: datetime,
) -> tuple[list[Statement], list[Unusable]]:
    said, unusable = [], []
    for one in lists:
        try:
            said.append(statement_of_list(one, certificate, issuer, moment))
        except Unusable as error:
            unusable.append(error)
    return said, unusable


def _is_list_of(found: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Say whether the issuer signed a list, and may."""
    usage = _extension(issuer, x509.KeyUsage)
    if isinstance(usage, x509.KeyUsage) and not usage.crl_sign:
        return False
    signed = asn1_crl.CertificateList.load(found.public_bytes(Encoding.DER))
    return (
        found.issuer == issuer.subject
        and is_strong(signed["signature_algorithm"])
        and found.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # what signs, CAs have
        and not any(_is_foreign(extension) for extension in found.extensions)
    )


def _is_foreign(extension: x509.Extension[x509.ExtensionType]) -> bool:
    """Say whether an extension gives a list a meaning that is not known here (RFC 5280, section 5.2)."""
    if isinstance(extension.value, x509.IssuingDistributionPoint):
        return extension.value.indirect_crl  # its entries may be another issuer's
    return extension.critical and not isinstance(extension.value, _UNDERSTOOD)


def _standing(entry: x509.RevokedCertificate) -> Standing:
    try:
        reasons = [one.value.reason for one in entry.extensions if isinstance(one.value, x509.CRLReason)]
    except UNREADABLE:
        return Standing.REVOKED  # it is on the list; only why cannot be read
    if x509.ReasonFlags.remove_from_crl in reasons:
        return Standing.GOOD
    return Standing.SUSPENDED if x509.ReasonFlags.certificate_hold in reasons else Standing.REVOKED


def _covers(found: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Say whether a certificate that is not on the list is good by it (RFC 5280, section 6.3.3)."""
    part = None
    for extension in found.extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            return False  # it holds what changed
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            part = extension.value
    if part is None:
        return True
    basic = _extension(certificate, x509.BasicConstraints)
    is_ca = isinstance(basic, x509.BasicConstraints) and basic.ca
    if (
        part.only_some_reasons
        or part.only_contains_attribute_certs
        or (part.only_contains_user_certs and is_ca)
        or (part.only_contains_ca_certs and not is_ca)
        or part.relative_name
    ):
        return False
    names = [name.value for name in part.full_name or () if isinstance(name, x509.UniformResourceIdentifier)]
    return part.full_name is None or not set(names).isdisjoint(list_addresses(certificate))


# --- responses


def _responder(found: ocsp.OCSPResponse, issuer: x509.Certificate) -> x509.Certificate | None:
    """Return the certificate of who is named in the response and signed it; None: nobody who may."""
    signed = asn1_ocsp.OCSPResponse.load(found.public_bytes(Encoding.DER))
    if not is_strong(signed.basic_ocsp_response["signature_algorithm"]):
        return None
    for responder in (issuer, *found.certificates[:_MOST_RESPONDERS]):
        named = found.responder_name == responder.subject or found.responder_key_hash == _key_hash(
            responder,
            hashes.SHA1(),  # noqa: S303  # a name for the key (RFC 6960, section 4.2.1)
        )
        if named and _may_answer(responder, issuer) and _has_signed(responder, found):
            return responder
    return None


def _may_answer(responder: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Say whether it is the issuer, or the issuer lets it answer (RFC 6960, section 4.2.2.2)."""
    if responder == issuer:
        return True
    try:
        responder.verify_directly_issued_by(issuer)
    except UNREADABLE:
        return False
    purposes, usage = _extension(responder, x509.ExtendedKeyUsage), _extension(responder, x509.KeyUsage)
    signature = asn1_x509.Certificate.load(responder.public_bytes(Encoding.DER))["signature_algorithm"]
    return (
        isinstance(purposes, x509.ExtendedKeyUsage)
        and ExtendedKeyUsageOID.OCSP_SIGNING in purposes
        and (not isinstance(usage, x509.KeyUsage) or usage.digital_signature)
        and is_strong(signature)
    )


def _has_signed(responder: x509.Certificate, found: ocsp.OCSPResponse) -> bool:
    key, digest = responder.public_key(), found.signature_hash_algorithm
    try:
        if isinstance(key, RSAPublicKey) and digest:
            key.verify(found.signature, found.tbs_response_bytes, PKCS1v15(), digest)
        elif isinstance(key, EllipticCurvePublicKey) and digest:
            key.verify(found.signature, found.tbs_response_bytes, ECDSA(digest))
        elif isinstance(key, Ed25519PublicKey):
            key.verify(found.signature, found.tbs_response_bytes)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _standing_by_response(single: ocsp.OCSPSingleResponse) -> Standing:
    try:
        held = single.revocation_reason is x509.ReasonFlags.certificate_hold
    except UNREADABLE:
        held = False  # only why cannot be read
    return Standing.SUSPENDED if held else Standing.REVOKED


def _is_about(
    single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> bool:
    """Say whether a response is about this certificate of this issuer's key: generations share one name."""
    return single.serial_number == certificate.serial_number and single.issuer_key_hash == _key_hash(
        issuer, single.hash_algorithm
    )


def _key_hash(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> bytes:
    """Return the hash of a key as OCSP names it (RFC 6960, section 4.1.1): of the bits alone."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(algorithm)
    digest.update(
        asn1_keys.PublicKeyInfo.load(key)["public_key"].contents[1:]
    )  # without the count of unused bits
    return digest.finalize()


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
