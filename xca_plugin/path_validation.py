# SPDX-License-Identifier: Apache-2.0
"""Validation of the chain from a signer's certificate to a trusted one.

xca_common.pki.chain finds the chains in bounded time. pyHanko validates each (RFC 5280, section 6). The
extensions of the trusted certificate count as well, as the inputs of RFC 5280, section 6.1.1 (RFC 5937).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final, cast

from asn1crypto import core  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
from pyhanko_certvalidator.errors import (
    DisallowedAlgorithmError,
    ValidationError,
)
from pyhanko_certvalidator.name_trees import (
    PKIXSubtrees,
    default_excluded_subtrees,
    default_permitted_subtrees,
    process_general_subtrees,
)
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy, PKIXValidationParams
from pyhanko_certvalidator.validate import SUPPORTED_EXTENSIONS, async_validate_path

from xca_common.pki import profile, strict_certificate
from xca_common.pki.algorithms import LEAST_RSA_BITS, is_strong
from xca_common.pki.certificate import Certificate
from xca_common.pki.chain import Chain, ChainLimitError, chains, is_self_signed, top
from xca_common.pki.malformed import Malformed
from xca_common.pki.strict_certificate import extension, issuer_of, subject_of
from xca_common.taipei import day
from xca_plugin import own_loop
from xca_plugin.exact_certificate import ExactCertificate
from xca_plugin.i18n import text
from xca_plugin.signature_problem import CHECK_CLOCK, GET_ROOT, SIGN_AGAIN, SIGN_STRONGER, SignatureProblem

WEAK: Final = SignatureProblem(text("it uses an algorithm that is no longer secure."), SIGN_STRONGER)
_NO_CHAIN: Final = SignatureProblem(
    text("its signer's certificate was not issued under the given CA."), GET_ROOT
)
_NO_READABLE_CHAIN: Final = SignatureProblem(
    text(
        "its signer's certificate was not issued under the given CA. "
        "Of another certificate in the file, {detail}."
    ),
    GET_ROOT,
)
_SELF_SIGNED: Final = SignatureProblem(
    text("its signer's certificate is self-signed, and it is not among the certificates that you trust."),
    text(
        "Anybody can make such a certificate: it proves nothing about who signed. Do not rely on this file. "
        "Ask its signer to sign it again, with a certificate that a CA issued."
    ),
)
_OTHER_ROOT: Final = SignatureProblem(
    text(
        "its signer's certificate was not issued under the given CA, but under {name}, "
        "which you do not trust."
    ),
    GET_ROOT,
)
_MISSING: Final = SignatureProblem(
    text(
        "the certificate of {name} is missing, which issued the certificate of {holder}: it is neither in "
        "the signature nor given."
    )
)
_EXPIRED: Final = SignatureProblem(text("its signer's certificate expired on {day}."), SIGN_AGAIN)
_NOT_YET_VALID: Final = SignatureProblem(
    text("its signer's certificate is not yet valid: it becomes valid on {day}."), CHECK_CLOCK
)
_CA_EXPIRED: Final = SignatureProblem(
    text("the chain of its signer's certificate is not valid: the certificate of {name} expired on {day}."),
    SIGN_AGAIN,
)
_CA_NOT_YET_VALID: Final = SignatureProblem(
    text(
        "the chain of its signer's certificate is not yet valid: "
        "the certificate of {name} becomes valid on {day}."
    ),
    CHECK_CLOCK,
)
_NAMES_NOT_COMPARED: Final = SignatureProblem(
    text(
        "the chain of its signer's certificate is not valid: "
        "its CAs may certify some names only, and one of its names cannot be compared with them."
    ),
    SIGN_AGAIN,
)
_OTHER_PURPOSE: Final = SignatureProblem(
    text("its signer's certificate is not meant for signatures."), SIGN_AGAIN
)
_CA_NOT_UNDERSTOOD: Final = SignatureProblem(
    text("the trusted certificate has a critical extension that is not understood here: {name}."), GET_ROOT
)
_CHAIN_PROBLEM: Final = SignatureProblem(
    text("the chain of its signer's certificate is not valid."), SIGN_AGAIN
)
_TOO_MANY: Final = SignatureProblem(
    text("the chain of its signer's certificate is too long, or too many chains are possible.")
)
_POLICY: Final = DisallowWeakAlgorithmsPolicy(  # type: ignore[no-untyped-call]
    rsa_key_size_threshold=LEAST_RSA_BITS
)
_ANY_POLICY: Final = "any_policy"
_TIME_STAMPING_PURPOSES: Final = frozenset(
    one.dotted_string
    for one in (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
)


class KeyPurpose(Enum):
    """What a chain must allow its first certificate's key to be used for."""

    FILES = auto()
    """Signatures of files and mail."""
    TIME_STAMPS = auto()
    """Time-stamps (RFC 3161, section 2.3): no other purpose may be named, and it must be critical."""

    def is_allowed(self, chain: Chain) -> bool:
        """Say whether every extKeyUsage in a chain allows it."""
        if self is KeyPurpose.FILES:
            return all(_names(certificate, profile.FILE_SIGNING_PURPOSES) for certificate in chain)
        signer, *above = chain
        named = [one for one in signer.extensions if isinstance(one.value, x509.ExtendedKeyUsage)]
        only = [
            one for one in named if one.critical and set(one.value) == {ExtendedKeyUsageOID.TIME_STAMPING}
        ]
        return bool(only) and all(_names(certificate, _TIME_STAMPING_PURPOSES) for certificate in above)


