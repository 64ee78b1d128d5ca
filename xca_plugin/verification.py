# SPDX-License-Identifier: Apache-2.0
"""Verification of signed files: CMS SignedData (RFC 5652).

xca_common.pki.signed_data reads the structure and pyHanko computes the signature. path_validation judges the
chain of the signer's certificate, xca_common.pki.revocation its revocation.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy

from xca_common.errors import FileProblem, os_reason
from xca_common.i18n import Text
from xca_common.pki import asn1_stream, revocation_list, strict_certificate
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.certificate import Certificate
from xca_common.pki.chain import STRONG, digests
from xca_common.pki.fetching import Fetcher
from xca_common.pki.malformed import Malformed, TooMuchError, reading
from xca_common.pki.ocsp_response import Response
from xca_common.pki.revocation import Revocation
from xca_common.pki.signed_data import Content, SignedData, Signer, content_of
from xca_common.pki.standing import Judgement, Standing
from xca_common.taipei import day
from xca_plugin import errors
from xca_plugin.i18n import text
from xca_plugin.path_validation import WEAK, exact, find_chain, holder_of
from xca_plugin.verdict import Outcome, Verdict, Verification

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
_SIGNED_WITH_CRLF: Final = text(
    "the file is not the one that was signed: its line ends differ. "
    "The lines of the signed file end in CR LF, as on Windows."
)
_SIGNED_WITH_LF: Final = text(
    "the file is not the one that was signed: its line ends differ. "
    "The lines of the signed file end in LF, as on Linux."
)
_UNREADABLE: Final = text("it cannot be judged: {detail}.")
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


@dataclass(frozen=True)
class Trust:
    """What a verification stands on.

    Attributes:
        trusted: the certificates to trust.
        certificates: intermediate certificates that were given, as they are encoded.
        revocation: the revocation information.
        is_asked: a certificate of unknown revocation status is not good enough.
        moment: the time of the verification.
    """

    trusted: Sequence[x509.Certificate]
    certificates: Sequence[bytes]
    revocation: Revocation
    is_asked: bool
    moment: datetime

    @classmethod
    def read(
        cls, ca_file: Path, certificate_files: Iterable[Path] = (), sources: Sources = Sources()
    ) -> Self:
        """Read the files.

        Args:
            ca_file: the certificates to trust.
            certificate_files: intermediate certificates; they are not trusted.
            sources: the sources of revocation information.

        Raises:
            NotACertificate, NotRevocationData, TooMuch, FileProblem: as verify.
        """
        lists = [found for file in sources.crls for found in _revocation_data(file, revocation_list.load_all)]
        responses = [_revocation_data(file, Response) for file in sources.responses]
        return cls(
            _certificates(ca_file),
            [one.public_bytes(Encoding.DER) for file in certificate_files for one in _certificates(file)],
            Revocation(lists, responses, Fetcher(sources.hosts) if sources.fetch else None),
            bool(sources),
            datetime.now(UTC),
        )


def verify(
    signature: BinaryIO,
    ca_file: Path,
    content: BinaryIO | None = None,
    *,
    output: BinaryIO | None = None,
    certificate_files: Iterable[Path] = (),
    sources: Sources = Sources(),
    one_is_enough: bool = False,
) -> Verification:
    """Verify a signature: content, signature value, the signer's certificate and its chain as of now.

    SHA-1 is accepted as the digest of the content, because old signatures use it; the verdict names it.

    Args:
        signature: an open file: CMS SignedData, DER (also BER) or PEM.
        ca_file: the certificates to trust, in PEM or DER.
        content: the signed file; None: the signature holds it.
        output: receives the content that the signature holds, before the verdict is known.
        certificate_files: intermediate certificates, in PEM or DER; they are not trusted.
        sources: the sources of revocation information.
        one_is_enough: of several signers, one whose signature is valid is enough.

    Raises:
        NotASignature, NotACertificate, NotRevocationData: a file holds something else, or one of its parts is
            unreadable or not supported.
        TooMuch: a file exceeds a limit.
        CutOff: the signature ends too early.
        FileProblem: a file cannot be read.
    """
    path = Path(signature.name)
    trust = Trust.read(ca_file, certificate_files, sources)
    try:
        signed_data = SignedData.read(signature)
        if signed_data.is_attached is not (content is None):
            other = _HOLDS_CONTENT if signed_data.is_attached else _HOLDS_NO_CONTENT
            raise errors.NotASignature(path=path, detail=other)
        if content is None:
            signature.seek(0)
            read = _read_content(content_of(signature, output), signed_data)
            return Verification(_verdicts(signed_data, read, trust), one_is_enough)
        start = content.tell() if content.seekable() else None
        read = _read_content(content, signed_data)
        others = partial(_with_other_line_ends, content, start, signed_data)
        return Verification(_verdicts(signed_data, read, trust, others), one_is_enough)
    except EOFError as error:
        raise errors.CutOff(path=path) from error
    except TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except Malformed as error:
        raise errors.NotASignature(path=path, detail=error.detail) from error


def _read_content(content: BinaryIO, signed_data: SignedData) -> Content:
    return Content.of(content, {one.digest for one in signed_data.signers if isinstance(one, Signer)})


def _with_other_line_ends(
    content: BinaryIO, start: int | None, signed_data: SignedData
) -> Iterator[tuple[Text, Content]]:
    """Yield what the signed file would be if its lines ended otherwise, and how they would end."""
    if start is None:  # a pipe cannot be read twice
        return
    for words, end in ((_SIGNED_WITH_CRLF, b"\r\n"), (_SIGNED_WITH_LF, b"\n")):
        content.seek(start)
        lines = cast(BinaryIO, asn1_stream.Chunks(_with_line_ends(content, end)))
        yield words, _read_content(lines, signed_data)


def _with_line_ends(content: BinaryIO, end: bytes) -> Iterator[bytes]:
    kept = b""
    while chunk := content.read(asn1_stream.CHUNK):
        chunk = kept + chunk
        kept = b"\r" if chunk.endswith(b"\r") else b""
        yield chunk.removesuffix(kept).replace(b"\r\n", b"\n").replace(b"\n", end)
    yield kept


_Others = Callable[[], Iterable[tuple[Text, Content]]]


def _verdicts(
    signed_data: SignedData, content: Content, trust: Trust, others: _Others = tuple
) -> tuple[Verdict, ...]:
    """Judge every signer.

    Args:
        signed_data: the signatures.
        content: what was signed.
        trust: what to stand on.
        others: returns contents that differ from this one in nothing that matters to people.

    Raises:
        Malformed: there is one signer, and a part of it cannot be read.
    """
    if len(signed_data.signers) == 1:
        (signer,) = signed_data.signers
        return (judge_signer(signed_data, signer, content, trust, others=others),)
    return tuple(_verdict_of_several(signed_data, one, content, trust, others) for one in signed_data.signers)


def _verdict_of_several(
    signed_data: SignedData, signer: Signer | Malformed, content: Content, trust: Trust, others: _Others
) -> Verdict:
    """Judge a signer; one that cannot be read hides no other."""
    try:
        return judge_signer(signed_data, signer, content, trust, others=others)
    except Malformed as error:
        return Verdict(Outcome.NOT_VALID, _UNREADABLE.format(detail=error.detail))


def judge_signer(
    signed_data: SignedData,
    signer: Signer | Malformed,
    content: Content,
    trust: Trust,
    others: _Others = tuple,
) -> Verdict:
    """Judge one signer.

    Args:
        signed_data: what the signer is of.
        signer: the signer.
        content: what was signed.
        trust: what to stand on.
        others: as _verdicts.

    Raises:
        Malformed: a part of it cannot be read.
    """
    if isinstance(signer, Malformed):
        raise signer
    der, between = signed_data.signer_certificate(signer, trust.certificates)
    try:
        certificate = strict_certificate.load(der)
    except Malformed as error:
        unreadable = text("of its signer's certificate, {detail}")
        raise Malformed(unreadable.format(detail=error.detail)) from error
    shown = Certificate.parse("", "", der)
    attributes = signer.attributes
    verdict = Verdict(
        outcome=Outcome.NOT_VALID,
        problem=_content_problem(signed_data, signer, certificate, content),
        signer=shown,
        signed_at=attributes.signed_at if attributes else None,
        digest=signer.digest,
        only_content=attributes is None,
        not_checked=(shown.holder,),
    )
    if verdict.problem is _OTHER_FILE or (verdict.problem is _ALTERED and attributes is None):
        for words, other in others():
            if _content_problem(signed_data, signer, certificate, other) is None:
                return replace(verdict, problem=words)
    if verdict.problem is not None:
        return verdict
    path = find_chain(certificate, between, trust.trusted, trust.moment)
    if path.chain is None:
        outcome = Outcome.INCOMPLETE if path.is_incomplete else Outcome.NOT_VALID
        return replace(verdict, outcome=outcome, problem=path.problem)
    below = list(itertools.pairwise(path.chain))
    verdict = replace(verdict, not_checked=tuple(holder_of(one) for one, _ in below))
    if trust.is_asked:
        checked, not_checked, problem = _revocation(below, trust)
        verdict = replace(verdict, revocation_checked=checked, not_checked=not_checked, problem=problem)
    return verdict if verdict.problem is not None else replace(verdict, outcome=Outcome.VALID)


def _content_problem(
    signed_data: SignedData, by: Signer, certificate: x509.Certificate, content: Content
) -> Text | None:
    """Return why this content was not signed with this certificate's key; None: it was."""
    attributes, signer, kind = by.attributes, by.info, signed_data.content_type
    algorithm, digest = signer["signature_algorithm"], signer["digest_algorithm"]
    content_digest = content.digest(by.digest)
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
        intact, valid = validate_sig_integrity(signer, exact(certificate), kind.native, content_digest)
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
    below: list[tuple[x509.Certificate, x509.Certificate]], trust: Trust
) -> tuple[bool, tuple[str, ...], Text | None]:
    """Return whether the signer's certificate was checked, whose certificates were not, and the problem.

    Args:
        below: each certificate below the trusted one, with its issuer.
        trust: the revocation information, and the time.
    """
    if not below:
        return False, (), _UNKNOWN  # a trusted certificate of the signer's own: no issuer could revoke it
    judged = [
        (certificate, trust.revocation.judge(certificate, issuer, trust.moment))
        for certificate, issuer in below
    ]
    not_checked = tuple(holder_of(one) for one, found in judged if found.standing is Standing.UNKNOWN)
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
