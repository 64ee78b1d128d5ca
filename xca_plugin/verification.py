# SPDX-License-Identifier: Apache-2.0
"""Verification of signed files: CMS SignedData (RFC 5652) with one signer.

pyHanko computes signatures and judges a chain (RFC 5280, section 6). Which chain, what must be signed beside
the content, what the certificate is for and whether it is revoked is decided here, and content inside a
signature passes by in chunks (xca_common.pki.asn1_stream).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, cast

from asn1crypto import cms, core, pem  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.sign.general import CMSExtractionError, CMSStructuralError
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation, validate_sig_integrity
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
from pyhanko_certvalidator.errors import DisallowedAlgorithmError, ValidationError
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy
from pyhanko_certvalidator.validate import async_validate_path

from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_common.pki import asn1_stream, revocation
from xca_common.pki.certificate import Certificate
from xca_common.pki.chain import STRONG, UNREADABLE, Chain, TooManyError, chains, digests, is_strong
from xca_common.pki.fetching import Fetcher, Unreachable
from xca_common.pki.revocation import Judgement, Standing
from xca_common.taipei import day
from xca_plugin import errors, own_loop
from xca_plugin.i18n import text

_MOST_BYTES: Final = 32 << 20  # of a CRL or OCSP response
_MOST_TRUSTED_BYTES: Final = 4 << 20
_MOST_CERTIFICATES: Final = 32  # in a signature
_MOST_ADDRESSES: Final = 4  # of one kind, in a certificate
_START: Final = 32  # bytes of a content that are looked at
_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_DATA: Final = cms.ContentType("data").dump()
_CONTENT_TYPE: Final = "content_type"
_MESSAGE_DIGEST: Final = "message_digest"
_SIGNING_TIME: Final = "signing_time"
# Good enough for the content of signatures of the past, and never for a certificate.
_ACCEPTED: Final = STRONG | {"sha1"}
# Algorithms that sign a message and not its digest (RFC 8419).
_WITHOUT_DIGEST: Final = frozenset({"ed25519", "ed448"})
# Purposes (RFC 5280, section 4.2.1.12) of certificates that sign files, if they name any.
_SIGNS_FILES: Final = frozenset(
    {
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # documentSigning (RFC 9336)
        ObjectIdentifier("1.3.6.1.4.1.311.10.3.12"),  # what Microsoft's programs ask for instead
        ObjectIdentifier("1.2.840.113583.1.1.5"),  # and Adobe's
    }
)
# What the libraries raise for structures that no program writes.
_MALFORMED: Final = (
    *UNREADABLE,
    CMSExtractionError,
    CMSStructuralError,
    SignatureValidationError,
    AssertionError,
    RuntimeError,  # RecursionError and NotImplementedError too
    UnboundLocalError,
)

_ALTERED: Final = text("it was not made with the key of its signer's certificate, or was altered.")
_OTHER_FILE: Final = text("the file is not the one that was signed.")
_OTHER_ATTRIBUTES: Final = text("what was signed beside the content does not fit the content.")
_PERHAPS_ATTRIBUTES: Final = text(
    "its content may be what was signed beside another content; nobody signed it as a file."
)
_WEAK: Final = text("it uses an algorithm that is no longer secure.")
_NO_CHAIN: Final = text("its signer's certificate was not issued under the given CA.")
_NOT_TODAY: Final = text("its signer's certificate is not within its validity today.")
_OTHER_PURPOSE: Final = text("its signer's certificate is not meant for signatures.")
_CHAIN_PROBLEM: Final = text("the chain of its signer's certificate is not valid.")
_TOO_MANY: Final = text(
    "the chain of its signer's certificate is longer or less clear than is looked through."
)
_REVOKED: Final = text("its signer's certificate was revoked on {day}.")
_SUSPENDED: Final = text("its signer's certificate is suspended since {day}.")
_CA_REVOKED: Final = text("the certificate of its signer's CA is revoked.")
_UNKNOWN: Final = text("what is known of revocation is not about its signer's certificate, or not of today.")
_UNKNOWN_BECAUSE: Final = text(
    "what is known of revocation is not about its signer's certificate, or not of today: {detail}."
)
_CA_UNKNOWN: Final = text("it is not known whether the certificate of its signer's CA is revoked.")
_CA_UNKNOWN_BECAUSE: Final = text(
    "it is not known whether the certificate of its signer's CA is revoked: {detail}."
)


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes:
        signer: the signer's certificate.
        signed_at: when, by the signer's own clock; None when the signature does not say.
        digest: name of the digest algorithm.
        only_content: nothing but the content was signed: neither its kind nor a time.
        revocation_checked: whether it was found out if the signer's certificate is revoked.
        not_checked: the holders of those certificates, from the signer's up to the trusted one, of which it
            was not found out.
        problem: why the signature does not hold; None: it holds.
    """

    signer: Certificate
    signed_at: datetime | None
    digest: str
    only_content: bool
    revocation_checked: bool
    not_checked: tuple[str, ...]
    problem: Text | None


