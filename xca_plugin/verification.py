# SPDX-License-Identifier: Apache-2.0
"""Verification of signed files: CMS SignedData (RFC 5652) with one signer.

xca_common.pki.signed_data reads the structure and pyHanko computes the signature. path_validation judges the
chain of the signer's certificate, xca_common.pki.revocation its revocation.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy

from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_common.pki import revocation_list, strict_certificate
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.certificate import Certificate
from xca_common.pki.chain import STRONG, digests
from xca_common.pki.fetching import Fetcher
from xca_common.pki.malformed import Malformed, TooMuchError, reading
from xca_common.pki.ocsp_response import Response
from xca_common.pki.revocation import Revocation
from xca_common.pki.signed_data import Content, SignedData, content_of
from xca_common.pki.standing import Judgement, Standing
from xca_common.taipei import day
from xca_plugin import errors
from xca_plugin.i18n import text
from xca_plugin.path_validation import WEAK, exact, find_chain

_T = TypeVar("_T")

_MOST_BYTES: Final = 32 << 20  # of a CRL or OCSP response
_MOST_TRUSTED_BYTES: Final = 4 << 20
# Digest algorithms for content. Old signatures use SHA-1; no certificate may be signed with it.
_ACCEPTED: Final = STRONG | {"sha1"}
# Algorithms that sign a message and not its digest (RFC 8419).
_WITHOUT_DIGEST: Final = frozenset({"ed25519", "ed448"})

_ALTERED: Final = text("it was not made with the key of its signer's certificate, or was altered.")
_OTHER_FILE: Final = text("the file is not the one that was signed.")
_OTHER_ATTRIBUTES: Final = text("its signed attributes do not match the content.")
_PERHAPS_ATTRIBUTES: Final = text(
    "its content may be the signed attributes of another signature; nobody signed it as a file."
)
_HOLDS_CONTENT: Final = text("it holds its content, and a file was given as well")
_HOLDS_NO_CONTENT: Final = text("it does not hold the signed file, and none was given")
_REVOKED: Final = text("its signer's certificate was revoked on {day}.")
_SUSPENDED: Final = text("its signer's certificate is suspended since {day}.")
_CA_REVOKED: Final = text("the certificate of its signer's CA is revoked.")
_UNKNOWN: Final = text(
    "it is not known whether its signer's certificate is revoked: nothing current was said about it."
)
_UNKNOWN_BECAUSE: Final = text("it is not known whether its signer's certificate is revoked: {detail}.")
_CA_UNKNOWN: Final = text("it is not known whether the certificate of its signer's CA is revoked.")
_CA_UNKNOWN_BECAUSE: Final = text(
    "it is not known whether the certificate of its signer's CA is revoked: {detail}."
)


@dataclass(frozen=True)
class Verdict:
    """The result of a verification.

    Attributes:
        signer: the signer's certificate.
        signed_at: the signing time by the signer's own clock, with its zone; None: the signature states none.
        digest: name of the digest algorithm, such as sha256.
        only_content: the signature has no signed attributes: it covers neither a time nor the content type.
        revocation_checked: the revocation status of the signer's certificate was determined.
        not_checked: holders of the certificates, from the signer's up to the trusted one, whose revocation
            status was not determined.
        problem: why the signature is not valid; None: it is valid.
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
    """The sources of revocation information; none by default.

    Attributes:
        crls: files with a CRL (RFC 5280), DER or PEM.
        responses: files with an OCSP response (RFC 6960), DER.
        fetch: fetch CRLs and OCSP responses from the addresses in the certificates.
        hosts: hosts that may be asked in addition to those of the government's issuers.
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
    """Verify a signature: content, signature value, the signer's certificate and its chain as of now.

    SHA-1 is accepted as the digest of the content, because old signatures use it; the verdict names it.

    Args:
        signature: an open file: CMS SignedData, DER (also BER) or PEM.
        ca_file: the certificates to trust, in PEM or DER.
        content: the signed file; None: the signature holds it.
        output: receives the content that the signature holds, before the verdict is known.
        sources: the sources of revocation information.

    Raises:
        NotASignature, NotACertificate, NotRevocationData: a file holds something else, or one of its parts is
            unreadable or not supported.
        TooMuch: a file exceeds a limit.
        CutOff: the signature ends too early.
        FileProblem: a file cannot be read.
    """
    path = Path(signature.name)
    trusted = _certificates(ca_file)
    lists = [found for file in sources.crls for found in _revocation_data(file, revocation_list.load_all)]
    responses = [_revocation_data(file, Response) for file in sources.responses]
    known = Revocation(lists, responses, Fetcher(sources.hosts) if sources.fetch else None)
    try:
        signed_data = SignedData.read(signature)
        if signed_data.is_attached is not (content is None):
            other = _HOLDS_CONTENT if signed_data.is_attached else _HOLDS_NO_CONTENT
            raise errors.NotASignature(path=path, detail=other)
        if content is None:
            signature.seek(0)
            content = content_of(signature, output)
        return _verdict(content, signed_data, trusted, known if sources else None)
    except EOFError as error:
        raise errors.CutOff(path=path) from error
    except TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except Malformed as error:
        raise errors.NotASignature(path=path, detail=error.detail) from error


def _verdict(
    content: BinaryIO, signed_data: SignedData, trusted: list[x509.Certificate], known: Revocation | None
) -> Verdict:
    moment = datetime.now(UTC)
    der, others = signed_data.signer_certificate()
    try:
        certificate = strict_certificate.load(der)
    except Malformed as error:
        unreadable = text("of its signer's certificate, {detail}")
        raise Malformed(unreadable.format(detail=error.detail)) from error
    signer = Certificate.parse("", "", der)
    digest = signed_data.signer["digest_algorithm"]["algorithm"].native
    problem = _content_problem(signed_data, certificate, Content.of(content, digest))
    not_checked: tuple[str, ...] = (signer.holder,)
    checked = False
    if problem is None:
        chain, problem = find_chain(certificate, others, trusted, moment)
        if chain is not None:
            below = list(itertools.pairwise(chain))
            not_checked = tuple(_holder(one) for one, _ in below)
            if known is not None:
                checked, not_checked, problem = _revocation(below, known, moment)
    attributes = signed_data.attributes
    return Verdict(
        signer=signer,
        signed_at=attributes.signed_at if attributes else None,
        digest=digest,
        only_content=attributes is None,
        revocation_checked=checked,
        not_checked=not_checked,
        problem=problem,
    )


def _content_problem(signed_data: SignedData, certificate: x509.Certificate, content: Content) -> Text | None:
    """Return why this content was not signed with this certificate's key; None: it was."""
    attributes, signer, kind = signed_data.attributes, signed_data.signer, signed_data.content_type
    algorithm, digest = signer["signature_algorithm"], signer["digest_algorithm"]
    if attributes is None:
        # Signed attributes must not pass as the content of another signature (RFC 5652, section 5.4).
        if kind.native != "data" or content.may_be_attributes:
            return _PERHAPS_ATTRIBUTES
        if algorithm["algorithm"].native in _WITHOUT_DIGEST:
            # Such a signature covers the whole content, of which only the digest is kept.
            raise Malformed(text("its signature algorithm needs signed attributes, and there are none"))
    elif attributes.content_type != kind.dotted or attributes.message_digest is None or attributes.is_odd:
        return _OTHER_ATTRIBUTES
    with reading(text("the key of its signer's certificate")):
        key = exact(certificate).public_key
        _ = certificate.public_key()
    try:
        intact, valid = validate_sig_integrity(signer, exact(certificate), kind.native, content.digest)
        used = {digest["algorithm"].native} | digests(algorithm)
    except SignatureValidationError as error:
        if error.ades_subindication is AdESIndeterminate.NO_SIGNING_CERTIFICATE_FOUND:
            raise Malformed(text("what was signed names another certificate as its signer's")) from error
        raise Malformed(text("what was signed names other algorithms than it has")) from error
    except Exception as error:  # pyHanko raises many kinds
        raise Malformed(text("its signature algorithm is not known here, or does not fit the key")) from error
    if not valid:
        return _ALTERED
    if not intact:
        return _OTHER_FILE
    policy = CMSAlgorithmUsagePolicy.lift_policy(
        DisallowWeakAlgorithmsPolicy(weak_hash_algos=frozenset())  # type: ignore[no-untyped-call]
    )
    accepted = (
        used <= _ACCEPTED
        and policy.signature_algorithm_allowed(algorithm, None, key)  # its key is long enough
        and policy.digest_combination_allowed(algorithm, digest, None)
    )
    return None if accepted else WEAK


