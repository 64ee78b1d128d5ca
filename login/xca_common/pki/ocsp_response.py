# SPDX-License-Identifier: Apache-2.0
"""OCSP responses (RFC 6960): who may answer, and what an answer says.

A response counts if the issuer's key signed it, or that of a responder whom this key lets answer. Of several
answers about one certificate in it the worst counts.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from asn1crypto import keys as asn1_keys  # type: ignore[import-untyped]
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from xca_common.i18n import text
from xca_common.pki.algorithms import is_long_enough, is_strong
from xca_common.pki.malformed import Malformed, read_extensions, reading
from xca_common.pki.standing import SKEW, SourceStatus, Standing, Unusable
from xca_common.pki.strict_certificate import UNUSABLE_KEY, as_asn1, extension, has_signed, load, subject_of

MOST_BYTES: Final = 16 << 10
"""Of a response that is fetched: one about one certificate, with that of the responder, has some 2,000."""
_NEWS: Final = timedelta(hours=1)  # how long a response counts that does not say until when it does
_MOST_RESPONDERS: Final = 4  # certificates in a response
_UNDERSTOOD: Final = frozenset({"nonce"})  # critical extensions of a response
# Critical extensions of a responder's certificate.
_UNDERSTOOD_OF_RESPONDERS: Final = (
    x509.AuthorityInformationAccess,
    x509.AuthorityKeyIdentifier,
    x509.BasicConstraints,
    x509.CertificatePolicies,
    x509.CRLDistributionPoints,
    x509.ExtendedKeyUsage,
    x509.KeyUsage,
    x509.OCSPNoCheck,
    x509.SubjectAlternativeName,
    x509.SubjectKeyIdentifier,
)


class OcspResponse:
    """A successful OCSP response.

    Attributes:
        der: the response, in DER.
        nonce: what it repeats of the question (RFC 9654); None: nothing.
    """

    def __init__(self, der: bytes) -> None:
        """Read a response.

        Args:
            der: the response in DER.

        Raises:
            Malformed: it is none, not a successful one, or a part of it cannot be read.
        """
        with reading(text("its structure")):
            own = asn1_ocsp.OCSPResponse.load(der, strict=True)
            status = own["response_status"].native
        if status != "successful":
            raise Malformed(text("it answers: {status}").format(status=str(status).replace("_", " ")))
        with reading(text("its structure")):
            basic = own.basic_ocsp_response
            data = basic["tbs_response_data"]
        with reading(text("its signature algorithm")):
            self._is_strong = is_strong(basic["signature_algorithm"])
        with reading(text("the name of who signed it")):
            named = data["responder_id"]
            by_name = named.name == "by_name"
            self._signer_name = bytes(named.chosen.untag().dump()) if by_name else None
            self._signer_key_hash = None if by_name else bytes(named.chosen.native)
        with reading(text("an answer in it")):
            for one in data["responses"]:  # why somebody was revoked may be unreadable
                _ = one["cert_status"].name
                _ = [one[part].native for part in ("cert_id", "this_update", "next_update")]
        read_extensions(data, "response_extensions")
        with reading(text("its extensions")):
            self._is_understood = _is_understood(data)
        with reading(text("its version or a certificate in it")):
            self._response = ocsp.load_der_ocsp_response(der)
            self._certificates = self._response.certificates[:_MOST_RESPONDERS]
            self._digest = self._response.signature_hash_algorithm
        self.der: Final = der
        self._responders: dict[x509.Certificate, x509.Certificate | None] = {}  # by the issuer
        with reading(text("its extensions")):
            nonces = [one.value for one in self._response.extensions if isinstance(one.value, x509.OCSPNonce)]
            self.nonce = nonces[0].nonce if nonces else None
        with reading(text("an answer in it")):
            self._answers = list(self._response.responses)
            _ = [(answer.serial_number, answer.certificate_status) for answer in self._answers]

    def statement(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        moment: datetime,
        *,
        is_revoked: Callable[[x509.Certificate], bool] = lambda responder: False,
    ) -> SourceStatus:
        """Return what the response says of a certificate.

        Args:
            certificate: the certificate.
            issuer: the certificate of its issuer, whose key must have signed the response or the certificate
                of the responder.
            moment: when the statement should be current.
            is_revoked: whether the responder's certificate is known to be revoked.

        Raises:
            Unusable: it says nothing.
        """
        if issuer not in self._responders:
            self._responders[issuer] = self._responder(issuer)
        responder = self._responders[issuer]
        if responder is None or is_revoked(responder):
            raise Unusable(text("neither the issuer nor anybody whom it lets answer signed it"))
        try:
            about = [
                _statement(answer, responder, issuer, moment)
                for answer in self._answers
                if _is_about(answer, certificate, issuer)
            ]
        except Unusable:
            raise
        except Exception as error:  # cryptography raises many kinds
            raise Unusable(text("an answer in it cannot be read")) from error
        # The worst; of several that say good the oldest.
        worst = max(about, key=lambda one: (one.standing, -one.at.timestamp()), default=None)
        if worst is None:
            raise Unusable(text("the OCSP response is about other certificates"))
        if worst.standing is Standing.UNKNOWN:
            raise Unusable(text("the OCSP responder does not know the certificate"))
        if worst.standing is Standing.GOOD and not self._is_understood:
            raise Unusable(text("it says something of itself that is not understood here"))
        return worst

    def _responder(self, issuer: x509.Certificate) -> x509.Certificate | None:
        """Return the certificate of the responder that signed; None: no authorised responder did."""
        if not self._is_strong:
            return None
        for candidate in (issuer, *self._certificates):
            try:
                responder = load(candidate.public_bytes(Encoding.DER))
                if (
                    self._names(responder)
                    and _may_answer(responder, issuer)
                    and has_signed(
                        responder, self._response.signature, self._response.tbs_response_bytes, self._digest
                    )
                ):
                    return responder
            except (Malformed, *UNUSABLE_KEY):
                continue
        return None

    def _names(self, responder: x509.Certificate) -> bool:
        if self._signer_name is not None:
            return self._signer_name == subject_of(responder)
        name = hashes.SHA1()  # noqa: S303  # a name for the key (RFC 6960, section 4.2.1)
        return self._signer_key_hash == key_hash(responder, name)


def question(certificate: x509.Certificate, issuer: x509.Certificate, *, nonce: bytes | None = None) -> bytes:
    """Return the OCSP request about a certificate, in DER.

    Args:
        certificate: the certificate.
        issuer: the certificate of its issuer.
        nonce: for the response to repeat (RFC 9654), of 1 to 32 bytes; None: nothing.
    """
    name = hashes.SHA1()  # noqa: S303  # a name for the issuer (RFC 5019, section 2.1.1)
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, name)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def _is_understood(data: asn1_ocsp.ResponseData) -> bool:
    """Say whether all critical extensions are known (RFC 6960, section 4.4)."""
    parts = [data["response_extensions"], *(one["single_extensions"] for one in data["responses"])]
    return all(
        one["extn_id"].native in _UNDERSTOOD for part in parts for one in part if one["critical"].native
    )


def _may_answer(responder: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Say whether it is the issuer, or the issuer lets it answer (RFC 6960, section 4.2.2.2)."""
    if responder == issuer:
        return True
    responder.verify_directly_issued_by(issuer)
    purposes, usage = extension(responder, x509.ExtendedKeyUsage), extension(responder, x509.KeyUsage)
    return (
        purposes is not None
        and ExtendedKeyUsageOID.OCSP_SIGNING in purposes
        and (usage is None or usage.digital_signature)
        and all(
            isinstance(one.value, _UNDERSTOOD_OF_RESPONDERS) or not one.critical
            for one in responder.extensions
        )
        and is_strong(as_asn1(responder)["signature_algorithm"])
        and is_long_enough(responder.public_key())
    )


