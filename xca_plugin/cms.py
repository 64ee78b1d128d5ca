# SPDX-License-Identifier: Apache-2.0
"""Detached CMS signatures (RFC 5652) made with a card, and their verification; the machinery is pyHanko's."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from asn1crypto import cms, pem, x509  # type: ignore[import-untyped]
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.general import (
    CMSExtractionError,
    CMSStructuralError,
)
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes, Signer
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import StandardCMSSignatureStatus
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy
from pyhanko_certvalidator.registry import SimpleCertificateStore

from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.i18n import Text, text
from xca_plugin.model import Card, Certificate, Hash, Key
from xca_plugin.secret import Secret

_MOST_SIGNATURE_BYTES: Final = 1 << 20

# What pyHanko says of a signer's certificate, in words.
_TRUST_PROBLEMS: Final = {
    AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND: text(
        "its signer's certificate was not issued under the given CA."
    ),
    AdESIndeterminate.OUT_OF_BOUNDS_NO_POE: text(
        "its signer's certificate is not within its validity today."
    ),
    AdESIndeterminate.REVOKED_NO_POE: text("its signer's certificate is revoked."),
    AdESIndeterminate.CHAIN_CONSTRAINTS_FAILURE: text(
        "its signer's certificate is not meant for signatures."
    ),
    AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE: text("it uses an algorithm that is no longer secure."),
}
_CHAIN_PROBLEM: Final = text("the chain of its signer's certificate is not valid.")


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes:
        signer: the signer's certificate.
        signed_at: when, by the signer's own clock; None when the signature does not say.
        digest: name of the digest algorithm.
        problem: why the signature does not hold; None: it holds.
    """

    signer: Certificate
    signed_at: datetime | None
    digest: str
    problem: Text | None


class _CardSigner(Signer):
    """pyHanko's signer, with the card in the place of a key in memory."""

    def __init__(self, cards: Cards, card: Card, pin: Secret, certificates: Sequence[Certificate]) -> None:
        loaded = {certificate.id: x509.Certificate.load(certificate.der) for certificate in certificates}
        if Key.SIGN not in loaded:
            raise errors.NoSuchCertificate(number=card.number, label="cert1")
        registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        registry.register_multiple(
            certificate for identifier, certificate in loaded.items() if identifier not in list(Key)
        )
        super().__init__(signing_cert=loaded[Key.SIGN], cert_registry=registry, embed_roots=False)
        self._cards, self._card, self._pin = cards, card, pin

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        digest = hashlib.new(digest_algorithm, data).digest()
        return self._cards.sign(self._card, self._pin, digest, digest_hash=Hash(digest_algorithm))


def sign(content: BinaryIO, cards: Cards, card: Card, pin: Secret) -> bytes:
    """Sign a file: detached SignedData in DER, SHA-256, with the signing time and the card's certificates.

    Raises:
        NoSuchCertificate: the card has no signing certificate.
        CardError: as Cards.sign.
    """
    signer = _CardSigner(cards, card, pin, cards.certificates(card))
    settings = PdfCMSSignedAttributes(signing_time=datetime.now(UTC).replace(microsecond=0))
    signing = signer.async_sign_general_data(content, Hash.SHA256.value, signed_attr_settings=settings)
    return bytes(asyncio.run(signing).dump())


def verify(content: BinaryIO, signature: Path, ca_file: Path) -> Verdict:
    """Verify a detached signature: the content, the signature, the signer's certificate and its chain, today.

    Revocation is not looked up (no network). SHA-1, in signatures of the past, is accepted for the content;
    the verdict names it.

    Args:
        content: the signed file.
        signature: CMS SignedData in DER or PEM.
        ca_file: the certificates to trust, in PEM or DER.

    Raises:
        NotASignature, NotACertificate: a file holds something else.
        FileProblem: a file cannot be read.
    """
    signed_data = _signed_data(signature)
    trusted = _certificates(ca_file)
    try:
        return asyncio.run(_verify(content, signed_data, trusted))
    except (CMSExtractionError, CMSStructuralError, SignatureValidationError, ValueError) as error:
        raise errors.NotASignature(path=signature) from error


async def _verify(content: BinaryIO, signed_data: cms.SignedData, trusted: list[x509.Certificate]) -> Verdict:
    status = await async_validate_detached_cms(
        content,
        signed_data,
        signer_validation_context=ValidationContext(trust_roots=trusted, allow_fetching=False),
        # The certificates of organisation cards assert digitalSignature, never nonRepudiation.
        key_usage_settings=KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}),
        algorithm_policy=CMSAlgorithmUsagePolicy.lift_policy(
            DisallowWeakAlgorithmsPolicy(  # type: ignore[no-untyped-call]
                weak_hash_algos=frozenset({"md2", "md5"})
            )
        ),
    )
    return Verdict(
        signer=Certificate.parse("", "", status.signing_cert.dump()),
        signed_at=status.signer_reported_dt,
        digest=status.md_algorithm,
        problem=_problem(status),
    )


def _problem(status: StandardCMSSignatureStatus) -> Text | None:
    if not status.valid:
        return text("it was not made with the key of its signer's certificate, or was altered.")
    if not status.intact:
        return text("the file is not the one that was signed.")
    if status.trusted:
        return None
    if isinstance(status.trust_problem_indic, AdESIndeterminate):
        return _TRUST_PROBLEMS.get(status.trust_problem_indic, _CHAIN_PROBLEM)
    return _CHAIN_PROBLEM


def _signed_data(path: Path) -> cms.SignedData:
    der = _read(path)
    try:
        if pem.detect(der):
            _, _, der = pem.unarmor(der)
        info = cms.ContentInfo.load(der, strict=True)
        if info["content_type"].native != "signed_data" or len(info["content"]["signer_infos"]) != 1:
            raise errors.NotASignature(path=path)
        return info["content"]
    except (ValueError, TypeError) as error:
        raise errors.NotASignature(path=path) from error


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
            return file.read(_MOST_SIGNATURE_BYTES)
    except OSError as error:
        raise errors.FileProblem(path=path, detail=error.strerror) from error
