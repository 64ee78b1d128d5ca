# SPDX-License-Identifier: Apache-2.0
"""Signatures of files made with a card, CMS (RFC 5652) or bare, and their verification.

The machinery is pyHanko's; content inside a signature passes by in chunks (xca_plugin.ber).
"""

import asyncio
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from asn1crypto import cms, crl, ocsp, pem, tsp, x509  # type: ignore[import-untyped]
from cryptography.exceptions import UnsupportedAlgorithm
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.general import (
    CMSExtractionError,
    CMSStructuralError,
)
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import StandardCMSSignatureStatus
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    DisallowWeakAlgorithmsPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)

from xca_plugin import ber, errors
from xca_plugin.cards import Cards
from xca_plugin.i18n import Text, text
from xca_plugin.model import Card, Certificate, Hash, Key
from xca_plugin.secret import Secret
from xca_plugin.signer import CardSigner

_MOST_BYTES: Final = 64 << 20  # of a file that is read whole; complete CRLs are big
_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_DIGEST: Final = "message_digest"
# What the libraries raise for structures that no program writes; a fuzzer found the last four.
_MALFORMED: Final = (
    CMSExtractionError,
    CMSStructuralError,
    SignatureValidationError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    UnboundLocalError,
    UnsupportedAlgorithm,
)
_REVOCATION_NEEDED: Final = CertRevTrustPolicy(
    RevocationCheckingPolicy(
        ee_certificate_rule=RevocationCheckingRule.CRL_OR_OCSP_REQUIRED,
        intermediate_ca_cert_rule=RevocationCheckingRule.CHECK_IF_DECLARED,
    )
)
_REVOCATION_UNKNOWN: Final = (
    AdESIndeterminate.TRY_LATER,
    AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE,
)

