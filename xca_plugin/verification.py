# SPDX-License-Identifier: Apache-2.0
"""Verification of signed files: CMS SignedData (RFC 5652).

xca_common.pki.signed_data reads the structure and signature_value computes the signature. path_validation
judges the chain of the signer's certificate, trust its revocation, time_stamp the time-stamp.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from cryptography.hazmat.primitives.serialization import Encoding

from xca_common.pki import strict_certificate, text_forms
from xca_common.pki.certificate import Certificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.signed_data import Content, SignedData, Signer, content_of
from xca_plugin import errors, files_beside, time_stamp
from xca_plugin.i18n import text
from xca_plugin.named_file import is_empty
from xca_plugin.path_validation import find_chain
from xca_plugin.signature_problem import SignatureProblem
from xca_plugin.signature_value import (
    ALTERED,
    CHANGED_CONTENT,
    OTHER_FILE,
    OTHER_FILE_OR_ALTERED,
    content_problem,
    weak_digests,
)
from xca_plugin.trust import NO_SOURCES, Sources, Trust, revocation
from xca_plugin.verdict import Outcome, Verdict, Verification

_OTHER_LINE_ENDS: Final = text(
    "A program that passed it on, such as one for mail, changed its line ends: verify the "
    "file as it came, or ask the sender for it again."
)
_SIGNED_WITH_CRLF: Final = SignatureProblem(
    text(
        "the file is not the one that was signed: its line ends differ. "
        "The lines of the signed file end in CR LF, as on Windows."
    ),
    _OTHER_LINE_ENDS,
)
_SIGNED_WITH_LF: Final = SignatureProblem(
    text(
        "the file is not the one that was signed: its line ends differ. "
        "The lines of the signed file end in LF, as on Linux."
    ),
    _OTHER_LINE_ENDS,
)
UNREADABLE: Final = SignatureProblem(text("it cannot be judged: {detail}."))
_BARE_SIZES: Final = frozenset({128, 256, 384, 512})
"""Bytes of a bare signature by an RSA key of 1024, 2048, 3072 or 4096 bits."""
_ENCRYPTED: Final = text("it is encrypted, not signed")
_HOLDS_CONTENT: Final = text("it holds its content, and a file was given as well")
_HOLDS_NO_CONTENT: Final = text("it does not hold the signed file, and none was given")


def verify(
    signature: BinaryIO,
    ca_file: Path,
    content: BinaryIO | None = None,
    *,
    output: BinaryIO | None = None,
    time_stampers_file: Path | None = None,
    certificate_files: Iterable[Path] = (),
    sources: Sources = NO_SOURCES,
    one_is_enough: bool = False,
) -> Verification:
    """Verify a signature: content, signature value, the signer's certificate and its chain.

    The certificates must be valid now, or at the time that a time-stamp proves. SHA-1 is accepted as the
    digest of the content, because old signatures use it; the verdict names it.

    Args:
        signature: an open file: CMS SignedData, in any form of xca_common.pki.text_forms.
        ca_file: the certificates of CAs to trust, in any form of xca_common.pki.certificate_file.
        content: the signed file; None: the signature holds it, or is in one S/MIME message with it.
        output: receives the content that the signature holds, before the verdict is known.
        time_stampers_file: the certificates to trust for time-stamps; None: those of ca_file.
        certificate_files: intermediate certificates, in the same forms; they are not trusted.
        sources: the sources of revocation information.
        one_is_enough: of several signers, one whose signature is valid is enough.

    Raises:
        NotAnAuthority: a file of certificates to trust has none of a CA.
        NotASignature, NotACertificate, NotRevocationData: a file holds something else, or one of its parts is
            unreadable or not supported.
        TooMuch: a file exceeds a limit.
        CutOff: the signature ends too early.
        FileProblem: a file cannot be read.
    """
    path, given = Path(signature.name), content
    trust = Trust.read(
        ca_file,
        time_stampers_file=time_stampers_file,
        certificate_files=certificate_files,
        sources=sources,
    )
    try:
        signed_data = SignedData.read(signature)
        if content is None and not signed_data.is_attached:
            signature.seek(0)
            content = text_forms.signed_content(signature, output)
        if content is None and not signed_data.is_attached:
            raise errors.NotASignature(
                path=path,
                detail=_HOLDS_NO_CONTENT,
                mistake=errors.Mistake.WITHOUT_FILE,
                file=files_beside.signed_by(path),
            )
        if content is not None and signed_data.is_attached:
            mistake = errors.Mistake.WITH_FILE
            raise errors.NotASignature(path=path, detail=_HOLDS_CONTENT, mistake=mistake)
        if content is None:
            signature.seek(0)
            read = _read_content(content_of(signature, output), signed_data)
            return Verification(_verdicts(signed_data, read, trust), one_is_enough)
        start = content.tell() if content.seekable() else None
        read = _read_content(content, signed_data)
        others = partial(_with_other_line_ends, content, start, signed_data)
        return Verification(_verdicts(signed_data, read, trust, others), one_is_enough)
    except EOFError as error:
        raise errors.CutOff(path=path, is_empty=is_empty(path)) from error
    except TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except Malformed as error:
        mistake, file, detail = None, None, error.detail
        if given is not None and _is_signature(given):
            mistake, file = errors.Mistake.EXCHANGED, Path(given.name)
        elif _is_bare(signature):
            mistake = errors.Mistake.BARE
        elif _is_encrypted(signature):
            mistake, detail = errors.Mistake.ENCRYPTED, _ENCRYPTED
        elif given is None and (beside := files_beside.signature_of(path)):
            mistake, file = errors.Mistake.WITHOUT_SIGNATURE, beside
        raise errors.NotASignature(path=path, detail=detail, mistake=mistake, file=file) from error


def _is_signature(file: BinaryIO) -> bool:
    """Tell whether a file holds a CMS signature; of a pipe that is not known."""
    if not file.seekable():
        return False
    file.seek(0)
    try:
        SignedData.read(file)
    except (EOFError, TooMuchError, Malformed):
        return False
    return True


def _is_encrypted(file: BinaryIO) -> bool:
    """Tell whether a file holds CMS encrypted data; of a pipe that is not known."""
    if not file.seekable():
        return False
    from xca_common.pki.encrypted_data import EncryptedData  # here, because few errors need it

    file.seek(0)
    try:
        EncryptedData(file)
    except (EOFError, TooMuchError, Malformed):
        return False
    return True


def _is_bare(file: BinaryIO) -> bool:
    """Tell whether a file has the size of a bare RSA signature, and is no text."""
    if not file.seekable():
        return False
    file.seek(0)
    found = file.read(max(_BARE_SIZES) + 1)
    return len(found) in _BARE_SIZES and not found.isascii()


def _read_content(content: BinaryIO, signed_data: SignedData) -> Content:
    return Content.of(content, {one.digest for one in signed_data.signers if isinstance(one, Signer)})


def _with_other_line_ends(
    content: BinaryIO, start: int | None, signed_data: SignedData
) -> Iterator[tuple[SignatureProblem, Content]]:
    """Yield what the signed file would be if its lines ended otherwise, and how they would end."""
    if start is None:  # a pipe cannot be read twice
        return
    for words, end in ((_SIGNED_WITH_CRLF, b"\r\n"), (_SIGNED_WITH_LF, b"\n")):
        content.seek(start)
        lines = cast(BinaryIO, text_forms.Chunks(_with_line_ends(content, end)))
        yield words, _read_content(lines, signed_data)


def _with_line_ends(content: BinaryIO, end: bytes) -> Iterator[bytes]:
    kept = b""
    while chunk := content.read(text_forms.CHUNK):
        chunk = kept + chunk
        kept = b"\r" if chunk.endswith(b"\r") else b""
        yield chunk.removesuffix(kept).replace(b"\r\n", b"\n").replace(b"\n", end)
    yield kept


_Others = Callable[[], Iterable[tuple[SignatureProblem, Content]]]


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
        return Verdict(Outcome.NOT_VALID, UNREADABLE.format(detail=error.detail))


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
        problem=content_problem(signed_data, signer, certificate, content),
        signer=shown,
        signed_at=attributes.signed_at if attributes else None,
        digest=signer.digest,
        only_content=attributes is None,
        not_checked=(shown.holder,),
    )
    if verdict.problem in (OTHER_FILE, OTHER_FILE_OR_ALTERED):
        for words, other in others():
            if content_problem(signed_data, signer, certificate, other) is None:
                return replace(verdict, problem=words)
        if signed_data.is_attached:
            is_content = verdict.problem is OTHER_FILE
            return replace(verdict, problem=CHANGED_CONTENT if is_content else ALTERED)
    if verdict.problem is not None:
        return verdict
    verdict = replace(verdict, weak=weak_digests(signer))
    stamp = time_stamp.of(signer, trust)
    moment = stamp.at if stamp and stamp.problem is None and stamp.at else trust.proved
    verdict = replace(verdict, time_stamp=stamp)
    path = find_chain(certificate, between, trust.trusted, moment)
    if path.chain is None:
        outcome = Outcome.INCOMPLETE if path.is_incomplete else Outcome.NOT_VALID
        return replace(verdict, outcome=outcome, problem=path.problem)
    known = revocation(path.chain, trust, moment)
    if known.problem is None:
        outcome = Outcome.VALID
    else:
        outcome = Outcome.UNKNOWN if known.is_unknown else Outcome.NOT_VALID
    return replace(
        verdict,
        outcome=outcome,
        problem=known.problem,
        revocation_checked=known.is_checked,
        not_checked=known.not_checked,
        anchor=Certificate.parse("", "", path.chain[-1].public_bytes(Encoding.DER)),
    )
