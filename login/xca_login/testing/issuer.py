# SPDX-License-Identifier: Apache-2.0
"""What an issuer's addresses answer: CRLs and OCSP responses, each part of which can be made wrong."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final, Protocol

from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from xca_login.testing.parties import DAY, NOW, Party

LIST: Final = "/1.crl"
"""The path of a CRL."""
COMPLETE: Final = "/complete.crl"
"""The path of another CRL."""
RESPONDER: Final = "/ocsp"
"""The path of the OCSP responder."""


class Answering(Protocol):
    """Tells what an issuer's addresses answer."""

    def get(self, path: str, request: bytes) -> bytes | None:
        """Return what a path answers; None: nothing, 404.

        Args:
            path: the path of the address.
            request: what is posted; empty: nothing is.
        """


@dataclass(frozen=True)
class Answers:
    """What an issuer's addresses answer. Other paths than these answer 404.

    Attributes:
        lists: what is there to get, by path.
        responder: makes an OCSP response of a request, both in DER; None: there is no responder.
    """

    lists: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    responder: Callable[[bytes], bytes] | None = None

    def get(self, path: str, request: bytes) -> bytes | None:
        """Return what a path answers (Answering.get)."""
        if path == RESPONDER and self.responder is not None:
            return self.responder(request)
        return self.lists.get(path)


@dataclass(frozen=True)
class Responder:
    """An OCSP responder (RFC 6960): give it a request, and it returns a response.

    Attributes:
        signer: who signs.
        is_delegated: its certificate goes with the response.
        status: what it says of every certificate.
        reason: why one is revoked.
        at: thisUpdate.
        until: nextUpdate.
        nonce: None: that of the request; empty: the response has none; else the response has this one.
        serial: serial number that it answers for; None: that of the request.
        issuer: whose certificates it answers for; None: those of the request.
        change: changes what is signed.
    """

    signer: Party
    is_delegated: bool = False
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD
    reason: x509.ReasonFlags | None = None
    at: datetime = NOW
    until: datetime = NOW + DAY
    nonce: bytes | None = None
    serial: int | None = None
    issuer: Party | None = None
    change: Callable[[asn1_ocsp.ResponseData], None] | None = None

    def __call__(self, request: bytes) -> bytes:
        """Return the response to a request, both in DER."""
        asked = ocsp.load_der_ocsp_request(request)
        is_revoked = self.status is ocsp.OCSPCertStatus.REVOKED
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                asked.issuer_name_hash,
                self._key_hash(asked),
                asked.serial_number if self.serial is None else self.serial,
                asked.hash_algorithm,
                self.status,
                self.at,
                self.until,
                self.at if is_revoked else None,
                self.reason if is_revoked else None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self.signer.certificate)
        )
        if self.is_delegated:
            builder = builder.certificates([self.signer.certificate])
        nonces = [one.value for one in asked.extensions if isinstance(one.value, x509.OCSPNonce)]
        if self.nonce:
            nonces = [x509.OCSPNonce(self.nonce)]
        if nonces and self.nonce != b"":
            builder = builder.add_extension(nonces[0], critical=False)
        made = builder.sign(self.signer.key, hashes.SHA256()).public_bytes(Encoding.DER)
        return made if self.change is None else self._changed(made, self.change)

    def _key_hash(self, asked: ocsp.OCSPRequest) -> bytes:
        if self.issuer is None:
            return asked.issuer_key_hash
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.issuer.key.public_key())
        return identifier.digest if isinstance(asked.hash_algorithm, hashes.SHA1) else bytes(32)

    def _changed(self, response: bytes, change: Callable[[asn1_ocsp.ResponseData], None]) -> bytes:
        whole = asn1_ocsp.OCSPResponse.load(response)
        basic = whole["response_bytes"]["response"].parsed
        change(basic["tbs_response_data"])
        signed = basic["tbs_response_data"].dump(force=True)
        basic["signature"] = self.signer.key.sign(signed, PKCS1v15(), hashes.SHA256())
        kind = "basic_ocsp_response"
        inner = asn1_ocsp.ResponseBytes({"response_type": kind, "response": basic})
        made = asn1_ocsp.OCSPResponse({"response_status": "successful", "response_bytes": inner})
        return bytes(made.dump(force=True))


