# SPDX-License-Identifier: Apache-2.0
"""OCSP (RFC 6960): what is asked, and the answer that a delegated responder signs.

Who asks is a stranger: a request has few bytes and few certificates, in strict DER, and nothing in it is read
that is not needed. `cryptography` refuses requests about several certificates; here they are read and
answered with asn1crypto.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final
from urllib.parse import unquote_to_bytes

from asn1crypto import core  # type: ignore[import-untyped]
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from xca_centre.authority.lists import SIGNED_WITH, Revocation, sequence
from xca_common.pki.asn1_stream import EXPLICIT, header
from xca_common.pki.ocsp_response import key_hash
from xca_common.pki.strict_certificate import subject_of

MOST_REQUEST_BYTES: Final = 4 << 10
"""Of a request: one about a certificate has some 100."""
MOST_CERTIFICATES: Final = 16
"""That one request may ask about."""
_MOST_NONCE_BYTES: Final = 128  # RFC 9654, section 2.1
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303  # a name for the issuer (RFC 5019, section 2.1.1)
    "sha256": hashes.SHA256(),
}
_SUCCESSFUL: Final[bytes] = asn1_ocsp.OCSPResponseStatus("successful").dump()
_BASIC: Final[bytes] = asn1_ocsp.ResponseType("basic_ocsp_response").dump()

MALFORMED: Final = ocsp.OCSPResponseBuilder.build_unsuccessful(
    ocsp.OCSPResponseStatus.MALFORMED_REQUEST
).public_bytes(Encoding.DER)
"""The answer to what is no request."""
TRY_LATER: Final = ocsp.OCSPResponseBuilder.build_unsuccessful(
    ocsp.OCSPResponseStatus.TRY_LATER
).public_bytes(Encoding.DER)
"""The answer while nothing can be signed."""
UNAUTHORIZED: Final = ocsp.OCSPResponseBuilder.build_unsuccessful(
    ocsp.OCSPResponseStatus.UNAUTHORIZED
).public_bytes(Encoding.DER)
"""The answer to who asks about no certificate of this centre (RFC 5019, section 2.2.3)."""


class MalformedRequest(ValueError):
    """A request is none, or asks for more than is answered."""


@dataclass(frozen=True)
class CertificateId:
    """How a request names a certificate (CertID).

    Attributes:
        algorithm: `sha1` or `sha256`; another one names nobody here.
        issuer_name: hash of the issuer's name.
        issuer_key: hash of the issuer's key.
        serial: serial number.
    """

    algorithm: str
    issuer_name: bytes
    issuer_key: bytes
    serial: int


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        certificates: about these.
        nonce: for the answer to repeat; None: nothing.
    """

    certificates: tuple[CertificateId, ...]
    nonce: bytes | None

    @property
    def is_plain(self) -> bool:
        """Whether an answer made before does: about one certificate, without a nonce."""
        return len(self.certificates) == 1 and self.nonce is None


def read_posted(body: bytes) -> Request:
    """Read a request that was posted.

    Raises:
        MalformedRequest: it is none, or asks for too much.
    """
    if len(body) > MOST_REQUEST_BYTES:
        raise MalformedRequest
    try:
        return _read(body)
    except MalformedRequest:
        raise
    except Exception as error:  # asn1crypto raises a dozen kinds
        raise MalformedRequest from error


def read_path(rest: str) -> Request:
    """Read a request in the path of a GET (RFC 6960, appendix A.1).

    Args:
        rest: what follows the responder's own path and a slash; percent-encoded or not.

    Raises:
        MalformedRequest: it is none, or asks for too much.
    """
    if len(rest) > 4 * MOST_REQUEST_BYTES:  # each of the characters for three bytes in three
        raise MalformedRequest
    try:
        return read_posted(base64.b64decode(unquote_to_bytes(rest), validate=True))
    except binascii.Error as error:
        raise MalformedRequest from error


def _read(der: bytes) -> Request:
    request = asn1_ocsp.OCSPRequest.load(der, strict=True)["tbs_request"]
    if request["version"].native != "v1":
        raise MalformedRequest
    asked = request["request_list"]
    if not 1 <= len(asked) <= MOST_CERTIFICATES:
        raise MalformedRequest
    nonce = _nonce(request["request_extensions"])
    for one in asked:
        _nonce(one["single_request_extensions"])
    return Request(tuple(_certificate_id(one["req_cert"]) for one in asked), nonce)


def _nonce(extensions: core.SequenceOf) -> bytes | None:
    """Return the nonce among the extensions, of which no other may be critical."""
    found = None
    for extension in extensions if extensions.native is not None else ():
        if extension["extn_id"].native == "nonce":
            if found is not None:
                raise MalformedRequest
            value = extension["extn_value"].parsed
            found = bytes(value.native)
            if not isinstance(value, core.OctetString) or not 1 <= len(found) <= _MOST_NONCE_BYTES:
                raise MalformedRequest
        elif extension["critical"].native:
            raise MalformedRequest
    return found