# What pyHanko says of a signer's certificate, in words.
_TRUST_PROBLEMS: Final = {
    AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND: text(
        "its signer's certificate was not issued under the given CA."
    ),
    AdESIndeterminate.OUT_OF_BOUNDS_NO_POE: text(
        "its signer's certificate is not within its validity today."
    ),
    AdESIndeterminate.CHAIN_CONSTRAINTS_FAILURE: text(
        "its signer's certificate is not meant for signatures."
    ),
    AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE: text("it uses an algorithm that is no longer secure."),
}
_REVOKED: Final = text("its signer's certificate was revoked on {day}.")
_SUSPENDED: Final = text("its signer's certificate is suspended since {day}.")
_CHAIN_PROBLEM: Final = text("the chain of its signer's certificate is not valid.")


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes:
        signer: the signer's certificate.
        signed_at: when, by the signer's own clock; None when the signature does not say.
        digest: name of the digest algorithm.
        revocation_checked: whether it was found out if the signer's certificate is revoked.
        problem: why the signature does not hold; None: it holds.
    """

    signer: Certificate
    signed_at: datetime | None
    digest: str
    revocation_checked: bool
    problem: Text | None


@dataclass(frozen=True)
class Revocation:
    """Where a verification learns of revoked certificates; from nowhere by default.

    Attributes:
        crls: files with a CRL (RFC 5280), DER or PEM.
        responses: files with an OCSP response (RFC 6960), DER.
        fetch: ask, over the network, where the certificates say.
    """

    crls: Sequence[Path] = ()
    responses: Sequence[Path] = ()
    fetch: bool = False

    def __bool__(self) -> bool:
        return bool(self.crls or self.responses or self.fetch)


def sign(
    content: BinaryIO,
    output: BinaryIO,
    cards: Cards,
    card: Card,
    pin: Secret,
    *,
    attached: bool = False,
    pem: bool = False,
    chain: bool = True,
    signing_time: bool = True,
) -> bytes:
    """Sign a file: SignedData with SHA-256.

    Args:
        content: the file; read twice if attached.
        output: takes the SignedData.
        cards: the facade that knows the card.
        card: an activated card.
        pin: its PIN.
        attached: the SignedData holds the content as well.
        pem: write PEM (RFC 7468), not DER.
        chain: it holds the certificates of the signer's issuers, not the signer's alone.
        signing_time: it says when it was signed.

    Returns:
        The bare signature, for what stamps its time.

    Raises:
        NoSuchCertificate: the card has no signing certificate.
        FileProblem: the file changed while it was read.
        CardError: as Cards.sign.
    """
    certificates = [found for found in cards.certificates(card) if chain or found.id == Key.SIGN]
    signer = CardSigner(cards, card, certificates, lambda: pin)
    now = datetime.now(UTC).replace(microsecond=0)
    settings = PdfCMSSignedAttributes(signing_time=now if signing_time else None)
    signing = signer.async_sign_general_data(
        content, Hash.SHA256.value, chunk_size=ber.CHUNK, signed_attr_settings=settings
    )
    signed = asyncio.run(signing)
    signed_data = signed["content"]
    with ber.Armor(output, "CMS") if pem else nullcontext(output) as target:
        if attached:
            _write_attached(signed_data, content, target)
        else:
            target.write(signed.dump())
    return bytes(signed_data["signer_infos"][0]["signature"].native)


def sign_raw(content: BinaryIO, cards: Cards, card: Card, pin: Secret) -> bytes:
    """Return the bare signature of a file: RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2) with SHA-256.

    Raises:
        CardError: as Cards.sign.
    """
    digest = hashlib.sha256()
    while chunk := content.read(ber.CHUNK):
        digest.update(chunk)
    return cards.sign(card, pin, digest.digest())


def timestamp_request(signature: bytes) -> bytes:
    """Return the request for a time-stamp of a signature (RFC 3161, section 2.4.1 and appendix A), in DER."""
    digest = hashlib.sha256(signature).digest()
    request = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest},
            "nonce": secrets.randbits(63),
            "cert_req": True,
        }
    )
    return bytes(request.dump())


def verify(
    signature: BinaryIO,
    ca_file: Path,
    content: BinaryIO | None = None,
    *,
    output: BinaryIO | None = None,
    revocation: Revocation = Revocation(),
) -> Verdict:
    """Verify a signature: the content, the signature, the signer's certificate and its chain, today.

    SHA-1, in signatures of the past, is accepted for the content; the verdict names it.

    Args:
        signature: an open file: CMS SignedData, DER (also BER) or PEM.
        ca_file: the certificates to trust, in PEM or DER.
        content: the signed file; None when the signature holds it.
        output: takes the content that the signature holds; the verdict tells what it is worth.
        revocation: where to learn of revoked certificates.

    Raises:
        NotASignature, NotACertificate, NotRevocationData: a file holds something else.
        CutOff: the signature ends too early.
        FileProblem: a file cannot be read.
    """
    path = Path(signature.name)
    trusted = _certificates(ca_file)
    context = {
        "trust_roots": trusted,
        "crls": [_crl(file) for file in revocation.crls],
        "ocsps": [_response(file) for file in revocation.responses],
        "revinfo_policy": _REVOCATION_NEEDED if revocation else None,
    }
    try:
        signed_data, attached = _signed_data(signature)
        if attached is not (content is None):
            raise errors.NotASignature(path=path)
        if content is None:
            signature.seek(0)
            content = cast(BinaryIO, ber.Chunks(_content(signature, output)))
        return asyncio.run(_verify(content, signed_data, context, revocation))
    except EOFError as error:
        raise errors.CutOff(path=path) from error
    except _MALFORMED as error:
        raise errors.NotASignature(path=path) from error


async def _verify(
    content: BinaryIO, signed_data: cms.SignedData, context: dict[str, Any], revocation: Revocation
) -> Verdict:
    async with AsyncExitStack() as stack:
        if revocation.fetch:
            import aiohttp  # with its fetchers slow to load, and rarely needed
            from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend

            session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=True))
            context |= {"allow_fetching": True, "fetcher_backend": AIOHttpFetcherBackend(session)}
        status = await async_validate_detached_cms(
            content,
            signed_data,
            signer_validation_context=ValidationContext(**context),
            # The certificates of organisation cards assert digitalSignature, never nonRepudiation.
            key_usage_settings=KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}),
            algorithm_policy=CMSAlgorithmUsagePolicy.lift_policy(
                DisallowWeakAlgorithmsPolicy(  # type: ignore[no-untyped-call]
                    weak_hash_algos=frozenset({"md2", "md5"})
                )
            ),
            chunk_size=ber.CHUNK,
        )
    problem = _problem(status, revocation)
    return Verdict(
        signer=Certificate.parse("", "", status.signing_cert.dump()),
        signed_at=status.signer_reported_dt,
        digest=status.md_algorithm,
        revocation_checked=status.revocation_details is not None or bool(revocation and problem is None),
        problem=problem,
    )


def _problem(status: StandardCMSSignatureStatus, revocation: Revocation) -> Text | None:
    if not status.valid:
        return text("it was not made with the key of its signer's certificate, or was altered.")
    if not status.intact:
        return text("the file is not the one that was signed.")
    if status.trusted:
        return None
    if details := status.revocation_details:
        if details.ca_revoked:
            return text("the certificate of its signer's CA is revoked.")
        held = details.revocation_reason.native == "certificate_hold"
        return (_SUSPENDED if held else _REVOKED).having(
            day=f"{details.revocation_date.astimezone():%Y-%m-%d}"
        )
    indication = status.trust_problem_indic
    if revocation and indication in _REVOCATION_UNKNOWN:
        return text("what is known of revocation is not about its signer's certificate, or not of today.")
    if isinstance(indication, AdESIndeterminate):
        return _TRUST_PROBLEMS.get(indication, _CHAIN_PROBLEM)
    return _CHAIN_PROBLEM


def _write_attached(signed_data: cms.SignedData, content: BinaryIO, target: "BinaryIO | ber.Armor") -> None:
    size = content.tell()
    content.seek(0)
    inner = signed_data["encap_content_info"]["content_type"].dump()
    head = b"".join(signed_data[name].dump() for name in ("version", "digest_algorithms"))
    tail = b"".join(signed_data[name].dump() for name in ("certificates", "signer_infos"))
    before, after = ber.around(
        size,
        (ber.OCTETS, b"", b""),
        (ber.EXPLICIT, b"", b""),
        (ber.SEQUENCE, inner, b""),
        (ber.SEQUENCE, head, tail),
        (ber.EXPLICIT, b"", b""),
        (ber.SEQUENCE, _SIGNED_DATA, b""),
    )
    digest = hashlib.sha256()
    target.write(before)
    while chunk := content.read(ber.CHUNK):
        digest.update(chunk)
        target.write(chunk)
    target.write(after)
    signed_attrs = signed_data["signer_infos"][0]["signed_attrs"]
    (signed_digest,) = (item["values"][0].native for item in signed_attrs if item["type"].native == _DIGEST)
    if digest.digest() != signed_digest:
        raise errors.FileProblem(path=content.name, detail=text("it changed while it was read"))


def _start(signature: BinaryIO) -> tuple[ber.Reader, bytes, bytes]:
    """Read as far as the content: what comes before it, and its type."""
    reader = ber.Reader(signature)
    reader.enter(ber.SEQUENCE)
    if reader.element(ber.OID) != _SIGNED_DATA:
        raise ValueError
    reader.enter(ber.EXPLICIT)
    reader.enter(ber.SEQUENCE)
    head = reader.element(ber.INTEGER) + reader.element(ber.SET)
    reader.enter(ber.SEQUENCE)
    return reader, head, reader.element(ber.OID)


def _signed_data(signature: BinaryIO) -> tuple[cms.SignedData, bool]:
    """Return the SignedData without its content, and whether it has one."""
    reader, head, inner = _start(signature)
    attached = reader.next() is not None
    if attached:
        reader.enter(ber.EXPLICIT)
        for _chunk in reader.octets():
            pass
        reader.leave()
    reader.leave()
    tail = reader.rest()
    for _level in range(3):
        reader.leave()
    reader.finish()
    content_info, _ = ber.around(0, (ber.SEQUENCE, inner, b""))
    der, _ = ber.around(0, (ber.SEQUENCE, head + content_info + tail, b""))
    signed_data = cms.SignedData.load(der, strict=True)
    if len(signed_data["signer_infos"]) != 1:
        raise ValueError
    return signed_data, attached


def _content(signature: BinaryIO, output: BinaryIO | None) -> Iterator[bytes]:
    reader, _, _ = _start(signature)
    reader.enter(ber.EXPLICIT)
    for chunk in reader.octets():
        if output is not None:
            output.write(chunk)
        yield chunk


def _crl(path: Path) -> crl.CertificateList:
    data = _read(path)
    try:
        if pem.detect(data):
            _, _, data = pem.unarmor(data)
        found = crl.CertificateList.load(data, strict=True)
        _ = found.native  # it reads lazily
    except _MALFORMED as error:
        raise errors.NotRevocationData(path=path) from error
    return found


def _response(path: Path) -> ocsp.OCSPResponse:
    try:
        found = ocsp.OCSPResponse.load(_read(path), strict=True)
        _ = found.response_data.native  # it reads lazily
    except _MALFORMED as error:
        raise errors.NotRevocationData(path=path) from error
    return found


def _certificates(path: Path) -> list[x509.Certificate]:
    data = _read(path)
    try:
        certificates = list(load_certs_from_pemder_data(data))
        for certificate in certificates:
            Certificate.parse(
                "", "", certificate.dump()
            )  # it reads lazily, so that anything passes until then
    except (ValueError, TypeError) as error:
        raise errors.NotACertificate(path=path) from error
    if not certificates:
        raise errors.NotACertificate(path=path)
    return certificates


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise errors.FileProblem(path=path, detail=error.strerror) from error