@dataclass(frozen=True)
class Sources:
    """Where a verification learns of revoked certificates; from nowhere by default.

    Attributes:
        crls: files with a CRL (RFC 5280), DER or PEM.
        responses: files with an OCSP response (RFC 6960), DER.
        fetch: ask, over the network, where the certificates say.
        hosts: hosts that may be asked beside the issuers'.
    """

    crls: Sequence[Path] = ()
    responses: Sequence[Path] = ()
    fetch: bool = False
    hosts: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.crls or self.responses or self.fetch)


def verify(
    signature: BinaryIO,
    ca_file: Path,
    content: BinaryIO | None = None,
    *,
    output: BinaryIO | None = None,
    sources: Sources = Sources(),
) -> Verdict:
    """Verify a signature: the content, the signature, the signer's certificate and its chain, today.

    SHA-1, in signatures of the past, is accepted for the content; the verdict names it.

    Args:
        signature: an open file: CMS SignedData, DER (also BER) or PEM.
        ca_file: the certificates to trust, in PEM or DER.
        content: the signed file; None when the signature holds it.
        output: takes the content that the signature holds; the verdict tells what it is worth.
        sources: where to learn of revoked certificates.

    Raises:
        NotASignature, NotACertificate, NotRevocationData: a file holds something else.
        TooMuch: a file holds more than is read.
        CutOff: the signature ends too early.
        FileProblem: a file cannot be read.
    """
    path = Path(signature.name)
    trusted = _certificates(ca_file)
    known = _Known(
        [_crl(file) for file in sources.crls], [_response(file) for file in sources.responses], sources
    )
    try:
        signed_data, attached = _signed_data(signature)
        if attached is not (content is None):
            raise errors.NotASignature(path=path)
        if content is None:
            signature.seek(0)
            content = cast(BinaryIO, asn1_stream.Chunks(_content(signature, output)))
        return _verdict(content, signed_data, trusted, known)
    except EOFError as error:
        raise errors.CutOff(path=path) from error
    except asn1_stream.TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except _MALFORMED as error:
        raise errors.NotASignature(path=path) from error


def _verdict(
    content: BinaryIO, signed_data: cms.SignedData, trusted: list[x509.Certificate], known: "_Known"
) -> Verdict:
    moment = datetime.now(UTC)
    info = signed_data["signer_infos"][0]
    found = extract_certs_for_validation(signed_data)
    signer = Certificate.parse("", "", found.signer_cert.dump())
    name = info["digest_algorithm"]["algorithm"].native
    seen = _Seen.of(content, name)
    attributes = _Attributes.of(info)
    problem = _content_problem(info, signed_data["encap_content_info"], found.signer_cert, seen, attributes)
    not_checked: tuple[str, ...] = (signer.holder,)
    checked = False
    if problem is None:
        chain, problem = _chain(_parsed(found.signer_cert), _readable(found.other_certs), trusted, moment)
        below = [] if chain is None else list(pairwise(chain))
        if chain is not None:
            not_checked = tuple(_holder(certificate) for certificate, _ in below)
        if known and problem is None:
            checked, not_checked, problem = _revocation(below, known, moment)
    return Verdict(
        signer=signer,
        signed_at=attributes.signed_at if attributes else None,
        digest=name,
        only_content=attributes is None,
        revocation_checked=checked,
        not_checked=not_checked,
        problem=problem,
    )