# --- whether it is revoked


def _revocation(
    below: list[tuple[x509.Certificate, x509.Certificate]], known: Revocation, moment: datetime
) -> tuple[bool, tuple[str, ...], Text | None]:
    """Return whether the signer's certificate was checked, whose certificates were not, and the problem.

    Args:
        below: each certificate below the trusted one, with its issuer.
        known: the revocation information.
        moment: the time of the verification.
    """
    if not below:
        return False, (), _UNKNOWN  # a trusted certificate of the signer's own: no issuer could revoke it
    judged = [(certificate, known.judge(certificate, issuer, moment)) for certificate, issuer in below]
    not_checked = tuple(_holder(one) for one, found in judged if found.standing is Standing.UNKNOWN)
    checked = bool(judged) and judged[0][1].standing is not Standing.UNKNOWN
    # A revoked certificate is reported before one of unknown status.
    for number, (_, found) in enumerate(judged):
        if found.standing in (Standing.SUSPENDED, Standing.REVOKED):
            return checked, not_checked, _taken_back(found, is_signer=number == 0)
    for number, (certificate, found) in enumerate(judged):
        # The status of a CA's certificate is needed only if the certificate names a CRL or a responder.
        asked = number == 0 or _names_somebody(certificate)
        if asked and found.standing is Standing.UNKNOWN:
            return checked, not_checked, _unknown(found.detail, is_signer=number == 0)
    return checked, not_checked, None


