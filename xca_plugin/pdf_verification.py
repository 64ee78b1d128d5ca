# SPDX-License-Identifier: Apache-2.0
"""Verification of signed PDF files: every signature in the file, and what was changed after it.

pyHanko reads the PDF and says what later revisions changed. The signatures themselves are judged like those
of other files. Time-stamps of the document and the revocation information in it (ETSI EN 319 142-1, section
5.4) are used.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, cast

from pyhanko.pdf_utils.crypt import AuthStatus
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from xca_common.pki import asn1_stream, revocation_list, strict_certificate, text_forms
from xca_common.pki.malformed import Malformed, TooMuchError, reading
from xca_common.pki.ocsp_response import OcspResponse
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.signed_data import Content, SignedData
from xca_plugin import errors, files_beside, time_limit, time_stamp
from xca_plugin.i18n import text
from xca_plugin.named_file import is_empty
from xca_plugin.signature_problem import SignatureProblem
from xca_plugin.signature_value import ALTERED, OTHER_FILE, OTHER_FILE_OR_ALTERED
from xca_plugin.trust import NO_SOURCES, Sources, Trust
from xca_plugin.verdict import Changes, InPdf, Outcome, TimeStamp, Verdict, Verification
from xca_plugin.verification import UNREADABLE, judge_signer

_BEGIN: Final = b"%PDF-"
_EOF: Final = b"%%EOF"
_WHITE_SPACE: Final = b"\0\t\n\f\r "  # ISO 32000-1, table 1
_DETACHED: Final = frozenset({"/adbe.pkcs7.detached", "/ETSI.CAdES.detached"})
_TIME_STAMP: Final = "/ETSI.RFC3161"
_MOST_SIGNATURES: Final = 32
_MOST_REVISIONS: Final = 128
_MOST_IN_STORE: Final = 64  # certificates, CRLs or OCSP responses
_CHANGES: Final = {
    ModificationLevel.NONE: Changes.NONE,
    ModificationLevel.LTA_UPDATES: Changes.ARCHIVAL,
    ModificationLevel.FORM_FILLING: Changes.FORMS,
    ModificationLevel.ANNOTATIONS: Changes.ANNOTATIONS,
}

_COVERED: Final = (SignatureCoverageLevel.ENTIRE_FILE, SignatureCoverageLevel.ENTIRE_REVISION)

_GET_AGAIN: Final = text("Do not rely on this PDF. Ask the sender for it again, as it was signed.")
_WITHOUT_PASSWORD: Final = text("Ask the sender for a PDF that can be read without a password.")
_CHANGED: Final = SignatureProblem(
    text("the PDF was changed after it in a way that it does not allow."), _GET_AGAIN
)
_NOT_COVERED: Final = SignatureProblem(
    text("it does not cover the whole of the PDF as it was signed."), _GET_AGAIN
)
_ALTERED: Final = SignatureProblem(text("the PDF was altered after it was signed."), _GET_AGAIN)
_LEAVES_OUT: Final = text("it leaves out more of the PDF than itself")
_NO_SIGNATURE: Final = text("the PDF holds no signature")
_ENCRYPTED: Final = text("the PDF can only be read with its password")
_PDF: Final = text("the PDF")
_CUT_OFF: Final = text("it ends too early")


def is_pdf(file: BinaryIO) -> bool:
    """Say whether a file begins as a PDF does; it must be one that can be read again from its beginning."""
    start = file.tell()
    found = file.read(len(_BEGIN)) == _BEGIN
    file.seek(start)
    return found


def verify(
    file: BinaryIO,
    ca_file: Path,
    *,
    time_stampers_file: Path | None = None,
    certificate_files: Iterable[Path] = (),
    sources: Sources = NO_SOURCES,
    one_is_enough: bool = False,
) -> Verification:
    """Verify every signature in a PDF.

    A signature is valid if it is as one of any other file, covers all of the revision that it signed, and
    allows what was changed after it.

    Args:
        file: an open PDF file.
        ca_file: the certificates to trust, in any form of xca_common.pki.certificate_file.
        time_stampers_file: the certificates to trust for time-stamps; None: those of ca_file.
        certificate_files: intermediate certificates, in the same forms; they are not trusted.
        sources: the sources of revocation information beside the PDF itself.
        one_is_enough: of several signatures, one that is valid is enough.

    Raises:
        NotASignature: the PDF holds no signature, or it or its only signature cannot be read.
        NotAnAuthority: a file of certificates to trust has none of a CA.
        NotACertificate, NotRevocationData: a file holds something else.
        TooMuch: a file exceeds a limit, or the PDF takes too long (time_limit).
        FileProblem: a file cannot be read.
    """
    path = Path(file.name)
    trust = Trust.read(
        ca_file,
        time_stampers_file=time_stampers_file,
        certificate_files=certificate_files,
        sources=sources,
    )
    try:
        with time_limit.time_limit(time_limit.PDF_SECONDS):
            with reading(_PDF):
                reader = _opened(file)
                found = _signatures(reader)
                trust = _with_store(reader, trust)
                has_tail = _has_tail(file, found)
            return _verification(file, found, trust, one_is_enough, has_tail=has_tail)
    except time_limit.TimeIsUp:
        raise errors.TooMuch(path=path, detail=time_limit.TAKES_TOO_LONG) from None
    except TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except EOFError as error:
        raise errors.CutOff(path=path, is_empty=is_empty(path)) from error
    except Malformed as error:
        if error.detail is _NO_SIGNATURE:
            mistake, beside = _unsigned(path)
            raise errors.NotASignature(
                path=path, detail=_NO_SIGNATURE, mistake=mistake, file=beside
            ) from error
        step = _WITHOUT_PASSWORD if error.detail is _ENCRYPTED else _GET_AGAIN
        raise errors.NotASignature(path=path, detail=error.detail).with_step(step) from error


def _unsigned(path: Path) -> tuple[errors.Mistake, Path | None]:
    """Return what was probably meant with a PDF that holds no signature, and the file beside it."""
    if signature := files_beside.signature_of(path):
        return errors.Mistake.WITHOUT_SIGNATURE, signature
    if signed := files_beside.signed_pdf_of(path):
        return errors.Mistake.SIGNED_PDF_BESIDE, signed
    return errors.Mistake.UNSIGNED_PDF, None


def _opened(file: BinaryIO) -> PdfFileReader:
    reader = PdfFileReader(file)
    if reader.encrypted and reader.decrypt("").status is AuthStatus.FAILED:
        raise Malformed(_ENCRYPTED)
    if reader.total_revisions > _MOST_REVISIONS:
        raise TooMuchError(text("it has more than {count} revisions").format(count=_MOST_REVISIONS))
    return reader


def _signatures(reader: PdfFileReader) -> list[EmbeddedPdfSignature]:
    found = list(reader.embedded_signatures)
    if len(found) > _MOST_SIGNATURES:
        raise TooMuchError(text("it has more than {count} signatures").format(count=_MOST_SIGNATURES))
    if all(_is_time_stamp(one) for one in found):
        raise Malformed(_NO_SIGNATURE)
    return found


def _is_time_stamp(signature: EmbeddedPdfSignature) -> bool:
    return bool(signature.sig_object.get("/SubFilter") == _TIME_STAMP)


def _stands_behind(file: BinaryIO, end: int) -> bool:
    """Tell whether anything but white space stands behind a place in a file."""
    file.seek(end)
    return any(chunk.strip(_WHITE_SPACE) for chunk in iter(lambda: file.read(text_forms.CHUNK), b""))


def _has_tail(file: BinaryIO, found: Sequence[EmbeddedPdfSignature]) -> bool:
    """Tell whether anything stands behind the newest revision, where pyHanko does not look."""
    size = file.seek(0, io.SEEK_END)
    start = file.seek(max(0, size - text_forms.CHUNK))
    end = file.read().rfind(_EOF)
    if end < 0 or _stands_behind(file, start + end + len(_EOF)):
        return True
    for signature in found:
        # A signature that covers the newest revision says where that ends.
        if signature.signed_revision == signature.reader.total_revisions - 1:
            with suppress(Malformed), reading(text("which part of the PDF it covers")):
                if signature.evaluate_signature_coverage() in _COVERED and _stands_behind(
                    file, _end(signature)
                ):
                    return True
    return False


def _verification(
    file: BinaryIO,
    found: Sequence[EmbeddedPdfSignature],
    trust: Trust,
    one_is_enough: bool,
    *,
    has_tail: bool,
) -> Verification:
    """Judge the signatures from the last one to the first: a time-stamp proves what came before it."""
    verdicts: list[Verdict] = []
    stamps: list[TimeStamp] = []
    is_only = sum(not _is_time_stamp(one) for one in found) == 1
    proved: TimeStamp | None = None
    end = 0  # of what the last good time-stamp covers
    for signature in reversed(found):
        if _is_time_stamp(signature):
            stamp = _document_time_stamp(file, signature, trust, has_tail=has_tail)
            stamps.insert(0, stamp)
            if stamp.problem is None and stamp.at is not None:
                proved, trust = stamp, replace(trust, proved=min(stamp.at, trust.proved))
                end = _end(signature)
            continue
        try:
            if _end(signature) <= end:
                verdict = _judge(file, signature, trust, proved, has_tail=has_tail)
            else:
                untimed = replace(trust, proved=trust.moment)
                verdict = _judge(file, signature, untimed, None, has_tail=has_tail)
            verdicts.insert(0, verdict)
        except (Malformed, TooMuchError, EOFError) as error:
            if is_only:
                raise
            detail = _CUT_OFF if isinstance(error, EOFError) else error.detail
            verdicts.insert(0, Verdict(Outcome.NOT_VALID, UNREADABLE.format(detail=detail)))
    return Verification(tuple(verdicts), one_is_enough, tuple(stamps))


def _judge(
    file: BinaryIO,
    signature: EmbeddedPdfSignature,
    trust: Trust,
    proved: TimeStamp | None,
    *,
    has_tail: bool,
) -> Verdict:
    """Judge one signature.

    Raises:
        Malformed: it cannot be read, or is of a kind that is not verified.
        TooMuchError, EOFError: as SignedData.read.
    """
    kind = signature.sig_object.get("/SubFilter")
    if kind not in _DETACHED:
        raise Malformed(text("it is of a kind that is not verified: {kind}").format(kind=str(kind)))
    covered = _covered(file, signature)
    signed_data = SignedData.read(io.BytesIO(_encoded(signature)))
    if signed_data.is_attached or len(signed_data.signers) != 1:
        raise Malformed(text("it is not one detached signature"))
    (signer,) = signed_data.signers
    if isinstance(signer, Malformed):
        raise signer
    verdict = judge_signer(signed_data, signer, covered({signer.digest}), trust)
    if verdict.problem in (OTHER_FILE, OTHER_FILE_OR_ALTERED):
        verdict = replace(verdict, problem=_ALTERED if verdict.problem is OTHER_FILE else ALTERED)
    with reading(text("what was changed after it")):
        in_pdf, problem = _changes(signature, has_tail=has_tail)
    if problem is not None and verdict.outcome is not Outcome.NOT_VALID:
        verdict = replace(verdict, outcome=Outcome.NOT_VALID, problem=problem)
    return replace(
        verdict,
        in_pdf=in_pdf,
        signed_at=verdict.signed_at or _said_time(signature),
        time_stamp=proved if verdict.time_stamp is None else verdict.time_stamp,
    )


def _document_time_stamp(
    file: BinaryIO, signature: EmbeddedPdfSignature, trust: Trust, *, has_tail: bool
) -> TimeStamp:
    """Judge a time-stamp of the whole document up to it."""
    try:
        covered = _covered(file, signature)
        stamp = time_stamp.judge(_encoded(signature), lambda name: covered({name}).digest(name), trust)
        with reading(text("what was changed after it")):
            _, problem = _changes(signature, has_tail=has_tail)
    except Malformed as error:
        return TimeStamp(problem=UNREADABLE.format(detail=error.detail).reason)
    return stamp if problem is None or stamp.problem is not None else replace(stamp, problem=problem.reason)


def _changes(signature: EmbeddedPdfSignature, *, has_tail: bool) -> tuple[InPdf, SignatureProblem | None]:
    """Return what was changed after a signature, and why that makes it not valid; None: it does not."""
    signature.compute_integrity_info()  # type: ignore[no-untyped-call]
    found = signature.summarise_integrity_info()
    result, coverage, is_allowed = found["diff_result"], found["coverage"], found["docmdp_ok"]
    in_pdf = InPdf(str(signature.field_name), Changes.OTHER)
    if isinstance(result, DiffResult) and not has_tail:
        changes = _CHANGES.get(result.modification_level, Changes.OTHER)
        in_pdf = replace(in_pdf, changes=changes, changed_fields=sorted(map(str, result.changed_form_fields)))
    if coverage not in _COVERED:
        return in_pdf, _NOT_COVERED
    return in_pdf, None if is_allowed is True and in_pdf.changes is not Changes.OTHER else _CHANGED


def _end(signature: EmbeddedPdfSignature) -> int:
    """Return where that part of the PDF ends that a signature covers."""
    with reading(text("which part of the PDF it covers")):
        _, _, second, length = (int(number) for number in signature.byte_range)
    return second + length


class _Covered:
    """The part of a file that a signature covers: all but itself, up to the end of a revision."""

    def __init__(self, file: BinaryIO, first: int, second: int, length: int) -> None:
        self._file = file
        self._ranges = ((0, first), (second, length))

    def __call__(self, algorithms: Iterable[str]) -> Content:
        """Return the digests of it."""
        return Content.of(cast(BinaryIO, text_forms.Chunks(self._chunks())), algorithms)

    def _chunks(self) -> Iterator[bytes]:
        for start, length in self._ranges:
            self._file.seek(start)
            while length:
                chunk = self._file.read(min(length, text_forms.CHUNK))
                if not chunk:
                    raise EOFError
                length -= len(chunk)
                yield chunk


def _covered(file: BinaryIO, signature: EmbeddedPdfSignature) -> _Covered:
    """Return the part that a signature covers.

    Raises:
        Malformed: it leaves out more than the signature itself.
    """
    with reading(text("which part of the PDF it covers")):
        start, first, second, length = (int(number) for number in signature.byte_range)
        itself = b"<" + signature.pkcs7_content.hex().encode() + b">"
        if start != 0 or second != first + len(itself) or length <= 0:
            raise Malformed(_LEAVES_OUT)
        file.seek(first)
        if file.read(len(itself)).lower() != itself:
            raise Malformed(_LEAVES_OUT)
    return _Covered(file, first, second, length)


def _encoded(signature: EmbeddedPdfSignature) -> bytes:
    """Return the CMS structure without the zeros that fill its place."""
    contents = signature.pkcs7_content
    with reading(text("its structure")):
        length, at = asn1_stream.read_length(contents, 1)
        if length is None:
            return contents.rstrip(b"\0") + b"\0\0"  # BER of indefinite length ends in two zeros
        if contents[at + length :].strip(b"\0"):
            raise Malformed(text("something stands behind it"))
    return contents[: at + length]


def _said_time(signature: EmbeddedPdfSignature) -> datetime | None:
    """Return the signing time that the PDF states beside the signature (/M)."""
    try:
        said = signature.self_reported_timestamp
    except Exception:  # pyHanko raises several kinds for what is no time
        return None
    return said if isinstance(said, datetime) and said.tzinfo is not None else None


# --- what the PDF itself holds for verifiers


def _with_store(reader: PdfFileReader, trust: Trust) -> Trust:
    """Add what is in the document security store; nobody signed that, and what is odd in it is left out."""
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except Exception:  # there is none; and pyHanko and asn1crypto raise many kinds for odd ones
        return trust
    certificates = [
        der for der in _streams(store.certs.values(), DecodePurpose.CERTIFICATE) if _is_certificate(der)
    ]
    lists: list[RevocationList] = []
    for data in _streams(store.crls, DecodePurpose.CRL):
        try:
            lists += revocation_list.load_all(data)
        except Malformed:
            continue
    responses = []
    for data in _streams(store.ocsps, DecodePurpose.OCSP_RESPONSE):
        try:
            responses.append(OcspResponse(data))
        except Malformed:
            continue
    return replace(
        trust,
        certificates=[*trust.certificates, *certificates],
        revocation=trust.revocation.with_more(lists, responses),
    )


def _streams(references: Iterable[object], purpose: DecodePurpose) -> Iterator[bytes]:
    for reference in list(references)[:_MOST_IN_STORE]:
        try:
            yield bytes(reference.get_object().read_data(purpose))  # type: ignore[attr-defined]  # pyHanko's
        except Exception:  # noqa: S112  # pyHanko raises many kinds; a later one may be readable
            continue


def _is_certificate(der: bytes) -> bool:
    try:
        strict_certificate.load(der)
    except Malformed:
        return False
    return True