# --- what was signed


@dataclass(frozen=True)
class _Seen:
    """What passed by of a content: its digest, its size, its first bytes."""

    digest: bytes
    size: int
    start: bytes

    @classmethod
    def of(cls, content: BinaryIO, algorithm: str) -> "_Seen":
        digest = hashlib.new(algorithm, usedforsecurity=False)
        size, start = 0, b""
        while chunk := content.read(asn1_stream.CHUNK):
            digest.update(chunk)
            size += len(chunk)
            start = (start + chunk)[:_START] if len(start) < _START else start
        return cls(digest.digest(), size, start)

    @property
    def may_be_attributes(self) -> bool:
        """Whether this is a SET that begins as signed attributes do: with a SEQUENCE, this with an OID."""
        try:
            length, at = asn1_stream.read_length(self.start, 1)
            _, inner = asn1_stream.read_length(self.start, at + 1)
        except ValueError:
            return False
        whole = length is None or at + length == self.size
        tags = self.start[:1] + self.start[at : at + 1] + self.start[inner : inner + 1]
        return whole and tags == bytes((asn1_stream.SET, asn1_stream.SEQUENCE, asn1_stream.OID))


@dataclass(frozen=True)
class _Attributes:
    """The signed attributes that count (RFC 5652, section 11).

    Attributes:
        content_type: dotted; None: not there once, with one value.
        message_digest: likewise.
        signed_at: None: it is not said.
        is_odd: a time is said that is none.
    """

    content_type: str | None
    message_digest: bytes | None
    signed_at: datetime | None
    is_odd: bool

    @classmethod
    def of(cls, info: cms.SignerInfo) -> "_Attributes | None":
        """Read them; None: nothing is signed beside the content."""
        attributes = info["signed_attrs"]
        if isinstance(attributes, core.Void):
            return None
        values: dict[str, list[core.Asn1Value]] = {_CONTENT_TYPE: [], _MESSAGE_DIGEST: [], _SIGNING_TIME: []}
        times = {_CONTENT_TYPE: 0, _MESSAGE_DIGEST: 0, _SIGNING_TIME: 0}
        for attribute in attributes:
            if (kind := attribute["type"].native) in values:
                values[kind] += list(attribute["values"])
                times[kind] += 1
        once = {kind: found[0] for kind, found in values.items() if len(found) == times[kind] == 1}
        signed_at = once[_SIGNING_TIME].native if _SIGNING_TIME in once else None
        is_time = isinstance(signed_at, datetime) and signed_at.tzinfo is not None
        return cls(
            once[_CONTENT_TYPE].dotted if _CONTENT_TYPE in once else None,
            once[_MESSAGE_DIGEST].native if _MESSAGE_DIGEST in once else None,
            signed_at if is_time else None,
            is_odd=times[_SIGNING_TIME] > 0 and not is_time,
        )


