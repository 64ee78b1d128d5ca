# SPDX-License-Identifier: Apache-2.0
"""A site, and cards of its CA that log in there; what comes back can be made wrong in every part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509

from xca_common.pki import strict_certificate
from xca_common.pki.standing import Judgement, Standing
from xca_login import AccountStore, Challenge, Challenges, Login, MemoryStore, Policy, Site, Trust, Verifier
from xca_login.revocation import Known, RevocationSource
from xca_login.testing.parties import NOW, Party, holder, party
from xca_login.testing.tokens import sign

SITE = Site("https://bids.example.gov.tw", "投標網")
SESSION = "a session"


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
        accounts: AccountStore | None = None,
    ) -> Verifier:
        pinned = (self.root, self.ca) if trusted is None else trusted
        trust = Trust.of(strict_certificate.load(one.der) for one in pinned)
        return Verifier(SITE, trust, revocation or Saying(), policy, accounts, clock=self.clock)

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
