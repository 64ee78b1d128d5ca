# SPDX-License-Identifier: Apache-2.0
"""Verification of a login: whether a token is a challenge that a card signed, and whose card that is.

What is cheap and refuses comes first. The order: the form of the token; its content; algorithms and key;
the issuer, the chain and its validity; the signature; what the certificate is for and whom; revocation;
whether the account's origin was better known before.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from xca_common.i18n import Text
from xca_common.pki import strict_certificate
from xca_common.pki.addresses import host_of, list_addresses, responder_addresses
from xca_common.pki.algorithms import is_strong
from xca_common.pki.certificate import Certificate
from xca_common.pki.malformed import Malformed, reading
from xca_common.pki.standing import Standing
from xca_common.pki.strict_certificate import UNUSABLE_KEY, as_asn1, extension
from xca_common.taipei import day
from xca_login.accounts import AccountStore, MemoryAccounts
from xca_login.challenges import Challenge, now
from xca_login.errors import (
    AlgorithmRefused,
    CertificateExpired,
    CertificateMalformed,
    CertificateNotYetValid,
    CertificateRevoked,
    CertificateSuspended,
    ChallengeExpired,
    ContentWrong,
    HolderRefused,
    IssuerNotValid,
    IssuerUnknown,
    KeyRefused,
    NotForEncryption,
    NotForLogin,
    OriginForeign,
    OriginNotVerified,
    OriginWeaker,
    PolicyRefused,
    RankRefused,
    RevocationUnknown,
)
from xca_login.evidence import Evidence
from xca_login.holder import Holder
from xca_login.i18n import text
from xca_login.keys import accepted_key, key_of
from xca_login.login import Account, Binding, Login
from xca_login.policy import Policy
from xca_login.revocation import Known, RevocationSource
from xca_login.site import Site
from xca_login.token import Token
from xca_login.trust import Issuer, Trust, TrustFolder, policies_of

_LOG: Final = logging.getLogger("xca_login.verifier")

_UNDERSTOOD: Final = (
    x509.AuthorityInformationAccess,
    x509.AuthorityKeyIdentifier,
    x509.BasicConstraints,
    x509.CertificatePolicies,
    x509.CRLDistributionPoints,
    x509.ExtendedKeyUsage,
    x509.KeyUsage,
    x509.SubjectAlternativeName,
    x509.SubjectKeyIdentifier,
)
"""The critical extensions that a holder's certificate may have."""
_NOTHING: Final = text("nothing was said about it")
_MOST_CERTIFICATES: Final = 4096  # of holders, of which what was read is kept
_PURPOSES: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_SECRECY: Final = frozenset(
    {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


@dataclass(frozen=True)
class Checked:
    """A holder's certificate that stands, and that the site accepts.

    Attributes:
        certificate: the certificate.
        issuer: the certificate of its issuer.
        holder: whom it is for.
        holder_name: the holder as people say it.
        account: the account of its key.
    """

    certificate: x509.Certificate
    issuer: x509.Certificate
    holder: Holder
    holder_name: str
    account: Account


class Verifier:
    """Verifies logins at one site. Many threads may use one at once.

    Args:
        site: the site.
        trust: the CAs whose cards it lets in.
        revocation: tells how certificates stand.
        policy: whom it lets in.
        accounts: keeps which accounts logged in as verified; None: in this process alone.
        clock: tells the time, with a time zone.

    Attributes:
        policy, accounts: as given.
    """

    def __init__(
        self,
        site: Site,
        trust: Trust | TrustFolder,
        revocation: RevocationSource,
        policy: Policy | None = None,
        accounts: AccountStore | None = None,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._site = site
        self._trust = trust
        self._revocation = revocation
        self.policy: Final = policy or Policy()
        self.accounts: Final[AccountStore] = accounts or MemoryAccounts()
        self._clock = clock
        self._read = _Read()

    def verify(self, token: bytes | Token, challenge: Challenge) -> Login:
        """Verify a login.

        Args:
            token: what came back from the holder's program: bytes in DER, or what Token.read made of them.
            challenge: the one that the session was given, taken out of the store (Challenges.take).

        Raises:
            LoginRefused: one class for each reason (errors).
            BadTrust, BadTrustFile: the site's CA certificates cannot be read.
        """
        trust = self._trust if isinstance(self._trust, Trust) else self._trust.current()
        token = token if isinstance(token, Token) else Token.read(token)
        moment = self._clock()
        if moment > challenge.until:
            raise ChallengeExpired
        if token.content != challenge.text:
            raise ContentWrong
        if token.digest not in self.policy.digests:
            raise AlgorithmRefused(algorithm=token.digest)
        read = self._read.get(token.certificate)
        issuer = self._issuer(read, trust, moment)
        self._read.keep(read)
        self._check_validity(read.certificate, moment)
        _check_signature(token, read)
        binding = self._binding(token)
        if not read.is_for_logins:
            raise NotForLogin
        holder = self._holder(read, issuer)
        known = self._check_revocation(read.certificate, issuer, moment)
        account = _account(trust, holder, read)
        return Login(
            account=account,
            holder=read.shown.holder,
            holder_name=read.holder_name,
            holder_kind=holder.kind,
            organisation_oid=holder.organisation_oid,
            tax_id=holder.tax_id,
            rank=holder.rank,
            serial=read.shown.serial,
            binding=binding,
            at=moment,
            is_revocation_known=known.judgement.standing is Standing.GOOD,
            fallback=self._fallback(account, binding, moment),
            evidence=Evidence(moment, challenge.text, token.der, issuer.ders, known.lists, known.responses),
        )

    @property
    def remembers_accounts(self) -> bool:
        """Whether another process knows of an account, too, that may not fall back; True: none may."""
        return self.policy.binding is Binding.VERIFIED or not isinstance(self.accounts, MemoryAccounts)

    def note_told(self, login: Login) -> None:
        """Note that a login was let in, so that its holder is told of a fallback now (Login.fallback).

        Exchange and CardLogin do that. Whoever calls verify() alone does it when the session is kept: until
        then each verified login tells of the fallback, whatever becomes of it.

        Raises:
            StoreUnavailable: the store of accounts cannot be reached; the holder is told again.
        """
        if login.binding is Binding.VERIFIED and login.fallback is not None:
            self.accounts.told(login.account, login.fallback)

    def check(self, der: bytes, *, encrypts: bool = False) -> Checked:
        """Verify a holder's certificate alone; that somebody has its key is not proved.

        That nothing is known of its revocation refuses it, whatever the policy says.

        Args:
            der: the certificate, in DER.
            encrypts: it is the one for encryption (cert2), not the one for signatures (cert1).

        Raises:
            LoginRefused: one class for each reason (errors).
            BadTrust, BadTrustFile: the site's CA certificates cannot be read.
        """
        trust = self._trust if isinstance(self._trust, Trust) else self._trust.current()
        moment = self._clock()
        with _reading(text("its extensions")):
            outline = strict_certificate.load_outline(der)
        read = self._read.get(outline)
        issuer = self._issuer(read, trust, moment)
        self._read.keep(read)
        self._check_validity(read.certificate, moment)
        if not (read.is_for_encryption if encrypts else read.is_for_logins):
            raise NotForEncryption if encrypts else NotForLogin
        holder = self._holder(read, issuer)
        judgement = self._check_revocation(read.certificate, issuer, moment).judgement
        if judgement.standing is not Standing.GOOD:
            raise RevocationUnknown(detail=judgement.detail or _NOTHING)
        account = _account(trust, holder, read)
        return Checked(read.certificate, issuer.certificate, holder, read.holder_name, account)

    def _issuer(self, read: "_ReadCertificate", trust: Trust, moment: datetime) -> Issuer:
        """Return who issued a certificate, by the key that it names and by the signature on it."""
        if read.key is None:
            raise KeyRefused
        candidates = trust.issuers(read.issuer_key) if read.issuer_key else ()
        # A CA's certificate may be renewed for the same key: one that is valid suffices.
        for issuer in sorted(candidates, key=lambda one: not one.is_valid(moment)):
            if read.is_issued_by(issuer.certificate):
                if not issuer.is_valid(moment):
                    raise IssuerNotValid(issuer=issuer.certificate.subject.rfc4514_string())
                return issuer
        with _reading(text("its names")):
            name = read.certificate.issuer.rfc4514_string()
        raise IssuerUnknown(issuer=name)

    def _check_validity(self, certificate: x509.Certificate, moment: datetime) -> None:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if moment < start - self.policy.skew:
            raise CertificateNotYetValid(day=day(start))
        if moment > end:
            raise CertificateExpired(day=day(end))

    def _binding(self, token: Token) -> Binding:
        if token.origin is None:
            if self.policy.binding is Binding.VERIFIED:
                raise OriginNotVerified
            return Binding.DECLARED
        if token.origin != self._site.origin:
            raise OriginForeign(origin=token.origin)
        return Binding.VERIFIED

    def _fallback(self, account: Account, binding: Binding, moment: datetime) -> datetime | None:
        """Note how the origin is known, and return when the account fell back, if its holder has to be told.

        Raises:
            OriginWeaker: it falls back, and the site does not permit that.
        """
        if binding is Binding.VERIFIED:
            return self.accounts.verified(account, moment)
        is_permitted = account in self.policy.declared_accounts
        since = self.accounts.declared(account, moment, is_permitted=is_permitted)
        if since is None:
            return None
        outcome = "let in" if is_permitted else "refused"
        _LOG.warning(
            "%s: the account %s with a declared origin, verified before (%s)",
            outcome,
            "/".join(account),
            since.isoformat(),
        )
        if not is_permitted:
            raise OriginWeaker(day=day(since))
        return moment

    def _holder(self, read: "_ReadCertificate", issuer: Issuer) -> Holder:
        """Return whom a certificate is for, if the site lets the holder in."""
        policies = read.policies
        if issuer.policies is not None:
            policies &= issuer.policies
        if not policies & self.policy.certificate_policies:
            raise PolicyRefused(policies=", ".join(sorted(read.policies)) or "-")
        holder = read.holder
        if self.policy.holder_kinds is not None and holder.kind not in self.policy.holder_kinds:
            raise HolderRefused(kind=holder.kind)
        if holder.rank not in self.policy.ranks:
            raise RankRefused(rank=holder.rank)
        return holder

    def _check_revocation(self, certificate: x509.Certificate, issuer: Issuer, moment: datetime) -> Known:
        known = self._revocation.judge(certificate, issuer.certificate, moment)
        judgement = known.judgement
        if judgement.standing is Standing.REVOKED:
            raise CertificateRevoked(day=day(judgement.since or moment))
        if judgement.standing is Standing.SUSPENDED:
            raise CertificateSuspended
        if judgement.standing is Standing.UNKNOWN:
            addresses = (*list_addresses(certificate), *responder_addresses(certificate))
            hosts = set(map(host_of, addresses))
            if not (known.hosts_are_silent and hosts and hosts <= self.policy.silent_hosts):
                raise RevocationUnknown(detail=judgement.detail or _NOTHING)
            _LOG.warning("let in without an answer about revocation from %s", ", ".join(sorted(hosts)))
        return known


class _ReadCertificate:
    """A certificate, and what it says: each once, when it is asked for.

    It says the same at every login, and whether one key made the signature on it is the same at every login.
    Trust, time, the token's signature and revocation are judged at each.

    Attributes:
        certificate: the certificate.
    """

    def __init__(self, certificate: x509.Certificate) -> None:
        self.certificate: Final = certificate
        self._issuer: x509.Certificate | None = None

    def is_issued_by(self, issuer: x509.Certificate) -> bool:
        """Tell whether a CA's key made the signature on it, by an algorithm that is still secure."""
        if self._issuer == issuer:
            return True
        try:
            self.certificate.verify_directly_issued_by(issuer)
        except UNUSABLE_KEY:
            return False
        if not self.is_strongly_signed:
            return False
        self._issuer = issuer
        return True

    @cached_property
    def key(self) -> RSAPublicKey | None:
        """The certified key; None: it is not accepted."""
        return accepted_key(self.certificate)

    @cached_property
    def key_digest(self) -> str:
        """SHA-256 of the certified key, hexadecimal."""
        return hashlib.sha256(key_of(self.certificate)).hexdigest()

    @cached_property
    def issuer_key(self) -> bytes | None:
        """The key identifier of its issuer; None: it names none.

        Raises:
            CertificateMalformed: an extension cannot be read.
        """
        with _reading(text("its extensions")):
            named = extension(self.certificate, x509.AuthorityKeyIdentifier)
        return named.key_identifier if named else None

    @cached_property
    def is_strongly_signed(self) -> bool:
        """Whether the algorithm that its issuer signed it with is still secure."""
        return is_strong(as_asn1(self.certificate)["signature_algorithm"])

    @cached_property
    def policies(self) -> frozenset[str]:
        """The OIDs of its policies."""
        return policies_of(self.certificate)

    @cached_property
    def holder(self) -> Holder:
        """Whom it is for.

        Raises:
            HolderUnclear: as Holder.of.
        """
        return Holder.of(self.certificate)

    @cached_property
    def shown(self) -> Certificate:
        """The certificate as people are shown it."""
        return Certificate.parse("", "", self.certificate.public_bytes(Encoding.DER))

    @cached_property
    def holder_name(self) -> str:
        """The holder as people say it."""
        return self.shown.holder_name

    @cached_property
    def is_for_logins(self) -> bool:
        """Whether it is a holder's, for signatures."""
        usage = extension(self.certificate, x509.KeyUsage)
        return usage is not None and usage.digital_signature and _is_of_holders(self.certificate, _PURPOSES)

    @cached_property
    def is_for_encryption(self) -> bool:
        """Whether it is a holder's, for encryption."""
        usage = extension(self.certificate, x509.KeyUsage)
        return (
            usage is not None
            and usage.key_encipherment
            and not usage.digital_signature
            and _is_of_holders(self.certificate, _SECRECY)
        )


class _Read:
    """Certificates that were read, once for each holder.

    Only those that a trusted CA issued are read to their end, and kept: what strangers make would take long,
    and fill the memory.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[x509.Certificate, _ReadCertificate] = {}

    def get(self, certificate: x509.Certificate) -> _ReadCertificate:
        """Return a certificate, or what is kept of it."""
        return self._kept.get(certificate) or _ReadCertificate(certificate)

    def keep(self, read: _ReadCertificate) -> None:
        """Read all parts of a certificate that a trusted CA issued, and keep it.

        Raises:
            CertificateMalformed: a part cannot be read.
        """
        certificate = read.certificate
        if certificate in self._kept:
            return
        with _reading(text("its names")):
            _ = read.shown, certificate.extensions
            _ = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
        with self._lock:
            if len(self._kept) >= _MOST_CERTIFICATES:
                del self._kept[next(iter(self._kept))]
            self._kept[certificate] = read


@contextmanager
def _reading(part: Text) -> Iterator[None]:
    """Turn whatever a library raises for a part of a certificate into CertificateMalformed."""
    try:
        with reading(part):
            yield
    except Malformed as error:
        raise CertificateMalformed(detail=error.detail) from error


def _check_signature(token: Token, read: _ReadCertificate) -> None:
    token.check_signature(read.key)


def _account(trust: Trust, holder: Holder, read: _ReadCertificate) -> Account:
    return Account(trust.domain, holder.organisation_oid or holder.tax_id or "", read.key_digest)


def _is_of_holders(certificate: x509.Certificate, accepted: frozenset[x509.ObjectIdentifier]) -> bool:
    """Tell whether a certificate is no CA's, names no purposes but accepted ones, and is understood."""
    basic = extension(certificate, x509.BasicConstraints)
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    return (
        not (basic is not None and basic.ca)
        and not (purposes is not None and accepted.isdisjoint(purposes))
        and all(isinstance(one.value, _UNDERSTOOD) or not one.critical for one in certificate.extensions)
    )