def _content_problem(
    info: cms.SignerInfo,
    content_info: cms.EncapsulatedContentInfo,
    signer: asn1_x509.Certificate,
    seen: _Seen,
    attributes: _Attributes | None,
) -> Text | None:
    """Return why signer and content do not belong together; None: they do."""
    kind = content_info["content_type"]
    if attributes is None:
        # Else attributes taken out of a signature are a content that was signed (RFC 5652, section 5.4).
        if kind.dump() != _DATA or seen.may_be_attributes:
            return _PERHAPS_ATTRIBUTES
        if info["signature_algorithm"]["algorithm"].native in _WITHOUT_DIGEST:
            raise ValueError  # it would sign the whole content, which is nowhere kept, and never a digest
    elif attributes.content_type != kind.dotted or attributes.message_digest is None or attributes.is_odd:
        return _OTHER_ATTRIBUTES
    intact, valid = validate_sig_integrity(info, signer, kind.native, seen.digest)
    if not valid:
        return _ALTERED
    if not intact:
        return _OTHER_FILE
    algorithm, digest = info["signature_algorithm"], info["digest_algorithm"]
    policy = CMSAlgorithmUsagePolicy.lift_policy(
        DisallowWeakAlgorithmsPolicy(weak_hash_algos=frozenset())  # type: ignore[no-untyped-call]
    )
    accepted = (
        {digest["algorithm"].native} | digests(algorithm) <= _ACCEPTED
        and policy.signature_algorithm_allowed(algorithm, None, signer.public_key)  # its key is long enough
        and policy.digest_combination_allowed(algorithm, digest, None)
    )
    return None if accepted else _WEAK


# --- who signed


def _chain(
    signer: x509.Certificate,
    others: list[x509.Certificate],
    trusted: list[x509.Certificate],
    moment: datetime,
) -> tuple[Chain | None, Text | None]:
    """Return a chain of the signer's certificate, and what is wrong with the first of all; None: nothing."""
    problem = None
    try:
        for chain in chains(signer, others, trusted, moment):
            found = _chain_problem(chain, moment)
            if found is None:
                return chain, None
            problem = problem or found
    except TooManyError:
        problem = problem or _TOO_MANY
    return None, problem or _NO_CHAIN


def _chain_problem(chain: Chain, moment: datetime) -> Text | None:
    signer = chain[0]
    if not signer.not_valid_before_utc <= moment <= signer.not_valid_after_utc:
        return _NOT_TODAY
    usage = _extension(signer, x509.KeyUsage)
    # The certificates of organisation cards assert digitalSignature, never nonRepudiation.
    signs = isinstance(usage, x509.KeyUsage) and (usage.digital_signature or usage.content_commitment)
    if not signs or not all(_may_sign_files(certificate) for certificate in (signer, *chain[1:-1])):
        return _OTHER_PURPOSE
    *below, anchor = (_asn1(certificate) for certificate in chain)
    if not all(is_strong(certificate["signature_algorithm"]) for certificate in below):
        return _WEAK
    if not below:
        return None
    context = ValidationContext(trust_roots=[anchor], moment=moment, revocation_mode="soft-fail")
    qualifiers = TrustQualifiers(
        max_path_length=anchor.max_path_length,
        max_aa_path_length=anchor.max_path_length,  # pyHanko counts both, or fails
        valid_from=anchor.not_valid_before,
        valid_until=anchor.not_valid_after,
    )
    path = ValidationPath(CertTrustAnchor(anchor, qualifiers), reversed(below[1:]), below[0])
    try:
        own_loop.run(async_validate_path(context, path))
    except DisallowedAlgorithmError:
        return _WEAK
    except (ValidationError, *_MALFORMED):
        return _CHAIN_PROBLEM
    return None


def _may_sign_files(certificate: x509.Certificate) -> bool:
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    return not isinstance(purposes, x509.ExtendedKeyUsage) or not _SIGNS_FILES.isdisjoint(purposes)


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def _parsed(certificate: asn1_x509.Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.dump())


def _readable(certificates: Iterable[asn1_x509.Certificate]) -> list[x509.Certificate]:
    """Return those that can be read; one that is odd keeps nobody from the others."""
    found = []
    for certificate in certificates:
        try:
            parsed = _parsed(certificate)
            _ = parsed.extensions, parsed.subject, parsed.issuer  # it reads lazily
            found.append(parsed)
        except _MALFORMED:
            continue
    return found


def _holder(certificate: x509.Certificate) -> str:
    return Certificate.parse("", "", certificate.public_bytes(Encoding.DER)).holder


# --- whether it is revoked


