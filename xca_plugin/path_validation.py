# SPDX-License-Identifier: Apache-2.0
"""Validation of the chain from a signer's certificate to a trusted one.

xca_common.pki.chain finds the chains in bounded time. pyHanko validates each (RFC 5280, section 6). The
extensions of the trusted certificate count as well, as the inputs of RFC 5280, section 6.1.1 (RFC 5937).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, cast

from asn1crypto import core  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
from pyhanko_certvalidator.errors import (
    DisallowedAlgorithmError,
    ExpiredError,
    NotYetValidError,
    ValidationError,
)
from pyhanko_certvalidator.name_trees import (
    PKIXSubtrees,
    default_excluded_subtrees,
    default_permitted_subtrees,
    process_general_subtrees,
)
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import PKIXValidationParams
from pyhanko_certvalidator.validate import SUPPORTED_EXTENSIONS, async_validate_path

from xca_common.i18n import Text
from xca_common.pki import profile, strict_certificate
from xca_common.pki.chain import Chain, TooManyError, chains, is_strong
from xca_common.pki.malformed import Malformed
from xca_common.pki.strict_certificate import extension
from xca_plugin import own_loop
from xca_plugin.exact_certificate import ExactCertificate
from xca_plugin.i18n import text

WEAK: Final = text("it uses an algorithm that is no longer secure.")
_NO_CHAIN: Final = text("its signer's certificate was not issued under the given CA.")
_NO_READABLE_CHAIN: Final = text(
    "its signer's certificate was not issued under the given CA. "
    "Of another certificate in the file, {detail}."
)
_NOT_TODAY: Final = text("its signer's certificate is not within its validity today.")
_CA_NOT_TODAY: Final = text(
    "the chain of its signer's certificate is not valid: "
    "a certificate of its CAs is not within its validity today."
)
_NAMES_NOT_COMPARED: Final = text(
    "the chain of its signer's certificate is not valid: "
    "its CAs may certify some names only, and one of its names cannot be compared with them."
)
_OTHER_PURPOSE: Final = text("its signer's certificate is not meant for signatures.")
_CA_NOT_UNDERSTOOD: Final = text(
    "the trusted certificate has a critical extension that is not understood here: {name}."
)
_CHAIN_PROBLEM: Final = text("the chain of its signer's certificate is not valid.")
_TOO_MANY: Final = text("the chain of its signer's certificate is too long, or too many chains are possible.")
_ANY_POLICY: Final = "any_policy"


def find_chain(
    signer: x509.Certificate, others: Iterable[bytes], trusted: list[x509.Certificate], moment: datetime
) -> tuple[Chain | None, Text | None]:
    """Return a valid chain of the signer's certificate and None, or None and the problem of the first chain.

    Args:
        signer: the signer's certificate.
        others: intermediate certificates, as they are encoded; unreadable ones are skipped.
        trusted: the certificates to end at.
        moment: the time at which the chain must be valid.
    """
    between, odd = [], None
    for der in others:
        try:
            between.append(strict_certificate.load(der))
        except Malformed as error:
            odd = error.detail
    problem = None
    try:
        for chain in chains(signer, between, trusted, moment):
            found = _problem(chain, moment)
            if found is None:
                return chain, None
            problem = problem or found
    except TooManyError:
        problem = problem or _TOO_MANY
    if problem is None and odd is not None:
        problem = _NO_READABLE_CHAIN.format(detail=odd)
    return None, problem or _NO_CHAIN


def _problem(chain: Chain, moment: datetime) -> Text | None:
    signer = chain[0]
    if not signer.not_valid_before_utc <= moment <= signer.not_valid_after_utc:
        return _NOT_TODAY
    usage = extension(signer, x509.KeyUsage)
    # The certificates of organisation cards assert digitalSignature, never nonRepudiation.
    signs = usage is not None and (usage.digital_signature or usage.content_commitment)
    if not signs or not all(_may_sign_files(certificate) for certificate in chain):
        return _OTHER_PURPOSE
    *below, anchor = (exact(certificate) for certificate in chain)
    if not all(is_strong(certificate["signature_algorithm"]) for certificate in below):
        return WEAK
    if not below:
        return None
    if unknown := anchor.critical_extensions - SUPPORTED_EXTENSIONS:
        return _CA_NOT_UNDERSTOOD.format(name=", ".join(sorted(unknown)))
    try:
        context = ValidationContext(trust_roots=[anchor], moment=moment, revocation_mode="soft-fail")
        trust = CertTrustAnchor(anchor, _qualifiers(anchor, len(below)))
        path = ValidationPath(trust, reversed(below[1:]), below[0])
        own_loop.run(async_validate_path(context, path))
    except DisallowedAlgorithmError:
        return WEAK
    except (ExpiredError, NotYetValidError):
        return _CA_NOT_TODAY
    except ValidationError:
        return _CHAIN_PROBLEM
    except Exception:  # pyHanko raises many kinds for odd names and structures
        limited = any(certificate.name_constraints_value is not None for certificate in (anchor, *below))
        return _NAMES_NOT_COMPARED if limited else _CHAIN_PROBLEM
    return None


def _qualifiers(anchor: asn1_x509.Certificate, below: int) -> TrustQualifiers:
    """Return the constraints that a trusted certificate sets for the chains below it.

    Args:
        anchor: the certificate.
        below: number of certificates below it in the chain.
    """
    policies = {
        one["policy_identifier"].dotted if one["policy_identifier"].native != _ANY_POLICY else _ANY_POLICY
        for one in anchor.certificate_policies_value or ()
    }
    limits = anchor.policy_constraints_value
    explicit, mapping = (
        limits[name].native if limits is not None else None
        for name in ("require_explicit_policy", "inhibit_policy_mapping")
    )
    any_policy = anchor.inhibit_any_policy_value
    names = anchor.name_constraints_value
    return TrustQualifiers(
        standard_parameters=PKIXValidationParams(
            user_initial_policy_set=frozenset(
                {_ANY_POLICY} if not policies or _ANY_POLICY in policies else policies
            ),
            # Each constraint takes effect after a number of certificates. pyHanko applies it from the first
            # certificate on or never; where that differs, the stricter is chosen.
            initial_explicit_policy=explicit is not None and explicit <= below,
            initial_policy_mapping_inhibit=mapping is not None and mapping < below,
            initial_any_policy_inhibit=any_policy is not None and any_policy.native < below,
            initial_permitted_subtrees=default_permitted_subtrees() | _subtrees(names, "permitted_subtrees"),
            initial_excluded_subtrees=default_excluded_subtrees() | _subtrees(names, "excluded_subtrees"),
        ),
        max_path_length=anchor.max_path_length,
        max_aa_path_length=anchor.max_path_length,  # pyHanko counts both, or fails
        valid_from=anchor.not_valid_before,
        valid_until=anchor.not_valid_after,
    )


def _subtrees(names: asn1_x509.NameConstraints | None, which: str) -> PKIXSubtrees:
    if names is None or isinstance(names[which], core.Void):
        return {}
    return process_general_subtrees(names[which])


def _may_sign_files(certificate: x509.Certificate) -> bool:
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    return purposes is None or not profile.FILE_SIGNING_PURPOSES.isdisjoint(
        purpose.dotted_string for purpose in purposes
    )


def exact(certificate: x509.Certificate) -> ExactCertificate:
    """Return the certificate in the form that pyHanko takes."""
    return cast(ExactCertificate, ExactCertificate.load(certificate.public_bytes(Encoding.DER)))