def _statement(
    answer: ocsp.OCSPSingleResponse, responder: x509.Certificate, issuer: x509.Certificate, moment: datetime
) -> SourceStatus:
    at, until = answer.this_update_utc, answer.next_update_utc or answer.this_update_utc + _NEWS
    if responder != issuer:
        if not responder.not_valid_before_utc - SKEW <= at <= responder.not_valid_after_utc:
            raise Unusable(text("who signed it was not allowed to at that time"))
        until = min(until, responder.not_valid_after_utc)
    current = at - SKEW <= moment <= until
    if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return SourceStatus(Standing.UNKNOWN, at, current)
    if answer.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return SourceStatus(Standing.GOOD, at, current)
    try:
        held = answer.revocation_reason is x509.ReasonFlags.certificate_hold
    except Exception:  # cryptography raises many kinds
        held = False  # only why cannot be read
    standing = Standing.SUSPENDED if held else Standing.REVOKED
    return SourceStatus(standing, at, current, answer.revocation_time_utc)


def _is_about(
    answer: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> bool:
    """Say whether an answer is about this certificate of this issuer's key: generations share one name."""
    return answer.serial_number == certificate.serial_number and answer.issuer_key_hash == key_hash(
        issuer, answer.hash_algorithm
    )


def key_hash(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> bytes:
    """Return the hash of a key as OCSP names it (RFC 6960, section 4.1.1): of the bits alone."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits = asn1_keys.PublicKeyInfo.load(key)["public_key"].contents
    digest = hashes.Hash(algorithm)
    digest.update(bits[1:])  # without the count of unused bits
    return digest.finalize()
