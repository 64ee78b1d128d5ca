# SPDX-License-Identifier: Apache-2.0
"""A site, and cards of its CA that log in there; what comes back can be made wrong in every part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asn1crypto import cms, core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.x509.oid import ExtensionOID

from support.hostile_pki import NOW, Party, attributes, party, signed
from xca_common.pki import profile, strict_certificate
from xca_common.pki.authority import directory_attributes
from xca_common.pki.standing import Judgement, Standing
from xca_common.statement import ORIGIN_ATTRIBUTE
from xca_login import Challenge, Challenges, Login, MemoryStore, Policy, Site, Trust, Verifier
from xca_login.revocation import Known, RevocationSource

SITE = Site("https://bids.example.gov.tw", "投標網")
SESSION = "a session"
_SCHOOL = directory_attributes(profile.SCHOOL, "secondary", organisation_oid="2.16.886.111.100000")


def policies(*oids: str) -> tuple[x509.ExtensionType, bool]:
    information = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return x509.CertificatePolicies(information), False


def authority_key(issuer: Party) -> tuple[x509.ExtensionType, bool]:
    own = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), False


def directory(value: bytes) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES, value), False


def holder(
    issuer: Party,
    name: str = "a school",
    *,
    policy: str = profile.COMPATIBILITY_POLICY,
    attributes_: bytes = _SCHOOL,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    **options: Any,
) -> Party:
    """Return a holder's certificate and key, in the form of the cards."""
    extensions = [authority_key(issuer), policies(policy), directory(attributes_), *more]
    return party(name, issuer, extensions=extensions, **options)


@dataclass(frozen=True)
class Saying:
    """A source that says the same of all certificates."""

    judgement: Judgement = field(default_factory=lambda: Judgement(Standing.GOOD))
    hosts_are_silent: bool = False

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
        return Known(self.judgement, hosts_are_silent=self.hosts_are_silent)


class Desk:
    """The site's side, with one session open.

    Attributes:
        root, ca: the CA.
        school: a card's certificate and key.
        challenges: the site's.
    """

    def __init__(self) -> None:
        self.root = party("root", ca=True)
        self.ca = party("ca", self.root, ca=True)
        self.school = holder(self.ca)
        self.at = NOW
        self.challenges = Challenges(SITE, MemoryStore(), clock=self.clock)

    def clock(self) -> datetime:
        return self.at

    def verifier(
        self,
        revocation: RevocationSource | None = None,
        policy: Policy | None = None,
        trusted: Sequence[Party] | None = None,
    ) -> Verifier:
        pinned = (self.root, self.ca) if trusted is None else trusted
        trust = Trust.of(strict_certificate.load(one.der) for one in pinned)
        return Verifier(SITE, trust, revocation or Saying(), policy, clock=self.clock)

    def challenge(self) -> Challenge:
        return self.challenges.new(SESSION)

    def log_in(
        self,
        token: Callable[[Challenge], bytes] | Party | None = None,
        **options: Any,
    ) -> Login:
        """Log in with a card, or with what a function makes of the challenge."""
        challenge = self.challenge()
        made = token(challenge) if callable(token) else sign(token or self.school, challenge.text)
        return self.verifier(**options).verify(made, challenge)


def origin(value: str) -> cms.CMSAttribute:
    """Return the attribute with the origin of the page that asked."""
    return cms.CMSAttribute({"type": ORIGIN_ATTRIBUTE, "values": [core.UTF8String(value)]})


def sign(
    signer: Party,
    content: bytes,
    others: Sequence[Party] = (),
    *,
    inside: bytes | None = None,
    signed_attributes: Sequence[cms.CMSAttribute] | None = None,
    more: Sequence[cms.CMSAttribute] = (),
    content_type: str = "data",
    scheme: AsymmetricPadding | None = None,
    algorithm: dict[str, object] | None = None,
    change: Callable[[cms.SignedData], None] = lambda signed_data: None,
) -> bytes:
    """Return a token: the signature with its content inside.

    Args:
        inside: the content, if it is another than what is signed.
        change: changes what stands beside the signature.
    """
    given = attributes(content, *more) if signed_attributes is None else signed_attributes
    given = sorted(given, key=lambda one: bytes(one.dump()))
    whole = cms.ContentInfo.load(
        signed(
            signer,
            content,
            others,
            signed_attributes=given,
            content_type=content_type,
            scheme=scheme,
            algorithm=algorithm,
        )
    )
    signed_data = whole["content"]
    signed_data["encap_content_info"] = {
        "content_type": content_type,
        "content": content if inside is None else inside,
    }
    change(signed_data)
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump())