class _Known:
    """What is known of revocation, and what may be asked."""

    def __init__(
        self,
        lists: list[x509.CertificateRevocationList],
        responses: list[ocsp.OCSPResponse],
        sources: Sources,
    ) -> None:
        self._lists = lists
        self._responses = responses
        self._fetcher = Fetcher(sources.hosts) if sources.fetch else None
        self._asked_for = bool(sources)

    def __bool__(self) -> bool:
        return self._asked_for

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Judgement:
        """Say how a certificate stands by all that is given and, if that is allowed, what is fetched."""
        lists: list[x509.CertificateRevocationList] = []
        responses: list[ocsp.OCSPResponse] = []
        silent = None
        if self._fetcher:
            silent = self._fetch(self._fetcher, certificate, issuer, moment, lists, responses)
        found = revocation.standing(
            certificate, issuer, [*self._lists, *lists], [*self._responses, *responses], moment
        )
        if found.standing is Standing.UNKNOWN and silent is not None:
            detail = text("{address} gives no answer: {detail}")
            return Judgement(
                Standing.UNKNOWN, detail=detail.format(address=silent.address, detail=silent.detail)
            )
        return found

    def _fetch(
        self,
        fetcher: Fetcher,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        moment: datetime,
        lists: list[x509.CertificateRevocationList],
        responses: list[ocsp.OCSPResponse],
    ) -> Unreachable | None:
        """Ask a certificate's addresses until one tells how it stands; return the last silence before."""
        silent = None
        question = revocation.question(certificate, issuer)
        responders = revocation.responder_addresses(certificate)[:_MOST_ADDRESSES]
        for address in [*responders, *revocation.list_addresses(certificate)[:_MOST_ADDRESSES]]:
            try:
                if address in responders:
                    responses.append(fetcher.get_response(address, question))
                else:
                    lists.append(fetcher.get_list(address))
            except Unreachable as error:
                silent = error
                continue
            found = revocation.standing(certificate, issuer, lists, responses, moment)
            if found.standing is not Standing.UNKNOWN:
                break
        return silent


def _revocation(
    below: list[tuple[x509.Certificate, x509.Certificate]], known: _Known, moment: datetime
) -> tuple[bool, tuple[str, ...], Text | None]:
    """Return whether the signer's certificate was checked, which ones were not, and the problem.

    Args:
        below: each certificate below the trusted one, with its issuer.
        known: what is known.
        moment: when.
    """
    if not below:
        return False, (), _UNKNOWN  # the signer's own certificate is trusted: nobody is there to say
    judged = [(certificate, known.judge(certificate, issuer, moment)) for certificate, issuer in below]
    not_checked = tuple(_holder(one) for one, found in judged if found.standing is Standing.UNKNOWN)
    checked = bool(judged) and judged[0][1].standing is not Standing.UNKNOWN
    # What is known for certain is said before what is not known.
    for number, (_, found) in enumerate(judged):
        if found.standing in (Standing.SUSPENDED, Standing.REVOKED):
            return checked, not_checked, _taken_back(found, is_signer=number == 0)
    for number, (certificate, found) in enumerate(judged):
        # A CA's certificate that names neither list nor responder is checked if somebody gives its list.
        asked = number == 0 or _names_somebody(certificate)
        if asked and found.standing is Standing.UNKNOWN:
            return checked, not_checked, _unknown(found.detail, is_signer=number == 0)
    return checked, not_checked, None


def _taken_back(found: Judgement, *, is_signer: bool) -> Text:
    if not is_signer:
        return _CA_REVOKED
    sentence = _SUSPENDED if found.standing is Standing.SUSPENDED else _REVOKED
    return sentence.format(day=day(found.since) if found.since else "?")


def _unknown(detail: Text | None, *, is_signer: bool) -> Text:
    if detail is None:
        return _UNKNOWN if is_signer else _CA_UNKNOWN
    return (_UNKNOWN_BECAUSE if is_signer else _CA_UNKNOWN_BECAUSE).format(detail=detail)


