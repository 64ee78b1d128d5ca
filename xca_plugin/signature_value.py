# SPDX-License-Identifier: Apache-2.0
"""Whether a signature in CMS SignedData was made over a content with the key of a certificate."""

from typing import Final

from cryptography import x509
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator.policy_decl import AcceptAllAlgorithms

from xca_common.pki.algorithms import (
    ACCEPTED_FOR_FILES,
    STRONG,
    digests,
    is_long_enough,
)
from xca_common.pki.cms_types import cms
from xca_common.pki.malformed import Malformed, reading
from xca_common.pki.signed_data import Content, SignedData, Signer
from xca_plugin.i18n import text
from xca_plugin.path_validation import WEAK, exact
from xca_plugin.signature_problem import SignatureProblem

# Algorithms that sign a message and not its digest (RFC 8419).
_WITHOUT_DIGEST: Final = frozenset({"ed25519", "ed448"})

CHECK_FILE: Final = text(
    "Check that it is the file that came with this signature, and not another version of it. If it is, it "
    "was changed after it was signed: do not rely on it, and ask the sender for both again."
)
"""The next step where a file is perhaps another one than was signed."""

ALTERED: Final = SignatureProblem(
    text("it was not made with the key of its signer's certificate, or was altered.")
)
OTHER_FILE: Final = SignatureProblem(text("the file is not the one that was signed."), CHECK_FILE)
OTHER_FILE_OR_ALTERED: Final = SignatureProblem(
    text(
        "the file is not the one that was signed, or the signature was altered, or was not made with the key "
        "of its signer's certificate."
    ),
    CHECK_FILE,
)
CHANGED_CONTENT: Final = SignatureProblem(
    text("what was signed was changed afterwards."),
    text("Do not rely on this file. Ask the sender for it again, as it was signed."),
)
_OTHER_ATTRIBUTES: Final = SignatureProblem(text("its signed attributes do not match the content."))
_PERHAPS_ATTRIBUTES: Final = SignatureProblem(
    text("its content may be the signed attributes of another signature; nobody signed it as a file.")
)


def content_problem(
    signed_data: SignedData, by: Signer, certificate: x509.Certificate, content: Content
) -> SignatureProblem | None:
    """Return why this content was not signed with this certificate's key; None: it was.

    Raises:
        Malformed: a part of the signature cannot be read or is not supported.
    """
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
        is_key_long_enough = is_long_enough(certificate.public_key())
    try:
        intact, valid = validate_sig_integrity(signer, exact(certificate), kind.native, content_digest)
        used = _digests(signer)
    except SignatureValidationError as error:
        if error.ades_subindication is AdESIndeterminate.NO_SIGNING_CERTIFICATE_FOUND:
            raise Malformed(text("what was signed names another certificate as its signer's")) from error
        raise Malformed(text("what was signed names other algorithms than it has")) from error
    except Exception as error:  # pyHanko raises many kinds
        raise Malformed(text("its signature algorithm is not known here, or does not fit the key")) from error
    if not valid:
        return ALTERED if attributes is not None else OTHER_FILE_OR_ALTERED
    if not intact:
        return OTHER_FILE
    # Content and signature must have the same digest algorithm (RFC 8933).
    policy = CMSAlgorithmUsagePolicy.lift_policy(AcceptAllAlgorithms())
    accepted = (
        used <= ACCEPTED_FOR_FILES
        and is_key_long_enough
        and policy.digest_combination_allowed(algorithm, digest, None)
    )
    return None if accepted else WEAK


def weak_digests(signer: Signer) -> tuple[str, ...]:
    """Return the digest algorithms of a signature that are no longer secure, as hashlib names them."""
    return tuple(sorted(_digests(signer.info) - STRONG))


def _digests(signer: cms.SignerInfo) -> set[str]:
    """Return all digest algorithms that a signature stands on.

    Raises:
        ValueError, TypeError, KeyError: its signature algorithm is not one that is known.
    """
    return {signer["digest_algorithm"]["algorithm"].native} | digests(signer["signature_algorithm"])
