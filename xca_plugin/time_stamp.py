# SPDX-License-Identifier: Apache-2.0
"""Verification of time-stamps of signatures (RFC 3161; RFC 5126, section 6.1.1)."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from asn1crypto import core, tsp  # type: ignore[import-untyped]
from cryptography import x509

from xca_common.i18n import Text
from xca_common.pki import strict_certificate
from xca_common.pki.algorithms import STRONG, is_strong
from xca_common.pki.malformed import Malformed, TooMuchError, reading
from xca_common.pki.signed_data import Content, SignedData, Signer, content_of
from xca_common.pki.standing import SKEW
from xca_plugin.i18n import text
from xca_plugin.path_validation import KeyPurpose, find_chain, holder_of
from xca_plugin.signature_value import content_problem
from xca_plugin.trust import Trust, revocation
from xca_plugin.verdict import TimeStamp

_TOKEN: Final = "signature_time_stamp_token"  # noqa: S105  # no secret
_MOST_TOKENS: Final = 4
_CHUNK: Final = 1 << 16
Digest = Callable[[str], bytes]
"""Returns the digest of some data by an algorithm, as hashlib names it."""
_UNREADABLE: Final = text("it cannot be read.")
_UNREADABLE_BECAUSE: Final = text("it cannot be read: {detail}.")
_OTHER_SIGNATURE: Final = text("it is of something else.")
_WEAK: Final = text("it uses an algorithm that is no longer secure.")
_OF_THE_FUTURE: Final = text("it is of the future.")


def of(signer: Signer, trust: Trust) -> TimeStamp | None:
    """Return the time-stamp of a signature: of several one that proves the time, else the first.

    Nobody signed that it is there: one that proves nothing makes a signature no worse.

    Args:
        signer: the signer whose signature was stamped.
        trust: what to stand on.

    Returns:
        None: there is none.
    """
    try:
        with reading(text("what stands beside its signature")):
            attributes = signer.info["unsigned_attrs"]
            if isinstance(attributes, core.Void):
                return None
            found = [one for one in attributes if one["type"].native == _TOKEN]
            tokens = [token.dump() for one in found for token in one["values"]][:_MOST_TOKENS]
    except Malformed as error:
        return TimeStamp(problem=_UNREADABLE_BECAUSE.format(detail=error.detail))
    signature = signer.info["signature"].native
    stamps = [judge(token, digest_of(signature), trust) for token in tokens]
    return next((one for one in stamps if one.problem is None), stamps[0] if stamps else None)


def digest_of(data: bytes) -> Digest:
    """Return what computes digests of some data."""
    return lambda name: hashlib.new(name, data).digest()


def judge(token: bytes, digest: Digest, trust: Trust) -> TimeStamp:
    """Judge a time-stamp token.

    The authority's chain must be valid at the time of the stamp, and now or when a later stamp was made.

    Args:
        token: a TimeStampToken, DER.
        digest: returns the digest of the data that should have been stamped, by an algorithm of hashlib.
        trust: what to stand on.
    """
    try:
        return _judge(token, digest, trust)
    except EOFError:
        return TimeStamp(problem=_UNREADABLE)
    except (Malformed, TooMuchError) as error:
        return TimeStamp(problem=_UNREADABLE_BECAUSE.format(detail=error.detail))


def info_of(token: bytes) -> tuple[SignedData, Content, tsp.TSTInfo]:
    """Read a time-stamp token: the signature, its content as it was signed, and what that says.

    Raises:
        Malformed: it is something else, or a part cannot be read.
        TooMuchError: it has more than is read.
        EOFError: it ends too early.
    """
    signed_data = SignedData.read(io.BytesIO(token))
    if signed_data.content_type.native != "tst_info" or not signed_data.is_attached:
        raise Malformed(text("it is no time-stamp"))
    stream = content_of(io.BytesIO(token))
    encoded = b"".join(iter(lambda: stream.read(_CHUNK), b""))
    with reading(text("what it stamps")):
        info = tsp.TSTInfo.load(encoded, strict=True)
        _ = info.native
    names = {one.digest for one in signed_data.signers if isinstance(one, Signer)}
    return signed_data, Content.of(io.BytesIO(encoded), names), info


def imprint_problem(info: tsp.TSTInfo, digest: Digest) -> Text | None:
    """Return why a time-stamp is not of these data; None: it is."""
    imprint = info["message_imprint"]
    name = str(imprint["hash_algorithm"]["algorithm"].native)
    if name not in STRONG:
        return _WEAK
    return None if digest(name) == imprint["hashed_message"].native else _OTHER_SIGNATURE


def _content_problem(
    signed_data: SignedData, signer: Signer, certificate: x509.Certificate, content: Content
) -> Text | None:
    found = content_problem(signed_data, signer, certificate, content)
    return found.reason if found else None


def _judge(token: bytes, digest: Digest, trust: Trust) -> TimeStamp:
    signed_data, content, info = info_of(token)
    if len(signed_data.signers) != 1 or isinstance(signer := signed_data.signers[0], Malformed):
        return TimeStamp(problem=_UNREADABLE)
    der, others = signed_data.signer_certificate(signer, trust.certificates)
    certificate = strict_certificate.load(der)
    at = info["gen_time"].native
    if not isinstance(at, datetime) or at.tzinfo is None:
        return TimeStamp(problem=_UNREADABLE)
    stamp = TimeStamp(at, holder_of(certificate))
    if at > trust.proved + SKEW:
        return replace(stamp, problem=_OF_THE_FUTURE)
    problem = imprint_problem(info, digest) or _content_problem(signed_data, signer, certificate, content)
    if signer.digest not in STRONG or not is_strong(signer.info["signature_algorithm"]):
        problem = problem or _WEAK
    if problem is not None:
        return replace(stamp, problem=problem)
    for moment in (trust.proved, min(at, trust.proved)):
        path = find_chain(certificate, others, trust.time_stampers, moment, KeyPurpose.TIME_STAMPS)
        if path.chain is None:
            problem = path.problem.reason if path.problem else _UNREADABLE
            return replace(stamp, problem=problem, is_without_root=path.is_without_root)
        known = revocation(path.chain, trust, moment)
        if known.problem is not None:
            return replace(stamp, problem=known.problem.reason)
    return stamp
