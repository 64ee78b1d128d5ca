# SPDX-License-Identifier: Apache-2.0
"""The ways from a certificate up to certificates that are trusted, found in bounded time.

A file brings its own certificates, chosen by whoever made it: twins, and levels of twins, make the ways
grow without end. Here every step is bounded. What a way is worth (RFC 5280, section 6) is judged
elsewhere.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from xca_common.pki.strict_certificate import UNUSABLE_KEY, extension, issuer_of, subject_of

Chain = tuple[x509.Certificate, ...]
"""A certificate, its issuer, and so on; the last one is trusted."""

LONGEST: Final = 8
"""Most certificates of a chain."""
_MOST_SIGNATURES: Final = 256  # that are checked
_MOST_CHAINS: Final = 16
_MOST_STEPS: Final = 4096


class ChainLimitError(Exception):
    """A chain is longer, or there are more possible issuers, than is looked at."""


def chains(
    certificate: x509.Certificate,
    others: Iterable[x509.Certificate],
    trusted: Iterable[x509.Certificate],
    moment: datetime,
) -> Iterator[Chain]:
    """Yield the chains of a certificate, at most sixteen, those first whose issuers are valid.

    In each, the key of the next one signed each certificate, and no name comes twice with the same key.

    Args:
        certificate: the one to begin with.
        others: certificates that may be in between.
        trusted: certificates to end at.
        moment: when they should be valid.

    Raises:
        ChainLimitError.
    """
    anchors = set(trusted)
    if certificate in anchors:
        yield (certificate,)
        return
    issuers = _Issuers([*anchors, *others], moment)
    distances = _distances(certificate, issuers, anchors)
    if distances.get(certificate, 0) >= LONGEST:
        raise ChainLimitError
    found = steps = 0
    waiting: list[Chain] = [(certificate,)]
    while waiting and found < _MOST_CHAINS and steps < _MOST_STEPS:
        steps += 1
        chain = waiting.pop()
        if chain[-1] in anchors:
            found += 1
            yield chain
            continue
        passed = {_identity(one) for one in chain}
        waiting += [
            (*chain, issuer)
            for issuer in reversed(issuers.of(chain[-1]))
            if _identity(issuer) not in passed and len(chain) + distances.get(issuer, LONGEST) < LONGEST
        ]
    if waiting and not found:
        raise ChainLimitError


def top(
    certificate: x509.Certificate, others: Iterable[x509.Certificate], moment: datetime
) -> x509.Certificate:
    """Return the last certificate on the way from issuer to issuer, whether trusted or not.

    Args:
        certificate: the one to begin with.
        others: the certificates among which issuers are looked for.
        moment: of several issuers, those are preferred that are valid at this time.

    Raises:
        ChainLimitError.
    """
    issuers = _Issuers(list(others), moment)
    passed = {_identity(certificate)}
    while above := [one for one in issuers.of(certificate) if _identity(one) not in passed]:
        certificate = above[0]
        passed.add(_identity(certificate))
    return certificate


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Say whether a certificate's own key signed it."""
    try:
        certificate.verify_directly_issued_by(certificate)
    except UNUSABLE_KEY:
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Say whether a certificate is that of a CA (RFC 5280, section 4.2.1.9)."""
    return extension(certificate, x509.BasicConstraints) is not None and _may_issue(certificate)


def key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Return the subjectKeyIdentifier; None: it has none."""
    identifier = extension(certificate, x509.SubjectKeyIdentifier)
    return identifier.digest if isinstance(identifier, x509.SubjectKeyIdentifier) else None


class _Issuers:
    """Who issued what, each signature checked once."""

    def __init__(self, candidates: Sequence[x509.Certificate], moment: datetime) -> None:
        self._by_name: dict[bytes, list[x509.Certificate]] = defaultdict(list)
        for candidate in dict.fromkeys(candidates):
            self._by_name[subject_of(candidate)].append(candidate)
        self._moment = moment
        self._known: dict[x509.Certificate, list[x509.Certificate]] = {}
        self._checked = 0

    def of(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        """Return the issuers of a certificate, valid ones first."""
        if certificate not in self._known:
            named = self._by_name[issuer_of(certificate)]
            issuers = [one for one in named if one != certificate and self._issued(certificate, one)]
            self._known[certificate] = sorted(issuers, key=self._invalid)
        return self._known[certificate]

    def _issued(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        if not _may_issue(issuer):
            return False
        authority = extension(certificate, x509.AuthorityKeyIdentifier)
        wanted = authority.key_identifier if isinstance(authority, x509.AuthorityKeyIdentifier) else None
        if wanted and key_identifier(issuer) not in (None, wanted):
            return False  # another generation of the same CA
        self._checked += 1
        if self._checked > _MOST_SIGNATURES:
            raise ChainLimitError
        try:
            certificate.verify_directly_issued_by(issuer)
        except UNUSABLE_KEY:
            return False
        return True

    def _invalid(self, certificate: x509.Certificate) -> bool:
        return not certificate.not_valid_before_utc <= self._moment <= certificate.not_valid_after_utc


def _distances(
    certificate: x509.Certificate, issuers: _Issuers, anchors: set[x509.Certificate]
) -> dict[x509.Certificate, int]:
    """Return how many steps each certificate is from a trusted one, at least; without what leads nowhere."""
    issued: dict[x509.Certificate, list[x509.Certificate]] = defaultdict(list)
    seen = {certificate}
    waiting = deque(seen)
    while waiting:
        one = waiting.popleft()
        if one in anchors:
            continue
        for issuer in issuers.of(one):
            issued[issuer].append(one)
            if issuer not in seen:
                seen.add(issuer)
                waiting.append(issuer)
    distances = {anchor: 0 for anchor in anchors if anchor in seen}
    waiting = deque(distances)
    while waiting:
        one = waiting.popleft()
        for below in issued[one]:
            if below not in distances:
                distances[below] = distances[one] + 1
                waiting.append(below)
    return distances


def _may_issue(certificate: x509.Certificate) -> bool:
    """Say whether nothing in a certificate keeps its holder from issuing; a trusted one is no other."""
    basic, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    is_ca = not isinstance(basic, x509.BasicConstraints) or basic.ca
    return is_ca and (not isinstance(usage, x509.KeyUsage) or usage.key_cert_sign)


def _identity(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    try:
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNUSABLE_KEY:
        key = certificate.fingerprint(hashes.SHA256())
    return subject_of(certificate), key