def addresses(url: str, *lists: str, responder: bool = False) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions that name where CRLs and the responder are.

    Args:
        url: what the paths are appended to.
        lists: the paths of CRLs.
        responder: there is an OCSP responder.
    """
    found: list[tuple[x509.ExtensionType, bool]] = []
    if lists:
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url + path)], None, None, None)
            for path in lists
        ]
        found.append((x509.CRLDistributionPoints(points), False))
    if responder:
        address = x509.UniformResourceIdentifier(url + RESPONDER)
        description = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, address)
        found.append((x509.AuthorityInformationAccess([description]), False))
    return found


def entry(
    one: Party,
    reason: x509.ReasonFlags,
    at: datetime = NOW,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> x509.RevokedCertificate:
    """Return the entry of a party's certificate in a CRL.

    Args:
        one: the party.
        reason: why it is revoked; certificateHold suspends it.
        at: since when.
        more: further extensions, each with whether it is critical.
    """
    builder = x509.RevokedCertificateBuilder(one.certificate.serial_number, at)
    for extension, critical in ((x509.CRLReason(reason), False), *more):
        builder = builder.add_extension(extension, critical)
    return builder.build()


def published_at(
    *urls: str, ca_only: bool = False, indirect: bool = False
) -> tuple[x509.ExtensionType, bool]:
    """Return issuingDistributionPoint.

    Args:
        urls: where the CRL says that it is published; none: it does not say.
        ca_only: it is one of CAs' certificates.
        indirect: it is one of several issuers' certificates.
    """
    names = [x509.UniformResourceIdentifier(url) for url in urls] or None
    return x509.IssuingDistributionPoint(names, None, False, ca_only, None, indirect, False), True


def revocation_list(
    signer: Party,
    number: int,
    *entries: x509.RevokedCertificate,
    name: x509.Name | None = None,
    at: datetime = NOW,
    until: datetime = NOW + DAY,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    change: Callable[[asn1_crl.TbsCertList], None] | None = None,
) -> bytes:
    """Return a CRL, in DER.

    Args:
        signer: who signs.
        number: cRLNumber.
        entries: see entry().
        name: name of the issuer, if it is not the signer's.
        at: thisUpdate.
        until: nextUpdate.
        more: further extensions, each with whether it is critical.
        change: changes what is signed.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or signer.certificate.subject)
        .last_update(at)
        .next_update(until)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    for one in entries:
        builder = builder.add_revoked_certificate(one)
    made = builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)
    if change is None:
        return made
    whole = asn1_crl.CertificateList.load(made)
    change(whole["tbs_cert_list"])
    whole["signature"] = signer.key.sign(whole["tbs_cert_list"].dump(force=True), PKCS1v15(), hashes.SHA256())
    return bytes(whole.dump(force=True))


class Addresses:
    """A web server on this machine, for the issuer's addresses.

    Attributes:
        url: its origin.
        answers: what it answers now.
        asked: the paths that were asked, in their order.
    """

    def __init__(self, port: int) -> None:
        self.url: Final = f"http://127.0.0.1:{port}"
        self.answers: Answering = Answers()
        self.asked: list[str] = []

    def get(self, path: str, request: bytes) -> bytes | None:
        """Return what a path answers now (Answering.get)."""
        self.asked.append(path)
        return self.answers.get(path, request)


@contextmanager
def serving() -> Iterator[Addresses]:
    """Serve an issuer's addresses on 127.0.0.1, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = served.get(self.path, body)
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(answer or b"")))
            self.end_headers()
            self.wfile.write(answer or b"")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Addresses(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