def _names(certificate: x509.Certificate, purposes: frozenset[str]) -> bool:
    named = extension(certificate, x509.ExtendedKeyUsage)
    return named is None or not purposes.isdisjoint(one.dotted_string for one in named)


@dataclass(frozen=True)
class Path:
    """What was found on the way from a signer's certificate to a trusted one.

    Attributes:
        chain: a valid chain; None: there is none.
        problem: why there is none.
        is_incomplete: there is none because the certificate of an issuer is missing.
        is_without_root: there is none because that, or the root where it ends, is not among the trusted.
    """

    chain: Chain | None
    problem: SignatureProblem | None
    is_incomplete: bool = False
    is_without_root: bool = False


def find_chain(
    signer: x509.Certificate,
    others: Iterable[bytes],
    trusted: Sequence[x509.Certificate],
    moment: datetime,
    purpose: KeyPurpose = KeyPurpose.FILES,
) -> Path:
    """Return a valid chain of the signer's certificate, or the problem of the first chain.

    Args:
        signer: the signer's certificate.
        others: intermediate certificates, as they are encoded; unreadable ones are skipped.
        trusted: the certificates to end at.
        moment: the time at which the chain must be valid.
        purpose: what the signer's key is used for.
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
            found = _problem(chain, moment, purpose)
            if found is None:
                return Path(chain, None)
            problem = problem or found
        if problem is None and odd is not None:
            problem = _NO_READABLE_CHAIN.format(detail=odd)
        if problem is None:
            return _open_end(signer, [*between, *trusted], moment)
    except ChainLimitError:
        problem = problem or _TOO_MANY
    return Path(None, problem)


def _open_end(signer: x509.Certificate, others: list[x509.Certificate], moment: datetime) -> Path:
    """Say where a chain ends that leads to no trusted certificate."""
    last = top(signer, others, moment)
    if is_self_signed(last):
        if last == signer:
            return Path(None, _SELF_SIGNED)
        return Path(None, _OTHER_ROOT.format(name=holder_of(last)), is_without_root=True)
    if issuer_of(last) in map(subject_of, others):
        return Path(None, _NO_CHAIN)  # somebody of that name is there and did not issue it
    missing = _MISSING.format(name=issuer_name_of(last), holder=holder_of(last))
    return Path(None, missing, is_incomplete=True, is_without_root=True)


def holder_of(certificate: x509.Certificate) -> str:
    """Return the holder of a certificate as people read it."""
    return Certificate.parse("", "", certificate.public_bytes(Encoding.DER)).holder


def issuer_name_of(certificate: x509.Certificate) -> str:
    """Return the issuer of a certificate as people read it."""
    return Certificate.parse("", "", certificate.public_bytes(Encoding.DER)).issuer


def _problem(chain: Chain, moment: datetime, purpose: KeyPurpose) -> SignatureProblem | None:
    signer = chain[0]
    if moment > signer.not_valid_after_utc:
        return _EXPIRED.format(day=day(signer.not_valid_after_utc))
    if moment < signer.not_valid_before_utc:
        return _NOT_YET_VALID.format(day=day(signer.not_valid_before_utc))
    usage = extension(signer, x509.KeyUsage)
    # Without keyUsage a key is for every use (RFC 5280, section 4.2.1.3). The certificates of organisation
    # cards assert digitalSignature, never nonRepudiation.
    signs = usage is None or usage.digital_signature or usage.content_commitment
    if not signs or not purpose.is_allowed(chain):
        return _OTHER_PURPOSE
    for ca in chain[1:]:
        if moment > ca.not_valid_after_utc:
            return _CA_EXPIRED.format(name=holder_of(ca), day=day(ca.not_valid_after_utc))
        if moment < ca.not_valid_before_utc:
            return _CA_NOT_YET_VALID.format(name=holder_of(ca), day=day(ca.not_valid_before_utc))
    *below, anchor = (exact(certificate) for certificate in chain)
    if not all(is_strong(certificate["signature_algorithm"]) for certificate in below):
        return WEAK
    if not below:
        return None
    if unknown := anchor.critical_extensions - SUPPORTED_EXTENSIONS:
        return _CA_NOT_UNDERSTOOD.format(name=sorted(unknown))
    try:
        context = ValidationContext(
            trust_roots=[anchor], moment=moment, revocation_mode="soft-fail", algorithm_usage_policy=_POLICY
        )
        trust = CertTrustAnchor(anchor, _qualifiers(anchor, len(below)))
        path = ValidationPath(trust, reversed(below[1:]), below[0])
        own_loop.run(async_validate_path(context, path))
    except DisallowedAlgorithmError:
        return WEAK
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


def exact(certificate: x509.Certificate) -> ExactCertificate:
    """Return the certificate in the form that pyHanko takes."""
    return cast(ExactCertificate, ExactCertificate.load(certificate.public_bytes(Encoding.DER)))
