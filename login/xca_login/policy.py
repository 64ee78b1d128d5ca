# SPDX-License-Identifier: Apache-2.0
"""Whom a site lets in, among those whose card and signature are right."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from xca_common.pki import profile
from xca_login.login import Account, Binding

_STRONG: Final = frozenset({"sha256", "sha384", "sha512"})


@dataclass(frozen=True)
class Policy:
    """Whom a site lets in.

    Attributes:
        certificate_policies: OIDs; a certificate must have one of them. By default that of real cards.
        holder_kinds: OIDs of kinds of holders, such as profile.SCHOOL; None: all.
        ranks: primary (正卡), secondary (附卡).
        digests: names of the digest algorithms that a signature may be made with.
        binding: how well the origin has to be known.
        declared_accounts: accounts that may log in as declared although they logged in as verified before
            (accounts). Each such login is logged as a warning, and Login.fallback tells of it.
        skew: how far the clocks of issuers and this one may differ.
        silent_hosts: hosts whose lists and responders may stay without an answer. A login that is let in
            for that is logged as a warning.
    """

    certificate_policies: frozenset[str] = frozenset({profile.COMPATIBILITY_POLICY})
    holder_kinds: frozenset[str] | None = None
    ranks: frozenset[str] = profile.CARD_RANKS
    digests: frozenset[str] = _STRONG
    binding: Binding = Binding.DECLARED
    declared_accounts: frozenset[Account] = frozenset()
    skew: timedelta = timedelta(minutes=5)
    silent_hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.digests <= _STRONG:
            raise ValueError(f"digests: only {', '.join(sorted(_STRONG))}")
        if not self.certificate_policies or not self.ranks <= profile.CARD_RANKS:
            raise ValueError("certificate_policies, ranks: nobody could log in")