def _taken_back(found: Judgement, *, is_signer: bool) -> Text:
    if not is_signer:
        return _CA_REVOKED
    sentence = _SUSPENDED if found.standing is Standing.SUSPENDED else _REVOKED
    return sentence.format(day=day(found.since) if found.since else "?")


def _unknown(detail: Text | str | None, *, is_signer: bool) -> Text:
    if detail is None:
        return _UNKNOWN if is_signer else _CA_UNKNOWN
    return (_UNKNOWN_BECAUSE if is_signer else _CA_UNKNOWN_BECAUSE).format(detail=detail)


def _names_somebody(certificate: x509.Certificate) -> bool:
    return bool(list_addresses(certificate) or responder_addresses(certificate))


def _holder(certificate: x509.Certificate) -> str:
    return Certificate.parse("", "", certificate.public_bytes(Encoding.DER)).holder


# --- files


def _revocation_data(path: Path, load: Callable[[bytes], _T]) -> _T:
    data = _read(path, _MOST_BYTES)
    try:
        return load(data)
    except Malformed as error:
        raise errors.NotRevocationData(path=path, detail=error.detail) from error


def _certificates(path: Path) -> list[x509.Certificate]:
    data = _read(path, _MOST_TRUSTED_BYTES)
    try:
        return strict_certificate.load_all(data)
    except Malformed as error:
        raise errors.NotACertificate(path=path, detail=error.detail) from error


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    if len(data) > most:
        raise errors.TooMuch(path=path, detail=text("it has more than {size} MiB").format(size=most >> 20))
    return data