def _certificate_id(named: asn1_ocsp.CertId) -> CertificateId:
    algorithm = named["hash_algorithm"]["algorithm"].native
    name, key = bytes(named["issuer_name_hash"].native), bytes(named["issuer_key_hash"].native)
    if algorithm in _HASHES and {len(name), len(key)} != {_HASHES[algorithm].digest_size}:
        raise MalformedRequest
    return CertificateId(algorithm, name, key, named["serial_number"].native)


@dataclass(frozen=True)
class Responder:
    """A delegated responder of one generation (RFC 6960, section 4.2.2.2).

    Attributes:
        issuer: the certificate of the generation.
        certificate: its own, which the generation issued.
        key: its private key.
    """

    issuer: x509.Certificate
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)

    def is_issuer_of(self, asked: CertificateId) -> bool:
        """Say whether a request names this generation: its key, not only the name that all have."""
        return (asked.issuer_name, asked.issuer_key) == self._issuer_ids.get(asked.algorithm)

    @cached_property
    def _issuer_ids(self) -> dict[str, tuple[bytes, bytes]]:
        name = subject_of(self.issuer)
        return {
            algorithm: (_digest(name, digest), key_hash(self.issuer, digest))
            for algorithm, digest in _HASHES.items()
        }

    @cached_property
    def _own_key(self) -> asn1_ocsp.ResponderId:
        digest = key_hash(self.certificate, _HASHES["sha1"])  # RFC 6960, section 4.2.1
        return asn1_ocsp.ResponderId(name="by_key", value=core.OctetString(digest))

    @cached_property
    def _own_certificate(self) -> bytes:
        return _explicit(sequence(self.certificate.public_bytes(Encoding.DER)))

    def answer(
        self,
        request: Request,
        standings: Mapping[int, Revocation | None],
        at: datetime,
        until: datetime,
    ) -> bytes:
        """Return the signed answer, in DER.

        Args:
            request: what is asked. A certificate of another issuer is unknown.
            standings: the certificates of this generation by their serial numbers. None: it is good. One that
                is not there is unknown: the generation did not issue it.
            at: as of when (thisUpdate), with a time zone; fractions of a second are dropped.
            until: how long it counts (nextUpdate), not longer than the responder's certificate.

        Raises:
            ValueError: the responder's certificate is not valid.
        """
        at, until = (each.astimezone(UTC).replace(microsecond=0) for each in (at, until))
        until = min(until, self.certificate.not_valid_after_utc)
        if not self.certificate.not_valid_before_utc <= at <= until:
            raise ValueError("the certificate of the OCSP responder is not valid")
        data: dict[str, object] = {
            "responder_id": self._own_key,
            "produced_at": at,
            "responses": [self._single(asked, standings, at, until) for asked in request.certificates],
        }
        if request.nonce is not None:
            data["response_extensions"] = [
                {"extn_id": "nonce", "extn_value": core.OctetString(request.nonce)}
            ]
        signed = asn1_ocsp.ResponseData(data).dump()
        signature = core.OctetBitString(self.key.sign(signed, PKCS1v15(), hashes.SHA256())).dump()
        # asn1crypto would encode the certificate anew each time.
        return _successful(sequence(signed, SIGNED_WITH, signature, self._own_certificate))

    def _single(
        self,
        asked: CertificateId,
        standings: Mapping[int, Revocation | None],
        at: datetime,
        until: datetime,
    ) -> dict[str, object]:
        status: asn1_ocsp.CertStatus
        if not self.is_issuer_of(asked) or asked.serial not in standings:
            status = asn1_ocsp.CertStatus(name="unknown", value=asn1_ocsp.StatusUnknown())
        elif (revocation := standings[asked.serial]) is None:
            status = asn1_ocsp.CertStatus(name="good", value=asn1_ocsp.StatusGood())
        else:
            status = asn1_ocsp.CertStatus(name="revoked", value=_revoked(revocation))
        return {
            "cert_id": {
                "hash_algorithm": {"algorithm": asked.algorithm, "parameters": core.Null()},
                "issuer_name_hash": asked.issuer_name,
                "issuer_key_hash": asked.issuer_key,
                "serial_number": asked.serial,
            },
            "cert_status": status,
            "this_update": at,
            "next_update": until,
        }


def responder_for(request: Request, responders: Iterable[Responder]) -> Responder | None:
    """Return the responder of the first certificate in a request that one of them answers about."""
    known = list(responders)
    return next((one for asked in request.certificates for one in known if one.is_issuer_of(asked)), None)


def _successful(basic: bytes) -> bytes:
    content = core.OctetString(basic).dump()
    return sequence(_SUCCESSFUL, _explicit(sequence(_BASIC, content)))


def _explicit(element: bytes) -> bytes:
    return header(EXPLICIT, len(element)) + element


def _revoked(revocation: Revocation) -> dict[str, object]:
    since = revocation.since.astimezone(UTC).replace(microsecond=0)
    if revocation.reason is x509.ReasonFlags.unspecified:
        return {"revocation_time": since}
    return {"revocation_time": since, "revocation_reason": revocation.reason.name}


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