def _names_somebody(certificate: x509.Certificate) -> bool:
    return bool(revocation.list_addresses(certificate) or revocation.responder_addresses(certificate))


# --- files


def _start(signature: BinaryIO) -> tuple[asn1_stream.Reader, bytes, bytes]:
    """Read as far as the content: what comes before it, and its type."""
    reader = asn1_stream.Reader(signature)
    reader.enter(asn1_stream.SEQUENCE)
    if reader.element(asn1_stream.OID) != _SIGNED_DATA:
        raise ValueError
    reader.enter(asn1_stream.EXPLICIT)
    reader.enter(asn1_stream.SEQUENCE)
    head = reader.element(asn1_stream.INTEGER) + reader.element(asn1_stream.SET)
    reader.enter(asn1_stream.SEQUENCE)
    return reader, head, reader.element(asn1_stream.OID)


def _signed_data(signature: BinaryIO) -> tuple[cms.SignedData, bool]:
    """Return the SignedData without its content, and whether it has one."""
    reader, head, inner = _start(signature)
    attached = reader.next() is not None
    if attached:
        reader.enter(asn1_stream.EXPLICIT)
        for _chunk in reader.octets():
            pass
        reader.leave()
    reader.leave()
    certificates = reader.element(asn1_stream.EXPLICIT) if reader.next() == asn1_stream.EXPLICIT else b""
    if reader.next() == asn1_stream.EXPLICIT_1:
        reader.skip(asn1_stream.EXPLICIT_1)  # what the signature's maker says of revocation
    infos = reader.element(asn1_stream.SET)
    for _level in range(3):
        reader.leave()
    reader.finish()
    content_info, _ = asn1_stream.around(0, (asn1_stream.SEQUENCE, inner, b""))
    der, _ = asn1_stream.around(0, (asn1_stream.SEQUENCE, head + content_info + certificates + infos, b""))
    signed_data = cms.SignedData.load(der, strict=True)
    if len(signed_data["signer_infos"]) != 1:
        raise ValueError
    if len(signed_data["certificates"]) > _MOST_CERTIFICATES:
        raise asn1_stream.TooMuchError(
            text("it has more than {count} certificates").format(count=_MOST_CERTIFICATES)
        )
    return signed_data, attached


def _content(signature: BinaryIO, output: BinaryIO | None) -> Iterator[bytes]:
    reader, _, _ = _start(signature)
    reader.enter(asn1_stream.EXPLICIT)
    for chunk in reader.octets():
        if output is not None:
            output.write(chunk)
        yield chunk


def _crl(path: Path) -> x509.CertificateRevocationList:
    data = _read(path, _MOST_BYTES)
    try:
        if pem.detect(data):
            _, _, data = pem.unarmor(data)
        found = x509.load_der_x509_crl(data)
        _ = found.extensions, found.last_update_utc, found.next_update_utc  # it reads lazily
    except _MALFORMED as error:
        raise errors.NotRevocationData(path=path) from error
    return found


def _response(path: Path) -> ocsp.OCSPResponse:
    try:
        found = ocsp.load_der_ocsp_response(_read(path, _MOST_BYTES))
        _ = (
            found.responder_key_hash,
            list(found.responses),
        )  # it reads lazily, and fails if it was not successful
    except _MALFORMED as error:
        raise errors.NotRevocationData(path=path) from error
    return found


def _certificates(path: Path) -> list[x509.Certificate]:
    data = _read(path, _MOST_TRUSTED_BYTES)
    try:
        found = list(load_certs_from_pemder_data(data))
        certificates = _readable(found)
        for certificate in found:
            Certificate.parse(
                "", "", certificate.dump()
            )  # it reads lazily, so that anything passes until then
    except _MALFORMED as error:
        raise errors.NotACertificate(path=path) from error
    if not certificates or len(certificates) != len(found):
        raise errors.NotACertificate(path=path)
    return certificates


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    if len(data) > most:
        raise errors.TooMuch(path=path, detail=text("it has more than {size} MiB").format(size=most >> 20))
    return data
